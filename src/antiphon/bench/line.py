"""One caller's WebSocket, cheap enough that one process has hundreds: frames that are ready go out as they are, and of
what comes in only the kind and the length of the sound are read.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import msgspec
from msgspec import Struct
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.uri import WebSocketURI, parse_uri

from antiphon.audio.units import WIRE_RATE, Seconds
from antiphon.bench.talker import Talker
from antiphon.errors import TransportClosed

BASE64_S: Seconds = 3 / 4 / 2 / WIRE_RATE  # of sound in one character
SOUND = ("response.output_audio.delta", "response.audio.delta")  # the second is the Beta's name


class Message(Struct):
    """What is looked at of a message."""

    type: str = ""


class SoundMessage(Message):
    """Of one that brings sound, also that."""

    delta: str = ""


_MESSAGES = msgspec.json.Decoder(Message)
_SOUND_MESSAGES = msgspec.json.Decoder(SoundMessage)


class Line(asyncio.Protocol):
    """Opened by `dial`."""

    def __init__(self, address: WebSocketURI, key: str | None) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the server says that there is a session."""
        self.talker: Talker[bytes] | None = None
        """Told of what comes, once it is there."""
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        self._key = key
        self._talk = ClientProtocol(address, max_size=None)

    def send(self, frame: bytes) -> None:
        """A masked frame, whole."""
        if not self.is_lost:
            self._transport.write(frame)

    def close(self) -> None:
        if not self.is_lost:
            self._talk.send_close()
            self._flush()
            self._transport.close()

    # --- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._talk.connect()
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        self._talk.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._talk.receive_data(data)
        for event in self._talk.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._take(bytes(event.data))
        self._flush()
        refusal = self._talk.handshake_exc
        if refusal is not None and not self.opened.done():
            words = str(refusal) if isinstance(refusal, InvalidHandshake) else type(refusal).__name__
            self.opened.set_exception(
                TransportClosed(f"the server refused a connection: {words}", "Check the address, --key and its limits.")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if not self.opened.done():
            self.opened.set_exception(
                TransportClosed("the server hung up before there was a session", "Look at the server's log.")
            )

    def _take(self, text: bytes) -> None:
        kind, talker = _MESSAGES.decode(text).type, self.talker
        if kind == "session.created" and not self.opened.done():
            self.opened.set_result(None)
        if talker is None:
            return
        if kind in SOUND:
            talker.sound_came(len(_SOUND_MESSAGES.decode(text).delta) * BASE64_S, self._loop.time())
        elif kind == "input_audio_buffer.speech_started":
            talker.voice_noticed(self._loop.time())
        elif kind == "response.done":
            talker.answer_ended(self._loop.time())
        elif kind == "error":
            talker.complained()

    def _flush(self) -> None:
        for data in self._talk.data_to_send():
            if data:
                self._transport.write(data)


def tls_to(host: str | None) -> ssl.SSLContext:
    """Strict, as a key is shown to the server; but not on this machine, where one under test signs for itself."""
    context = ssl.create_default_context()
    if host in ("localhost", "127.0.0.1", "::1"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def dial(url: str, key: str | None, patience_s: Seconds = 10.0) -> tuple[Line, Seconds]:
    """Open a session. Returns its line, and how long that took. Raises `TransportClosed`."""
    address, loop = parse_uri(url), asyncio.get_running_loop()
    tls = tls_to(address.host) if address.secure else None
    before = loop.time()
    try:
        async with asyncio.timeout(patience_s):
            _, line = await loop.create_connection(lambda: Line(address, key), address.host, address.port, ssl=tls)
            await line.opened
    except TimeoutError:
        raise TransportClosed(
            f"no session within {patience_s:.0f} s", "Is it a Realtime server, and is there room?"
        ) from None
    except OSError as error:
        raise TransportClosed(f"cannot reach {url}: {error}", "Start the server, and check its address.") from None
    return line, loop.time() - before
