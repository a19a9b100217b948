"""Packets out of order, late, lost and missing: what is heard in their place, and when."""

from __future__ import annotations

import random

import pytest

from antiphon.transport.webrtc.arrivals import (
    LONGEST_PATIENCE,
    MOST_WAITING,
    PAUSE,
    SHORTEST_PATIENCE,
    STALL,
    Arrivals,
    Concealed,
    Heard,
    Recovered,
    Silent,
    Step,
)
from antiphon.transport.webrtc.rtp import RtpPacket

FRAME = 960  # ticks of 20 ms


def ticks_of(payload: bytes) -> int:
    if not payload:
        raise ValueError("no Opus packet")
    return FRAME


class Line:
    """A sender of a packet each 20 ms, and a network that the test plays."""

    def __init__(self, first: int = 65_530, timestamp: int = 2**32 - 2000, now: float = 50.0) -> None:
        self.arrivals = Arrivals(ticks_of)
        self.now = now
        self._began = now
        self._first, self._timestamp = first, timestamp
        self.heard: list[Step] = []

    def packet(self, number: int, source: int = 7) -> RtpPacket:
        sequence = (self._first + number) % 2**16
        timestamp = (self._timestamp + number * FRAME) % 2**32
        return RtpPacket(96, sequence, timestamp, source, b"%d" % number)

    def come(self, number: int, at_ms: float | None = None) -> list[Step]:
        """Packet `number` comes, when it should or at another time; returns what is heard then."""
        self.now = self._began + (20 * number if at_ms is None else at_ms) / 1000
        self.arrivals.add(self.packet(number), self.now)
        return self._take()

    def wait_until(self, at_ms: float) -> list[Step]:
        """Time passes; the deadlines on the way are kept."""
        found = []
        end = self._began + at_ms / 1000
        while (deadline := self.arrivals.deadline) is not None and deadline <= end:
            assert deadline > self.now - 1e-9, "a deadline in the past"
            self.now = max(deadline, self.now + 1e-6)
            passed = self.arrivals.pass_time(self.now)
            self.heard += passed
            found += passed
        self.now = end
        return found

    def _take(self) -> list[Step]:
        found = self.arrivals.take(self.now)
        self.heard += found
        return found


def numbers(steps: list[Step]) -> list[int]:
    return [int(step.payload) for step in steps if isinstance(step, Heard)]


def length(steps: list[Step]) -> int:
    return sum(FRAME if isinstance(step, Heard) else step.ticks for step in steps)


def test_what_comes_in_order_is_heard_at_once_also_when_numbers_wrap() -> None:
    line = Line()
    for number in range(20):
        assert line.come(number) == [Heard(b"%d" % number)]
    assert line.arrivals.tally.waited_s == 0


def test_a_packet_out_of_order_is_waited_for_and_heard_in_order() -> None:
    line = Line()
    line.come(0)
    assert line.come(2, 40) == []
    assert numbers(line.come(1, 45)) == [1, 2]
    assert line.arrivals.tally.lost == 0


def test_a_lost_packet_is_recovered_from_the_one_after_it() -> None:
    line = Line()
    line.come(0)
    line.come(2, 40)
    steps = line.wait_until(40 + 1000 * SHORTEST_PATIENCE + 1)
    assert steps == [Recovered(b"2", FRAME), Heard(b"2")]
    assert (line.arrivals.tally.lost, line.arrivals.tally.recovered) == (1, 1)


def test_of_several_lost_the_last_is_recovered_and_the_others_are_made_up() -> None:
    line = Line()
    line.come(0)
    line.come(4, 80)
    assert line.wait_until(120) == [Concealed(2 * FRAME), Recovered(b"4", FRAME), Heard(b"4")]


def test_a_long_loss_ends_in_silence_and_not_in_a_drone() -> None:
    line = Line()
    line.come(0)
    line.come(15, 20.0 * 15 - 250)  # before the stall would have been filled
    steps = line.wait_until(110)
    assert [type(step) for step in steps] == [Concealed, Silent, Recovered, Heard]
    assert length(steps) == 15 * FRAME


def test_a_packet_that_was_given_up_is_not_heard_later_and_makes_the_line_more_patient() -> None:
    line = Line()
    line.come(0)
    line.come(2, 40)
    line.wait_until(65)
    assert line.come(1, 66) == []
    assert line.arrivals.tally.late == 1
    grown = line.arrivals.patience
    assert grown > SHORTEST_PATIENCE
    for number in range(3, 1500):
        line.come(number)
    assert line.arrivals.patience < grown


def test_patience_has_an_end() -> None:
    line = Line()
    for number in range(1, 200, 2):
        line.come(number + 1, 20 * number + 20)
        line.wait_until(20 * number + 20 + 1000 * LONGEST_PATIENCE + 1)
        line.come(number, 20 * number + 20 + 1000 * LONGEST_PATIENCE + 2)
    assert line.arrivals.patience <= LONGEST_PATIENCE


