"""A client of a session in this process: the server's own WebSocket transport, over a socket that is two queues.

For tests that want the whole way of a message, from text to text, under virtual time: decoding, the session, its
runtime and encoding are the real ones, and nothing waits for a network. Every message of both sides goes through the
trace checker. It does not know engines; the session's runtime is handed in.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.websockets import WebSocket

from antiphon.audio.units import Seconds
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.testing.checker import Checker, Judge
from antiphon.transport.websocket import WebSocketLink

UNREAD_FRAMES = 1000  # of the client's that the server has not read yet: it reads whenever the client waits
EXPIRES_AT = 1_800_000_000  # seconds since 1970: what the messages say, under a clock that knows no date

Message = dict[str, Any]


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
    ) -> None:
        """Without sound, the rules are those of a call, where the server plays. `judge` is asked about every message of
        the server; see `checker.official_judge`. `reads` is awaited with each of them before the next one is taken: a
        client that is slow takes its time there."""
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
        self._frames: asyncio.Queue[Message] = asyncio.Queue(UNREAD_FRAMES)
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Loopback:
        self._life = asyncio.create_task(self._serve(), name=f"loopback {self._name}")
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hangs up, and raises what broke in the transport, if anything did."""
        assert self._life is not None
        if not self._life.done():
            self._frames.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self._life

    # --- acting

    def send(self, message: Mapping[str, Any]) -> None:
        """One message, which may be wrong: a server has to bear it."""
        self.checker.sent(message)
        self._frames.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def send_text(self, text: str) -> None:
        """One text frame that is no JSON object."""
        self.checker.sent_unreadable()
        self._frames.put_nowait({"type": "websocket.receive", "text": text})

    def append(self, sound: bytes) -> None:
        """More sound, in the session's input format."""
        self.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound).decode()})

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
        socket = WebSocket({"type": "websocket", "headers": []}, self._to_server, self._from_server)
        self._frames.put_nowait({"type": "websocket.connect"})
        await socket.accept()
        projection = Projection(self._name, EXPIRES_AT, with_additions=True, with_sound=self._with_sound)
        link = WebSocketLink(self._name, socket, projection, lambda _: True)
        self.why = await link.serve(self._drive)

    async def _to_server(self) -> Message:
        return await self._frames.get()

    async def _from_server(self, frame: Mapping[str, Any]) -> None:
        if frame["type"] == "websocket.close":
            self.close_code = frame["code"]
        elif frame["type"] == "websocket.send":
            message = json.loads(frame["text"])
            self.checker.received(message)
            self.received.append(message)
            if self._reads is not None:
                await self._reads(message)
