"""Somebody types to a server whose connection breaks: the same session goes on, or the next one is told of it."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from calling import server
from websockets.asyncio import client
from websockets.asyncio.client import ClientConnection

from antiphon.desktop import talk
from antiphon.desktop.dialogue import Dialogue
from antiphon.desktop.screen import Screen
from antiphon.desktop.sound import Sound
from antiphon.desktop.talk import Server, Talk
from antiphon.engines.fake import FakeLlm
from antiphon.server.run import Running

pytestmark = [pytest.mark.real, pytest.mark.slow]

PATIENCE_S = 30.0


class Terminal:
    """Somebody in front of one."""

    def __init__(self, one: Talk, keys: int, shown: io.StringIO, sockets: list[ClientConnection]) -> None:
        self.one = one
        self._keys = keys
        self._shown = shown
        self._sockets = sockets

    @property
    def text(self) -> str:
        return self._shown.getvalue()

    def type(self, line: str) -> None:
        os.write(self._keys, f"{line}\n".encode())

    def cut(self) -> None:
        """The network goes away."""
        self._sockets[-1].transport.abort()

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not what():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def terminal(made: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Terminal]:
    sockets: list[ClientConnection] = []
    connect: Any = client.connect

    @asynccontextmanager
    async def remembering(*args: Any, **named: Any) -> AsyncIterator[ClientConnection]:
        async with connect(*args, **named) as socket:
            sockets.append(socket)
            yield socket

    monkeypatch.setattr(talk, "connect", remembering)
    read, write = os.pipe()
    shown = io.StringIO()
    one = Talk(Server(made.url), Dialogue(with_voice=False), Sound(None, None, print), Screen(shown))
    with os.fdopen(read) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        running = asyncio.create_task(one.run(ends_with_input=False))
        try:
            yield Terminal(one, write, shown, sockets)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            os.close(write)


def test_the_same_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with server(FakeLlm(["One.", "Two."])) as made, terminal(made, monkeypatch) as person:
            person.type("count")
            await person.until(lambda: "One." in person.text)
            (session,) = made.state.sessions.running
            person.cut()
            await person.until(lambda: not person.one.is_connected)
            person.type("go on")
            await person.until(lambda: "Two." in person.text)
            assert list(made.state.sessions.running) == [session]
            assert "connected again: nothing was missed" in person.text
            assert person.text.count("One.") == 1

    asyncio.run(story())


def test_who_leaves_in_the_moment_in_which_the_connection_breaks_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with server(FakeLlm("One.")) as made:
            for ticks in range(8):
                async with asyncio.timeout(PATIENCE_S), terminal(made, monkeypatch) as person:
                    await person.until(lambda: person.one.is_connected)
                    person.cut()
                    for _ in range(ticks):
                        await asyncio.sleep(0)

    asyncio.run(story())


def test_where_the_session_is_gone_the_next_one_is_told_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with (
            server(FakeLlm(["One.", "Two."]), session__resume_s=0.05) as made,
            terminal(made, monkeypatch) as person,
        ):
            person.type("count")
            await person.until(lambda: "One." in person.text)
            (session,) = made.state.sessions.running
            person.cut()
            person.type("go on")
            await person.until(lambda: "Two." in person.text)
            assert session not in made.state.sessions.running
            assert "connected again: the conversation goes on" in person.text
            (drive,) = made.state.sessions.running.values()
            assert drive.session.conversation.count == 4

    asyncio.run(story())
