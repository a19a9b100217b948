"""Heavy work of all engines in this process, on as many threads as there are cores for.

Engines' libraries release Python's lock while they compute and bring threads of their own, each engine as many as it is
told to; what is under way is kept to the cores, all threads counted. Whole utterances come before looks at unfinished
ones. Work that nobody waits for any more is not begun. Work that hangs is given up: a thread cannot be killed, so
another takes its place, and whoever waited is told. It does not know what the work is.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError

log = logging.getLogger("antiphon.pool")

T = TypeVar("T")

MOST_WAITING = 1_000  # pieces of work: whoever comes then would wait for minutes
LIMIT_S: Seconds = 60.0  # for one piece, unless it says otherwise
MOST_HUNG = 8  # threads given up: then something is so wrong that more of them would only take memory


class _Work:
    """A piece of work and who waits for it."""

    def __init__(self, call: Callable[[], Any], future: asyncio.Future[Any], limit_s: Seconds, threads: int) -> None:
        self.call = call
        self.future = future
        self.loop = future.get_loop()
        self.limit_s = limit_s
        self.threads = threads
        self.is_wanted = True


class Pool:
    """Used from any number of event loops."""

    def __init__(self, cores: int | None = None) -> None:
        self.cores = max(1, cores or usable_cores())
        """What it may use: one at least, whatever is reserved."""
        self.done = 0
        self.dropped = 0
        """Pieces that nobody waited for any more when their turn came."""
        self.hung = 0
        self._waiting: list[tuple[int, int, _Work]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._idle = 0
        self._threads: set[_Worker] = set()
        self._busy: dict[_Worker, _Work] = {}
        self._is_closed = False

    def share(self, threads: int) -> Share:
        """For an engine that computes with so many threads for one piece of work."""
        return Share(self, threads)

    def reserve(self, threads: int) -> None:
        """Leave cores to an engine that computes beside the pool. To be said before work is asked for."""
        self.cores = max(1, self.cores - threads)

    async def run(
        self, call: Callable[[], T], *, is_partial: bool = False, limit_s: Seconds = LIMIT_S, threads: int = 1
    ) -> T:
        """The work's result. Cancelling drops it if it has not begun; if it has, its result is thrown away.

        `limit_s` counts from its beginning. Raises `EngineError` when it hangs or when too much waits.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work = _Work(call, future, limit_s, threads)
        self._put(work, is_partial)
        try:
            return await future
        finally:
            work.is_wanted = False

    def close(self) -> None:
        """Let the threads end after what they are doing. Nothing new is begun."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _put(self, work: _Work, is_partial: bool) -> None:
        with self._changed:
            if len(self._waiting) >= MOST_WAITING or self.hung > MOST_HUNG:
                raise EngineError(
                    "too much waits to be recognised or spoken",
                    "Let fewer sessions in (server.max_sessions), or choose a smaller model.",
                    code="engine_overloaded",
                )
            heapq.heappush(self._waiting, (int(is_partial), next(self._order), work))
            if len(self._waiting) > self._idle and len(self._threads) < self.cores:
                self._start()
            self._changed.notify()

    def _start(self) -> None:
        worker = _Worker(self)
        self._threads.add(worker)
        threading.Thread(target=worker.live, name="engine", daemon=True).start()

    # --- what the workers call, in their threads

    def next_work(self, worker: _Worker) -> _Work | None:
        """What is to be done next; None when the worker is not needed any more. Waits for it."""
        with self._changed:
            self._idle += 1
            try:
                while not self._is_closed and worker in self._threads:
                    work = self._first_that_fits()
                    if work is not None:
                        self._busy[worker] = work
                        return work
                    self._changed.wait()
                self._threads.discard(worker)
                return None
            finally:
                self._idle -= 1

    def _first_that_fits(self) -> _Work | None:
        """What waits first, if there are cores for it now: nothing smaller overtakes it, or it might wait for ever."""
        while self._waiting:
            work = self._waiting[0][2]
            if work.is_wanted:
                used = sum(other.threads for other in self._busy.values())
                if used and used + work.threads > self.cores:
                    return None
                heapq.heappop(self._waiting)
                return work
            heapq.heappop(self._waiting)
            self.dropped += 1
        return None

    def finished(self, worker: _Worker) -> None:
        """Its work is over, in time or after it was given up."""
        with self._changed:
            self.done += 1
            if self._busy.pop(worker, None) is None:
                self.hung -= 1
            self._changed.notify_all()

    def give_up(self, worker: _Worker, work: _Work) -> bool:
        """If the worker still is at this work, it hangs: another takes its place, and it ends if it ever comes back."""
        with self._changed:
            if self._busy.get(worker) is not work:
                return False
            del self._busy[worker]
            self._threads.discard(worker)
            self.hung += 1
            self._start()
            return True


class Share:
    """The pool, as one engine uses it."""

    def __init__(self, pool: Pool, threads: int) -> None:
        self.pool = pool
        self._threads = threads

    @property
    def threads_each(self) -> int:
        """That the engine should compute one piece of work with: what it was given, or all cores if they are fewer. Not
        known before all engines are made, as some take cores away."""
        return max(1, min(self._threads, self.pool.cores))

    @property
    def workers(self) -> int:
        """Pieces that may be under way at a time, if no other engine's are."""
        return self.pool.cores // self.threads_each

    async def run(self, call: Callable[[], T], *, is_partial: bool = False, limit_s: Seconds = LIMIT_S) -> T:
        """See `Pool.run`."""
        return await self.pool.run(call, is_partial=is_partial, limit_s=limit_s, threads=self.threads_each)


class _Worker:
    """One thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def live(self) -> None:
        while (work := self._pool.next_work(self)) is not None:
            self._do(work)

    def _do(self, work: _Work) -> None:
        watch = threading.Timer(work.limit_s, self._time_out, (work,))
        watch.daemon = True
        watch.start()
        try:
            result, failure = work.call(), None
        except BaseException as error:  # noqa: BLE001 - handed on whole to who waits
            result, failure = None, error
        watch.cancel()
        self._pool.finished(self)
        _answer(work, result, failure)

    def _time_out(self, work: _Work) -> None:
        if not self._pool.give_up(self, work):
            return
        log.error("work hangs for %.0f s: given up", work.limit_s)
        _answer(
            work,
            None,
            EngineError(
                f"the engine hangs: no answer within {work.limit_s:.0f} s",
                "Another worker has taken over. If this repeats, choose a smaller model or fewer sessions.",
                code="engine_hangs",
            ),
        )


def _answer(work: _Work, result: Any, failure: BaseException | None) -> None:
    def deliver() -> None:
        if work.future.done():
            return
        if failure is None:
            work.future.set_result(result)
        else:
            work.future.set_exception(failure)

    try:
        work.loop.call_soon_threadsafe(deliver)
    except RuntimeError:
        return  # the loop is gone, and with it whoever waited


def usable_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
