"""Our recogniser and voice as a Wyoming service, for Home Assistant, on a port of its own.

It translates between Wyoming's events and the engines; the protocol itself is the `wyoming` package's. Home Assistant
finds the end of speech itself, so each transcription is what came between two of its events. The protocol has no keys:
who may reach the port may use it, within bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import reduce
from importlib.metadata import version
from typing import cast

from msgspec import Struct
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize

from antiphon.audio.languages import NAMES
from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.engines.api import Stt, SttRequest, TtsRequest
from antiphon.engines.registry import EngineSet
from antiphon.engines.stt.agreement import WholeOnly, joined
from antiphon.errors import AntiphonError, ConfigError, PeerError
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.utterances import Cutting
from antiphon.media.live import PcmDecoder
from antiphon.runtime.live import Event as Said
from antiphon.runtime.live import Failed, Final, LiveTranscription, raise_first
from antiphon.runtime.speech import spoken
from antiphon.server.transcribe import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS
from antiphon.server.wyoming_events import LONGEST_HEADER_BYTES, read_event

log = logging.getLogger("antiphon.wyoming")

LONGEST_S: Seconds = 120.0  # of sound between two events: a request, and no dictation
PAUSE_MS = 2_000  # within what is said, which is recognised as one: a request may be thought about
MOST_CONNECTIONS = 32  # at a time; Home Assistant opens one for each thing that is said
ARRIVAL_S: Seconds = 10.0  # for an event that has begun, and for one of ours to be taken
WIDTH_BYTES = 2


def info_of(engines: EngineSet) -> Info:
    """What we are, for who asks."""
    languages = sorted(engines.stt.languages or NAMES)
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
            name=name,
            attribution=own,
            installed=True,
            description=name,
            version=version("antiphon"),
            languages=_spoken_by(engines, name),
        )
        for name in (voices() if voices is not None else None) or ["marin"]
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


def _spoken_by(engines: EngineSet, voice: str) -> list[str]:
    """A voice's languages; all that have a name here, where the engine does not know."""
    known = getattr(engines.tts, "languages_of", None)
    return sorted((known(voice) if known is not None else ()) or NAMES)


class Listening:
    """To what comes between two events. Only what the detector calls a voice is recognised."""

    def __init__(self, hub: HearingHub, stt: Stt, decoder: PcmDecoder, language: str | None) -> None:
        self._decoder = decoder
        self._language = language
        self._finals: list[Final] = []
        self._failures: list[Failed] = []
        self._is_full = False
        request = SttRequest(language, purpose="conversation")
        self._live = LiveTranscription(hub, WholeOnly(stt), self._take, request, Cutting(PAUSE_MS))

    async def hear(self, data: bytes) -> None:
        """Takes as long as the detector does. Raises `PeerError` once, when it is too long; more is left out."""
        if self._is_full:
            return
        await self._live.push(await self._decoder.feed(data))
        if self._live.position_s > LONGEST_S:
            self._is_full = True
            raise PeerError(
                f"this is more than {LONGEST_S:.0f} s of sound: what follows is left out",
                "Send audio-stop after each thing that is said. /ws/transcribe takes sound of any length.",
                code="request_too_large",
            )

    async def transcript(self) -> Transcript:
        """Of all of it; empty if nobody spoke. Raises `EngineError`."""
        await self._live.push(await self._decoder.finish())
        await self._live.end()
        raise_first(self._failures)
        text = reduce(joined, (final.text for final in self._finals), "")
        heard = next((final.language for final in self._finals if final.language), self._language)
        return Transcript(text, language=heard)

    async def close(self) -> None:
        await self._live.close()

    async def _take(self, event: Said) -> None:
        match event:
            case Final():
                self._finals.append(event)
            case Failed():
                self._failures.append(event)


class Service(Struct, frozen=True):
    """What every connection is served with."""

    engines: EngineSet
    hub: HearingHub
    info: Info


