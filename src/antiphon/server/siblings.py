"""The other processes of the same port: where a call is that this one does not hold, and what all of them count.

Every worker also listens on a socket in a folder that only this user can enter. What belongs to another is handed on
to it there as it came, with its key, and the other's own door decides. Nothing is looked into on the way.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin, Subprotocol

from antiphon.server.refusals import Refusal, turn_away
from antiphon.transport.websocket import NO_GOODBYE

log = logging.getLogger("antiphon.siblings")

PAGE_PATH = "/worker/metrics"
PATIENCE_S = 2.0  # for a sibling's answer: it has the same load as we, and a scrape must not hang on one that is stuck
HANDED_ON = ("authorization", "origin", "content-type", "user-agent")
"""Headers that the other one's door asks for."""
UNREACHED = Refusal(503, "worker_unreachable", "The process that holds this call does not answer. Try again.")


class Siblings:
    """The workers of one port, as one of them sees them."""

    def __init__(self, folder: Path, number: int, count: int, max_message_bytes: int) -> None:
        """Worker `number` of `count`, from 0. The folder is for this user alone."""
        self.number = number
        self.count = count
        self.own_path = folder / f"{number}.{os.getpid():x}.sock"
        self._folder = folder
        self._max_message_bytes = max_message_bytes

    async def find(self, pid: int) -> Path | None:
        """Where another process of this port listens; None if it is none, or no more."""
        if pid == os.getpid():
            return None
        found = await asyncio.to_thread(lambda: list(self._folder.glob(f"*.{pid:x}.sock")))
        return found[0] if found else None

    async def hand_on(self, path: Path, request: Request, body: bytes = b"") -> Response:
        """Another one's answer to a request with this body."""
        url = f"http://worker{request.url.path}?{request.url.query}"
        headers = {name: request.headers[name] for name in (*HANDED_ON, "host") if name in request.headers}
        try:
            async with _client(path) as client:
                answer = await client.request(request.method, url, headers=headers, content=body)
        except httpx.HTTPError:
            return UNREACHED.response
        location = {"location": answer.headers["location"]} if "location" in answer.headers else None
        return Response(answer.content, answer.status_code, location, media_type=answer.headers.get("content-type"))

    async def join(self, path: Path, socket: WebSocket) -> None:
        """Carry a connection to another one and back, until either side ends it."""
        headers = {name: socket.headers[name] for name in HANDED_ON if name in socket.headers and name != "origin"}
        origin = socket.headers.get("origin")
        offered = [Subprotocol(name) for name in socket.scope.get("subprotocols", ())]
        try:
            other = await unix_connect(
                str(path),
                f"ws://{socket.headers['host']}{socket.url.path}?{socket.url.query}",
                additional_headers=headers,
                origin=Origin(origin) if origin else None,
                subprotocols=offered or None,
                max_size=self._max_message_bytes,
                compression=None,
                open_timeout=PATIENCE_S,
            )
        except InvalidStatus as refused:
            told = refused.response
            answer = Response(bytes(told.body or b""), told.status_code, media_type=told.headers.get("content-type"))
            await socket.send_denial_response(answer)
            return
        except (OSError, InvalidHandshake, TimeoutError):
            await turn_away(UNREACHED, socket.scope, socket.receive, socket.send)
            return
        async with other:
            await socket.accept(other.subprotocol)
            await _carry(socket, other)

    async def pages(self) -> dict[int, bytes | None]:
        """What each of the others counts, by number; None of one that does not answer."""
        others = [number for number in range(self.count) if number != self.number]
        return dict(zip(others, await asyncio.gather(*map(self._page, others)), strict=True))

    async def _page(self, number: int) -> bytes | None:
        found = await asyncio.to_thread(lambda: sorted(self._folder.glob(f"{number}.*.sock")))
        for path in found:
            try:
                async with _client(path) as client:
                    return (await client.get(f"http://worker{PAGE_PATH}")).raise_for_status().content
            except httpx.HTTPError:
                log.warning("worker %d does not tell its metrics", number)
        return None


def _client(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), timeout=PATIENCE_S)


async def _carry(socket: WebSocket, other: ClientConnection) -> None:
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


def with_own_page(app: ASGIApp, page: Callable[[], Awaitable[bytes]]) -> ASGIApp:
    """What a worker answers on the socket that only its siblings reach: all that the others do, and what it counts."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == PAGE_PATH:
            await Response(await page(), media_type="text/plain")(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer


def one_page(pages: Iterable[tuple[int, bytes | None]]) -> bytes:
    """The pages of all workers as one, each sample labelled with its worker, and whether each of them is there."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    up = []
    for number, page in pages:
        up.append(f'voice_worker_up{{worker="{number}"}} {int(page is not None)}')
        family = ""
        for line in page.decode().splitlines() if page is not None else ():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                heads.setdefault(family, [])
                samples.setdefault(family, [])
            if not line.startswith("#"):
                samples[family].append(_labelled(line, number))
            elif line not in heads[family]:
                heads[family].append(line)
    heads["voice_worker_up"] = [
        "# HELP voice_worker_up Whether a worker told what it counts.",
        "# TYPE voice_worker_up gauge",
    ]
    samples["voice_worker_up"] = up
    lines = [line for family, head in heads.items() for line in (*head, *samples[family])]
    return "\n".join((*lines, "")).encode()


def _labelled(sample: str, number: int) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{number}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{number}"}} {value}'
