"""What a frame, a turn and a session cost may not grow unnoticed: counted, so that no machine is too slow for it.

The figures are in costs.json, for each version of Python that somebody wrote them with. Where one has grown, either
the change can do with less, or it is worth it: then `make costs` writes the new ones, and they are part of the change.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from counting import counting, weighing
from starlette.websockets import WebSocket

from antiphon.audio.units import WIRE_RATE
from antiphon.engines.api import LlmRequest, UserSaid
from antiphon.engines.failover import FailoverLlm, Link
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.observe.metrics import Metrics
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive, Equipment
from antiphon.runtime.workers import Engines
from antiphon.server.admission import Admission, OwnRoom
from antiphon.server.sessions import Sessions
from antiphon.session.ids import Ids
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig, Settings, Transcription
from antiphon.store.changes import Change
from antiphon.store.drafts import Draft
from antiphon.store.keeping import Keeping
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run
from antiphon.transport.websocket import SHORT_WAY, TakeFrame, WebSocketLink

pytestmark = pytest.mark.slow

WRITTEN = Path(__file__).with_name("costs.json")
WRITE = "ANTIPHON_WRITE_COSTS"
MOST_GROWTH = 1.1
MOST_ELSEWHERE = 1.5
"""On a version of Python without figures of its own."""
FRAME_S = 0.02
FRAME = round(WIRE_RATE * FRAME_S)
KEPT_TURNS = 4

Figures = dict[str, dict[str, float]]


class Wire:
    """The short way between a client and its connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def hear(self, take: TakeFrame | None) -> None:
        self._client.take = take

    async def say(self, texts: Sequence[str]) -> None:
        self._client.messages += texts


