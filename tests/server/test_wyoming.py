"""The Wyoming service by the protocol's own client, as Home Assistant uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import numpy as np
import pytest
from calling import server
from ticking import TickingStt, counting

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import Pcm
from antiphon.config import load
from antiphon.engines.api import Stt, SttRequest, TranscriptDelta
from antiphon.engines.api import Transcript as Transcribed
from antiphon.engines.fake import Fail, FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import Choice, EngineSet
from antiphon.engines.tts.espeak import Espeak
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub

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
async def serving(stt: Stt | None = None) -> AsyncIterator[tuple[WyomingService, int]]:
    choices = (Choice("stt", "ticking", "it is a test"),)
    engines = EngineSet(EnergyVad(), stt or TickingStt(), FakeLlm(), FakeTts(), choices)
    hub = HearingHub(engines.vad)
    service = WyomingService(engines, hub, "127.0.0.1", 0)
    port = await service.start()
    try:
        yield service, port
    finally:
        await service.close()
        assert not hub.streams
        await hub.close()


@asynccontextmanager
async def client(stt: Stt | None = None) -> AsyncIterator[AsyncTcpClient]:
    async with serving(stt) as (_, port), AsyncTcpClient("127.0.0.1", port) as made:
        yield made


async def said(made: AsyncTcpClient, sound: Pcm, rate_hz: int = 16_000) -> None:
    """From start to stop, in pieces."""
    await made.write_event(AudioStart(rate=rate_hz, width=2, channels=1).event())
    data = int16_from_float(sound).tobytes()
    for at in range(0, len(data), 4_000):
        await made.write_event(AudioChunk(rate=rate_hz, width=2, channels=1, audio=data[at : at + 4_000]).event())
    await made.write_event(AudioStop().event())


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
                await said(made, counting(start, start + 3).repeat(rate_hz // 16_000), rate_hz)
                heard = Transcript.from_event(await next_event(made))
                assert heard.language == language
                assert heard.text == ("three four five" if start == 3 else "six seven eight")

    asyncio.run(ask())


def test_the_recogniser_is_not_asked_about_silence() -> None:
    class Asked(FakeStt):
        times = 0

        def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcribed]:
            self.times += 1
            return super().transcribe(pcm, request)

    async def ask() -> None:
        stt = Asked("thank you for watching")
        async with client(stt) as made:
            await said(made, np.zeros(48_000, np.float32))
            assert Transcript.from_event(await next_event(made)).text == ""
            await made.write_event(AudioStop().event())
            assert Transcript.from_event(await next_event(made)).text == ""
            assert stt.times == 0
            await said(made, np.concatenate((np.zeros(16_000, np.float32), counting(3, 5))))
            assert Transcript.from_event(await next_event(made)).text == "thank you for watching"
            assert stt.times == 1

    asyncio.run(ask())


def test_a_request_is_one_with_its_pauses_and_what_is_too_much_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.server.wyoming.LONGEST_S", 4.0)
    pause = np.zeros(16_000, np.float32)

    async def ask() -> None:
        async with client() as made:
            await said(made, np.concatenate((counting(3, 5), pause, counting(5, 6))))
            assert Transcript.from_event(await next_event(made)).text == "three four five"
            await said(made, np.concatenate((counting(3, 5), *(pause for _ in range(4)), counting(5, 6))))
            assert Error.from_event(await next_event(made)).code == "request_too_large"
            assert Transcript.from_event(await next_event(made)).text == "three four"

    asyncio.run(ask())


def test_a_recogniser_that_fails_is_told() -> None:
    async def ask() -> None:
        async with client(FakeStt([Fail("stt_failed"), "three"])) as made:
            for _ in range(2):
                await said(made, counting(3, 4))
            assert Error.from_event(await next_event(made)).code == "stt_failed"
            assert Transcript.from_event(await next_event(made)).text == "three"

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
