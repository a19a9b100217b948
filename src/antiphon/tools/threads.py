"""Runs functions that are not async off the event loop, and lives with those that never come back.

A thread cannot be stopped. So each call has a daemon of its own: one that hangs takes nothing from the others but a
place under the limit, and does not keep the process from ending. What the function does is not known here.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from antiphon.tools.api import ToolError

T = TypeVar("T")

MOST_THREADS = 64  # of one process, hung ones included: each may hold a stack of 8 MB

_places = threading.BoundedSemaphore(MOST_THREADS)

Thread = asyncio.Future[tuple[Any, BaseException | None]]
"""Done when the thread is, with what it returned or raised."""

STARTED: contextvars.ContextVar[list[Thread] | None] = contextvars.ContextVar("STARTED", default=None)
"""A list that every thread is added to: for whoever has to know that nothing of a call runs any more."""


async def in_thread(function: Callable[..., T], arguments: Mapping[str, Any]) -> T:
    """Call it in a thread with these keyword arguments and the caller's context variables.

    Raises what it raises; `ToolError` if it tries to end the process, or if too many others have not come back.
    Cancelling stops the wait and not the function: nothing of it is heard of then.
    """
    places = _places
    if not places.acquire(blocking=False):
        raise ToolError("too many other tools are at work; try again later.")
    loop = asyncio.get_running_loop()
    future: Thread = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = context.run(function, **arguments)
        except (SystemExit, KeyboardInterrupt, GeneratorExit):
            error = ToolError("the tool tried to end the server.")
        except BaseException as failure:  # noqa: BLE001 - it is raised where the result is awaited
            error = failure
        finally:
            places.release()
        try:
            loop.call_soon_threadsafe(_settle, future, (result, error))
        except RuntimeError:
            pass  # the loop has ended meanwhile: nobody waits

    try:
        threading.Thread(target=work, name="tool", daemon=True).start()
    except RuntimeError:
        places.release()
        raise ToolError("no thread can be started; try again later.") from None
    started = STARTED.get()
    if started is not None:
        started.append(future)
    result, error = await asyncio.shield(future)
    if isinstance(error, StopIteration):  # which no coroutine can raise
        raise ToolError("the tool ended without a result.")
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _settle(future: Thread, outcome: tuple[Any, BaseException | None]) -> None:
    if not future.done():
        future.set_result(outcome)
