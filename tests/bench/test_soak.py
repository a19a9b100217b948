"""What the soak would find in hours: that conversations leave something in the server that they were held with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.client import connect

from common import Server, Wish, server

WARM, MEASURED, AT_ONCE = 60, 150, 10
MOST_BYTES = 30_000  # that a conversation may leave: it holds over a hundred thousand. The rest is the system's grain
PATIENCE_S = 60.0


async def converse(url: str, times: int) -> None:
    """Call, be heard, be answered and hang up, one time after the other."""
    noise = np.random.default_rng(0).normal(scale=100, size=12_000).astype("<i2").tobytes()
    for _ in range(times):
        async with asyncio.timeout(PATIENCE_S), connect(url) as socket:
            await socket.send(noise)
            await socket.send('{"type": "response.create"}')
            while json.loads(await socket.recv())["type"] != "response.done":
                pass


async def size_after(one: Server, conversations: int) -> int:
    await asyncio.gather(*(converse(one.url, conversations // AT_ONCE) for _ in range(AT_ONCE)))
    await one.report()  # else the server would gather what it was not asked for
    return one.memory_bytes()


@pytest.mark.real
@pytest.mark.slow
def test_conversations_that_come_and_go_leave_nothing(tmp_path: Path) -> None:
    async def story() -> float:
        history = str(tmp_path / "kept.sqlite3")
        wish = Wish(answer="Yes.", stt_ms=0, llm_ms=0, tts_ms=0, history=history, most_lag_ms=0)
        async with server(wish) as one:
            before = await size_after(one, WARM)
            return (await size_after(one, MEASURED) - before) / MEASURED

    assert asyncio.run(story()) < MOST_BYTES
