"""Memory that is free again goes back to the system."""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path

import pytest

from antiphon.server import memory

BLOCK = 60_000  # bytes: of glibc's heap, and not of a mapping of its own, which would go back at once
BLOCKS = 1_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do not hold on to it")
def test_what_is_free_in_the_midst_of_the_heap_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GIVE_BACK_S", 0.0)

    async def story() -> int:
        blocks = [bytes(1) * BLOCK for _ in range(BLOCKS)]
        del blocks[:-1]  # the last one keeps the end of the heap
        held = resident()
        giving = asyncio.create_task(memory.give_back())
        async with asyncio.timeout(10.0):
            while held - resident() < BLOCK * BLOCKS / 2:  # noqa: ASYNC110 - the system tells nobody
                await asyncio.sleep(0.01)
        giving.cancel()
        return len(blocks)

    assert asyncio.run(story()) == 1
