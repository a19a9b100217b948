"""A replica full of calls gets another one beside it, though Serve sees none of their sound."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from machines import KEY, LOOK_S, PATIENCE_S, PORT, Two, deployed_anew, replicas
from phone import Phone

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG = """[history]
keep = false
[stt]
engine = "fake"
[tts]
engine = "fake"
[llm]
engine = "fake"
"""
CALLS = 3


async def until_there_are(count: int) -> None:
    """So many replicas with conversations."""
    async with asyncio.timeout(PATIENCE_S):
        while len(await asyncio.to_thread(replicas, "Sessions")) != count:  # noqa: ASYNC110 - of other processes
            await asyncio.sleep(LOOK_S)


def test_calls_over_webrtc_make_replicas_come_and_go(two: Two, tmp_path: Path) -> None:
    async def story() -> None:
        keys = {"Authorization": f"Bearer {KEY}"}
        phones = [Phone() for _ in range(CALLS)]
        await until_there_are(1)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", headers=keys, timeout=PATIENCE_S) as http:
            for phone in phones:
                assert (await phone.dial(http)).status_code == 201
                await phone.receive("session.created")
        await until_there_are(2)
        for phone in phones:
            await phone.hang_up()
        await until_there_are(1)

    config = tmp_path / "antiphon.toml"
    config.write_text(CONFIG)
    deployed_anew(config=str(config), sessions_each=CALLS - 1, most_sessions=2, grow_after_s=0.0, shrink_after_s=0.0)
    asyncio.run(story())
