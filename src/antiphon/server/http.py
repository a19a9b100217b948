"""uvicorn as a part of a program: without its hands on signals, and without a clock of its own.

Draining comes before it ends, and the demo's Ctrl-C is the demo's. What it serves is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from antiphon.audio.units import Seconds

DATE_S: Seconds = 1.0  # from one Date header to the next
PORT_CHECK_S: Seconds = 0.02  # between looks at whether it listens


class HttpServer(uvicorn.Server):
    """uvicorn's, told when to end. It would look by itself ten times a second, and wake an idle process each time."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ends = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def until_listening(self) -> None:
        while not self.started:  # noqa: ASYNC110 - uvicorn has a flag and no event
            await asyncio.sleep(PORT_CHECK_S)

    def end(self) -> None:
        """Take no more connections, and let `serve` come to its end."""
        self.should_exit = True
        self._ends.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(DATE_S):
                    await self._ends.wait()
