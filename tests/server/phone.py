"""A person with a WebRTC client: plain aiortc, as a browser would call, for tests over real sockets."""

from __future__ import annotations

import asyncio
import fractions
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from calling import web

from antiphon.audio.units import Pcm16
from antiphon.server.run import Running

RATE_HZ = 48_000
FRAME = RATE_HZ // 50
QUIET = 60  # of 32768, below which a frame is silence


class Microphone(MediaStreamTrack):
    """Silence, until something is said."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pending: deque[Pcm16] = deque()
        self._count = 0
        self._began = asyncio.get_running_loop().time()

    def say(self, pcm: Pcm16) -> None:
        """Speak this, mono at 48 kHz."""
        for start in range(0, pcm.size, FRAME):
            frame = np.zeros(FRAME, np.int16)
            frame[: pcm[start : start + FRAME].size] = pcm[start : start + FRAME]
            self._pending.append(frame)

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._began + self._count * 0.02 - loop.time()))
        samples = self._pending.popleft() if self._pending else np.zeros(FRAME, np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, self._count * FRAME, fractions.Fraction(1, RATE_HZ)
        self._count += 1
        return frame


class Phone:
    """One call."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.channel = self.connection.createDataChannel("oai-events")
        self.events: list[dict[str, Any]] = []
        """All that came, in order."""
        self.heard: list[tuple[float, Pcm16]] = []
        """Frames of sound that were not silent, and when they came."""
        self.call_id = ""
        self._news = asyncio.Condition()
        self._listening: asyncio.Task[None] | None = None
        self.connection.addTrack(self.microphone)
        self.connection.on("track", self._listen)
        self.channel.on("message", self._take)

    async def dial(self, http: httpx.AsyncClient, query: str = "", **parts: Any) -> httpx.Response:
        """Offer a call, as SDP alone or in a form with `parts`, and take the answer if there is one."""
        path = f"/v1/realtime/calls{query}"
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp = self.connection.localDescription.sdp
        if parts:
            form = {"sdp": (None, sdp, "application/sdp")}
            form |= {name: (None, json.dumps(value), "application/json") for name, value in parts.items()}
            answer = await http.post(path, files=form)
        else:
            answer = await http.post(path, content=sdp, headers={"Content-Type": "application/sdp"})
        if answer.status_code == 201:
            self.call_id = answer.headers["location"].rpartition("/")[2]
            await self.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        return answer

    def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def receive(self, kind: str, since: int = 0, patience_s: float = 30.0) -> dict[str, Any]:
        """The first event of this kind, from number `since` on. An error on the way to it fails the test."""
        async with asyncio.timeout(patience_s), self._news:
            checked = since
            while True:
                for event in self.events[checked:]:
                    if event["type"] == kind:
                        return event
                    assert event["type"] != "error", event
                checked = len(self.events)
                await self._news.wait()

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def hang_up(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.AudioFrame)
            pcm = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0].astype(np.int16)
            if np.abs(pcm.astype(np.int32)).max() > QUIET:
                self.heard.append((asyncio.get_running_loop().time(), pcm))

    def _take(self, message: str | bytes) -> None:
        self.events.append(json.loads(message))
        asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def phone(
    made: Running, key: str | None = None, *, query: str = "", first: str = "session.created", **parts: Any
) -> AsyncIterator[Phone]:
    """A call that is connected. `first` is the message that it begins with."""
    one = Phone()
    async with web(made, key) as http:
        try:
            answer = await one.dial(http, query, **parts)
            assert answer.status_code == 201, answer.text
            await one.receive(first)
            yield one
        finally:
            await one.hang_up()


def tone48(seconds: float, hz: float = 300.0) -> Pcm16:
    """A tone that counts as speech, at 48 kHz."""
    wave = 9000 * np.sin(2 * np.pi * hz / RATE_HZ * np.arange(round(RATE_HZ * seconds)))
    return np.asarray(np.round(wave), np.int16)
