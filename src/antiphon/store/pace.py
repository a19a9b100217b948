"""Where the writer's work is done, and how it waits: in a thread of its own, unless a test has it done step by step.

The work is a generator. Whatever it yields says how long it has nothing to do, so that only this has to wait, and the
same work can be done under a clock that jumps. What is done is not known here.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.store.changes import UnixSeconds

T = TypeVar("T")


class Pause(Struct, frozen=True):
    """There is nothing to do."""

    seconds: Seconds
    until_put: bool = False
    """Or less: until something is handed over, which is sent in; None if nothing was."""


Work = Generator[Pause, T | None, None]


class Pace(Protocol[T]):
    """`put` and `begin` are called on the event loop, the others by the work."""

    def begin(self, work: Work[T], ended: Callable[[], None]) -> None:
        """Do it, once. `ended` is called on the event loop, if that is still there."""
        ...

    def put(self, item: T) -> None:
        """Hand something over. Never waits."""
        ...

    def take(self) -> T:
        """The next of what was handed over; there is one."""
        ...

    def waiting(self) -> int:
        """How much was handed over and not taken."""
        ...

    def clock(self) -> Seconds:
        """A clock that never jumps."""
        ...

    def now(self) -> UnixSeconds:
        """The clock on the wall."""
        ...

    def join(self) -> None:
        """Block until the work has ended."""
        ...


class OwnThread(Generic[T]):
    """A thread that the end of the process does not wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()  # its `put` neither waits nor locks
        self._thread: threading.Thread | None = None

    def begin(self, work: Work[T], ended: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=self._run, args=(work, ended), name="conversations", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        self._queue.put(item)

    def take(self) -> T:
        return self._queue.get_nowait()

    def waiting(self) -> int:
        return self._queue.qsize()

    def clock(self) -> Seconds:
        return time.monotonic()

    def now(self) -> UnixSeconds:
        return time.time()

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _run(self, work: Work[T], ended: Callable[[], None]) -> None:
        pause = next(work, None)
        while pause is not None:
            came = self._wait(pause)
            try:
                pause = work.send(came)
            except StopIteration:
                pause = None
        try:
            self._loop.call_soon_threadsafe(ended)
        except RuntimeError:
            pass  # the loop gave up on us, and is gone

    def _wait(self, pause: Pause) -> T | None:
        if not pause.until_put:
            time.sleep(pause.seconds)
            return None
        try:
            return self._queue.get(timeout=pause.seconds)
        except queue.Empty:
            return None
