"""A person on the line: speaks recorded sound to a Realtime server in real time, and listens to the answers.

For the demo, the bench and users' own tests. It speaks the wire only (any server of the protocol will do), never
stops sending, because a microphone does not, and plays what it hears on a clock, so that an interruption cuts what
had not been played.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.errors import TransportClosed
from antiphon.testing.checker import Checker

FRAME = WIRE_RATE // 50  # samples in 20 ms, as a browser's microphone gives them
ROOM_DBFS = -50.0  # noise of a quiet room; digital silence is what no microphone delivers

Event = dict[str, Any]


class Caller:
    """Use as `async with`. Lengths in samples at 24 kHz, moments on the event loop's clock."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        seed: int = 0,
        room_dbfs: float = ROOM_DBFS,
        checker: Checker | None = None,
    ) -> None:
        """`checker` sees every message of the call, and is finished by whoever gave it."""
        self.events: list[tuple[float, Event]] = []
        """Everything that the server has said, with the moment it came."""
        self.said: list[tuple[int, Pcm16]] = []
        """What was sent, and where on the recording's ruler."""
        self.played: list[tuple[int, Pcm16]] = []
        """What was heard, cut where the person interrupted."""
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._checker = checker
        self._noise = _noise(seed, room_dbfs)
        self._sent = 0
        self._pending: deque[Pcm16] = deque()
        self._spoken = asyncio.Event()
        self._news = asyncio.Condition()
        self._socket: ClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._began = 0.0
        self._play_end = 0

    async def __aenter__(self) -> Caller:
        tls = None
        if self._url.startswith("wss:"):
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        self._socket = await connect(
            self._url, additional_headers=self._headers, max_size=None, compression=None, ssl=tls
        )
        self._began = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._speak()), asyncio.create_task(self._listen())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    # --- acting

    async def send(self, event: Event) -> None:
        assert self._socket is not None
        if self._checker is not None:
            self._checker.sent(event)
        await self._socket.send(json.dumps(event))

    async def say(self, pcm: Pcm16) -> float:
        """Speak this into the microphone; returns the moment at which its last frame was sent."""
        for start in range(0, pcm.size, FRAME):
            self._pending.append(pcm[start : start + FRAME])
        self._spoken.clear()
        await self._spoken.wait()
        return asyncio.get_running_loop().time()

    async def wait_for(
        self, matches: Callable[[Event], bool], *, since: int = 0, patience_s: float = 20.0
    ) -> tuple[float, Event]:
        """The first event from number `since` on that matches, and when it came. Raises TimeoutError."""
        async with asyncio.timeout(patience_s), self._news:
            checked = since
            while True:
                for moment, event in self.events[checked:]:
                    if matches(event):
                        return moment, event
                checked = len(self.events)
                if self._tasks[1].done():
                    raise TransportClosed("the server hung up", "Look at the server's log for the reason.")
                await self._news.wait()

    async def until_quiet(self) -> None:
        """Wait until everything that was heard so far has been played."""
        await asyncio.sleep(max(0.0, (self._play_end - self._position()) / WIRE_RATE))

    def recording(self) -> tuple[Pcm16, Pcm16]:
        """Both sides of the call, equally long: what was said, and what was played."""
        end = max([start + pcm.size for start, pcm in (*self.said, *self.played)], default=0)
        sides = np.zeros((2, end), np.int16)
        for side, pieces in zip(sides, (self.said, self.played), strict=True):
            for start, pcm in pieces:
                side[start : start + pcm.size] = pcm
        return sides[0], sides[1]

    # --- the two directions

    async def _speak(self) -> None:
        """One frame every 20 ms, by the clock and not by sleeping 20 ms: lateness does not add up."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(0.0, self._began + self._sent / WIRE_RATE - loop.time()))
            frame = self._next_frame()
            self.said.append((self._sent, frame))
            self._sent += FRAME
            audio = base64.b64encode(frame.tobytes()).decode()
            assert self._socket is not None
            await self._socket.send(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')
            if not self._pending:
                self._spoken.set()

    def _next_frame(self) -> Pcm16:
        start = self._sent % self._noise.size
        noise = self._noise[start : start + FRAME]
        if not self._pending:
            return noise
        speech = np.zeros(FRAME, np.int32)
        piece = self._pending.popleft()
        speech[: piece.size] = piece
        mixed: Pcm16 = np.clip(speech + noise, -32768, 32767).astype(np.int16)
        return mixed

    async def _listen(self) -> None:
        assert self._socket is not None
        try:
            async for frame in self._socket:
                event = json.loads(frame)
                if self._checker is not None:
                    self._checker.received(event)
                self._play(event)
                self.events.append((asyncio.get_running_loop().time(), event))
                async with self._news:
                    self._news.notify_all()
        finally:
            async with self._news:
                self._news.notify_all()

    def _play(self, event: Event) -> None:
        match event["type"]:
            case "response.output_audio.delta":
                pcm = np.frombuffer(base64.b64decode(event["delta"]), "<i2")
                start = max(self._play_end, self._position())
                self.played.append((start, pcm))
                self._play_end = start + pcm.size
            case "input_audio_buffer.speech_started":
                self._flush()
            case _:
                pass

    def _flush(self) -> None:
        """Stop playing at once, as clients do when the person starts to speak."""
        now = self._position()
        kept = [(start, pcm[: max(0, now - start)]) for start, pcm in self.played]
        self.played = [(start, pcm) for start, pcm in kept if pcm.size]
        self._play_end = min(self._play_end, now)

    def _position(self) -> int:
        return round((asyncio.get_running_loop().time() - self._began) * WIRE_RATE)


def _noise(seed: int, dbfs: float) -> Pcm16:
    """Ten seconds of room, from its seed; a whole number of frames."""
    amplitude = 32768 * 10 ** (dbfs / 20)
    noise = np.random.default_rng(seed).normal(0, amplitude, 500 * FRAME)
    return np.clip(np.round(noise), -32768, 32767).astype(np.int16)
