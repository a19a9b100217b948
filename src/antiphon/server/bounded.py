"""uvicorn's two protocols, with bounds where a hostile client could take without end.

They look at connections, before anybody knows who is there: how long a request may be on its way, how many pieces a
message may come in, how many messages are acted on in a row, how long what nobody reads is kept. Requests and messages
themselves are others' business. What is bounded by uvicorn and its parsers already is not bounded here again: headers
(64 KiB, or lines of 8 KiB and 128 of them on a WebSocket), a message's size, the answer to a ping.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

REQUEST_S = 10.0  # from connecting, or from the first byte of a further request, to the end of its headers
UNREAD_S = 15.0  # that a connection which is over may still take to read what was sent to it
STALL_S = 30.0  # that what was written may wait without any room becoming free: nobody is reading
MESSAGES_A_TURN = 16  # acted on in a row before other connections get theirs: half a millisecond of small ones
MOST_FRAGMENTS = 4096  # of one message: 15 MiB in pieces of 4 KiB. Empty ones would add nothing to its size, ever
MOST_FILES = 65_536
POLICY = 1008  # WebSocket close code


if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent

log = logging.getLogger("antiphon.server")


class Drained(asyncio.Protocol):
    """Gives up on a connection that does not read what was written to it."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stall_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(STALL_S, self._drop)

    def resume_writing(self) -> None:
        self._calm()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def _calm(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _drop(self) -> None:
        log.warning("a connection reads nothing: dropped")
        self.transport.abort()


class BoundedHttp(Drained, H11Protocol):
    """Gives up on a request that does not arrive."""

    _request_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Run the clock while headers are being waited for. More of them does not wind it up again."""
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._disarm()
        elif self._request_timer is None:
            self._request_timer = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _disarm(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None


class BoundedWebSocket(Drained, WebSocketsSansIOProtocol):
    """Gives up on a message that does not end, and on a connection that does not let itself be closed; lets others have
    their turn."""

    _unread_timer: asyncio.TimerHandle | None = None
    _received = 0

    async def receive(self) -> ASGIReceiveEvent:
        # Whatever came in one packet can be had without waiting, thousands of small messages too.
        self._received += 1
        if self._received % MESSAGES_A_TURN == 0:
            await asyncio.sleep(0)
        return await super().receive()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The parser has written its answer (a header is too long, or there are too many), and uvicorn sends it to
            # nobody.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) < MOST_FRAGMENTS:
            super().handle_cont(event)
            return
        self.frames = []
        self.conn.fail(POLICY, f"A message may come in {MOST_FRAGMENTS} fragments.")
        self.handle_parser_exception()

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # who does not read has no use for pongs either: they would gather

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._expect_end()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self._expect_end()

    def _expect_end(self) -> None:
        """A transport closes once all is sent, and to somebody who reads nothing that is never."""
        if not self.disconnected and self._unread_timer is None:
            self._unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        super().connection_lost(exc)


def allow_many_files() -> None:
    """Raise this process's limit of open files as far as it may itself: many systems begin with 1,024, and each
    connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
