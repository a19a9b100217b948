"""Another worker than the one that holds the session: it hands a connection on, by what `server.handing_on` does.

The socket between the two is two queues. What goes over it is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection

from antiphon.server.handing_on import carry
from antiphon.testing.loopback import Wire

TURNED_AWAY = 1008
NOT_READ = 1000  # messages of the session that its client has not taken yet


class Detour:
    """The other worker's end of the socket between the two: of a `ClientConnection`, what `carry` asks for."""

    def __init__(self) -> None:
        self.close_code: int | None = None
        self.close_reason = ""
        self.transport = self
        self._came: asyncio.Queue[str | None] = asyncio.Queue(NOT_READ)
        self._wire = Wire(self._from_session)
        self._carrying: asyncio.Task[None] | None = None

    async def take(self, socket: WebSocket) -> WebSocket:
        """What the worker that holds the session sees of this connection."""
        await self._wire.open()
        self._carrying = asyncio.create_task(carry(socket, cast("ClientConnection", self)), name="detour")
        return self._wire.socket

    async def turn_away(self) -> None:
        """There is no such session any more."""
        assert self._carrying is not None
        await self._from_session({"type": "websocket.close", "code": TURNED_AWAY})
        await self._carrying

    async def send(self, text: str) -> None:
        await self._wire.frames.put({"type": "websocket.receive", "text": text})

    async def close(self, code: int) -> None:
        self._wire.hang_up(code)

    def abort(self) -> None:
        self._wire.break_off()

    async def __aiter__(self) -> AsyncIterator[str]:
        while (text := await self._came.get()) is not None:
            yield text

    async def _from_session(self, frame: Mapping[str, Any]) -> None:
        if frame["type"] == "websocket.send":
            await self._came.put(frame["text"])
        elif frame["type"] == "websocket.close":
            self.close_code = frame["code"]
            await self._came.put(None)
