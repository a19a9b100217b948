"""A machine that sleeps: what is open is opened anew."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from antiphon.desktop.dialogue import Dialogue
from antiphon.desktop.screen import Screen
from antiphon.desktop.sleep import asleep_s
from antiphon.desktop.sound import Sound
from antiphon.desktop.talk import Server, Talk
from antiphon.testing.microphone import MemoryMicrophone

pytestmark = [pytest.mark.real, pytest.mark.slow]  # sockets and threads, which are looked at once a second


def test_the_clocks_of_this_machine_can_be_compared() -> None:
    before = asleep_s()
    assert before > -0.01, "one reading after the other"
    assert asleep_s() == pytest.approx(before, abs=0.5), "it does not sleep now"


@pytest.fixture
def nobody_types(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


def test_the_sound_and_the_connection_are_made_anew(nobody_types: None) -> None:
    slept = [0.0]
    told: list[str] = []
    opened: list[MemoryMicrophone] = []
    connections: asyncio.Queue[ServerConnection] = asyncio.Queue()

    def open_microphone() -> MemoryMicrophone:
        opened.append(MemoryMicrophone())
        return opened[-1]

    async def welcome(connection: ServerConnection) -> None:
        connections.put_nowait(connection)
        await connection.wait_closed()

    async def story() -> None:
        sound = Sound(open_microphone, None, told.append, asleep=lambda: slept[0])
        async with asyncio.timeout(60), serve(welcome, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            screen = Screen(io.StringIO())
            talk = Talk(Server(f"ws://127.0.0.1:{port}"), Dialogue(), sound, screen, lambda: slept[0])
            talking = asyncio.ensure_future(talk.run(ends_with_input=False))
            await connections.get()
            while not talk.is_connected:  # noqa: ASYNC110 - at once
                await asyncio.sleep(0.01)
            slept[0] = 3600.0
            await connections.get()
            while not sound.reopened:
                opened[-1].hear(np.zeros(160, np.float32))
                await asyncio.sleep(0.01)
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)

    asyncio.run(story())
    assert told[0] == "the machine slept"
    assert len(opened) >= 2
