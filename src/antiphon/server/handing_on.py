"""Handing a request or a connection on to the process that it is meant for, as it came and with its key.

The other's own door decides; nothing is looked into on the way. Where a process is comes from whoever knows them all,
and never from a client.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import httpx
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin, Subprotocol

from antiphon.errors import PeerError
from antiphon.server.refusals import refusal_from, turn_away
from antiphon.transport.websocket import NO_GOODBYE

PATIENCE_S = 2.0  # for another process's answer: it has the same load as we, and nobody is to hang on one that is stuck
HANDED_ON = ("authorization", "origin", "content-type", "user-agent")
"""Headers that the other one's door asks for."""


class Unreached(PeerError):
    """The process that holds what a client asks for does not answer."""

    def __init__(self) -> None:
        super().__init__("The process that holds this call does not answer.", "Try again.", code="worker_unreachable")


class Way(Struct, frozen=True):
    """To another process."""

    path: str | None = None
    """Of its socket, on this machine; or else its address."""
    host: str = "worker"
    port: int = 80

    @property
    def connecting(self) -> dict[str, Any]:
        """How a WebSocket gets there, whatever its URL says."""
        return {"host": self.host, "port": self.port} if self.path is None else {"unix": True, "path": self.path}

    def client(self) -> httpx.AsyncClient:
        """Of its routes."""
        transport = httpx.AsyncHTTPTransport(uds=self.path)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}:{self.port}", timeout=PATIENCE_S)


class Others(Protocol):
    """Whoever knows the other processes of the same application."""

    async def find(self, number: int) -> Way | None:
        """The way to this one; None if it is none of them any more, or we ourselves. Raises `Unreached`."""
        ...


async def hand_on(way: Way, request: Request, body: bytes = b"") -> Response:
    """The other one's answer to a request with this body."""
    headers = {name: request.headers[name] for name in (*HANDED_ON, "host") if name in request.headers}
    try:
        async with way.client() as client:
            target = f"{request.url.path}?{request.url.query}"
            answer = await client.request(request.method, target, headers=headers, content=body)
    except httpx.HTTPError:
        return refusal_from(Unreached()).response
    location = {"location": answer.headers["location"]} if "location" in answer.headers else None
    return Response(answer.content, answer.status_code, location, media_type=answer.headers.get("content-type"))


async def join(way: Way, socket: WebSocket, most_bytes: int) -> None:
    """Carry a connection to another one and back, until either side ends it. No message is longer than `most_bytes`."""
    try:
        other = await _connected(way, socket, most_bytes)
    except InvalidStatus as refused:
        told = refused.response
        answer = Response(bytes(told.body or b""), told.status_code, media_type=told.headers.get("content-type"))
        await socket.send_denial_response(answer)
        return
    except (OSError, InvalidHandshake, TimeoutError):
        await turn_away(refusal_from(Unreached()), socket.scope, socket.receive, socket.send)
        return
    async with other:
        await socket.accept(other.subprotocol)
        await carry(socket, other)


async def _connected(way: Way, socket: WebSocket, most_bytes: int) -> ClientConnection:
    url = f"ws://{socket.headers['host']}{socket.url.path}?{socket.url.query}"
    headers = {name: socket.headers[name] for name in HANDED_ON if name in socket.headers and name != "origin"}
    origin = Origin(socket.headers["origin"]) if "origin" in socket.headers else None
    offered = [Subprotocol(name) for name in socket.scope.get("subprotocols", ())] or None
    return await connect(
        url,
        **way.connecting,
        proxy=None,
        additional_headers=headers,
        origin=origin,
        subprotocols=offered,
        max_size=most_bytes,
        compression=None,
        open_timeout=PATIENCE_S,
    )


async def carry(socket: WebSocket, other: ClientConnection) -> None:
    """Both ways, one message at a time: whoever reads slowly slows the other side down, and nothing gathers here."""

    async def there() -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect" and message.get("code") == NO_GOODBYE:
                other.transport.abort()  # the other one's session may wait for who was lost
                return
            if message["type"] == "websocket.disconnect":
                await other.close(1000)
                return
            text = message.get("text")
            await other.send(text if text is not None else message["bytes"])

    async def back() -> None:
        async for message in other:
            await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))
        await socket.close(other.close_code or 1000, other.close_reason or "")

    ways = [asyncio.create_task(there()), asyncio.create_task(back())]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for failure in await asyncio.gather(*ways, return_exceptions=True):
            if isinstance(failure, Exception) and not isinstance(
                failure, ConnectionClosed | WebSocketDisconnect | RuntimeError
            ):
                raise failure
