"""The beat of all calls of a process: every 20 ms each of them takes in what has come and sends what is due.

To be woken costs a process as much as to encode a packet. So no packet and no timer of a call wakes it, but this one
timer for all calls, both ways. What comes waits for the next round: the beat moves, by a millisecond at a time, to
where packets lie shortest. What a call does in its turn is not known here.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from antiphon.audio.units import Seconds

BEAT: Seconds = 0.02  # what one packet of sound holds, both ways
STEP: Seconds = 0.001  # of the beat's way to a better moment: no listener's buffer notices
WINDOW = 64  # packets after which a better moment is looked for: a second of one call
GRAINS = 20  # moments that are compared, a millisecond apart
SPARE: Seconds = 0.001  # after a packet is usual, for the next one to come a little later
GAIN: Seconds = 0.002  # that packets must lie shorter for the beat to move


class Member(Protocol):
    """Whoever takes part."""

    def take_turn(self, now: Seconds) -> None:
        """It is time. Never waits, and raises nothing."""
        ...


class Rounds:
    """Everything is called on the event loop. Nothing wakes it while nobody takes part."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due: Seconds = 0.0
        self._late: Seconds = 0.0
        """How much the round that goes on has come after its time."""
        self._lain: list[Seconds] = []
        """What packets would have waited for a round in time: below zero if they came after that."""
        self._steps = 0
        """Still to go, earlier if below zero."""

    def join(self, member: Member) -> None:
        """It has a turn from now on, in each round, if it has none yet."""
        if member not in self._members:
            self._members.append(member)
        if self._timer is None:
            self._plan(asyncio.get_running_loop())

    def leave(self, member: Member) -> None:
        """It has none any more. May be called again."""
        if member in self._members:
            self._members.remove(member)
        if not self._members and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def lain(self, packets: list[Seconds]) -> None:
        """So long each of these has waited for its round, which may have come late."""
        late = self._late
        self._lain += [lain - late for lain in packets]

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """The next round, on the beat: one that comes late moves none after it, and those it has missed are over."""
        step = (self._steps > 0) - (self._steps < 0)
        self._steps -= step
        now = loop.time()
        self._due += BEAT + step * STEP
        if self._due <= now:
            self._due += (1 + (now - self._due) // BEAT) * BEAT
        self._timer = loop.call_at(self._due, self._go_round, loop)

    def _go_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        self._late = now - self._due
        for member in tuple(self._members):
            member.take_turn(now)
        if len(self._lain) >= WINDOW:
            self._steps = steps_to_best(self._lain)
            self._lain.clear()
        if self._members and self._timer is None:
            self._plan(loop)


def steps_to_best(lain: list[Seconds]) -> int:
    """How many steps later (earlier if below zero) the beat would have to be for packets that lay so long to lie
    shortest, in the mean: 0 unless that is worth a move."""

    def mean(steps: int) -> Seconds:
        later = steps * STEP - SPARE
        return sum((seconds + later) % BEAT for seconds in lain) / len(lain)

    best = min(range(-GRAINS // 2, GRAINS // 2), key=mean)
    return best if mean(best) < mean(0) - GAIN else 0
