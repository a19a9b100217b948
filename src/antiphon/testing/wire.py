"""A scripted upstream without a socket: an httpx transport that hands each request to it, and breaks as networks do.

Under virtual time a hundred failures of a server, each in the middle of a conversation, take a second or two. What a
real socket does when it is torn down is not found out here: `tests/engines/test_failing_upstreams.py` has that.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import httpx

from antiphon.testing.upstream import Message, ScriptedUpstream

Outage = Callable[[httpx.Request], Exception]

OUTAGES: dict[str, Outage] = {
    "refused": lambda request: _because(ConnectionRefusedError(111, "refused"), request),
    "unknown name": lambda request: _because(socket.gaierror(-2, "unknown"), request),
    "bad certificate": lambda request: _because(ssl.SSLCertVerificationError(1, "CERTIFICATE_VERIFY_FAILED"), request),
    "no route": lambda request: httpx.ConnectTimeout("no answer", request=request),
}
"""Why there is no connection, by name."""


class Wire(httpx.AsyncBaseTransport):
    """The way to one scripted server. `outage` is a name in `OUTAGES` while nobody can reach it."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.outage: str | None = None
        self._upstream = upstream
        self._open: set[_Exchange] = set()

    @property
    def exchanges(self) -> int:
        """Requests that are on their way now."""
        return len(self._open)

    def cut(self, outage: str) -> None:
        """Break all that is on its way, and let nothing through until `outage` is None again."""
        self.outage = outage
        for exchange in list(self._open):
            exchange.abort()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.outage is not None:
            raise OUTAGES[self.outage](request)
        exchange = _Exchange(request, await request.aread(), self._open.discard)
        self._open.add(exchange)
        try:
            status, headers = await exchange.begin(self._upstream)
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(status, headers=headers, stream=exchange, request=request)


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer: to the server the ASGI application's other side and its transport, to the client a
    body."""

    def __init__(self, request: httpx.Request, body: bytes, over: Callable[[_Exchange], None]) -> None:
        self._request = request
        self._over = over
        self._said: asyncio.Queue[Message | None] = asyncio.Queue()  # of one short answer; None is a reset
        self._asked: asyncio.Queue[Message] = asyncio.Queue()
        self._asked.put_nowait({"type": "http.request", "body": body, "more_body": False})
        self._serving: asyncio.Task[None] | None = None

    async def begin(self, upstream: ScriptedUpstream) -> tuple[int, list[tuple[bytes, bytes]]]:
        scope = {
            "type": "http",
            "path": self._request.url.path,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "state": {"transport": self, "number": 0},
        }
        serving = upstream(scope, self._asked.get, self._said.put)
        self._serving = asyncio.get_running_loop().create_task(serving, name="scripted upstream")
        start = await self._next()
        return start["status"], start["headers"]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._next()
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                return

    async def aclose(self) -> None:
        """The client hangs up; a server that has not finished hears of it."""
        self._over(self)
        if self._serving is not None:
            self._asked.put_nowait({"type": "http.disconnect"})
            await asyncio.gather(self._serving, return_exceptions=True)

    async def _next(self) -> Message:
        message = await self._said.get()
        if message is None:
            raise httpx.ReadError("reset", request=self._request)
        return message

    # --- what the server thinks is its transport

    def get_extra_info(self, name: str) -> _Exchange:
        return self

    def setsockopt(self, *options: object) -> None:
        """Lingering: here a reset is a reset."""

    def abort(self) -> None:
        self._said.put_nowait(None)
        self._asked.put_nowait({"type": "http.disconnect"})


def _because(cause: Exception, request: httpx.Request) -> httpx.ConnectError:
    error = httpx.ConnectError(str(cause), request=request)
    error.__cause__ = cause
    return error