class Conversation:
    """One connection, served by one task."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._engines = service.engines
        self._hub = service.hub
        self._info = service.info.event()
        self._language: str | None = None
        self._listening: Listening | None = None

    async def serve(self, idle_s: Seconds) -> None:
        """Act on one event after the other, until the other side leaves, says nothing for so long, or sends what
        cannot be read. Cancelling ends it at once."""
        try:
            while (event := await self._next(idle_s)) is not None:
                await self._take(event)
        except PeerError as error:
            log.info("a connection is closed: %s", error.message)
            await self._refuse(error)
        except TimeoutError:
            log.info("a connection is closed: it sent half an event, or did not take one of ours, for too long")
        finally:
            await self._stop_listening()

    async def _next(self, idle_s: Seconds) -> Event | None:
        """Raises `PeerError`, and `TimeoutError` for an event that does not arrive."""
        try:
            async with asyncio.timeout(idle_s):
                first = await self._reader.read(1)
        except TimeoutError:
            return None
        if not first:
            return None
        async with asyncio.timeout(ARRIVAL_S):
            return await read_event(self._reader, first)

    async def _take(self, event: Event) -> None:
        """What is wrong with it is told, and the connection goes on."""
        try:
            await self._act(event)
        except AntiphonError as error:
            await self._refuse(error)
        except (KeyError, TypeError, ValueError) as error:
            hint = "See the protocol's description."
            await self._refuse(PeerError(f"This {event.type[:40]} cannot be read: {error}.", hint, code=None))

    async def _refuse(self, error: AntiphonError) -> None:
        await self._send(Error(text=error.told, code=_code(error)).event())

    async def _send(self, event: Event) -> None:
        async with asyncio.timeout(ARRIVAL_S):
            await async_write_event(event, self._writer)

    async def _act(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self._send(self._info)
        elif Ping.is_type(event.type):
            await self._send(Pong(text=Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._language = Transcribe.from_event(event).language
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            await self._begin(start.rate, start.width, start.channels)
        elif AudioChunk.is_type(event.type):
            await self._hear(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            await self._recognise()
        elif Synthesize.is_type(event.type):
            await self._speak(Synthesize.from_event(event))

    async def _begin(self, rate_hz: int, width: int, channels: int) -> Listening:
        if width != WIDTH_BYTES:
            raise PeerError(f"samples of {width} bytes", "Send 16-bit samples.", code="invalid_audio")
        if not LOWEST_RATE <= rate_hz <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
            raise PeerError(
                f"{channels} channels at {rate_hz} Hz",
                f"Send up to {MOST_CHANNELS} channels at {LOWEST_RATE} to {HIGHEST_RATE} Hz.",
                code="invalid_audio",
            )
        await self._stop_listening()
        decoder = PcmDecoder(rate_hz, channels)
        self._listening = Listening(self._hub, self._engines.stt, decoder, self._language)
        return self._listening

    async def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.close()

    async def _hear(self, chunk: AudioChunk) -> None:
        listening = self._listening or await self._begin(chunk.rate, chunk.width, chunk.channels)
        await listening.hear(chunk.audio)

    async def _recognise(self) -> None:
        heard = Transcript("", language=self._language)
        try:
            if self._listening is not None:
                heard = await self._listening.transcript()
        finally:
            await self._stop_listening()
        await self._send(heard.event())

    async def _speak(self, asked: Synthesize) -> None:
        voice = asked.voice
        name, language = (voice.name or "marin", voice.language) if voice is not None else ("marin", None)
        form = {"rate": WIRE_RATE, "width": WIDTH_BYTES, "channels": 1}
        await self._send(AudioStart(**form).event())
        sound = cast(
            "AsyncGenerator[Pcm16, None]", spoken(asked.text, self._engines.tts, TtsRequest(name, language=language))
        )
        try:
            async with aclosing(sound):
                async for pcm in sound:
                    await self._send(AudioChunk(audio=pcm.astype("<i2", copy=False).tobytes(), **form).event())
        finally:
            await self._send(AudioStop().event())


def _code(error: AntiphonError) -> str:
    return getattr(error, "code", None) or "invalid_event"


class WyomingService:
    """The service on one port of this machine, until it is closed."""

    def __init__(self, engines: EngineSet, hub: HearingHub, host: str, port: int, idle_s: Seconds = 600.0) -> None:
        """A connection that says nothing for `idle_s` is closed."""
        self._engines = engines
        self._hub = hub
        self._where = (host, port)
        self._idle_s = idle_s
        self._service: Service | None = None
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Begin to listen; the port. Raises `ConfigError`."""
        info = await asyncio.to_thread(info_of, self._engines)
        self._service = Service(self._engines, self._hub, info)
        host, port = self._where
        try:
            self._server = await asyncio.start_server(self._meet, host, port, limit=LONGEST_HEADER_BYTES)
        except OSError as error:
            raise ConfigError(f"the Wyoming port cannot be opened: {error.strerror}", "Choose another one.") from None
        return int(self._server.sockets[0].getsockname()[1])

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="wyoming")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._service is not None
        try:
            if len(self._serving) > MOST_CONNECTIONS:
                log.warning("a connection is turned away: there are %d already", MOST_CONNECTIONS)
                return
            await Conversation(self._service, reader, writer).serve(self._idle_s)
        except OSError:
            log.info("a connection broke")
        except Exception:  # the border of the connection
            log.exception("a connection broke")
        finally:
            # Whoever does not read would otherwise keep what we have written to it.
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def close(self) -> None:
        """Nobody is listened to any more, and the connections are closed."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
