"""A connection to another Realtime server, whose client we are: opening it, and carrying messages both ways.

It knows the socket and the first message, and no conversation. Where the server is and the key that it is shown come
from the operator alone; neither the key nor anything that was said is ever part of an error.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.protocol import State

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError
from antiphon.protocol.upstream import Ignored, SessionCreated, decode, read

log = logging.getLogger("antiphon.upstream")

LARGEST_MESSAGE = 32 << 20  # bytes: what servers take of us, and more than any of them sends
OUTBOX_BYTES = 8 << 20  # two minutes of sound as base64: a server that is further behind does not listen
LARGEST_REQUEST = 22_000_000  # bytes of one message, beside which the outbox is allowed its own
PING_S: Seconds = 20.0  # between two looks whether anybody is there; as long for the answer
FAREWELL_S: Seconds = 1.0  # for the closing handshake, for which nobody waits
LONGEST_LIFE_S: Seconds = 3600.0  # of a session whose server does not say when it expires

_encode = msgspec.json.Encoder().encode


class Address(Struct, frozen=True):
    """Where the server is, and as whom we come. What is the same here is the same voice."""

    url: str
    """Of its Realtime endpoint, without a query."""
    model: str | None = None
    key: str | None = None
    key_header: str = "Authorization"
    """Or "api-key", which Azure wants."""
    connect_timeout_s: Seconds = 10.0
    """Until the server has greeted us."""

    def __repr__(self) -> str:
        return f"Address({self.origin}, {self.model})"

    @property
    def origin(self) -> str:
        """Without what may be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def to(self, query: str) -> str:
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))

    @property
    def session_url(self) -> str:
        """Of a session of its own."""
        return self.to(f"model={quote(self.model, safe='')}" if self.model else "")

    @property
    def headers(self) -> Mapping[str, str]:
        if self.key is None:
            return {}
        return {self.key_header: f"Bearer {self.key}" if self.key_header == "Authorization" else self.key}


class Counts(Struct):
    """How it has gone so far, with all connections."""

    opened: int = 0
    lost: int = 0
    """Of those that a session had."""
    warm: int = 0
    """Sessions that found one open; `cold` had to wait for theirs."""
    cold: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """By our own codes."""


class Ear(Protocol):
    """Whoever has the connection. Called on the event loop; never waits."""

    def take_frame(self, frame: str | bytes) -> None: ...

    def upstream_gone(self, upstream: Connection, error: EngineError) -> None:
        """It is closed, and not by us."""
        ...


