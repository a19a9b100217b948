"""A new version of the application takes the place of the old one while people talk: nobody loses a word."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from machines import KEY, ONE_EACH, PORT, Two, deploy, deployed_anew, until_ready
from survivors import Promised, asking, crowd, missing, reasons, talking, until_served
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

URL = f"ws://127.0.0.1:{PORT}/v1/realtime"
EXPECTED = {"server_draining", "cancelled", "session_not_resumable", "worker_unreachable", "resumed"}
"""Why somebody may not have been served for a moment."""
KEYS = {"Authorization": f"Bearer {KEY}"}
ONLOOKERS = 4  # who are with the old version, on both machines


def write(config: Path, version: str) -> None:
    """Here the version is told by what a session is told to be."""
    config.write_text(
        f"""[session]
instructions = "{version}"
[history]
path = "{config.parent}/conversations.sqlite3"
[stt]
engine = "fake"
[tts]
engine = "fake"
"""
    )


async def versions() -> set[str]:
    """What whoever comes now is served by, some of them."""
    found = set()
    for _ in range(6):
        async with connect(URL, additional_headers=KEYS) as socket:
            created = json.loads(await socket.recv())
            found.add(str(created["session"]["instructions"]))
    return found


async def farewell(socket: ClientConnection) -> int | None:
    """The code with which the server ends it."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass
    return socket.close_code


def test_a_new_version_is_served_when_its_name_is_new_and_nobody_loses_a_word(two: Two, tmp_path: Path) -> None:
    config = tmp_path / "antiphon.toml"
    arguments = {**ONE_EACH, "config": str(config)}

    async def story() -> None:
        promised = Promised()
        people = crowd(URL, KEY, promised)
        async with (
            asking(f"http://127.0.0.1:{PORT}", KEY) as http,
            talking(people, promised),
            AsyncExitStack() as looking_on,
        ):
            await until_served(people)
            write(config, "version 2")
            await asyncio.to_thread(deploy, **arguments, version="1")
            await asyncio.to_thread(until_ready)
            assert await versions() == {"version 1"}, "an unchanged file changes nothing"
            assert not promised.lost
            onlookers = [
                await looking_on.enter_async_context(connect(URL, additional_headers=KEYS)) for _ in range(ONLOOKERS)
            ]
            promised.leaving()
            await asyncio.to_thread(deploy, **arguments, version="2")
            await asyncio.to_thread(until_ready)
            await until_served(people)
            assert await versions() == {"version 2"}
            assert {await farewell(each) for each in onlookers} == {1001}, "they were not cut off"
            assert len(promised.lost) >= len(people), "all of them were with the old one"
            assert await missing(promised, http) == []
        told = reasons(people)
        print("FIGURES", len(promised.items), len(promised.lost), [one.served for one in people], told)
        assert set(told) <= EXPECTED

    write(config, "version 1")
    deployed_anew(**arguments, version="1")
    asyncio.run(story())
