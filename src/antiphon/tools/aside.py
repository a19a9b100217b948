"""An event loop in a thread of its own, for other people's async code: what blocks there blocks no voice.

It does not know what runs on it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from antiphon.audio.units import Seconds
from antiphon.errors import Bug

log = logging.getLogger("antiphon.tools")

T = TypeVar("T")

ENDING_S: Seconds = 2.0  # for what still runs there to be cancelled, before it is left to itself


class LoopAside:
    """Starts with the first `run`, and ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there to its end, and return or raise what it does. Cancelling cancels it there, and does not wait for
        what it does then."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._serve, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        if self._loop.is_closed():
            work.close()
            raise Bug(f"the loop {self._name} has ended", "Nothing may be run after close.")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    async def close(self) -> None:
        """Cancel what runs there and end the thread; one that is blocked is left to itself."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return
        try:
            async with asyncio.timeout(2 * ENDING_S):
                await self.run(_cancel_others())
        except TimeoutError:
            log.error("the loop %s is blocked, and left to itself", self._name)
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, ENDING_S)


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=ENDING_S)
