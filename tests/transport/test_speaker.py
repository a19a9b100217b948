"""A call's voice on a clock that jumps: on time, in order, and honest about how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

from antiphon.testing.virtual_time import run
from antiphon.transport.webrtc.opus import FRAME
from antiphon.transport.webrtc.rounds import Rounds
from antiphon.transport.webrtc.speaker import (
    BATCH_FRAMES,
    FRAME_BYTES,
    FRAME_S,
    REPORT_EVERY,
    REST_FRAMES,
    TAIL_FRAMES,
    Speaker,
)


class Booth:
    """A speaker, and what comes out of it."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, bytes, int, bool]] = []
        """When it was sent, what it holds, its time in ticks, whether a silence lies before it."""
        self.reports: list[tuple[float, str, int]] = []
        self.encoded = self.restarts = 0
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self.speaker = Speaker(self, self._send, self._report)
        self.rounds = Rounds()

    def encode(self, pcm: bytes) -> bytes:
        assert len(pcm) == FRAME_BYTES
        self.encoded += 1
        return pcm

    def restart(self) -> None:
        self.restarts += 1

    def _send(self, packet: bytes, ticks: int, after_silence: bool) -> None:
        self.packets.append((self._loop.time() - self.began, packet, ticks, after_silence))

    def _report(self, name: str, samples: int) -> None:
        self.reports.append((self._loop.time() - self.began, name, samples))

    def voiced(self) -> list[tuple[float, bytes, int, bool]]:
        return [packet for packet in self.packets if any(packet[1])]


def sound(frames: float, value: int = 1) -> bytes:
    return bytes([value]) * (round(frames * FRAME) * 2)


def on_air(story: Callable[[Booth], Awaitable[None]]) -> None:
    async def main() -> None:
        booth = Booth()
        booth.speaker.open()
        booth.rounds.join(booth.speaker)
        await story(booth)
        booth.rounds.leave(booth.speaker)
        booth.speaker.close()

    run(main())


def test_the_first_packet_goes_at_once_and_the_others_in_rounds() -> None:
    async def story(booth: Booth) -> None:
        await asyncio.sleep(1.007)
        booth.speaker.push("a", sound(5))
        assert len(booth.voiced()) == 1
        await asyncio.sleep(0.2)
        moments = [round(1000 * (at - 1.007)) for at, *_ in booth.voiced()]
        assert moments == [0, 13, 33, 53, 73]
        first = booth.voiced()[0]
        assert first[3], "a silence lies before it"
        assert not any(packet[3] for packet in booth.voiced()[1:])
        assert abs(first[2] / 48_000 - 1.007) < 0.021, "the silence is part of the stream"

    on_air(story)


def test_it_says_when_it_begins_how_far_it_is_and_when_all_has_been_played() -> None:
    async def story(booth: Booth) -> None:
        booth.speaker.push("a", sound(REPORT_EVERY + 0.5))
        booth.speaker.finish("a")
        await asyncio.sleep(2)
        told = [(round(1000 * at), samples) for at, name, samples in booth.reports if name == "a"]
        last = (REPORT_EVERY + 1) * FRAME
        assert told == [(0, 0), (20 * REPORT_EVERY, REPORT_EVERY * FRAME), (20 * REPORT_EVERY + 20, last)]

    on_air(story)


def test_after_the_last_sound_a_little_silence_and_then_next_to_nothing() -> None:
    async def story(booth: Booth) -> None:
        booth.speaker.push("a", sound(2))
        booth.speaker.finish("a")
        await asyncio.sleep(10)
        silent = [packet for packet in booth.packets if not any(packet[1])]
        rest = (10 - 0.04 - 0.02 * TAIL_FRAMES) / (0.02 * REST_FRAMES)
        assert abs(len(silent) - TAIL_FRAMES - rest) <= 3

    on_air(story)


def test_answers_are_played_one_after_the_other_however_their_sound_comes() -> None:
    async def story(booth: Booth) -> None:
        booth.speaker.push("a", sound(2, 1))
        booth.speaker.push("b", sound(2, 2))
        booth.speaker.push("a", sound(2, 3))
        await asyncio.sleep(0.5)
        assert [packet[1][0] for packet in booth.voiced()] == [1, 1, 3, 3]
        booth.speaker.finish("a")
        booth.speaker.finish("b")
        await asyncio.sleep(0.5)
        assert [packet[1][0] for packet in booth.voiced()] == [1, 1, 3, 3, 2, 2]
        assert [name for _, name, _ in booth.reports] == ["a", "a", "b", "b"]

    on_air(story)


def test_what_is_dropped_is_not_heard() -> None:
    async def story(booth: Booth) -> None:
        booth.speaker.push("a", sound(50))
        await asyncio.sleep(0.1)
        booth.speaker.drop("a")
        before = len(booth.voiced())
        assert booth.speaker.waiting == 0
        await asyncio.sleep(1)
        assert len(booth.voiced()) == before
        booth.speaker.push("b", sound(1, 2))
        assert booth.voiced()[-1][1][0] == 2, "the next answer begins at once"

    on_air(story)


