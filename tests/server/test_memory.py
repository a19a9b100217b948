"""A conversation that is over is gone from memory at once."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from calling import Client, client, server

from antiphon.server.run import Running

pytestmark = pytest.mark.real


async def hang_up(call: Client) -> None:
    await call.socket.close()


async def ask_to_hang_up(call: Client) -> None:
    await call.send("session.close")
    await call.socket.wait_closed()


async def vanish(call: Client) -> None:
    call.socket.transport.abort()


async def settled(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", [hang_up, ask_to_hang_up, vanish])
def test_a_conversation_that_is_over_is_freed_without_the_garbage_collector(end: Any, tmp_path: Path) -> None:
    async def talk(made: Running) -> list[weakref.ref[object]]:
        async with client(made) as call:
            await call.receive("session.created")
            (drive,) = made.state.sessions.running.values()
            parts = [weakref.ref(part) for part in (drive, drive.session, drive.timeline, *drive.links.values())]
            del drive
            await call.speak()
            await call.receive("response.done")
            await end(call)
        return parts

    async def story() -> None:
        async with server(history__keep=True, history__path=str(tmp_path / "kept.sqlite3")) as made:
            gc.disable()
            try:
                parts = await talk(made)
                await settled(lambda: not made.state.sessions.running)
                await settled(lambda: all(part() is None for part in parts))
            finally:
                gc.enable()

    asyncio.run(story())