def test_a_pause_of_the_sender_is_silence_in_its_own_time() -> None:
    line = Line()
    for number in range(10):
        line.come(number)
    steps = line.wait_until(1000)
    assert {type(step) for step in steps} == {Silent}
    # 180 ms were heard with the last packet; what is behind the clock is the stall's patience.
    assert abs(200 + length(steps) / 48 - (1000 - 1000 * PAUSE)) <= 20
    # Whoever pauses counts packets on, and time too.
    line.now = 51.0
    line.arrivals.add(line.packet(50)._replace(sequence=line.packet(10).sequence), line.now)
    line._take()
    assert length(line.heard) == 51 * FRAME, "the pause is as long as it was"


def test_a_sender_that_did_not_announce_a_pause_is_waited_for_longer() -> None:
    line = Line()
    line.come(0)
    line.arrivals.add(line.packet(1)._replace(payload=b"1".zfill(60)), line.now + 0.02)
    line.arrivals.take(line.now + 0.02)
    assert line.wait_until(20 + 1000 * STALL) == []
    assert line.wait_until(20 + 1000 * STALL + 60)


def test_what_a_stalled_network_brings_late_is_heard_after_all() -> None:
    line = Line()
    for number in range(10):
        line.come(number)
    silence = line.wait_until(400)
    assert silence
    burst = [step for number in range(10, 21) for step in line.come(number, 401)]
    assert numbers(burst) == list(range(10, 21))
    assert line.arrivals.tally.lost == 0


@pytest.mark.parametrize("stall_ms", [400, 3000, 20_000])
def test_a_sender_whose_clock_stood_still_is_late_once_and_not_with_each_packet(stall_ms: int) -> None:
    """A starved computer's microphone does not count the time in which it did not record."""
    line = Line()
    for number in range(10):
        line.come(number)
    for number in range(10, 200):
        at_ms = 20 * number + stall_ms
        line.wait_until(at_ms)
        line.come(number, at_ms)
    assert numbers(line.heard) == list(range(200))
    assert length(line.heard) / 48 <= 200 * 20 + stall_ms


def test_a_sender_who_falls_behind_again_and_again_is_never_heard_longer_than_time_went_on() -> None:
    line = Line()
    at_ms = 0.0
    for number in range(1000):
        at_ms += 20 if number % 25 else 120
        line.wait_until(at_ms)
        line.come(number, at_ms)
    assert numbers(line.heard) == list(range(1000))
    assert length(line.heard) / 48 <= at_ms + 20


def test_another_stream_begins_anew() -> None:
    line = Line()
    line.come(0)
    other = RtpPacket(96, 1, 5, 8, b"99")
    line.arrivals.add(other, line.now + 0.02)
    assert numbers(line.arrivals.take(line.now + 0.02)) == [99]
    far = other._replace(sequence=30_000, timestamp=9_999_999, payload=b"5")
    line.arrivals.add(far, line.now + 0.04)
    assert numbers(line.arrivals.take(line.now + 0.04)) == [5]
    assert line.arrivals.tally.expected == 3


def test_a_flood_of_packets_behind_a_hole_is_not_waited_with() -> None:
    line = Line()
    line.come(0)
    heard = [step for number in range(2, MOST_WAITING + 3) for step in line.come(number, 40)]
    assert numbers(heard)[0] == 2
    assert len(line.arrivals._waiting) < MOST_WAITING


def test_what_is_no_opus_leaves_a_hole_that_silence_fills() -> None:
    line = Line()
    line.come(0)
    line.arrivals.add(line.packet(1)._replace(payload=b""), line.now + 0.02)
    assert line.arrivals.take(line.now + 0.02) == []
    assert line.come(2, 40) == [Silent(FRAME), Heard(b"2")]


def test_a_clock_that_runs_slow_is_not_taken_for_a_pause() -> None:
    """A sound card may be off by 300 ppm: after ten minutes that is more than the patience with a stall."""
    line = Line()
    for number in range(30_000):
        line.come(number, number * 20 * 1.0003)
    assert line.arrivals.tally.silence_ticks <= 5 * FRAME


@pytest.mark.parametrize("seed", range(20))
def test_on_any_network_nothing_is_heard_twice_or_out_of_order_and_time_goes_on(seed: int) -> None:
    lots = random.Random(seed)
    line = Line(first=lots.randrange(2**16), timestamp=lots.randrange(2**32))
    sent = 400
    come = [(20 * n + lots.expovariate(1 / 15), n) for n in range(1, sent) if lots.random() > 0.1]
    line.come(0)
    for at_ms, number in sorted(come):
        line.wait_until(at_ms)
        line.come(number, at_ms)
        if lots.random() < 0.05:
            line.come(number, at_ms)
    line.wait_until(20 * sent + 500)
    found = numbers(line.heard)
    assert found == sorted(set(found))
    assert length(line.heard) >= (sent - 1) * FRAME
    tally = line.arrivals.tally
    assert len(found) == tally.received - tally.late
    assert len(found) >= 0.8 * len(come)
