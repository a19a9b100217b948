"""One WebSocket as a connection of a session: frames in, frames out.

It knows the socket and the Realtime codec, nothing about turns or engines. What comes in is acted on at once, on the
event loop; what goes out waits in a bounded outbox for the socket, so that a slow reader delays only itself and, in
the end, loses its connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from antiphon.audio.formats import SoundReader
from antiphon.errors import PeerError
from antiphon.observe.report import report as timeline_message
from antiphon.observe.timeline import Turn
from antiphon.protocol.client import MAX_APPEND_BYTES
from antiphon.protocol.codec import encode
from antiphon.protocol.inbound import Append, Goodbye
from antiphon.protocol.items import ErrorDetails
from antiphon.protocol.outbound import Outgoing, Projection
from antiphon.protocol.server import Error
from antiphon.runtime.drive import Drive
from antiphon.session import inputs
from antiphon.session.outputs import Notice
from antiphon.transport.requests import no_sound_here, refuse, take_text

log = logging.getLogger("antiphon.transport")

OUTBOX_BYTES = 4 * 1024 * 1024  # about a minute of audio as base64: whoever is further behind is not listening
WRITE_BYTES = 64 * 1024  # in one piece: what a transport takes before it asks for a pause
NO_GOODBYE = 1006  # the code of a connection that broke
FAREWELL_S = 5.0  # for what is left to be said, and the closing handshake; then the connection is dropped


TakeFrame = Callable[[str | None, bytes], None]
"""Called with the text of a message, or with None and its bytes."""
SHORT_WAY = "antiphon.short_way"
"""Name of an extension of the ASGI scope: a `ShortWay`."""


class ShortWay(Protocol):
    """What a server's protocol may offer beside ASGI's `receive` and `send`, for connections with many messages."""

    def hear(self, take: TakeFrame | None) -> None:
        """From now on `take` gets small messages as they come, in order, each after all that came before it; what
        `receive` brings are the others. None ends it."""
        ...

    async def say(self, texts: Sequence[str]) -> None:
        """Send these as messages, in one piece, once there is room. Raises `WebSocketDisconnect` if nobody is there."""
        ...


class Closing(Struct, frozen=True):
    """How a connection is told that it is over. 1001, 1011 and 1013 invite official clients to come again."""

    code: int
    words: str
    """At most 123 bytes: that is all a closing frame holds."""


CLOSINGS = {
    "drain": Closing(1001, "The server is going away."),
    "internal_error": Closing(1011, "The server had an error in this session."),
    "too_slow": Closing(1013, "The connection reads too slowly to follow."),
    "upstream_lost": Closing(1011, "The server that is the voice of this session is lost."),
    "limit": Closing(1008, "This key has sent more than its limit of bytes allows."),
    "minutes_used_up": Closing(1008, "This key has used up its minutes."),
    "idle": Closing(1000, "Nothing was sent for too long."),
    "session_expired": Closing(1000, "The session hit its maximum duration."),
    # Of a call that this connection has joined.
    "hung up": Closing(1000, "The call was hung up."),
    "hung up on request": Closing(1000, "The call was hung up."),
    "lost": Closing(1000, "The call's other side is lost."),
    "not connected in time": Closing(1000, "The call was not connected in time."),
    "no path to the other side was found": Closing(1000, "No path to the call's other side was found."),
    "no data channel was opened": Closing(1000, "The call's client has opened no data channel."),
}
NORMAL = Closing(1000, "")
"""For a client that asked to hang up."""


class WebSocketLink:
    """A `Link` of the session that `drive` runs. `serve` is its life."""

    def __init__(self, name: str, socket: WebSocket, projection: Projection, allow: Callable[[int], bool]) -> None:
        """`allow` is asked with the size of every frame, in bytes, whether its sender's budget has room for it."""
        self.name = name
        self._loop = asyncio.get_running_loop()
        self.last_heard = self._loop.time()
        """When the last frame came, on the loop's clock."""
        self._socket = socket
        self._short_way = short_way_of(socket)
        self._projection = projection
        self._allow = allow
        self._outbox: deque[str] = deque()
        self._outbox_bytes = 0
        self._has_mail = asyncio.Event()
        self._largest_heard = 0
        self._reason: str | None = None
        self._farewell: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[int] | None = None
        self._reader = SoundReader("pcm")

    @property
    def waiting_bytes(self) -> int:
        """Of messages that the socket has not taken yet."""
        return self._outbox_bytes

    # --- what the session's runtime calls

    def show(self, notice: Notice, audio: bytes) -> None:
        if self._reason is not None:
            return
        self._post(self._projection.messages(notice, audio, self._loop.time()))

    def report(self, turn: Turn) -> None:
        if self._reason is None:
            self._post(self._projection.timeline(timeline_message(turn)))

    def _post(self, messages: list[Outgoing]) -> None:
        for message in messages:
            frame = encode(message)
            self._outbox.append(frame)
            self._outbox_bytes += len(frame)
        # An item is shown twice, with its pictures: what the client itself made large is not its slowness.
        if self._outbox_bytes > OUTBOX_BYTES + 2 * self._largest_heard:
            log.warning("connection %s reads too slowly: closed", self.name)
            self._outbox.clear()
            self._outbox_bytes = 0
            self.close("too_slow")
        self._has_mail.set()

    def close(self, reason: str) -> None:
        if self._reason is not None:
            return
        self._reason = reason
        self._has_mail.set()
        self._farewell = self._loop.call_later(FAREWELL_S, self._give_up)

    def _give_up(self) -> None:
        """It is not listening to the farewell either."""
        if self._writer is not None:
            self._writer.cancel()

    # --- its life

    async def serve(self, drive: Drive) -> str:
        """Carry frames both ways until either side ends it. Returns why it ended. Cancelling closes the socket."""
        drive.attach(self)
        try:
            await self._carry(drive)
        finally:
            drive.detach(self)
        return self._reason or "closed by the client"

    async def _carry(self, drive: Drive) -> int:
        """Carry frames until either side ends it. Returns the code with which the client closed, `NO_GOODBYE` if it did
        not."""
        self._short_way.hear(partial(self._heard, drive))
        self._writer = writer = asyncio.create_task(self._write(), name=f"writer {self.name}")
        self._hearing = reader = asyncio.create_task(self._read(drive), name=f"reader {self.name}")
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
            for task in (reader, writer):
                if task.done() and not task.cancelled() and (failure := task.exception()) is not None:
                    raise failure
            return reader.result() if reader.done() and not reader.cancelled() else NO_GOODBYE
        finally:
            self._short_way.hear(None)
            if self._farewell is not None:
                self._farewell.cancel()
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            # What they were cancelled with holds all that they worked on: it would wait for the garbage collector.
            self._writer = self._hearing = None

    async def _read(self, drive: Drive) -> int:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code") or NO_GOODBYE)
            self._heard(drive, message.get("text"), message.get("bytes") or b"")

    def _heard(self, drive: Drive, text: str | None, data: bytes) -> None:
        self.last_heard = self._loop.time()
        if self._reason is None:  # else we have hung up; it may not have heard yet
            self._take(drive, text, data)

    def _take(self, drive: Drive, text: str | None, data: bytes) -> None:
        size = len(text) if text is not None else len(data)
        if not self._allow(size):
            self._refuse(drive, "rate_limit_exceeded", "This key has sent more than its limit of bytes allows.")
            self.close("limit")
            return
        self._largest_heard = max(self._largest_heard, size)
        if text is not None:
            self._take_text(drive, text)
        elif len(data) > MAX_APPEND_BYTES:
            self._refuse(drive, "invalid_value", f"A binary frame may hold {MAX_APPEND_BYTES} bytes of sound.", "audio")
        else:
            self._take_sound(drive, data, None)

    def _take_text(self, drive: Drive, text: str) -> None:
        match take_text(drive, self.name, text):
            case Append(audio, event_id):
                self._take_sound(drive, audio, event_id)
            case Goodbye():
                self.close("closed by the client")
            case None:
                return

    def _take_sound(self, drive: Drive, data: bytes, event_id: str | None) -> None:
        if drive.session.config.plays:
            refuse(drive, self.name, no_sound_here(), event_id)
            return
        kind = drive.session.settings.input_format.kind
        if kind != self._reader.kind:
            self._reader = SoundReader(kind)
        try:
            pcm = self._reader.read(data, "audio")
        except PeerError as error:
            refuse(drive, self.name, error, event_id)
            return
        drive.hear(pcm)

    def _refuse(self, drive: Drive, code: str, message: str, param: str | None = None) -> None:
        drive.put(inputs.Malformed(self.name, None, message, code, param))

    def _some(self) -> list[str]:
        """The next messages out of the outbox, as many as a socket takes at once: at least one."""
        texts: list[str] = []
        size = 0
        while self._outbox and size < WRITE_BYTES:
            texts.append(self._outbox.popleft())
            size += len(texts[-1])
        self._outbox_bytes -= size
        return texts

    async def _write(self) -> None:
        """Send what is in the outbox, in order; once the connection is to end, what is left of it, and close."""
        try:
            while True:
                while self._outbox:
                    await self._short_way.say(self._some())
                if self._reason is not None:
                    closing = CLOSINGS.get(self._reason, NORMAL)
                    await self._socket.close(closing.code, closing.words)
                    return
                self._has_mail.clear()
                await self._has_mail.wait()
        except (WebSocketDisconnect, RuntimeError):
            return  # the client is gone; the reader knows it too


def short_way_of(socket: WebSocket) -> ShortWay:
    """What the server offers, or the same by way of ASGI."""
    found: ShortWay | None = socket.scope.get("extensions", {}).get(SHORT_WAY)
    return found or _LongWay(socket)


class _LongWay:
    """Where there is nothing but ASGI."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    def hear(self, take: TakeFrame | None) -> None:
        """`receive` brings everything."""

    async def say(self, texts: Sequence[str]) -> None:
        for text in texts:
            await self._socket.send_text(text)


async def close_with_error(socket: WebSocket, message: str, code: str, close_code: int) -> None:
    """Tell an accepted connection that will never have a session why, and hang up."""
    details = ErrorDetails(type="invalid_request_error", code=code, message=message)
    try:
        await socket.send_text(encode(Error(event_id="event_refused", error=details)))
        await socket.close(close_code, f"{details.type}.{code}")
    except (WebSocketDisconnect, RuntimeError):
        return  # the client is gone