class Connection(Protocol):
    """What whoever has an `Upstream` does with it."""

    opened: Seconds

    def listen(self, ear: Ear | None) -> None: ...

    def send(self, event: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...

    async def gone(self) -> None: ...


class Upstream:
    """One open connection, greeted. Whoever has it closes it."""

    def __init__(self, socket: ClientConnection, origin: str, expires: Seconds) -> None:
        """`expires` is on the loop's clock."""
        self.origin = origin
        self.opened = asyncio.get_running_loop().time()
        self.expires = expires
        self._socket = socket
        self._ear: Ear | None = None
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._has_mail = asyncio.Event()
        self._is_closing = False
        self._reader = asyncio.create_task(self._read(), name="upstream reader")
        self._writer = asyncio.create_task(self._write(), name="upstream writer")

    @property
    def is_open(self) -> bool:
        return not self._is_closing and self._socket.state is State.OPEN

    @property
    def waiting_bytes(self) -> int:
        """Of messages that the socket has not taken yet."""
        return self._outbox_bytes

    def listen(self, ear: Ear | None) -> None:
        """From now on this one is told what comes; what came before was nobody's."""
        self._ear = ear

    def send(self, event: Mapping[str, Any]) -> None:
        """Say this. Never waits; a server that does not listen loses the connection."""
        if self._is_closing:
            return
        frame = _encode(event)
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self._has_mail.set()
        if self._outbox_bytes > OUTBOX_BYTES + LARGEST_REQUEST:
            self._fail(EngineError(f"{self.origin} does not read what it is sent", TOO_SLOW, code="upstream_slow"))

    def close(self) -> None:
        """Hang up, for which nobody waits here: see `gone`."""
        self._is_closing = True
        self._ear = None
        self._outbox.clear()
        self._has_mail.set()

    async def gone(self) -> None:
        """Hang up, and wait until it is done."""
        self.close()
        _, stuck = await asyncio.wait([self._writer], timeout=2 * FAREWELL_S)
        if stuck:
            self._socket.transport.abort()
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    def _fail(self, error: EngineError) -> None:
        ear = self._ear
        self.close()
        if ear is not None:
            ear.upstream_gone(self, error)

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._socket.recv()
                if self._ear is not None:
                    self._ear.take_frame(frame)
        except ConnectionClosed as closed:
            self._fail(_closed(closed, self.origin))
        except WebSocketException as error:
            self._fail(_broken(error, self.origin))

    async def _write(self) -> None:
        try:
            while not self._is_closing:
                while self._outbox:
                    frame = self._outbox.popleft()
                    self._outbox_bytes -= len(frame)
                    await self._socket.send(frame, text=True)
                self._has_mail.clear()
                if not self._is_closing:
                    await self._has_mail.wait()
        except ConnectionClosed:
            return  # the reader knows it too
        finally:
            await self._socket.close()


async def open_upstream(address: Address, url: str | None = None) -> Upstream:
    """Connect, and wait for the server's greeting. Raises `EngineError`. `url` is another one of the same server."""
    url = url or address.session_url
    try:
        async with asyncio.timeout(address.connect_timeout_s):
            made = await _Connect(
                url,
                additional_headers=dict(address.headers),
                ssl=await _trust() if url.startswith("wss:") else None,
                compression=None,
                max_size=LARGEST_MESSAGE,
                open_timeout=None,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                close_timeout=FAREWELL_S,
            )
            try:
                greeting = await made.recv()
            except BaseException:
                made.transport.abort()
                raise
    except TimeoutError:
        words = f"{address.origin} did not greet us within {address.connect_timeout_s:g} s"
        raise EngineError(words, "Is it up, and no firewall between?", code="upstream_timeout") from None
    except ConnectionClosed as closed:
        raise _closed(closed, address.origin) from None
    except (WebSocketException, OSError, ssl.SSLError) as error:
        raise _broken(error, address.origin) from None
    return await _greeted(made, greeting, address.origin)


async def _greeted(made: ClientConnection, greeting: str | bytes, origin: str) -> Upstream:
    found = decode(greeting)
    message = read(found) if isinstance(found, dict) else found
    if isinstance(message, SessionCreated):
        now = asyncio.get_running_loop().time()
        expires_at = message.session.expires_at
        life_s = LONGEST_LIFE_S if not expires_at else max(0.0, expires_at - time.time())
        return Upstream(made, origin, now + life_s)
    await made.close()
    kind = message.kind if isinstance(message, Ignored) else str(message.__struct_config__.tag)
    words = f"{origin} began with {kind!r} in place of session.created"
    raise EngineError(words, "Is relay.url that of a Realtime endpoint?", code="upstream_malformed")


class _Connect(connect):
    """Goes where it is told and nowhere else: our key is for nobody to whom a server points."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


_trusted: ssl.SSLContext | None = None


async def _trust() -> ssl.SSLContext:
    """The authorities that the system trusts: reading them takes 20 ms, so it is done once, on a thread."""
    global _trusted
    if _trusted is None:
        _trusted = await asyncio.to_thread(ssl.create_default_context)
    return _trusted


# --- what a failure means for the operator ---------------------------------------------------------------------------

TOO_SLOW = "The server, or the network to it, is overloaded."
HOPELESS = frozenset({"upstream_auth", "upstream_not_found", "upstream_tls", "upstream_rejected"})
"""What is not better a moment later."""


def _broken(error: BaseException, origin: str) -> EngineError:
    match error:
        case InvalidStatus(response=response):
            return _refused(response.status_code, origin)
        case InvalidMessage() | InvalidHandshake() | InvalidURI():
            words, hint = f"{origin} does not speak WebSocket there", "Check relay.url: it ends in /v1/realtime mostly."
            return EngineError(words, hint, code="upstream_malformed")
        case socket.gaierror():
            words, hint = f"the name in {origin} is not known to DNS", "Check relay.url for a typing error."
            return EngineError(words, hint, code="upstream_unreachable")
        case ssl.SSLError():
            words = f"no secure connection to {origin}: {error.reason or 'it was refused'}"
            return EngineError(words, "Check wss against ws, and SSL_CERT_FILE.", code="upstream_tls")
        case ConnectionRefusedError():
            words, hint = f"nobody listens at {origin}", "Is the server running, and on this port? Check relay.url."
            return EngineError(words, hint, code="upstream_unreachable")
        case _:
            hint = "The server, or a proxy in front of it, went away; its log may say why."
            return EngineError(f"{origin} broke the connection off", hint, code="upstream_reset")


def _refused(status: int, origin: str) -> EngineError:
    match status:
        case 401 | 403:
            words, hint = f"{origin} does not accept our key ({status})", "Check relay.api_key or relay.api_key_env."
            return EngineError(words, hint, code="upstream_auth")
        case 404 | 405:
            words, hint = f"{origin} has no Realtime endpoint there ({status})", "Check relay.url and relay.model."
            return EngineError(words, hint, code="upstream_not_found")
        case 429:
            words, hint = f"{origin} has had enough of us ({status})", "Raise the limit with the provider."
            return EngineError(words, hint, code="upstream_rate_limited")
        case _ if 400 <= status < 500:
            words, hint = f"{origin} refuses the connection ({status})", "Check relay.url and relay.model."
            return EngineError(words, hint, code="upstream_rejected")
        case _:
            words, hint = f"{origin} cannot take a session now ({status})", "Its own log says why."
            return EngineError(words, hint, code="upstream_failed")


def _closed(closed: ConnectionClosed, origin: str) -> EngineError:
    code = closed.rcvd.code if closed.rcvd is not None else None
    hint = "The server, or a proxy in front of it, gave up; its log may say why."
    if code is None:
        return EngineError(f"{origin} broke the connection off", hint, code="upstream_reset")
    return EngineError(f"{origin} closed the connection ({code})", hint, code="upstream_closed")
