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
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import h11
from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from antiphon.server.frames import BINARY, MASK_BYTES, MASKED, TEXT, frame_at, frame_header
from antiphon.transport.websocket import NO_GOODBYE, SHORT_WAY, TakeFrame

try:
    from websockets.speedups import apply_mask
except ImportError:  # an installation without a compiled part
    from websockets.utils import apply_mask

REQUEST_S = 10.0  # from connecting, or from the first byte of a further request, to the end of its headers
UNREAD_S = 15.0  # that a connection which is over may still take to read what was sent to it
STALL_S = 30.0  # that what was written may wait without any room becoming free: nobody is reading
MESSAGES_A_TURN = 16  # acted on in a row before other connections get theirs: half a millisecond of small ones
SHORT_WAY_BYTES = 65_535  # of a message that is acted on as soon as it is there: half a second of sound is 32,000
MOST_FRAGMENTS = 4096  # of one message: 15 MiB in pieces of 4 KiB. Empty ones would add nothing to its size, ever
MOST_FILES = 65_536
POLICY = 1008  # WebSocket close code


if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

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
    their turn.

    Small messages that came whole go the short way, if the application asked for it: straight to it, in order, without
    the general parser, a queue, a task, and the two system calls with which uvicorn stops and resumes reading around
    each message. It is what 50 messages a second of every session cost that decides how many there can be.
    """

    _unread_timer: asyncio.TimerHandle | None = None
    _received = 0
    _take: TakeFrame | None = None
    _owed = 0
    """Bytes that the parser still has to get before the next frame begins."""
    _header = b""
    """The beginning of a frame whose length is not known yet."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            cast(dict[str, object], self.scope["extensions"])[SHORT_WAY] = self

    def hear(self, take: TakeFrame | None) -> None:
        """See `ShortWay`."""
        self._take = take

    async def say(self, texts: Sequence[str]) -> None:
        """See `ShortWay`."""
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            raise WebSocketDisconnect(1006)
        pieces: list[bytes] = []
        for text in texts:
            payload = text.encode()
            pieces += (frame_header(len(payload)), payload)
        self.transport.write(b"".join(pieces))

    async def receive(self) -> ASGIReceiveEvent:
        # Whatever came in one packet can be had without waiting, thousands of small messages too.
        self._received += 1
        if self._received % MESSAGES_A_TURN == 0:
            await asyncio.sleep(0)
        return await super().receive()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.close_sent and not self.handshake_complete:
            self.handshake_complete = True  # it was refused, which is a whole answer: uvicorn would log an error for it

    def data_received(self, data: bytes) -> None:
        if self.conn.state is not State.OPEN:
            self._parse(data)
            return
        if self._header:
            data, self._header = self._header + data, b""
        at, parsed, turns = self._owed, 0, MESSAGES_A_TURN
        while at < len(data) and (frame := frame_at(data, at)) is not None:
            start, end = frame
            if turns and end <= len(data) and self._is_small_message(data, at, end - start):
                if parsed < at:
                    self._parse(data[parsed:at])
                    parsed = at
                if not self._is_next():
                    turns = 0
                elif self._take_short_way(data[at], data[start - MASK_BYTES : start], data[start:end]):
                    parsed, turns = end, turns - 1
            at = end
        if at < len(data):
            data, self._header = data[:at], data[at:]
        self._owed = max(0, at - len(data))
        if parsed < len(data):
            self._parse(data[parsed:] if parsed else data)

    def _is_small_message(self, data: bytes, at: int, size: int) -> bool:
        """Whether the frame at `at`, with a payload of this size, is a whole message that keeps the parser's rules."""
        return (
            (data[at] == TEXT or data[at] == BINARY)
            and data[at + 1] & MASKED != 0
            and size <= SHORT_WAY_BYTES
            and size <= self.config.ws_max_size
        )

    def _is_next(self) -> bool:
        """Whether there is a short way, and all that came before was acted on and is no part of a message."""
        return (
            self._take is not None
            and self.queue.empty()
            and self.conn.current_size is None
            and self.conn.state is State.OPEN
            and not self.close_sent
        )

    def _take_short_way(self, first: int, mask: bytes, payload: bytes) -> bool:
        """Have the message acted on; False if it is for the parser after all."""
        assert self._take is not None
        payload = apply_mask(payload, mask)
        if first == BINARY:
            self._take(None, payload)
            return True
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            return False  # it closes the connection, with the right words
        self._take(text, b"")
        return True

    def _parse(self, data: bytes) -> None:
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
        del self.scope["extensions"]  # it has us in it, and we would wait for the garbage collector
        self._expect_end()

    def _expect_end(self) -> None:
        """A transport closes once all is sent, and to somebody who reads nothing that is never."""
        if not self.disconnected and self._unread_timer is None:
            self._unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        if self.conn.close_rcvd is None and not self.disconnected:
            # uvicorn says the same of a client that hung up without a word and of a cable that was pulled.
            self.queue.put_nowait({"type": "websocket.disconnect", "code": NO_GOODBYE})
        super().connection_lost(exc)


def allow_many_files() -> None:
    """Raise this process's limit of open files as far as it may itself: many systems begin with 1,024, and each
    connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
