"""Hours of full density: does memory stay, and is every rule of the protocol kept?

    make soak MINUTES=10         a core's worth of conversations for ten minutes

Conversations come and go: each lasts a minute and another takes its place, so that after two minutes as many are there
as ever will be. From then on its resident memory is looked at every two seconds; what is told is the slope of a line
through the means of half minutes, with its 95 % confidence interval. SQLite's cache, 2 MB, fills for some twenty
minutes: ten of them do not tell so much from a small leak, an hour does. A few of the callers hold all that they hear
against the protocol. Conversations are kept in a file that is thrown away.
Ends with status 1 if memory grows, a rule was broken, or a connection was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import uvloop
from websockets.exceptions import InvalidStatus

from antiphon.audio.units import Pcm16, Seconds
from antiphon.testing.caller import Caller as Watcher
from antiphon.testing.checker import Checker, Fault
from common import CALLER_CORE, Server, Wish, arguments_of, machine, pin, server, speech
from density import ANSWER, FRAME_S, SENTENCES, SLOTS, Caller, Line, Rooms, connect, prepare
from slope import FEWEST_BLOCKS, Slope, slope_of

LIFE_S: Seconds = 60.0  # of one conversation
SETTLED_S: Seconds = 2 * LIFE_S  # until which nothing is concluded: all have been replaced
PATIENCE_S: Seconds = 5.0  # with a server that is too busy to let anybody in; whoever was to go then stays
LOOK_S: Seconds = 2.0
BLOCK = 15  # looks of which one mean is made
WATCHERS = 3


def hourly(slope: Slope) -> str:
    """Of looks whose times are in seconds."""
    return f"{slope.mean * 3600 / 1e6:+.1f} ± {slope.margin * 3600 / 1e6:.1f} MB an hour"


class Soak:
    """One run."""

    def __init__(self, one: Server, rooms: Rooms, sessions: int) -> None:
        self.looks: list[tuple[Seconds, int]] = []
        self.faults: list[Fault] = []
        self.conversations = 0
        self.bursts = self.answers = self.lost = self.refused = 0
        self._one = one
        self._rooms = rooms
        self._sessions = sessions
        self._callers: list[Caller] = []
        self._loop = asyncio.get_running_loop()

    async def run(self, seconds: Seconds, said: list[Pcm16]) -> None:
        end = self._loop.time() + seconds
        try:
            while len(self._callers) < self._sessions:
                if self._loop.time() > end:
                    raise SystemExit("the server lets nobody in: is this machine too busy?")
                await self._let_in(len(self._callers))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(end))
                group.create_task(self._replace(end))
                group.create_task(self._look(end))
                for number in range(WATCHERS):
                    group.create_task(self._watch(number, said, end))
        finally:
            for caller in self._callers:
                self._dismiss(caller)

    async def _speak(self, end: Seconds) -> None:
        began, tick = self._loop.time(), 0
        while self._loop.time() < end:
            for slot in range(SLOTS):
                await asyncio.sleep(max(0.0, began + (tick + slot / SLOTS) * FRAME_S - self._loop.time()))
                for caller in self._callers[slot::SLOTS]:
                    if not caller.line.transport.is_closing():  # else it is lost, which is counted as it is replaced
                        caller.send(tick, may_speak=True)
            tick += 1

    async def _replace(self, end: Seconds) -> None:
        """One conversation after the other gives way to a new one."""
        number = 0
        while self._loop.time() < end:
            await asyncio.sleep(LIFE_S / self._sessions)
            await self._let_in(number)
            number += 1

    async def _let_in(self, number: int) -> None:
        """A new conversation, in a place that is free or in that of an old one; none if the server has no time."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                (fresh,) = await connect(self._one.url, 1, self._rooms)
        except TimeoutError:
            self.refused += 1
            return
        caller = Caller(fresh.line, self._rooms.of(number), number, (number * 0.618) % 1)
        place = number % self._sessions
        if place == len(self._callers):
            self._callers.append(caller)
        else:
            self._dismiss(self._callers[place])
            self._callers[place] = caller

    def _dismiss(self, caller: Caller) -> None:
        line: Line = caller.line
        self.conversations += 1
        self.bursts += line.bursts
        self.answers += line.answers
        self.lost += line.transport.is_closing()
        line.close()

    async def _look(self, end: Seconds) -> None:
        began = self._loop.time()
        settled = began + SETTLED_S
        while self._loop.time() < end:
            await asyncio.sleep(LOOK_S)
            await self._one.report()  # else the server would gather what it was not asked for
            now = self._loop.time()
            if now < settled:
                continue
            self.looks.append((now, self._one.memory_bytes()))
            if len(self.looks) % BLOCK == 0:
                mean = sum(size for _, size in self.looks[-BLOCK:]) / BLOCK
                print(f"{(now - began) / 60:5.1f} minutes: {mean / 1e6:.1f} MB", flush=True)

    async def _watch(self, number: int, said: list[Pcm16], end: Seconds) -> None:
        """Somebody who speaks, hangs up and calls again, and holds the server to every rule."""
        while self._loop.time() < end:
            checker = Checker()
            try:
                async with Watcher(self._one.url, seed=number, checker=checker) as caller:
                    until = min(end, self._loop.time() + LIFE_S)
                    while self._loop.time() < until:
                        await caller.say(said[number % len(said)])
                        await asyncio.sleep(4.0)
            except (InvalidStatus, TimeoutError):
                self.refused += 1
                await asyncio.sleep(1.0)
                continue
            checker.finish(hung_up=True)
            self.faults += checker.faults
            self.conversations += 1


async def measure(options: argparse.Namespace) -> bool:
    said = await speech(SENTENCES)
    with tempfile.TemporaryDirectory() as folder:
        history = str(Path(folder) / "soak.sqlite3")
        # A machine that is busy with something else as well is no reason to turn anybody away: memory is the question.
        async with server(Wish(answer=ANSWER, history=history, most_lag_ms=0)) as one:
            soak = Soak(one, prepare(said), options.sessions)
            await soak.run(60 * options.minutes, said)
    try:
        slope = slope_of(soak.looks, BLOCK)
    except ValueError as error:
        raise SystemExit(f"nothing can be concluded: {error}") from None
    sizes = [size / 1e6 for _, size in soak.looks]
    print(f"{soak.conversations} conversations, {options.sessions} at a time, in {options.minutes:g} minutes")
    print(f"answered {soak.answers} of {soak.bursts} bursts; {soak.lost} connections lost, {soak.refused} refused")
    print(f"memory {min(sizes):.0f} to {max(sizes):.0f} MB; slope {hourly(slope)}, 95 % confidence")
    print(f"{len(soak.faults)} rules broken, as {WATCHERS} of the callers saw it", *soak.faults[:5], sep="\n  ")
    return not (slope.is_growth or soak.faults or soak.lost)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sessions", type=int, default=100, help="at a time")
    options = parser.parse_args()
    if 60 * options.minutes < SETTLED_S + FEWEST_BLOCKS * BLOCK * LOOK_S:
        parser.error("nothing can be concluded from less than five minutes")
    pin(CALLER_CORE)
    print(machine())
    is_well = uvloop.run(measure(options))
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
