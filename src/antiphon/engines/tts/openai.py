"""Text to speech by any server with OpenAI's `/audio/speech`, played as it arrives.

It asks for raw PCM, because that has no beginning to wait for. It does not cut text into clauses or
change it.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping

import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.engines.http import Answer, Call, Upstream, UpstreamError, cut_short, error_message, reported

SHORTEST_CHUNK_S = 0.02  # a message on the wire costs as much as 20 ms of sound in it
LONGEST_CHUNK_S = 0.2  # what cannot be taken back once it is handed on
LONGEST_HEADER_BYTES = 4096  # of a WAV file, metadata included


class VoiceOptions(Struct, frozen=True):
    """What differs between servers that speak."""

    model: str | None = None
    """None passes the client's choice on, or else "tts-1", the name that most servers know."""
    voice: str | None = None
    """In place of whatever voice the client asks for."""
    voices: Mapping[str, str] = {}
    """The server's voice for one that a client asks for: {"marin": "af_heart"}. Others are passed on."""
    rate: int = 24_000
    """Samples per second of the server's raw PCM. OpenAI's is 24,000; nothing in it says so."""


class OpenAiTts:
    """`Tts` over HTTP."""

    def __init__(self, upstream: Upstream, options: VoiceOptions | None = None) -> None:
        self._upstream = upstream
        self._options = options or VoiceOptions()
        self.rate = self._options.rate

    async def warm(self) -> None:
        """Open a connection."""
        await self._upstream.warm()

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """See `Tts.speak`. Chunks are 20-200 ms, but for the last one, which may be shorter."""
        if not text.strip():
            return
        async with self._upstream.answer(self._call(text, request)) as answer:
            body = await self._sound(answer)
            silent = True
            async for pcm in _chunks(answer, body, self.rate):
                silent = False
                yield pcm
            if silent and any(character.isalnum() for character in text):
                raise cut_short(self._upstream.origin)

    def _call(self, text: str, request: TtsRequest) -> Call:
        options = self._options
        body = {
            "model": options.model or request.model or "tts-1",
            "input": text,
            "voice": options.voice or options.voices.get(request.voice, request.voice),
            "response_format": "pcm",
            "speed": min(4.0, max(0.25, request.speed)),
        }
        if body["speed"] == 1.0:
            del body["speed"]  # some servers refuse a field that they do not know, and this is what they do anyway
        return Call("/audio/speech", json=body)

    async def _sound(self, answer: Answer) -> bytes:
        """The first bytes of raw sound, once it is sure that sound is what comes."""
        start = await answer.piece() or b""
        if answer.media_type.endswith("json") or _is_json(start):
            raise reported(self._upstream.origin, error_message(start + await answer.body()))
        if answer.media_type.startswith("text/"):
            raise self._unfit(f"text ({answer.media_type})")
        while b"RIFF".startswith(start[:4]) and len(start) < 4 and (more := await answer.piece()):
            start += more
        if start.startswith(b"RIFF"):
            return await self._without_header(start, answer)
        if answer.media_type.startswith("audio/") and answer.media_type.endswith(
            ("mpeg", "mp3", "ogg", "opus", "flac", "aac")
        ):
            raise self._unfit(answer.media_type)
        return start

    async def _without_header(self, start: bytes, answer: Answer) -> bytes:
        """`start` after a WAV header, which says what the sound is, so that it can be held to it."""
        while (header := _WavHeader.read(start)) is None:
            more = await answer.piece()
            if more is None or len(start) > LONGEST_HEADER_BYTES:
                raise self._unfit("a WAV file without sound")
            start += more
        if (header.format, header.channels, header.bits, header.rate) != (1, 1, 16, self.rate):
            raise self._unfit(f"WAV of {header.channels} channels, {header.bits} bits, {header.rate} Hz")
        return start[header.size_bytes :]

    def _unfit(self, what: str) -> UpstreamError:
        return UpstreamError(
            f"{self._upstream.origin} answered with {what}, not 16-bit PCM at {self.rate} Hz",
            "Choose a server or model that can do response_format pcm; if only its rate differs, set tts.rate_hz.",
            code="upstream_format",
        )


def _is_json(start: bytes) -> bool:
    """Whether an error stands where sound should be. Sound that looks like this for 16 samples does not exist."""
    return start.lstrip().startswith(b"{") and start[:32].isascii()


class _WavHeader(Struct, frozen=True):
    format: int
    channels: int
    rate: int
    bits: int
    size_bytes: int
    """Where the sound begins."""

    @classmethod
    def read(cls, data: bytes) -> _WavHeader | None:
        """The header at the start of `data`, or None if it is not all there."""
        position = 12
        form = b""
        while position + 8 <= len(data):
            name, size = struct.unpack_from("<4sI", data, position)
            position += 8
            if name == b"data":
                break
            if name == b"fmt ":
                form = data[position : position + 16]
            position += size + size % 2
        else:
            return None
        if len(form) < 16:
            return None
        format_, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form)
        return cls(format_, channels, rate, bits, position)


async def _chunks(answer: Answer, start: bytes, rate: int) -> AsyncIterator[Pcm]:
    """Samples as soon as there are enough of them. Half a sample waits for its other half; at the very end of
    the answer, where there is none, it is dropped."""
    shortest_bytes = 2 * round(SHORTEST_CHUNK_S * rate)
    longest_bytes = 2 * round(LONGEST_CHUNK_S * rate)
    waiting = bytearray(start)
    ended = False
    while not ended:
        if len(waiting) < shortest_bytes:
            piece = await answer.piece()
            ended = piece is None
            waiting += piece or b""
        while len(waiting) >= shortest_bytes or (ended and len(waiting) >= 2):
            size_bytes = min(len(waiting) // 2 * 2, longest_bytes)
            samples = np.frombuffer(bytes(waiting[:size_bytes]), "<i2")
            del waiting[:size_bytes]
            yield float_from_int16(samples)
