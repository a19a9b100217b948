"""Sound in every format of the protocol, in and out, and the sound of items, over a real socket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from antiphon.audio.formats import BYTES_PER_SECOND, Kind, write_whole
from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.config import load
from antiphon.engines.api import TtsRequest
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.energy import EnergyVad
from antiphon.server.run import running

pytestmark = pytest.mark.real
KINDS: tuple[Kind, ...] = ("pcm", "pcmu", "pcma")


class Client:
    """A connection that remembers every event."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.events: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while True:
                event: dict[str, Any] = json.loads(await self._socket.recv())
                self.events.append(event)
                assert event["type"] != "error" or kind == "error", event
                if event["type"] == kind:
                    return event


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    engines = EngineSet(EnergyVad(), FakeStt("hello"), FakeLlm("One two three."), FakeTts(), ())
    config = load(None, {}, {"server.port": 0, "server.drain_s": 0.5})
    async with running(config, engines=engines, tools=()) as made:
        await made.state.warmed.wait()
        async with connect(made.url) as socket:
            yield Client(socket)


def tone(seconds: float) -> Pcm16:
    moment = np.arange(round(WIRE_RATE * seconds)) / WIRE_RATE
    wave: Pcm16 = np.round(9000 * np.sin(2 * np.pi * 300 * moment)).astype(np.int16)
    return wave


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def speak(call: Client, kind: Kind) -> None:
    """A turn in messages of 20 ms, faster than real time."""
    data = write_whole(np.concatenate((tone(1.0), np.zeros(WIRE_RATE, np.int16))), kind)
    frame = BYTES_PER_SECOND[kind] // 50
    for start in range(0, len(data), frame):
        await call.send("input_audio_buffer.append", audio=encoded(data[start : start + frame]))


async def choose(call: Client, kind: Kind, detection: dict[str, Any] | None = None) -> dict[str, Any]:
    format = {"type": f"audio/{kind}"}
    heard: dict[str, Any] = {"format": format, "transcription": {}}
    if detection is None:
        heard["turn_detection"] = None
    session = {"type": "realtime", "audio": {"input": heard, "output": {"format": format}}}
    await call.send("session.update", session=session)
    updated: dict[str, Any] = (await call.receive("session.updated"))["session"]
    return updated


@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_in_every_format(kind: Kind) -> None:
    async def story() -> None:
        async with client() as call:
            session = await choose(call, kind, {})
            assert session["audio"]["input"]["format"]["type"] == f"audio/{kind}"
            await speak(call, kind)
            started = await call.receive("input_audio_buffer.speech_started")
            assert started["audio_start_ms"] == 0
            done = (await call.receive("response.done"))["response"]
            assert done["audio"]["output"]["format"]["type"] == f"audio/{kind}"
            deltas = [event for event in call.events if event["type"] == "response.output_audio.delta"]
            sound = b"".join(base64.b64decode(event["delta"]) for event in deltas)
            spoken = np.concatenate([piece async for piece in FakeTts().speak("One two three.", TtsRequest("marin"))])
            seconds = spoken.size / FakeTts().rate
            assert len(sound) / BYTES_PER_SECOND[kind] == pytest.approx(seconds, abs=0.003)

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_is_retrieved_with_its_sound(kind: Kind) -> None:
    async def story() -> None:
        async with client() as call:
            await choose(call, kind)
            data = write_whole(tone(0.5), kind)
            await call.send("input_audio_buffer.append", audio=encoded(data))
            await call.send("input_audio_buffer.commit")
            item_id = (await call.receive("input_audio_buffer.committed"))["item_id"]
            assert "audio" not in (await call.receive("conversation.item.done"))["item"]["content"][0]
            await call.receive("conversation.item.input_audio_transcription.completed")
            await call.send("conversation.item.retrieve", item_id=item_id)
            part = (await call.receive("conversation.item.retrieved"))["item"]["content"][0]
            assert part["transcript"] == "hello"
            assert len(base64.b64decode(part["audio"])) == pytest.approx(len(data), rel=0.01)
            if kind == "pcm":
                assert base64.b64decode(part["audio"]) == data
            await call.send("response.create")
            done = (await call.receive("response.done"))["response"]
            deltas = [event for event in call.events if event["type"] == "response.output_audio.delta"]
            sound = b"".join(base64.b64decode(event["delta"]) for event in deltas)
            await call.send("conversation.item.retrieve", item_id=done["output"][0]["id"])
            part = (await call.receive("conversation.item.retrieved"))["item"]["content"][0]
            assert part["type"] == "output_audio"
            assert len(base64.b64decode(part["audio"])) == pytest.approx(len(sound), rel=0.01)

    asyncio.run(story())


def test_a_truncated_answer_is_retrieved_as_far_as_it_was_heard() -> None:
    async def story() -> None:
        async with client() as call:
            await call.send("response.create")
            item_id = (await call.receive("response.done"))["response"]["output"][0]["id"]
            await call.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=250)
            await call.receive("conversation.item.truncated")
            await call.send("conversation.item.retrieve", item_id=item_id)
            part = (await call.receive("conversation.item.retrieved"))["item"]["content"][0]
            assert len(base64.b64decode(part["audio"])) == 250 * 48

    asyncio.run(story())


def test_an_item_brings_its_own_sound_and_the_model_reads_its_words() -> None:
    async def story() -> None:
        async with client() as call:
            audio = encoded(tone(1.0).tobytes())
            content = [{"type": "input_audio", "audio": audio}]
            item = {"id": "mine", "type": "message", "role": "user", "content": content}
            await call.send("conversation.item.create", item=item)
            added = (await call.receive("conversation.item.added"))["item"]
            assert added["id"] == "mine"
            assert "audio" not in added["content"][0]
            await call.send("response.create", response={"output_modalities": ["text"]})
            await call.receive("response.done")
            await call.send("conversation.item.retrieve", item_id="mine")
            part = (await call.receive("conversation.item.retrieved"))["item"]["content"][0]
            assert part == {"type": "input_audio", "audio": audio, "transcript": "hello"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("content", "code", "param"),
    [
        ([{"type": "input_audio"}], "missing_required_parameter", "item.content[0].audio"),
        ([{"type": "input_audio", "audio": "AAAA"}], "invalid_value", "item.content[0].audio"),
        (
            [{"type": "input_audio", "audio": "AAAAAA=="}, {"type": "input_audio", "audio": "AAAAAA=="}],
            "invalid_value",
            "item.content[1].audio",
        ),
        (
            [{"type": "input_image", "image_url": "http://10.0.0.1/secret.png"}],
            "invalid_value",
            "item.content[0].image_url",
        ),
    ],
)
def test_an_item_that_cannot_be_taken_is_refused_and_nothing_is_kept(
    content: list[dict[str, Any]], code: str, param: str
) -> None:
    async def story() -> None:
        async with client() as call:
            await call.send(
                "conversation.item.create", event_id="e", item={"type": "message", "role": "user", "content": content}
            )
            error = (await call.receive("error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == (code, param, "e")

    asyncio.run(story())
