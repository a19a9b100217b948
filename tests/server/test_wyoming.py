"""The Wyoming service by the protocol's own client, as Home Assistant uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from calling import server
from ticking import TickingStt, counting

from antiphon.audio.pcm import int16_from_float
from antiphon.config import load
from antiphon.engines.fake import FakeLlm, FakeTts
from antiphon.engines.registry import Choice, EngineSet
from antiphon.engines.tts.espeak import Espeak
from antiphon.engines.vad.energy import EnergyVad

pytest.importorskip("wyoming")
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event, async_read_event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeVoice

from antiphon.server.wyoming import WyomingService, info_of

pytestmark = pytest.mark.real


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[WyomingService, int]]:
    choices = (Choice("stt", "ticking", "it is a test"),)
    engines = EngineSet(EnergyVad(), TickingStt(), FakeLlm(), FakeTts(), choices)
    service = WyomingService(engines, "127.0.0.1", 0)
    port = await service.start()
    try:
        yield service, port
    finally:
        await service.close()


@asynccontextmanager
async def client() -> AsyncIterator[AsyncTcpClient]:
    async with serving() as (_, port), AsyncTcpClient("127.0.0.1", port) as made:
        yield made


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


def test_languages_are_the_engines_own() -> None:
    stt = TickingStt()
    stt.languages = None
    info = info_of(EngineSet(EnergyVad(), stt, FakeLlm(), Espeak(), ()))
    assert {"en", "de", "ja"} <= set(info.asr[0].models[0].languages)
    voices = {voice.name: voice.languages for voice in info.tts[0].voices}
    assert voices["de"] == ["de"]
    assert {"en", "fr"} <= set(voices["marin"])
    stt.languages = frozenset({"de"})
    info = info_of(EngineSet(EnergyVad(), stt, FakeLlm(), FakeTts(), ()))
    assert info.asr[0].models[0].languages == ["de"]
    assert info.tts[0].voices


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
            await made.write_event(AudioStart(rate=16_000, width=2, channels=0).event())
            assert Error.from_event(await next_event(made)).code == "invalid_audio"
            await made.write_event(Event(type="audio-start", data={}))
            assert Error.is_type((await next_event(made)).type)
            await made.write_event(Ping().event())
            assert Pong.is_type((await next_event(made)).type)

    asyncio.run(ask())


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def answer_to(made: asyncio.StreamReader) -> Event:
    """What we are told before the connection is closed, which it must be."""
    async with asyncio.timeout(20):
        event = await async_read_event(made)
        assert event is not None
        assert await made.read() == b""
    return event


@pytest.mark.parametrize(
    "sent",
    [
        b'{"type": "audio-chunk", "payload_length": 4000000000}\n',
        b'{"type": "audio-chunk", "payload_length": -1}\n',
        b'{"type": "synthesize", "data_length": 1000000}\n',
        b'{"type": "ping", "data_length": 3}\n[7]',
        b"no event\n",
        b"[1, 2]\n",
        b'{"typ": "ping"}\n',
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b"x" * 66_000,
    ],
)
def test_what_is_no_event_or_too_large_for_one_is_refused_in_words_and_not_kept(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "antiphon.wyoming")

    async def ask() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            told = Error.from_event(await answer_to(reader))
            assert told.code == "invalid_event"
            assert "no event of Wyoming" in told.text
            await hang_up(writer)

    asyncio.run(ask())
    assert "no event of Wyoming" in caplog.text


def test_half_an_event_is_not_waited_for_without_end_nor_are_there_connections_without_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.server.wyoming.ARRIVAL_S", 0.05)
    monkeypatch.setattr("antiphon.server.wyoming.MOST_CONNECTIONS", 2)

    async def ask() -> None:
        async with serving() as (service, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b'{"type": "audio-chunk", "payload_length": 1000}\n')
            async with asyncio.timeout(20):
                assert await reader.read() == b""
                while service._serving:  # noqa: ASYNC110 - the other side's end of it, without an event
                    await asyncio.sleep(0.01)
            several = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            async with asyncio.timeout(20):
                assert await several[2][0].read() == b""
            several[0][1].write(b'{"type": "ping"}\n')
            async with asyncio.timeout(20):
                answer = await async_read_event(several[0][0])
            assert answer is not None
            assert Pong.is_type(answer.type)
            for _, each in (*several, (reader, writer)):
                await hang_up(each)

    asyncio.run(ask())


def test_the_service_is_this_machines_unless_another_is_asked_for() -> None:
    assert load(None, {}, {"server.host": "0.0.0.0", "server.wyoming_port": 1}).server.wyoming_host == "127.0.0.1"


def test_the_server_has_the_service_when_it_is_asked_for() -> None:
    async def ask() -> None:
        async with server(server__wyoming_port=0):
            pass

    asyncio.run(ask())
