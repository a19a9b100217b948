"""Where a worker's conversations are written down: by the real writer, on paper that takes nothing now and then.

Its work is done step by step under virtual time, in place of a thread. Of sessions it knows their ids alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Generic, TypeVar

from weather import NOON, Weather

from antiphon.audio.units import Seconds
from antiphon.store.changes import Change, UnixSeconds
from antiphon.store.pace import Pause, Work
from antiphon.store.shelf import Unwritten
from antiphon.store.writer import Writer

T = TypeVar("T")
UNWRITTEN_S: Seconds = 0.25  # what was handed over so long ago has been written, if the paper takes it
FULL = 0.1  # of all attempts, in the roughest weather


class InSteps(Generic[T]):
    """See `store.pace.Pace`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Work[T], ended: Callable[[], None]) -> None:
        self._task = asyncio.create_task(self._do(work, ended), name="writing")

    def put(self, item: T) -> None:
        self._items.append(item)
        self._came.set()

    def take(self) -> T:
        return self._items.popleft()

    def waiting(self) -> int:
        return len(self._items)

    def clock(self) -> Seconds:
        return self._loop.time()

    def now(self) -> UnixSeconds:
        return NOON.timestamp() + self._loop.time()

    def join(self) -> None:
        raise AssertionError("nothing may block under virtual time")

    async def _do(self, work: Work[T], ended: Callable[[], None]) -> None:
        pause = next(work, None)
        while pause is not None:
            came = await self._wait(pause)
            try:
                pause = work.send(came)
            except StopIteration:
                pause = None
        ended()

    async def _wait(self, pause: Pause) -> T | None:
        if not pause.until_put:
            await asyncio.sleep(pause.seconds)
            return None
        if not self._items:
            self._came.clear()
            try:
                async with asyncio.timeout(pause.seconds):
                    await self._came.wait()
            except TimeoutError:
                return None
        return self._items.popleft()


class Paper:
    """See `store.shelf.Shelf`."""

    name = "the paper"

    def __init__(self, chance: Random, weather: Weather) -> None:
        self.written: list[tuple[Seconds, Change]] = []
        self.attempts: list[tuple[Seconds, bool]] = []
        """When something was to be written, and whether it was."""
        self._chance = chance
        self._weather = weather

    def write(self, worker: str, changes: Iterable[Change], lost: Iterable[tuple[str, int]]) -> int:
        now = asyncio.get_running_loop().time()
        is_full = self._chance.random() < FULL * self._weather.roughness and not self._weather.is_clear
        self.attempts.append((now, not is_full))
        if is_full:
            raise Unwritten("it is full", may_pass=True)
        self.written += [(now, change) for change in changes]
        return 0

    def note_alive(self, worker: str, now: UnixSeconds) -> None:
        pass

    def prune(self, before: UnixSeconds) -> int:
        return 0

    def close(self) -> None:
        pass


class Desk:
    """One worker's."""

    def __init__(self, seed: int, weather: Weather) -> None:
        self._paper = Paper(Random(seed ^ 0xD15C), weather)
        self.writer = Writer(self._paper, InSteps())

    def written(self, session_id: str, until: Seconds | None = None) -> list[Change]:
        """What is there of a session, or was at some moment."""
        return [
            change
            for at, change in self._paper.written
            if change.session_id == session_id and (until is None or at <= until)
        ]

    def safe_at(self, moment: Seconds) -> Seconds:
        """What was handed over before the returned moment had been written by that one."""
        failed_since: Seconds | None = None
        for at, is_written in self._paper.attempts:
            if at > moment:
                break
            if not is_written and failed_since is None:
                failed_since = at
            elif is_written and at + UNWRITTEN_S <= moment:
                failed_since = None  # what had gathered meanwhile was written right after it
        return (moment if failed_since is None else failed_since) - UNWRITTEN_S
