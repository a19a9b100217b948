"""A client of a session in this process: the server's own WebSocket transport, over a socket that is two queues.

For tests that want the whole way of a message, from text to text, under virtual time: decoding, the session, its
runtime and encoding are the real ones, and nothing waits for a network. Every message of both sides goes through the
trace checker. It does not know engines; the session's runtime is handed in.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.websockets import WebSocket

from antiphon.audio.units import Seconds
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.testing.checker import Checker, Judge
from antiphon.transport.resumable import ResumableLink
from antiphon.transport.websocket import WebSocketLink

UNREAD_FRAMES = 1000  # of the client's that the server has not read yet: it reads whenever the client waits
EXPIRES_AT = 1_800_000_000  # seconds since 1970: what the messages say, under a clock that knows no date

NO_GOODBYE = 1006

Message = dict[str, Any]


class Wire:
    """What lies under one socket: two queues, until it breaks."""

    def __init__(self, from_server: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        self.frames: asyncio.Queue[Message] = asyncio.Queue(UNREAD_FRAMES)
        """The client's, which the server has not read."""
        self.is_broken = False
        self._from_server = from_server
        self.socket = WebSocket({"type": "websocket", "headers": []}, self.frames.get, self._carry)

    async def open(self) -> None:
        self.frames.put_nowait({"type": "websocket.connect"})
        await self.socket.accept()

    def hang_up(self, code: int) -> None:
        self.frames.put_nowait({"type": "websocket.disconnect", "code": code})

    def break_off(self) -> None:
        """Nothing arrives any more, on either side, and the server finds out."""
        self.is_broken = True
        self.hang_up(NO_GOODBYE)

    async def _carry(self, frame: Mapping[str, Any]) -> None:
        if self.is_broken:
            raise OSError("the wire is broken")
        await self._from_server(frame)


class Loopback:
    """Use as `async with`. What is sent is acted on while the caller waits: see `settle`."""

    def __init__(
        self,
        drive: Drive,
        name: str = "loopback",
        *,
        with_sound: bool = True,
        judge: Judge | None = None,
        reads: Callable[[Message], Awaitable[None]] | None = None,
        resume_s: Seconds = 0.0,
    ) -> None:
        """Without sound, the rules are those of a call, where the server plays. `judge` is asked about every message of
        the server; see `checker.official_judge`. `reads` is awaited with each of them before the next one is taken: a
        client that is slow takes its time there. A connection that breaks may come back within `resume_s`; with 0 it is
        over."""
        self.received: list[Message] = []
        """Everything that the server has said."""
        self.checker = Checker("websocket" if with_sound else "webrtc", judge)
        self.close_code: int | None = None
        """Of the WebSocket, once the server has closed it."""
        self.why: str | None = None
        """Why the connection ended, in the transport's words; None while it lasts."""
        self._drive = drive
        self._name = name
        self._with_sound = with_sound
        self._reads = reads
        self._resume_s = resume_s
        self._link: ResumableLink | None = None
        self._wire = Wire(self._from_server)
        self._visits: list[asyncio.Task[bool]] = []
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Loopback:
        self._life = asyncio.create_task(self._serve(), name=f"loopback {self._name}")
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hangs up, and raises what broke in the transport, if anything did."""
        assert self._life is not None
        if not self._life.done():
            self._wire.hang_up(1000)
        await self._life
        await asyncio.gather(*self._visits)

    # --- acting

    def send(self, message: Mapping[str, Any]) -> None:
        """One message, which may be wrong: a server has to bear it."""
        self.checker.sent(message)
        self._wire.frames.put_nowait({"type": "websocket.receive", "text": msgspec.json.encode(message).decode()})

    def send_text(self, text: str) -> None:
        """One text frame that is no JSON object."""
        self.checker.sent_unreadable()
        self._wire.frames.put_nowait({"type": "websocket.receive", "text": text})

    def append(self, sound: bytes) -> None:
        """More sound, in the session's input format."""
        self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()})

    def lose(self) -> None:
        """The network is gone."""
        self._wire.break_off()

    async def come_back(self, by: Callable[[WebSocket], Awaitable[WebSocket]] | None = None) -> bool:
        """Over another socket, having got all that was received so far. False if that is too late. `by` takes that
        socket to the session, which sees the one that it returns."""
        assert self._link is not None, "only a connection with resume_s comes back"
        last = next((message["event_id"] for message in reversed(self.received)), "")
        self._wire = Wire(self._from_server)
        await self._wire.open()
        socket = self._wire.socket if by is None else await by(self._wire.socket)
        visit = asyncio.create_task(self._link.resume(socket, last), name=f"visit {self._name}")
        self._visits.append(visit)
        await self.settle()
        return not visit.done() or visit.result()

    async def settle(self, seconds: Seconds = 0.001) -> None:
        """Let this much time pass. Under virtual time, what was sent has been acted on and answered by then."""
        await asyncio.sleep(seconds)

    async def wait_for(self, matches: Callable[[Message], bool], patience_s: Seconds = 30.0) -> Message:
        """The first message, of all that ever came, that matches. Raises TimeoutError."""
        for _ in range(round(patience_s / 0.02)):
            for message in self.received:
                if matches(message):
                    return message
            await self.settle(0.02)
        raise TimeoutError(f"no such message within {patience_s} s")

    # --- the server's side

    async def _serve(self) -> None:
        await self._wire.open()
        projection = Projection(self._name, EXPIRES_AT, with_additions=True, with_sound=self._with_sound)
        link = WebSocketLink(self._name, self._wire.socket, projection, lambda _: True)
        if self._resume_s:
            link = self._link = ResumableLink(
                self._name, self._wire.socket, projection, lambda _: True, self._name, self._resume_s
            )
        self.why = await link.serve(self._drive)

    async def _from_server(self, frame: Mapping[str, Any]) -> None:
        if frame["type"] == "websocket.close":
            self.close_code = frame["code"]
        elif frame["type"] == "websocket.send":
            message = msgspec.json.decode(frame["text"])
            self.checker.received(message)
            self.received.append(message)
            if self._reads is not None:
                await self._reads(message)
