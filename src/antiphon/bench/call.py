"""One caller's WebRTC call: a microphone that never stops, an ear that waits for sound, and the data channel.

A caller here costs many times one on a WebSocket (Opus both ways, encryption): some ten in one process.
"""

from __future__ import annotations

import asyncio
import fractions
from urllib.parse import urlsplit, urlunsplit

import av
import httpx
import msgspec
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from antiphon.audio.units import Pcm16, Seconds
from antiphon.bench.line import Message, tls_to
from antiphon.bench.talker import Talker
from antiphon.errors import TransportClosed

RATE_HZ = 48_000
FRAME_S: Seconds = 0.02
AUDIBLE = 60  # of 32768, from which on a frame is no silence
_MESSAGES = msgspec.json.Decoder(Message)


class Call:
    """Opened by `call`."""

    def __init__(self) -> None:
        self.talker: Talker[Pcm16] | None = None
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.microphone = _Microphone()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._listening: asyncio.Task[None] | None = None
        self.connection.addTrack(self.microphone)
        self.connection.on("track", self._listen)
        self.connection.createDataChannel("oai-events").on("message", self._take)

    @property
    def is_lost(self) -> bool:
        return self.connection.connectionState in ("failed", "closed")

    def send(self, frame: Pcm16) -> None:
        """20 ms at 48 kHz, which go out when the connection next asks for some."""
        self.microphone.frame = frame

    async def close(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._hear(track), name="ear of a call")

    async def _hear(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.AudioFrame)
            if self.talker is not None and np.abs(frame.to_ndarray()).max() > AUDIBLE:
                self.talker.sound_came(FRAME_S, self._loop.time())

    def _take(self, text: str) -> None:
        kind, talker = _MESSAGES.decode(text).type, self.talker
        if kind == "session.created" and not self.opened.done():
            self.opened.set_result(None)
        if talker is None:
            return
        if kind == "input_audio_buffer.speech_started":
            talker.voice_noticed(self._loop.time())
        elif kind == "output_audio_buffer.stopped":
            talker.answer_ended(self._loop.time())
        elif kind == "error":
            talker.complained()


class _Microphone(MediaStreamTrack):
    """Gives the newest frame every 20 ms, by the clock."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.frame: Pcm16 = np.zeros(round(RATE_HZ * FRAME_S), np.int16)
        self._count = 0
        self._began = asyncio.get_running_loop().time()

    async def recv(self) -> av.AudioFrame:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._began + self._count * FRAME_S - loop.time()))
        frame = av.AudioFrame.from_ndarray(self.frame.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE_HZ, fractions.Fraction(1, RATE_HZ)
        frame.pts = self._count * self.frame.size
        self._count += 1
        return frame


async def call(url: str, key: str | None, patience_s: Seconds = 20.0) -> tuple[Call, Seconds]:
    """Make a call to the server whose WebSocket is at `url`. Returns it, and how long that took, until its data channel
    told of a session. Raises `TransportClosed`."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    address = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/calls", parts.query, ""))
    headers = {"Content-Type": "application/sdp"} | ({"Authorization": f"Bearer {key}"} if key else {})
    made, loop = Call(), asyncio.get_running_loop()
    before = loop.time()
    try:
        async with asyncio.timeout(patience_s), httpx.AsyncClient(verify=tls_to(parts.hostname)) as http:
            await made.connection.setLocalDescription(await made.connection.createOffer())
            answer = await http.post(address, content=made.connection.localDescription.sdp, headers=headers)
            if answer.status_code != 201:
                raise TransportClosed(
                    f"the server refused a call with {answer.status_code}", "Check the address, --key and its limits."
                )
            await made.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            await made.opened
    except (TimeoutError, httpx.HTTPError) as error:
        await made.close()
        raise TransportClosed(
            f"no call to {address}: {error or 'no session'}", "Is WebRTC switched on there?"
        ) from None
    except TransportClosed:
        await made.close()
        raise
    return made, loop.time() - before