class Client:
    """The other end of a connection, without a socket: its frames go the short way, as small ones do."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.take: TakeFrame | None = None
        self._is_gone = asyncio.Event()
        self._has_come = False

    @property
    def scope(self) -> dict[str, Any]:
        return {"type": "websocket", "path": "/", "headers": [], "extensions": {SHORT_WAY: Wire(self)}}

    async def receive(self) -> dict[str, Any]:
        if not self._has_come:
            self._has_come = True
            return {"type": "websocket.connect"}
        await self._is_gone.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self.messages.append(message["text"])

    def leave(self) -> None:
        self._is_gone.set()

    async def say(self, frames: list[str]) -> None:
        for frame in frames:
            await asyncio.sleep(FRAME_S)
            assert self.take is not None
            self.take(frame, b"")

    async def hear(self, kind: str, silence: list[str]) -> None:
        """Send silence until a message of this kind comes."""
        self.messages.clear()
        for _ in range(1000):
            await self.say(silence)
            if any(message.startswith(f'{{"type":"{kind}"') for message in self.messages):
                return
        raise AssertionError(f"no {kind} came")


def frames(seconds: float, amplitude: int) -> list[str]:
    wave = amplitude * np.sin(2 * np.pi * 300 / WIRE_RATE * np.arange(FRAME))
    audio = base64.b64encode(np.round(wave).astype("<i2").tobytes()).decode()
    message = f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
    return [message] * round(seconds / FRAME_S)


QUIET, LOUD = frames(FRAME_S, 40), frames(FRAME_S, 9000)


class House:
    """All of a server that is between its socket and its engines, under virtual time."""

    def __init__(self) -> None:
        self.hub = HearingHub(EnergyVad(), InPlace(), gates=True)
        engines = Engines(FakeStt("hello"), FakeLlm("Hello there, how are you?", 0.1), FakeTts(0.05))
        self.sessions = Sessions(Equipment(engines, self.hub), Admission(OwnRoom(100)), Metrics())

    @asynccontextmanager
    async def caller(self) -> AsyncIterator[Client]:
        """A connection with a session."""
        drive = self.sessions.begin(SessionConfig(Settings(transcription=Transcription())))
        assert isinstance(drive, Drive)
        client = Client()
        socket = WebSocket(client.scope, client.receive, client.send)
        await socket.accept()
        link = WebSocketLink("c1", socket, Projection("c1", expires_at=0), lambda size: True)
        serving = asyncio.create_task(link.serve(drive))
        await asyncio.sleep(0.01)
        try:
            yield client
        finally:
            client.leave()
            await serving
            await self.sessions.end(drive, "lost")


async def exchange(client: Client) -> None:
    """A second of speech, and its answer."""
    await client.say(LOUD * 50)
    await client.hear("response.done", QUIET)


async def counts() -> Figures:
    """Everything that is counted."""
    house = House()
    found: Figures = {}
    async with house.caller() as client:
        await exchange(client)  # what is done once is no part of it
        await client.say(QUIET * 100)
        for name, sound in (("quiet frame", QUIET), ("spoken frame", LOUD)):
            with counting() as count:
                await client.say(sound * 50)
            found[name] = {"instructions": count.instructions / 50, "calls": count.calls / 50}
        await client.hear("response.done", QUIET)
        await client.say(QUIET * 100)
        with counting() as count:
            await exchange(client)
        found["turn"] = {"instructions": count.instructions, "calls": count.calls}
    with counting() as count:
        async with house.caller():
            pass
    found["session"] = {"instructions": count.instructions, "calls": count.calls}
    await house.hub.close()
    return found


async def kept() -> dict[str, float]:
    """What it costs a session that one turn of it is kept, without the thread that writes."""
    async with Conversation(FakeStt("hello"), FakeLlm("Hello there, how are you?", 0.1)) as call:
        for _ in range(KEPT_TURNS):
            await call.exchange()
            await call.pause(3.0)
    session = Session(call.drive.session.config, Ids(7))
    handed: list[Change | Draft] = []
    keeping = Keeping(session.id, session.conversation, handed.append, 0.0, 0.0)
    instructions = calls = 0
    for now, item, _ in call.steps:
        out = session.handle(item, now)
        with counting() as count:
            keeping.record(now, item, out)
        instructions += count.instructions
        calls += count.calls
    assert len(handed) == 3 * KEPT_TURNS, "what was said, its words, and the answer"
    return {"instructions": instructions / KEPT_TURNS, "calls": calls / KEPT_TURNS}


async def chained() -> dict[str, float]:
    """What it costs to ask through a chain whom nobody could take over from, as every server is asked that is alone."""
    llm = FailoverLlm([Link("llm 1", FakeLlm("Hello there, how are you?"), 1.0)])
    with counting() as count:
        async for _ in llm.write(LlmRequest((UserSaid("hello"),))):
            pass
    await llm.close()
    return {"instructions": count.instructions, "calls": count.calls}


async def weights() -> Figures:
    """What stays in memory: for each session, and for each turn of one."""
    house = House()
    async with house.caller() as client:
        await exchange(client)
        with weighing() as held:
            async with house.caller() as second, house.caller() as third:
                await second.say(QUIET * 100)
                await third.say(QUIET * 100)
                session_bytes = held() / 2
            before = held()
            for _ in range(10):
                await exchange(client)
                await client.say(QUIET * 100)
                client.messages.clear()
            turn_bytes = (held() - before) / 10
    await house.hub.close()
    return {"session": {"held_bytes": session_bytes}, "turn": {"held_bytes": turn_bytes}}


def measured() -> Figures:
    found = run(counts()) | {"kept turn": run(kept()), "chained answer": run(chained())}
    for name, figures in run(weights()).items():
        found[name] |= figures
    return found


@pytest.fixture(scope="module")
def figures() -> Figures:
    found = measured()
    if os.environ.get(WRITE):
        known: dict[str, Figures] = msgspec.json.decode(WRITTEN.read_bytes()) if WRITTEN.exists() else {}
        known[version()] = {
            name: {what: round(value, 1) for what, value in sorted(each.items())} for name, each in found.items()
        }
        WRITTEN.write_bytes(msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n")
    return found


def version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def grown(figures: Figures, name: str) -> dict[str, str]:
    """Which of a thing's figures are over what was written down for it, and by how much."""
    known: dict[str, Figures] = msgspec.json.decode(WRITTEN.read_bytes())
    most = MOST_GROWTH if version() in known else MOST_ELSEWHERE
    before = known.get(version()) or known[max(known)]
    return {
        what: f"{before[name][what]:.0f} -> {value:.0f}"
        for what, value in figures[name].items()
        if value > before[name][what] * most
    }


@pytest.mark.parametrize("name", ["quiet frame", "spoken frame", "turn", "kept turn", "chained answer", "session"])
def test_nothing_costs_more_than_it_did(figures: Figures, name: str) -> None:
    more = grown(figures, name)
    assert not more, f"a {name} costs more than it did: {more}. Can it do with less? If it is worth it: make costs"


def test_what_is_counted_is_the_same_each_time() -> None:
    assert run(counts())["quiet frame"] == pytest.approx(run(counts())["quiet frame"], rel=0.01)


def test_more_work_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detour in each frame, of some microseconds."""
    straight: Callable[[Drive, Any], None] = Drive.hear

    def detour(drive: Drive, pcm: Any) -> None:
        for _ in range(50):
            drive.position  # noqa: B018
        straight(drive, pcm)

    monkeypatch.setattr(Drive, "hear", detour)
    assert set(grown(run(counts()), "quiet frame")) == {"calls", "instructions"}
