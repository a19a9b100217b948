"""A stage under virtual time: our client, a relayed session, and the server that is its voice, which a test plays.

The session, its drive and the client's transport are the real ones; only the connection to the other server is two
lists.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from antiphon.audio.units import Pcm16, Seconds
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.vad.energy import EnergyVad
from antiphon.errors import EngineError
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.relay.session import RelaySession
from antiphon.runtime.drive import Drive, Equipment
from antiphon.runtime.relay import RelayDrive
from antiphon.runtime.upstream import Counts, Ear
from antiphon.runtime.workers import Engines
from antiphon.session import inputs
from antiphon.session.ids import Ids
from antiphon.session.outputs import Output
from antiphon.session.settings import FunctionTool, Relaying, SessionConfig, Settings, Transcription
from antiphon.testing.loopback import Loopback
from antiphon.tools.api import ToolContext
from antiphon.tools.registry import Registry
from antiphon.tools.runner import Workroom

Message = dict[str, Any]
FRAME = 480  # samples in 20 ms
SECOND = np.zeros(24_000, np.int16)


class Voice:
    """One connection to the other server, from its side."""

    def __init__(self) -> None:
        self.opened: Seconds = asyncio.get_running_loop().time()
        self.heard: list[Message] = []
        """All that it was told, but for sound."""
        self.sound = bytearray()
        """All that it was sent to hear."""
        self.is_left = False
        self._ear: Ear | None = None
        self._numbers = 0

    # --- what the drive does with it

    def listen(self, ear: Ear | None) -> None:
        self._ear = ear

    def send(self, event: Mapping[str, Any]) -> None:
        message = json.loads(msgspec.json.encode(event))
        if message["type"] == "input_audio_buffer.append":
            self.sound += base64.b64decode(message["audio"])
        else:
            self.heard.append(message)

    def close(self) -> None:
        self.is_left = True
        self._ear = None

    async def gone(self) -> None:
        self.close()

    # --- what it does

    def say(self, kind: str, **fields: Any) -> None:
        self._numbers += 1
        self.frame(json.dumps({"type": kind, "event_id": f"event_{self._numbers}", **fields}))

    def frame(self, text: str | bytes) -> None:
        if self._ear is not None:
            self._ear.take_frame(text)

    def hang_up(self, code: str = "upstream_closed") -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.upstream_gone(self, EngineError("the voice is gone", "Nothing.", code=code))

    def asked(self, kind: str) -> list[Message]:
        return [message for message in self.heard if message["type"] == kind]

    def confirm_updates(self) -> None:
        for _ in self.asked("session.update"):
            self.say("session.updated", session={"id": "sess_there"})

    def hear_turn(self, item_id: str, start_ms: int, end_ms: int, words: str | None = None) -> None:
        """Its detector finds a turn, and makes an item of it."""
        self.say("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=start_ms)
        self.say("input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=end_ms)
        self.commit(item_id)
        if words is not None:
            self.transcribe(item_id, words)

    def commit(self, item_id: str) -> None:
        self.say("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)
        item = {"id": item_id, "type": "message", "role": "user", "content": [{"type": "input_audio"}]}
        self.say("conversation.item.added", item=item, previous_item_id=None)

    def transcribe(self, item_id: str, words: str) -> None:
        kind = "conversation.item.input_audio_transcription.completed"
        self.say(kind, item_id=item_id, content_index=0, transcript=words)

    def begin(self, response_id: str, **fields: Any) -> None:
        response = {"id": response_id, "status": "in_progress", "conversation_id": "conv_there", **fields}
        self.say("response.created", response=response)

    def begin_message(self, response_id: str, item_id: str) -> None:
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        self.say("response.output_item.added", response_id=response_id, output_index=0, item=item)
        where = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        self.say("response.content_part.added", part={"type": "audio"}, **where)

    def speak(self, response_id: str, item_id: str, words: str, pcm: Pcm16 = SECOND) -> None:
        where = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
        self.say("response.output_audio_transcript.delta", delta=words, **where)
        self.say("response.output_audio.delta", delta=base64.b64encode(pcm.tobytes()).decode(), **where)

    def end_message(self, response_id: str, item_id: str, words: str, status: str = "completed") -> None:
        content = [{"type": "output_audio", "transcript": words}]
        item = {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}
        self.say("response.output_item.done", response_id=response_id, output_index=0, item=item)

    def end(self, response_id: str, status: str = "completed", **fields: Any) -> None:
        usage = {"input_tokens": 7, "output_tokens": 5, "input_token_details": {"cached_tokens": 3}}
        response = {"id": response_id, "status": status, "conversation_id": "conv_there", "usage": usage, **fields}
        self.say("response.done", response=response)

    def answer(self, response_id: str, item_id: str, words: str, **fields: Any) -> None:
        """A whole answer, of a second."""
        self.begin(response_id, **fields)
        self.begin_message(response_id, item_id)
        self.speak(response_id, item_id, words)
        self.end_message(response_id, item_id, words)
        self.end(response_id)

    def call(self, response_id: str, item_id: str, name: str, arguments: str, call_id: str | None = None) -> None:
        """It wants a function to be run."""
        call_id = call_id or f"call_{item_id}"
        item = {"id": item_id, "type": "function_call", "call_id": call_id, "name": name}
        self.say(
            "response.output_item.added",
            response_id=response_id,
            output_index=0,
            item={**item, "status": "in_progress", "arguments": ""},
        )
        where = {"response_id": response_id, "item_id": item_id, "output_index": 0, "call_id": call_id}
        self.say("response.function_call_arguments.delta", delta=arguments[:3], **where)
        self.say("response.function_call_arguments.delta", delta=arguments[3:], **where)
        self.say("response.function_call_arguments.done", arguments=arguments, **where)
        done = {**item, "status": "completed", "arguments": arguments}
        self.say("response.output_item.done", response_id=response_id, output_index=0, item=done)

    def grant(self, message: Message) -> dict[str, Any]:
        """What its response for this request says of itself."""
        return {"metadata": message.get("response", {}).get("metadata")}


class House:
    """Where connections come from."""

    def __init__(self, *, warm: bool) -> None:
        self.counts = Counts()
        self.voices: list[Voice] = []
        """All that were given out."""
        self.fault: EngineError | None = None
        """Why none can be had at the moment."""
        self._warm = warm

    def take(self) -> Voice | None:
        return self._give() if self._warm and self.fault is None else None

    async def open(self) -> Voice:
        await asyncio.sleep(0.05)
        if self.fault is not None:
            raise self.fault
        return self._give()

    def _give(self) -> Voice:
        self.voices.append(Voice())
        return self.voices[-1]


class Stage:
    """What a test has in hand."""

    def __init__(self, drive: RelayDrive, client: Loopback, house: House) -> None:
        self.drive = drive
        self.client = client
        self.house = house
        self.steps: list[tuple[Seconds, inputs.Input, list[Output]]] = []

    @property
    def voice(self) -> Voice:
        """The connection that was given out last."""
        return self.house.voices[-1]

    async def voice_number(self, count: int) -> Voice:
        """The connection of this number, from 1, once it is there and was told who it is."""
        async with asyncio.timeout(60):
            while len(self.house.voices) < count or not self.house.voices[count - 1].heard:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.house.voices[count - 1]

    async def sound(self, seconds: Seconds) -> None:
        """The person's microphone goes on."""
        for _ in range(round(seconds * 50)):
            await asyncio.sleep(0.02)
            self.client.append(bytes(2 * FRAME))
        await self.client.settle()

    def got(self, kind: str) -> list[Message]:
        return [message for message in self.client.received if message["type"] == kind]

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.client.received]


