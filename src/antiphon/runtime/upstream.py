"""A connection to another Realtime server, whose client we are: opening it, and carrying messages both ways.

It knows the socket and the first message, and no conversation. Where the server is and the key that it is shown come
from the operator alone; neither the key nor anything that was said is ever part of an error.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.protocol import State

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError
from antiphon.protocol.upstream import SOUND, AudioDelta, Error, Ignored, SessionCreated, ToldMessage, decode, read
from antiphon.runtime.upstream_failures import TOO_SLOW, broken, closed_by, complained

log = logging.getLogger("antiphon.upstream")

LARGEST_MESSAGE = 32 << 20  # bytes: what servers take of us, and more than any of them sends
OUTBOX_BYTES = 8 << 20  # two minutes of sound as base64: a server that is further behind does not listen
LARGEST_REQUEST = 22_000_000  # bytes of one message, beside which the outbox is allowed its own
PING_S: Seconds = 20.0  # between two looks whether anybody is there; as long for the answer
FAREWELL_S: Seconds = 1.0  # for the closing handshake, for which nobody waits
LONGEST_LIFE_S: Seconds = 3600.0  # of a session whose server does not say when it expires
MOST_BEFORE_GREETING = 8  # messages: some servers talk of the conversation first

_encode = msgspec.json.Encoder().encode


class Address(Struct, frozen=True):
    """Where the server is, and as whom we come. What is the same here is the same voice."""

    url: str
    """Of its Realtime endpoint; with whatever it wants in the query beside the model."""
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

    def to(self, **named: str) -> str:
        """With this in the query, beside what the operator has put there."""
        parts = urlsplit(self.url)
        query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **named}
        return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query, quote_via=quote), ""))

    @property
    def session_url(self) -> str:
        """Of a session of its own."""
        return self.to(model=self.model) if self.model else self.to()

    def over_http(self, path: str) -> str:
        """What is below it and no WebSocket."""
        parts = urlsplit(self.to())
        scheme = parts.scheme.replace("ws", "http")
        return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/{path}", parts.query, ""))

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
            self._fail(closed_by(closed, self.origin))
        except WebSocketException as error:
            self._fail(broken(error, self.origin))

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
                greeting = await _greeting(made)
            except BaseException:
                made.transport.abort()
                raise
    except TimeoutError:
        words = f"{address.origin} did not greet us within {address.connect_timeout_s:g} s"
        raise EngineError(words, "Is it up, and no firewall between?", code="upstream_timeout") from None
    except ConnectionClosed as closed:
        raise closed_by(closed, address.origin) from None
    except (WebSocketException, OSError, ssl.SSLError) as error:
        raise broken(error, address.origin) from None
    return await _greeted(made, greeting, address.origin)


async def _greeting(made: ClientConnection) -> ToldMessage | Ignored:
    """The first message that means anything to us."""
    message: ToldMessage | Ignored | None = None
    for _ in range(MOST_BEFORE_GREETING):
        try:
            found = decode(await made.recv())
        except ConnectionClosed as closed:
            if message is None or (closed.rcvd is not None and closed.rcvd.reason):
                raise
            break  # what it has said tells more than how it left
        message = read(found) if isinstance(found, dict) else Ignored(SOUND) if isinstance(found, AudioDelta) else found
        if not isinstance(message, Ignored):
            break
    return message or Ignored("nothing")


async def _greeted(made: ClientConnection, greeting: ToldMessage | Ignored, origin: str) -> Upstream:
    if isinstance(greeting, SessionCreated):
        now = asyncio.get_running_loop().time()
        return Upstream(made, origin, now + _life_s(greeting.session.expires_at))
    await made.close()
    if isinstance(greeting, Error):
        raise complained(greeting.error.code or "", origin)
    kind = greeting.kind if isinstance(greeting, Ignored) else str(greeting.__struct_config__.tag)
    words = f"{origin} began with {kind!r} in place of session.created"
    raise EngineError(words, "Is relay.url that of a Realtime endpoint?", code="upstream_malformed")


def _life_s(expires_at: float | None) -> Seconds:
    """How long a new session has. One that is over when it begins tells of clocks that differ, and of nothing else."""
    left_s = (expires_at or 0.0) - time.time()
    return left_s if left_s > 0 else LONGEST_LIFE_S


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
