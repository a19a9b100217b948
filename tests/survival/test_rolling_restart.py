"""A new version of the server beside the old one, on the same port: the old one leaves, and nobody loses a word."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import httpx
import pytest
from calling import KEY
from survivors import Promised, asking, crowd, missing, reasons, talking, until_served
from test_workers import PATIENCE_S, Together, call, together

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXPECTED = {"server_draining", "cancelled", "session_not_resumable", "server_busy", "worker_unreachable"}
"""Why somebody may not have been served for a moment."""


async def version_of(made: Together) -> str:
    """That of whoever takes the next connection: here it is told by the instructions."""
    async with call(made) as connection:
        created = json.loads(await connection.recv())
        return str(created["session"]["instructions"])


def test_a_new_version_takes_over_beside_the_old_one(tmp_path: Path) -> None:
    kept = str(tmp_path / "conversations.sqlite3")

    async def story() -> None:
        async with together(ANTIPHON_HISTORY__PATH=kept, ANTIPHON_SESSION__INSTRUCTIONS="version 1") as old:
            promised = Promised()
            people = crowd(old.url, KEY, promised)
            async with (
                asking(old.http, KEY) as http,
                talking(people, promised),
            ):
                await until_served(people)
                assert await version_of(old) == "version 1"
                port = str(httpx.URL(old.http).port)
                async with together(
                    "--port", port, ANTIPHON_HISTORY__PATH=kept, ANTIPHON_SESSION__INSTRUCTIONS="version 2"
                ):
                    await until_served(people)
                    promised.leaving()
                    old.process.send_signal(signal.SIGTERM)
                    async with asyncio.timeout(PATIENCE_S):
                        assert await old.process.wait() == 0
                    await until_served(people)
                    assert {await version_of(old) for _ in range(4)} == {"version 2"}
                    assert await missing(promised, http) == []
            assert len(promised.lost) == len(people), "all of them were with the old one"
            assert set(reasons(people)) <= EXPECTED

    asyncio.run(story())
