"""Where the voice detector computes: in a thread of its own if there is much, or, also under a loop whose time is not
real, in place.

A runner knows nothing of what it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

Answer = TypeVar("Answer")


class Runner(Protocol):
    """Runs one piece of work at a time."""

    def run(self, work: Callable[[], Answer], *, is_short: bool) -> asyncio.Future[Answer]:
        """Called on the event loop, returns at once; the future gets the work's answer or its exception. What is short
        takes less time than a thread takes to be woken."""
        ...

    def close(self) -> None:
        """Nothing will be run any more. Does not wait for work under way."""
        ...


class OwnThread:
    """One thread, started by the first work: a batch never queues behind other people's blocking calls.

    Short work is done in place: to wake the thread and to be woken by it costs more than a few windows do.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hearing")

    def run(self, work: Callable[[], Answer], *, is_short: bool) -> asyncio.Future[Answer]:
        if is_short:
            return _done(work)
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        self._executor.shutdown(wait=False)


class InPlace:
    """Runs the work before `run` returns: for cheap engines, and for virtual time, which would outrun a
    thread.
    """

    def run(self, work: Callable[[], Answer], *, is_short: bool) -> asyncio.Future[Answer]:
        return _done(work)

    def close(self) -> None:
        pass


def _done(work: Callable[[], Answer]) -> asyncio.Future[Answer]:
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    try:
        future.set_result(work())
    except Exception as failure:  # noqa: BLE001 - handed on whole, as a thread's future would
        future.set_exception(failure)
    return future
