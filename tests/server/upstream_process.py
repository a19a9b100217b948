"""A scripted OpenAI-compatible server in a process of its own, to be killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

PATIENCE_S = 40.0


class UpstreamProcess(Struct, frozen=True):
    """It, and where it is."""

    url: str
    process: asyncio.subprocess.Process

    def kill(self) -> None:
        """As a machine dies: it says nothing."""
        if self.process.returncode is None:
            self.process.kill()


@asynccontextmanager
async def upstream(reply: str) -> AsyncIterator[UpstreamProcess]:
    """One that answers every question with this, a word every 10 ms."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "antiphon.testing.upstream", "--port", "0", "--reply", reply, "--token-ms", "10"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        line = (await process.stdout.readline()).decode()
    one = UpstreamProcess(line.split()[-1], process)
    try:
        yield one
    finally:
        one.kill()
        await process.wait()
