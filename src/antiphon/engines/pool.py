"""Heavy work of all engines in this process, on as many threads as there are cores for.

Engines' libraries release Python's lock while they compute and bring threads of their own, so the number of workers
times the threads of each is kept to the cores. Whole utterances come before looks at unfinished ones. Work that
nobody waits for any more is not begun. Work that hangs is given up: a thread cannot be killed, so another takes its
place, and whoever waited is told. It does not know what the work is.
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

    def __init__(self, call: Callable[[], Any], future: asyncio.Future[Any], limit_s: Seconds) -> None:
        self.call = call
        self.future = future
        self.loop = future.get_loop()
        self.limit_s = limit_s
        self.is_wanted = True


class Pool:
    """Used from any number of event loops."""

    def __init__(self, cores: int | None = None, threads_each: int = 1) -> None:
        """`threads_each` is how many threads an engine computes with for one piece of work: no more than the cores."""
        cores = cores or usable_cores()
        self.threads_each = max(1, min(threads_each, cores))
        self.workers = cores // self.threads_each
        self.done = 0
        self.dropped = 0
        """Pieces that nobody waited for any more when their turn came."""
        self.hung = 0
        self._waiting: list[tuple[int, int, _Work]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._idle = 0
        self._threads: set[_Worker] = set()
        self._is_closed = False

    async def run(self, call: Callable[[], T], *, is_partial: bool = False, limit_s: Seconds = LIMIT_S) -> T:
        """The work's result. Cancelling drops it if it has not begun; if it has, its result is thrown away.

        `limit_s` counts from its beginning. Raises `EngineError` when it hangs or when too much waits.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work = _Work(call, future, limit_s)
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
            if not self._idle and len(self._threads) < self.workers:
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
                    while self._waiting:
                        work = heapq.heappop(self._waiting)[2]
                        if work.is_wanted:
                            return work
                        self.dropped += 1
                    self._changed.wait()
                self._threads.discard(worker)
                return None
            finally:
                self._idle -= 1

    def give_up(self, worker: _Worker) -> None:
        """The worker hangs: another takes its place, and it ends if it ever comes back."""
        with self._changed:
            if worker in self._threads:
                self._threads.discard(worker)
                self.hung += 1
                self._start()

    def came_back(self) -> None:
        with self._changed:
            self.hung -= 1


class _Worker:
    """One thread."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._is_given_up = False

    def live(self) -> None:
        while (work := self._pool.next_work(self)) is not None:
            self._do(work)
            if self._is_given_up:
                self._pool.came_back()
                return

    def _do(self, work: _Work) -> None:
        watch = threading.Timer(work.limit_s, self._time_out, (work,))
        watch.daemon = True
        watch.start()
        try:
            result, failure = work.call(), None
        except BaseException as error:  # noqa: BLE001 - handed on whole to who waits
            result, failure = None, error
        watch.cancel()
        self._pool.done += 1
        _answer(work, result, failure)

    def _time_out(self, work: _Work) -> None:
        self._is_given_up = True
        log.error("work hangs for %.0f s: given up", work.limit_s)
        self._pool.give_up(self)
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
