"""Live transcription over real sockets: every kind of sound, commands, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from calling import refusal, server
from recorder import opus_packets, recorded
from ticking import TickingStt, counting
from websockets.asyncio.client import ClientConnection, connect

from antiphon.audio.pcm import int16_from_float
from antiphon.engines.fake import Fail, FakeStt
from antiphon.errors import PeerError
from antiphon.server.run import Running
from antiphon.server.transcribe import read_command

pytestmark = pytest.mark.real


def tone(seconds: float, rate_hz: int = 16_000) -> bytes:
    wave = 9000 * np.sin(2 * np.pi * 300 / rate_hz * np.arange(round(rate_hz * seconds)))
    return bytes(np.round(wave).astype("<i2").tobytes())


def said(start: int, stop: int) -> bytes:
    return int16_from_float(counting(start, stop)).tobytes()


def quiet(seconds: float, rate_hz: int = 16_000) -> bytes:
    return bytes(2 * round(rate_hz * seconds))


@asynccontextmanager
async def captions(made: Running, query: str = "") -> AsyncIterator[ClientConnection]:
    async with connect(made.url.replace("/v1/realtime", f"/ws/transcribe{query}")) as socket:
        assert (await next_message(socket))["type"] == "ready"
        yield socket


async def next_message(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def until(socket: ClientConnection, kind: str, **fields: Any) -> list[dict[str, Any]]:
    """All messages up to the first of this kind with these fields."""
    messages: list[dict[str, Any]] = []
    while True:
        message = await next_message(socket)
        messages.append(message)
        if message["type"] == kind and all(message[name] == value for name, value in fields.items()):
            return messages


async def send(socket: ClientConnection, sound: bytes, size: int = 6400) -> None:
    for start in range(0, len(sound), size):
        await socket.send(sound[start : start + size])


def test_two_utterances_each_with_its_place_and_the_whole_at_the_end() -> None:
    async def talk() -> None:
        async with server(stt=TickingStt()) as made, captions(made, "?language=de") as socket:
            await send(socket, quiet(1) + said(5, 9) + quiet(1) + said(1, 3) + quiet(1))
            *partials, first = await until(socket, "transcription", partial=False)
            assert first["text"] == "five six seven eight"
            assert all(first["text"].startswith(partial["stable"]) for partial in partials)
            assert abs(first["start"] - 0.7) < 0.1
            assert abs(first["end"] - 2.2) < 0.1
            second = (await until(socket, "transcription", partial=False))[-1]
            assert second["text"] == "one two"
            await socket.send(b"END")
            (final,) = await until(socket, "final")
            assert final["text"] == "five six seven eight one two"
            assert [segment["text"] for segment in final["segments"]] == ["five six seven eight", "one two"]
            assert final["transcribe_ms"] >= 0

    asyncio.run(talk())


def test_the_end_comes_in_the_middle_of_a_word() -> None:
    async def talk() -> None:
        async with server(stt=TickingStt()) as made, captions(made) as socket:
            await send(socket, said(3, 5))
            await socket.send(json.dumps({"action": "end"}))
            assert (await until(socket, "final"))[-1]["text"] == "three four"
            await send(socket, said(5, 7))
            await socket.send(b"END")
            assert (await until(socket, "final"))[-1]["text"] == "five six"
            await socket.send(b"END")
            assert (await until(socket, "final"))[-1]["text"] == ""

    asyncio.run(talk())


def test_recorders_and_bare_packets() -> None:
    sound = np.frombuffer(quiet(0.5, 48_000) + tone(1, 48_000) + quiet(1.5, 48_000), np.int16)
    recordings = {form: recorded(sound, form) for form in ("webm", "ogg", "mp4")}
    messages = {
        "": [data[start : start + 1000] for data in recordings.values() for start in range(0, len(data), 1000)],
        "?format=opus": opus_packets(sound),
    }

    async def talk() -> None:
        async with server(stt=FakeStt("recorded")) as made:
            for query, sent in messages.items():
                async with captions(made, query) as socket:
                    for message in sent:
                        await socket.send(message)
                    for number in range(1 if query else len(recordings)):
                        heard = (await until(socket, "transcription", partial=False))[-1]
                        assert heard["text"] == "recorded"
                        assert abs(heard["end"] - 1.7 - 3 * number) < 0.2

    asyncio.run(talk())


def test_packets_that_are_none_are_told() -> None:
    async def talk() -> None:
        async with server() as made, captions(made, "?format=opus") as socket:
            await socket.send(b"\xff\xff\xff")
            await socket.send(b"END")
            error = await next_message(socket)
            assert (error["code"], error["type"]) == ("invalid_audio", "error")
            assert "format=opus" in error["hint"]

    asyncio.run(talk())


def test_silence_reaches_no_recogniser() -> None:
    async def talk() -> None:
        async with server(stt=FakeStt("thanks for watching")) as made, captions(made) as socket:
            await send(socket, quiet(30), 32_000)
            await socket.send(b"END")
            assert [message["type"] for message in await until(socket, "final")] == ["final"]

    asyncio.run(talk())


def test_commands() -> None:
    async def talk() -> None:
        async with server(stt=FakeStt("hello")) as made, captions(made) as socket:
            await socket.send('{"action": "ping"}')
            assert (await next_message(socket))["type"] == "pong"
            await socket.send('{"action": "language", "language": "pt-BR"}')
            assert (await next_message(socket))["language"] == "pt"
            await send(socket, tone(1))
            await socket.send('{"action": "clear"}')
            assert (await until(socket, "cleared"))[-1]["type"] == "cleared"
            await socket.send(b"END")
            assert (await until(socket, "final"))[-1]["text"] == ""

    asyncio.run(talk())


@pytest.mark.parametrize("form", ["webm", "ogg", "mp4"])
@pytest.mark.parametrize("command", ["clear", "end"])
def test_a_recorder_goes_on_after_a_command(form: str, command: str) -> None:
    async def talk() -> None:
        first = quiet(0.5, 48_000) + tone(1, 48_000) + quiet(0.3, 48_000)
        sound = np.frombuffer(first + quiet(0.7, 48_000) + tone(1, 48_000) + quiet(1, 48_000), np.int16)
        data = recorded(sound, form)
        async with server(stt=FakeStt("recorded")) as made, captions(made) as socket:
            half = len(data) * len(first) // (2 * sound.size)
            await send(socket, data[:half], 1000)
            await socket.send(json.dumps({"action": command}))
            await until(socket, "cleared" if command == "clear" else "final")
            await send(socket, data[half:], 1000)
            await socket.send(b"END")
            *_, last = (await until(socket, "final"))[-1]["segments"]
            assert abs(last["end"] - 3.7) < 0.3  # of the 4.5 s that there are: nothing was lost, or heard as noise
            assert abs(last["end"] - last["start"] - 1.3) < 0.4

    asyncio.run(talk())


def test_who_waits_for_words_is_answered_and_who_leaves_is_not_worked_for() -> None:
    async def talk() -> None:
        stt = FakeStt("late", delay_s=60.0)
        async with server(stt=stt) as made, captions(made) as socket:
            await send(socket, tone(1))
            await socket.send(b"END")
            await socket.send('{"action": "ping"}')
            assert (await next_message(socket))["type"] == "pong"
            await socket.close()
            async with asyncio.timeout(10):
                while made.state.captions:  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.01)

    asyncio.run(talk())


def test_a_connection_lasts_no_longer_than_a_session() -> None:
    async def talk() -> None:
        async with server(server__session_limit_s=0.2) as made, captions(made) as socket:
            assert (await next_message(socket))["code"] == "session_expired"
            await socket.wait_closed()
            assert socket.close_code == 1000

    asyncio.run(talk())


def test_mistakes_are_told_and_the_stream_goes_on() -> None:
    async def talk() -> None:
        async with server(stt=FakeStt([Fail("no_luck")])) as made, captions(made) as socket:
            for wrong in ("{", '{"action": "engage"}', '{"action": "language", "language": "Klingon"}'):
                await socket.send(wrong)
                error = await next_message(socket)
                assert error["type"] == "error"
                assert error["hint"]
            await socket.send(b"\x1a\x45\xdf\xa3" + bytes(5000))
            assert (await next_message(socket))["code"] == "invalid_audio"
            await send(socket, tone(0.5) + quiet(1))  # it would be noise, had more of the recording come
            assert (await next_message(socket))["code"] == "invalid_audio"
            for _ in range(2):
                await socket.send(recorded(np.frombuffer(tone(0.5, 48_000) + quiet(1, 48_000), np.int16), "webm"))
                assert (await until(socket, "error", code="no_luck"))[-1]["hint"]

    asyncio.run(talk())


def test_what_the_url_may_say() -> None:
    async def ask() -> None:
        async with server(server__max_sessions=1) as made:
            made.url = made.url.replace("/v1/realtime", "/ws/transcribe")
            for query, param in (
                ("?format=vinyl", "format"),
                ("?rate=7", "rate"),
                ("?rate=15999", "rate"),
                ("?language=!", "language"),
            ):
                status, error = await refusal(made, query)
                assert (status, error["param"]) == (400, param)
            async with connect(made.url):
                status, error = await refusal(made)
                assert (status, error["code"]) == (503, "server_full")

    asyncio.run(ask())


@pytest.mark.parametrize("text", ["", "[1]", '{"action": 7}', '{"x":' + "[" * 5_000])
def test_what_is_no_command_is_refused_in_words(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        read_command(text)
    assert caught.value.code == "invalid_command"