def test_sound_that_comes_too_slowly_leaves_gaps_and_is_all_heard() -> None:
    async def story(booth: Booth) -> None:
        for _ in range(20):
            booth.speaker.push("a", sound(0.7))
            await asyncio.sleep(0.05)
        booth.speaker.finish("a")
        await asyncio.sleep(0.5)
        heard = b"".join(packet[1] for packet in booth.voiced()).rstrip(b"\0")
        assert len(heard) == 20 * len(sound(0.7))
        ticks = [packet[2] for packet in booth.packets]
        assert ticks == sorted(set(ticks)), "no moment is told twice"

    on_air(story)


def test_nothing_is_sent_before_there_is_a_path_nor_after_it_is_gone() -> None:
    async def story() -> None:
        booth = Booth()
        booth.speaker.push("a", sound(3))
        await asyncio.sleep(1)
        assert not booth.packets
        booth.speaker.open()
        assert len(booth.voiced()) == 1
        booth.speaker.close()
        await asyncio.sleep(1)
        assert len(booth.voiced()) == 1

    run(story())


def test_a_report_that_brings_more_sound_does_not_disturb_the_clock() -> None:
    """The session answers a report with the next piece, in the middle of the speaker's own step."""

    async def story() -> None:
        booth = Booth()
        left = [10]

        def report(name: str, samples: int) -> None:
            if left[0]:
                left[0] -= 1
                booth.speaker.push(name, sound(REPORT_EVERY))
            else:
                booth.speaker.finish(name)

        booth.speaker = Speaker(booth, booth._send, report)
        booth.speaker.open()
        booth.rounds.join(booth.speaker)
        booth.speaker.push("a", sound(1))
        await asyncio.sleep(0.02 * (10 * REPORT_EVERY + 5))
        moments = [at for at, *_ in booth.voiced()]
        assert len(moments) == 10 * REPORT_EVERY + 1
        assert all(abs(b - a - 0.02) < 1e-6 for a, b in pairwise(moments))
        booth.rounds.leave(booth.speaker)

    run(story())


def test_sound_is_encoded_a_few_frames_at_a_time_but_for_the_first() -> None:
    async def story(booth: Booth) -> None:
        await asyncio.sleep(5)
        before = booth.encoded
        booth.speaker.push("a", sound(50))
        assert booth.encoded - before == 1, "the first one goes at once"
        await asyncio.sleep(0.021)
        assert booth.encoded - before == 1 + BATCH_FRAMES
        assert len(booth.voiced()) == 2
        assert booth.speaker.waiting == 48 * FRAME
        booth.speaker.finish("a")
        await asyncio.sleep(2)
        assert len(booth.voiced()) == 50

    on_air(story)


def test_what_is_encoded_and_then_dropped_is_no_past_for_what_follows() -> None:
    async def story(booth: Booth) -> None:
        for name, frames in (("a", 50), ("b", 1)):
            booth.speaker.push(name, sound(frames))
            await asyncio.sleep(0.05)
            booth.speaker.drop(name)
        assert booth.restarts == 1, "nothing of b was left"

    on_air(story)


def test_a_beat_that_moves_makes_no_packet_late_and_none_too_early() -> None:
    """Rounds 21 ms after each other for a while, and then 19: after each, the listener has all that was due, and at
    most two packets and a half of what was not."""

    async def story() -> None:
        booth = Booth()
        booth.speaker.open()
        await asyncio.sleep(1)
        booth.speaker.push("a", sound(400))
        began = asyncio.get_running_loop().time()
        for number in range(300):
            await asyncio.sleep(0.019 if number // 50 % 2 else 0.021)
            now = asyncio.get_running_loop().time()
            booth.speaker.take_turn(now)
            ahead = len(booth.voiced()) * FRAME_S - (now - began)
            assert 0 <= round(ahead, 6) <= 0.05
        ticks = [packet[2] for packet in booth.voiced()]
        assert {later - before for before, later in pairwise(ticks)} == {960}

    run(story())


def test_a_round_that_comes_late_sends_what_the_others_would_have_sent() -> None:
    async def story() -> None:
        booth = Booth()
        booth.speaker.open()
        await asyncio.sleep(1)
        booth.speaker.push("a", sound(50))
        await asyncio.sleep(0.095)
        booth.speaker.take_turn(booth.began + 1.095)
        assert len(booth.voiced()) == 5, "those of 0 to 80 ms"
        await asyncio.sleep(0.5)
        booth.speaker.take_turn(booth.began + 1.595)
        assert len(booth.voiced()) == 6, "after half a second nobody's buffer holds anything: it begins anew"

    run(story())
