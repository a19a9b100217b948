"""The load generator against a real server: what it reports is what happened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from calling import KEY, server

from antiphon.audio.units import WIRE_RATE
from antiphon.audio.wav import wav_from_mono
from antiphon.bench import crowd
from antiphon.bench.crowd import Gauge, Live, Wish
from antiphon.bench.line import dial
from antiphon.bench.result import Result, lines, page, spread
from antiphon.bench.run import over_websocket
from antiphon.bench.sound import in_room, recorded, websocket_frame
from antiphon.bench.talker import Plan
from antiphon.errors import ConfigError, TransportClosed
from antiphon.protocol.client import AudioAppend
from antiphon.protocol.codec import decode

HELLO = Path(__file__).parents[1] / "data" / "hello.wav"


def result(**changes: object) -> Result:
    none = spread([])
    plain = Result(
        "ws://x/<script>", 2, 9.0, spread([1.0]), spread([500.0, 700.0]), None, none, none, 3, 1, 0, 0, 0, 0,
        spread([0.5]), 20.0, None, None, [500.0, 700.0],
    )  # fmt: skip
    return msgspec.structs.replace(plain, **changes)


def test_frames_are_what_a_client_would_send() -> None:
    sound = in_room(recorded([HELLO]), -50.0, WIRE_RATE, websocket_frame)
    (sentence,) = sound.sentences
    first = sentence.frames[0]
    assert first[:2] == b"\x81\xfe"
    assert int.from_bytes(first[2:4]) == len(first) - 8
    message = decode(first[8:])
    assert isinstance(message, AudioAppend)
    assert len(message.audio) == 960
    levels = [np.abs(np.frombuffer(decode(frame[8:]).audio, "<i2")).max() for frame in sound.room]  # type: ignore[union-attr]
    assert len(sound.room) == 500
    assert 100 < max(levels) < 1000, "the room is never silent, and nobody speaks in it"
    assert 0 <= sentence.rest_s < 0.02


def test_what_is_no_speech_is_refused(tmp_path: Path) -> None:
    silent, text = tmp_path / "silent.wav", tmp_path / "text.wav"
    silent.write_bytes(wav_from_mono(np.zeros(24_000, np.int16), 24_000))
    text.write_text("hello")
    for path in (silent, text):
        with pytest.raises(ConfigError, match=path.name):
            recorded([path])


def test_a_run_says_when_the_generator_was_the_bottleneck() -> None:
    assert result().warnings == []
    assert "late" in result(generator_late_ms=spread([9.0])).warnings[0]
    busy = result(generator_percent=95.0)
    assert "core" in busy.warnings[0]
    assert any(line.startswith("warning") for line in lines(busy))
    assert "warning" not in page(result())
    assert "core" in page(busy)


def test_the_page_shows_every_answer_and_trusts_no_address() -> None:
    made = page(result())
    assert "<script>" not in made
    assert made.count("<path") == 1
    assert "None." in page(result(all_voice_to_voice_ms=[]))


def test_a_process_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="no process"):
        Gauge(2**22 + 1)


@pytest.mark.real
def test_who_is_refused_is_told_why() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY]) as made:
            with pytest.raises(TransportClosed, match="401"):
                await dial(made.url, None)
            line, took_s = await dial(made.url, KEY)
            assert 0 < took_s < 5
            line.close()
        with pytest.raises(TransportClosed, match="cannot reach"):
            await dial(made.url, None)

    asyncio.run(story())


@pytest.mark.real
@pytest.mark.slow
def test_a_few_callers_are_all_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "PARTING_S", 2.0)
    shown: list[Live] = []
    hello = recorded([HELLO])

    async def story() -> Result:
        async with server() as made:
            wish = Wish(made.url, 3, 6.0, Plan(interrupt_share=0.0), own_ms=500.0)
            return await over_websocket(wish, hello, -50.0, None, shown.append)

    found = asyncio.run(story())
    assert found.turns >= 3
    assert (found.missed, found.errors, found.lost) == (0, 0, 0)
    assert found.voice_to_voice_ms.count == found.turns
    assert found.added_ms is not None
    assert found.added_ms.p50 == pytest.approx(found.voice_to_voice_ms.p50 - 500, abs=0.2)
    assert found.voice_to_voice_ms.p50 > 500, "the silence that ends a turn alone takes that"
    assert shown[-1].answered > 0
