"""Our recogniser and voice as a Wyoming service, for Home Assistant, on a port of its own.

It translates between Wyoming's events and the engines; the protocol itself is the `wyoming` package's. Home Assistant
finds the end of speech itself, so each transcription is what came between two of its events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from importlib.metadata import version
from typing import Any, cast

import numpy as np
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from wyoming.tts import Synthesize

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm16
from antiphon.engines.api import SttRequest, TtsRequest
from antiphon.engines.registry import EngineSet
from antiphon.engines.stt.agreement import final
from antiphon.errors import AntiphonError, ConfigError, PeerError
from antiphon.media.live import PcmDecoder
from antiphon.runtime.speech import spoken

log = logging.getLogger("antiphon.wyoming")

LONGEST_S = 120.0  # of speech between two events; what comes after it is left out
FALLBACK_LANGUAGES = ("en",)
WIDTH_BYTES = 2


def info_of(engines: EngineSet) -> Info:
    """What we are, for who asks."""
    languages = sorted(engines.stt.languages or FALLBACK_LANGUAGES)
    own = Attribution(name="Antiphon", url="https://pypi.org/project/antiphon/")
    names = {choice.role: choice.name for choice in engines.choices}
    voices = getattr(engines.tts, "voices", None)
    model = AsrModel(
        name=names.get("stt", "antiphon"),
        attribution=own,
        installed=True,
        description="Antiphon's recogniser",
        version=version("antiphon"),
        languages=languages,
    )
    listed = [
        TtsVoice(
            name=name, attribution=own, installed=True, description=name, version=version("antiphon"), languages=["en"]
        )
        for name in (voices() if voices is not None else ["marin"])
    ]
    return Info(
        asr=[
            AsrProgram(
                name="antiphon",
                attribution=own,
                installed=True,
                description="Antiphon",
                version=version("antiphon"),
                models=[model],
            )
        ],
        tts=[
            TtsProgram(
                name="antiphon",
                attribution=own,
                installed=True,
                description="Antiphon",
                version=version("antiphon"),
                voices=listed,
            )
        ],
    )


class Conversation(AsyncEventHandler):
    """One connection. Wyoming's server calls `handle_event` with one event after the other."""

    def __init__(
        self, engines: EngineSet, info: Info, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(reader, writer)
        self._engines = engines
        self._info = info.event()
        self._language: str | None = None
        self._decoder: PcmDecoder | None = None
        self._width = WIDTH_BYTES
        self._sound: list[Pcm16] = []
        self._samples = 0

    async def handle_event(self, event: Event) -> bool:
        """Act on one event. What is wrong with it is told, and the connection goes on."""
        try:
            await self._act(event)
        except AntiphonError as error:
            await self.write_event(Error(text=error.told, code=_code(error)).event())
        except (KeyError, TypeError, ValueError) as error:
            await self.write_event(
                Error(text=f"this {event.type} cannot be read: {error}", code="invalid_event").event()
            )
        return True

    async def _act(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(self._info)
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._language = Transcribe.from_event(event).language
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            self._begin(start.rate, start.width, start.channels)
        elif AudioChunk.is_type(event.type):
            await self._hear(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._recognise()
        elif Synthesize.is_type(event.type):
            await self._speak(Synthesize.from_event(event))

    def _begin(self, rate_hz: int, width: int, channels: int) -> None:
        if width != WIDTH_BYTES:
            raise PeerError(f"samples of {width} bytes", "Send 16-bit samples.", code="invalid_audio")
        self._decoder = PcmDecoder(rate_hz, channels)
        self._sound, self._samples = [], 0

    async def _hear(self, chunk: AudioChunk) -> None:
        if self._decoder is None:
            self._begin(chunk.rate, chunk.width, chunk.channels)
        assert self._decoder is not None
        if self._samples < LONGEST_S * HEARING_RATE:
            pcm = await self._decoder.feed(chunk.audio)
            self._sound.append(pcm)
            self._samples += pcm.size

    async def _recognise(self) -> None:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            self._sound.append(await decoder.finish())
        sound = np.concatenate(self._sound) if self._sound else np.zeros(0, np.int16)
        self._sound, self._samples = [], 0
        request = SttRequest(self._language, purpose="conversation")
        heard = await final(self._engines.stt, float_from_int16(sound), request)
        await self.write_event(Transcript(text=heard.text, language=heard.language or self._language).event())

    async def _speak(self, asked: Synthesize) -> None:
        voice = asked.voice
        name, language = (voice.name or "marin", voice.language) if voice is not None else ("marin", None)
        form = {"rate": WIRE_RATE, "width": WIDTH_BYTES, "channels": 1}
        await self.write_event(AudioStart(**form).event())
        sound = cast(
            "AsyncGenerator[Pcm16, None]", spoken(asked.text, self._engines.tts, TtsRequest(name, language=language))
        )
        try:
            async with aclosing(sound):
                async for pcm in sound:
                    await self.write_event(AudioChunk(audio=pcm.astype("<i2", copy=False).tobytes(), **form).event())
        finally:
            await self.write_event(AudioStop().event())


def _code(error: AntiphonError) -> str:
    return getattr(error, "code", None) or "invalid_event"


class WyomingService:
    """The service on one port of this machine, until it is closed."""

    def __init__(self, engines: EngineSet, host: str, port: int) -> None:
        self._engines = engines
        self._server = AsyncTcpServer(host, port)

    async def start(self) -> int:
        """Begin to listen; the port. Raises `ConfigError`."""
        info = await asyncio.to_thread(info_of, self._engines)
        try:
            await self._server.start(partial(Conversation, self._engines, info))
        except OSError as error:
            raise ConfigError(f"the Wyoming port cannot be opened: {error.strerror}", "Choose another one.") from None
        listening: Any = self._server._server  # the package has no other way to tell which port it took
        return int(listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        await self._server.stop()
