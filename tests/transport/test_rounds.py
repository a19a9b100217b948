"""The beat that all calls share, on a clock that jumps."""

from __future__ import annotations

import asyncio
import random

import pytest

from antiphon.testing.virtual_time import VirtualTimeLoop, run
from antiphon.transport.webrtc.rounds import BEAT, WINDOW, Rounds, steps_to_best


class Guest:
    """Notes its turns. Packets for it come 50 times a second, at `phase` in the beat and up to `jitter` later."""

    def __init__(self, rounds: Rounds, phase: float = 0.0, jitter: float = 0.0) -> None:
        self.turns: list[float] = []
        self.lain: list[float] = []
        self._rounds = rounds
        self._jitter = jitter
        self._lots = random.Random(1)
        self._next = phase

    def take_turn(self, now: float) -> None:
        self.turns.append(now)
        while self._next < now:
            lain = now - self._next - self._jitter * self._lots.random()
            if lain < 0:
                break
            self.lain.append(lain)
            self._rounds.lain([lain])
            self._next += BEAT


def test_each_has_a_turn_in_every_round_and_nothing_wakes_the_process_without_anybody() -> None:
    async def story() -> None:
        rounds = Rounds()
        one, other = Guest(rounds, phase=1000), Guest(rounds, phase=1000)
        rounds.join(one)
        await asyncio.sleep(0.105)
        rounds.join(other)
        rounds.join(other)
        await asyncio.sleep(0.1)
        assert [round(1000 * turn) for turn in one.turns] == list(range(20, 205, 20))
        assert other.turns == one.turns[5:]
        rounds.leave(one)
        rounds.leave(one)
        rounds.leave(other)
        assert rounds._timer is None
        await asyncio.sleep(1)
        assert len(one.turns) == 10
        rounds.join(one)
        await asyncio.sleep(0.021)
        assert len(one.turns) == 11

    run(story())


def test_who_leaves_in_a_turn_has_no_other_and_disturbs_nobody() -> None:
    async def story() -> None:
        rounds = Rounds()

        class Leaver(Guest):
            def take_turn(self, now: float) -> None:
                super().take_turn(now)
                rounds.leave(self)

        leaver, other = Leaver(rounds, phase=1000), Guest(rounds, phase=1000)
        rounds.join(leaver)
        rounds.join(other)
        await asyncio.sleep(0.1)
        assert (len(leaver.turns), len(other.turns)) == (1, 5)
        rounds.leave(other)

    run(story())


def test_a_round_that_takes_long_is_followed_by_one_and_not_by_all_that_were_missed() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        jump = loop._jump
        rounds = Rounds()

        class Slow(Guest):
            def take_turn(self, now: float) -> None:
                super().take_turn(now)
                if len(self.turns) == 3:
                    jump(0.107)

        slow = Slow(rounds, phase=1000)
        rounds.join(slow)
        await asyncio.sleep(0.3)
        assert [round(1000 * turn) for turn in slow.turns[:6]] == [20, 40, 60, 180, 200, 220]
        rounds.leave(slow)

    run(story())


@pytest.mark.parametrize("phase", [0.001, 0.006, 0.0115, 0.017])
def test_the_beat_moves_to_where_packets_lie_shortest(phase: float) -> None:
    async def story() -> None:
        rounds = Rounds()
        guest = Guest(rounds, phase, jitter=0.001)
        rounds.join(guest)
        await asyncio.sleep(5)
        settled = guest.lain[-100:]
        assert max(settled) < 0.005
        steps = {round(1000 * (later - before)) for before, later in zip(guest.turns, guest.turns[1:], strict=False)}
        assert steps <= {19, 20, 21}, "by steps that nobody's buffer notices"
        rounds.leave(guest)

    run(story())


def test_the_best_moment_is_the_shortest_way_there_and_only_if_it_is_worth_one() -> None:
    assert steps_to_best([0.0105] * WINDOW) == -9
    assert steps_to_best([0.016] * WINDOW) == 5, "later, to where they have just come: 1 ms is to spare"
    assert steps_to_best([0.002] * WINDOW) == 0
    assert steps_to_best([0.001 * (number % 20) for number in range(WINDOW)]) == 0, "no moment is better"
