"""Players on a bus of the test's own: quiet while somebody speaks, and only those that were not quiet before."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from jeepney import HeaderFields, message_bus, new_method_return
from jeepney.io.asyncio import DBusConnection, open_dbus_connection

from antiphon.desktop.dictation.surroundings import Surroundings

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]


class Player:
    def __init__(self, connection: DBusConnection, status: str) -> None:
        self.status = status
        self.changed = asyncio.Event()
        self._connection = connection

    async def serve(self) -> None:
        while True:
            call = await self._connection.receive()
            match call.header.fields.get(HeaderFields.member):
                case "Get":
                    await self._connection.send(new_method_return(call, "v", (("s", self.status),)))
                case "Pause" | "Play" as wish:
                    self.status = {"Pause": "Paused", "Play": "Playing"}[wish]
                    await self._connection.send(new_method_return(call))
                    self.changed.set()


def test_what_plays_is_paused_for_as_long_as_somebody_speaks(bus: None) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            players = []
            for name, status in (("one", "Playing"), ("two", "Paused")):
                connection = await stack.enter_async_context(await open_dbus_connection())
                await connection.send(message_bus.RequestName(f"org.mpris.MediaPlayer2.{name}"))
                await connection.receive()
                players.append(Player(connection, status))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            surroundings = Surroundings(None, pauses_players=True)
            tasks = [group.create_task(player.serve()) for player in players]
            tasks.append(group.create_task(surroundings.run()))
            async with asyncio.timeout(60):
                for state, expected in (("recording", "Paused"), ("working", "Playing")):
                    players[0].changed.clear()
                    surroundings.take(state)  # type: ignore[arg-type]
                    await players[0].changed.wait()
                    assert [player.status for player in players] == [expected, "Paused"]
            for task in tasks:
                task.cancel()

    asyncio.run(story())
