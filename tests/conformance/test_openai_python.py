"""The official Python client, unchanged, asynchronous and synchronous; every event passes its strict types."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from stage import House, check_spoken, check_whole, own_python, spoken, whole, whole_through_another

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.config import load
from antiphon.engines.api import TtsRequest
from antiphon.engines.tts.espeak import Espeak
from antiphon.server.run import Running, running

pytestmark = [pytest.mark.real, pytest.mark.slow]
STRICT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
KEY = "a key for tests"
SYNCHRONOUS = own_python("talk_openai_sync.py")
ASYNCHRONOUS = own_python("talk_openai.py")


@pytest.fixture
def serve(tmp_path: Path) -> Callable[[Callable[[AsyncOpenAI], Coroutine[Any, Any, None]]], None]:
    """Runs a story with a client of a server that asks for a key."""
    config = load(
        None,
        {},
        {
            "server.port": 0,
            "server.keys": [KEY],
            "server.drain_s": 1.0,
            "tools.list_path": str(tmp_path / "list.sqlite3"),
        },
    )

    async def whole(story: Callable[[AsyncOpenAI], Coroutine[Any, Any, None]]) -> None:
        async with running(config) as server:
            await ready(server)
            base_url = server.url.replace("ws://", "http://").removesuffix("/realtime")
            async with AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
                await story(client)

    return lambda story: asyncio.run(whole(story))


async def ready(server: Running) -> None:
    await server.state.warmed.wait()


async def speech(text: str) -> bytes:
    """A sentence at 24 kHz, with a second of quiet room after it."""
    voice = Espeak()
    try:
        sound = np.concatenate([chunk async for chunk in voice.speak(text, TtsRequest("en-us", 0.9))])
    finally:
        await voice.close()
    said = np.concatenate((0.5 * resampled(sound, voice.rate, 24_000), np.zeros(36_000, np.float32)))
    return int16_from_float(said + np.random.default_rng(0).normal(0, 0.003, said.size).astype(np.float32)).tobytes()


async def until(connection: Any, kind: str) -> list[Any]:
    """All events up to the first of this kind, each checked against the official types."""
    seen: list[Any] = []
    async with asyncio.timeout(30):
        async for event in connection:
            STRICT.validate_python(event.model_dump(exclude_unset=True))
            seen.append(event)
            assert event.type != "error", event
            if event.type == kind:
                return seen
    raise AssertionError(f"the server hung up before {kind}: {[event.type for event in seen]}")


def test_a_typed_conversation(serve: Callable[..., None]) -> None:
    async def story(client: AsyncOpenAI) -> None:
        async with client.realtime.connect(model="gpt-realtime") as connection:
            assert [event.type for event in await until(connection, "session.created")] == ["session.created"]
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await until(connection, "session.updated")
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "What is 12 times 7?"}],
                }
            )
            await connection.response.create()
            events = await until(connection, "response.done")
            assert [event.type for event in events][:3] == [
                "conversation.item.added",
                "conversation.item.done",
                "response.created",
            ]
            text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            assert text == "That is 84."
            assert events[-1].response.status == "completed"

    serve(story)


ORDER = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "conversation.item.input_audio_transcription.completed",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


def test_a_spoken_conversation(serve: Callable[..., None]) -> None:
    async def story(client: AsyncOpenAI) -> None:
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            )
            await until(connection, "session.updated")
            sound = await speech("what is twelve times seven")
            for start in range(0, len(sound), 4800):
                await connection.input_audio_buffer.append(audio=base64.b64encode(sound[start : start + 4800]).decode())
            events = await until(connection, "response.done")
            seen = [event.type for event in events]
            once = [kind for n, kind in enumerate(seen) if not kind.endswith(".delta") or kind not in seen[:n]]
            assert once == ORDER
            done = next(event for event in events if event.type.endswith("transcription.completed"))
            assert done.transcript == "what is twelve times seven"
            assert events[-1].response.output[0].content[0].transcript == "That is 84."
            audio = b"".join(
                base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta"
            )
            assert 0.5 < len(audio) / 48_000 < 3
            assert np.abs(np.frombuffer(audio, "<i2")).max() > 3000

    serve(story)


def test_a_whole_conversation(sounds: Path, tmp_path: Path) -> None:
    performance = whole(ASYNCHRONOUS, sounds, tmp_path)
    check_whole(performance)


def test_a_whole_conversation_whose_voice_is_another_server(sounds: Path, tmp_path: Path) -> None:
    performance = whole_through_another(ASYNCHRONOUS, sounds, tmp_path)
    check_whole(performance)


def test_a_whole_conversation_of_the_synchronous_client_over_tls(sounds: Path, tmp_path: Path) -> None:
    performance = whole(SYNCHRONOUS, sounds, tmp_path, tls=True)
    check_whole(performance)


def test_a_spoken_question_of_the_synchronous_client_to_the_embedded_engines(sounds: Path, embedded: House) -> None:
    check_spoken(spoken(SYNCHRONOUS, sounds, embedded))