@asynccontextmanager
async def stage(
    *,
    tools: tuple[Any, ...] = (),
    warm: bool = True,
    config: SessionConfig | None = None,
    fault: EngineError | None = None,
    tts: FakeTts | None = None,
) -> AsyncIterator[Stage]:
    """A client that is connected; `tts` is our own voice. When the block is left, nothing that was said may have broken
    a rule."""
    registry = Registry(tools)
    config = config or SessionConfig(Settings(transcription=Transcription()))
    offers = tuple(
        FunctionTool(one.tool.spec.name, one.tool.spec.description, one.tool.spec.parameters) for one in registry
    )
    config = msgspec.structs.replace(
        config, server_tools=offers, asks_before=registry.asks_before(), relay=config.relay or Relaying("whisper-1")
    )
    hub = HearingHub(EnergyVad(), InPlace())
    engines = Engines(FakeStt(), FakeLlm(), tts or FakeTts())
    house = House(warm=warm)
    house.fault = fault
    steps: list[tuple[Seconds, inputs.Input, list[Output]]] = []
    session = RelaySession(config, Ids(7))
    equipment = Equipment(engines, hub, Workroom(registry))
    records = (lambda now, item, out: steps.append((now, item, out)),)
    drive = RelayDrive(session, equipment, _context, house, records)
    drive.start()
    try:
        async with Loopback(drive) as client:
            made = Stage(drive, client, house)
            made.steps = steps
            yield made
            await client.settle()
            assert not client.checker.faults, client.checker.faults
    finally:
        await drive.close("the story is over")
        await hub.close()
    assert all(voice.is_left for voice in house.voices)
    assert drive.works == 0


def _context(drive: Drive) -> ToolContext:
    return ToolContext(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "en-US", drive.session.id, drive.announce)
