"""The Wyoming service by the protocol's own client, as Home Assistant uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from calling import server
from ticking import TickingStt, counting

from antiphon.audio.pcm import int16_from_float
from antiphon.engines.fake import FakeLlm, FakeTts
from antiphon.engines.registry import Choice, EngineSet
from antiphon.engines.vad.energy import EnergyVad

pytest.importorskip("wyoming")
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeVoice

from antiphon.server.wyoming import WyomingService

pytestmark = pytest.mark.real


@asynccontextmanager
async def client() -> AsyncIterator[AsyncTcpClient]:
    choices = (Choice("stt", "ticking", "it is a test"),)
    engines = EngineSet(EnergyVad(), TickingStt(), FakeLlm(), FakeTts(), choices)
    service = WyomingService(engines, "127.0.0.1", 0)
    port = await service.start()
    try:
        async with AsyncTcpClient("127.0.0.1", port) as made:
            yield made
    finally:
        await service.close()


async def next_event(made: AsyncTcpClient) -> Event:
    async with asyncio.timeout(10):
        event = await made.read_event()
    assert event is not None
    return event


def test_what_we_are() -> None:
    async def ask() -> None:
        async with client() as made:
            await made.write_event(Describe().event())
            info = Info.from_event(await next_event(made))
            assert info.asr[0].models[0].name == "ticking"
            assert info.tts[0].voices
            await made.write_event(Ping(text="hello").event())
            assert Pong.from_event(await next_event(made)).text == "hello"

    asyncio.run(ask())


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_speech_to_text(rate_hz: int) -> None:
    async def ask() -> None:
        async with client() as made:
            for language, start in (("en", 3), ("de", 6)):
                await made.write_event(Transcribe(language=language).event())
                await made.write_event(AudioStart(rate=rate_hz, width=2, channels=1).event())
                sound = counting(start, start + 3).repeat(rate_hz // 16_000)
                data = int16_from_float(sound).tobytes()
                for at in range(0, len(data), 2_000):
                    chunk = AudioChunk(rate=rate_hz, width=2, channels=1, audio=data[at : at + 2_000])
                    await made.write_event(chunk.event())
                await made.write_event(AudioStop().event())
                heard = Transcript.from_event(await next_event(made))
                assert heard.language == language
                assert heard.text == ("three four five" if start == 3 else "six seven eight")

    asyncio.run(ask())


def test_text_to_speech() -> None:
    async def ask() -> None:
        async with client() as made:
            await made.write_event(Synthesize(text="Hello there.", voice=SynthesizeVoice(name="marin")).event())
            start = AudioStart.from_event(await next_event(made))
            assert (start.rate, start.width, start.channels) == (24_000, 2, 1)
            size = 0
            while AudioChunk.is_type((event := await next_event(made)).type):
                size += len(AudioChunk.from_event(event).audio)
            assert AudioStop.is_type(event.type)
            assert abs(size / 48_000 - 12 / 15) < 0.01

    asyncio.run(ask())


def test_mistakes_are_told_and_the_connection_goes_on() -> None:
    async def ask() -> None:
        async with client() as made:
            await made.write_event(AudioStart(rate=16_000, width=4, channels=1).event())
            assert Error.from_event(await next_event(made)).code == "invalid_audio"
            await made.write_event(Event(type="audio-start", data={}))
            assert Error.is_type((await next_event(made)).type)
            await made.write_event(Ping().event())
            assert Pong.is_type((await next_event(made)).type)

    asyncio.run(ask())


def test_the_server_has_the_service_when_it_is_asked_for() -> None:
    async def ask() -> None:
        async with server(server__wyoming_port=0):
            pass

    asyncio.run(ask())
