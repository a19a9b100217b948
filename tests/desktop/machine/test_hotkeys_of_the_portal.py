"""The portal's shortcuts, on a bus of the test's own with a small portal on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jeepney import DBusAddress, HeaderFields, Message, message_bus, new_error, new_method_return, new_signal
from jeepney.io.asyncio import DBusConnection, open_dbus_connection

from antiphon.desktop.bus import Place, opened
from antiphon.desktop.dictation.hotkeys.chord import Shortcut, Stroke, chord
from antiphon.desktop.dictation.hotkeys.portal import PORTAL, REQUEST, SHORTCUTS, version, watch
from antiphon.errors import ConfigError

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

SHORTCUT = Shortcut("dictate", chord("ctrl+alt+space"), "Dictate")
SESSION = "/org/freedesktop/portal/desktop/session/1/antiphon"


class Portal:
    """What a desktop's portal does of all this, with a person who says yes or no."""

    def __init__(self, connection: DBusConnection, *, consents: bool) -> None:
        self.bound: list[Any] = []
        self._connection = connection
        self._consents = consents

    async def serve(self) -> None:
        while True:
            call = await self._connection.receive()
            member = call.header.fields.get(HeaderFields.member)
            if member == "Get":
                await self._connection.send(new_method_return(call, "v", (("u", 2),)))
            elif member == "CreateSession":
                await self._answer(call, 0, {"session_handle": ("s", SESSION)})
            elif member == "BindShortcuts":
                self.bound = call.body[1]
                bound = [(name, {"trigger_description": ("s", "Ctrl+Alt+Space")}) for name, _ in self.bound]
                await self._answer(call, 0 if self._consents else 1, {"shortcuts": ("a(sa{sv})", bound)})
            elif HeaderFields.interface in call.header.fields:
                await self._connection.send(new_error(call, "org.freedesktop.DBus.Error.UnknownMethod"))

    async def _answer(self, call: Message, code: int, results: dict[str, Any]) -> None:
        token = call.body[-1]["handle_token"][1]
        handle = f"{PORTAL.path}/request/1/{token}"
        await self._connection.send(new_method_return(call, "o", (handle,)))
        await self.tell(handle, REQUEST, "Response", "ua{sv}", (code, results))

    async def press(self, member: str, session: str = SESSION, name: str = "dictate") -> None:
        await self.tell(PORTAL.path, SHORTCUTS, member, "osta{sv}", (session, name, 1, {}))

    async def tell(self, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]) -> None:
        await self._connection.send(new_signal(DBusAddress(path, interface=interface), member, signature, body))


@asynccontextmanager
async def desktop(*, consents: bool = True) -> AsyncIterator[Portal]:
    async with await open_dbus_connection() as connection, asyncio.TaskGroup() as group:
        await connection.send(message_bus.RequestName(PORTAL.name))
        await connection.receive()
        portal = Portal(connection, consents=consents)
        serving = group.create_task(portal.serve())
        yield portal
        serving.cancel()


def test_the_person_agrees_and_presses(bus: None) -> None:
    async def story() -> None:
        strokes: asyncio.Queue[Stroke] = asyncio.Queue()
        told: asyncio.Queue[str] = asyncio.Queue()
        async with asyncio.timeout(60), desktop() as portal, asyncio.TaskGroup() as group:
            assert await version() == 2
            watching = group.create_task(watch([SHORTCUT], strokes.put_nowait, told.put_nowait))
            assert await told.get() == "dictate: Ctrl+Alt+Space"
            (name, facts), *_ = portal.bound
            assert (name, facts["preferred_trigger"]) == ("dictate", ("s", "CTRL+ALT+space"))
            await portal.press("Activated", session=f"{SESSION}0")
            await portal.press("Activated", name="another's")
            await portal.press("Activated")
            await portal.press("Deactivated")
            assert [(await strokes.get()).is_down for _ in range(2)] == [True, False]
            watching.cancel()
        assert strokes.empty()

    asyncio.run(story())


def test_the_person_refuses(bus: None) -> None:
    async def story() -> None:
        async with asyncio.timeout(60), desktop(consents=False):
            with pytest.raises(ConfigError, match=r"did not give us the hotkeys\n.*dictate toggle"):
                await watch([SHORTCUT], lambda _: None, lambda _: None)

    asyncio.run(story())


def test_no_portal_and_no_bus(bus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        assert await version() == 0
        with pytest.raises(ConfigError, match="CreateSession at"):
            await watch([SHORTCUT], lambda _: None, lambda _: None)
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        with pytest.raises(ConfigError, match="there is no session bus here"):
            async with opened() as line:
                await line.call(Place("a.b", "/"), "a.b", "C")

    asyncio.run(story())
