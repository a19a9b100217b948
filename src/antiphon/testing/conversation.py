"""A whole session with scripted engines, told as a story: talk, pause, hear, expect.

The session, its runtime, the hearing hub and the detector's rules are the real ones; only the detector itself (an
energy detector in place of Silero), the recogniser, the model and the voice are scripted. Run it under
`antiphon.testing.virtual_time.run`. What the story's ear is shown is also put into the words of the wire and held
against the protocol: a story that ends raises if a rule was broken.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import numpy as np

from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.engines.api import Llm, Stt, Tts, TurnModel
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import listener_of
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.observe.timeline import Timeline, Turn
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive, Equipment
from antiphon.runtime.following import Companion
from antiphon.runtime.phrases import KeptPhrases
from antiphon.runtime.workers import Engines
from antiphon.session import outputs
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input
from antiphon.session.outputs import Notice, Output
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig, Settings, Transcription
from antiphon.testing.checker import Checker
from antiphon.tools.api import ServerTool, ToolContext
from antiphon.tools.registry import Registry
from antiphon.tools.runner import Workroom

FRAME = WIRE_RATE // 50
T = TypeVar("T", bound=Notice)


class Ear:
    """A connection that remembers what it was shown, and when."""

    def __init__(self, name: str = "ear") -> None:
        self.name = name
        self.shown: list[tuple[Seconds, Notice]] = []
        self.audio = bytearray()
        self.closed: str | None = None
        self.checker = Checker()
        """Of the messages that a client would have been sent."""
        self._projection = Projection(name, expires_at=0, with_additions=True)

    def show(self, notice: Notice, audio: bytes) -> None:
        self.shown.append((asyncio.get_running_loop().time(), notice))
        self.audio += audio
        for message in self._projection.messages(notice, audio):
            self.checker.received(msgspec.to_builtins(message))

    def report(self, turn: Turn) -> None:
        """Not remembered: the conversation has a timeline of its own."""

    def close(self, reason: str) -> None:
        self.closed = reason


class Conversation:
    """One session on scripted engines. Use as `async with`."""

    def __init__(
        self,
        stt: Stt | None = None,
        llm: Llm | None = None,
        tts: Tts | None = None,
        *,
        config: SessionConfig | None = None,
        tools: tuple[ServerTool, ...] = (),
        turns: TurnModel | None = None,
    ) -> None:
        self.ear = Ear()
        self.steps: list[tuple[Seconds, Input, list[Output]]] = []
        self.timeline = Timeline()
        self._hub = HearingHub(EnergyVad(), InPlace())
        voice = tts or FakeTts()
        ears = stt or FakeStt()
        companion = Companion(listener_of(ears), self._hub)
        engines = Engines(ears, llm or FakeLlm(), voice, KeptPhrases(voice), turns, companion)
        equipment = Equipment(engines, self._hub, Workroom(Registry(tools)))
        config = config or SessionConfig(Settings(transcription=Transcription()))
        records = (self.timeline.record, lambda now, item, out: self.steps.append((now, item, out)))
        self.drive = Drive(Session(config, Ids(7)), equipment, _context, records)

    async def __aenter__(self) -> Conversation:
        self.drive.attach(self.ear)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raises AssertionError if what was said broke a rule of the protocol."""
        await self.drive.close("the story is over")
        await self._hub.close()
        if kind is None:
            assert not self.ear.checker.faults, self.ear.checker.faults

    async def talk(self, seconds: Seconds) -> None:
        """The person makes a sound that the detector takes for a voice."""
        await self._send(seconds, _tone(FRAME))

    async def pause(self, seconds: Seconds) -> None:
        """The person is silent; the microphone goes on."""
        await self._send(seconds, np.zeros(FRAME, np.int16))

    async def play(self, sound: Pcm16) -> None:
        """The microphone takes in this sound, in real time."""
        for start in range(0, sound.size, FRAME):
            await asyncio.sleep(0.02)
            self.drive.hear(sound[start : start + FRAME])

    async def _send(self, seconds: Seconds, frame: Pcm16) -> None:
        for _ in range(round(seconds * 50)):
            await asyncio.sleep(0.02)
            self.drive.hear(frame)

    async def hear(self, kind: type[T], patience_s: Seconds = 30.0) -> T:
        """The next notice of this kind that has not been heard yet; the microphone sends silence meanwhile."""
        for _ in range(round(patience_s * 50)):
            for number, (_, notice) in enumerate(self.ear.shown):
                if isinstance(notice, kind):
                    del self.ear.shown[: number + 1]
                    return notice
            await self.pause(0.02)
        raise TimeoutError(f"no {kind.__name__} within {patience_s} s")

    async def exchange(self, seconds: Seconds = 1.0) -> outputs.ResponseInfo:
        """The person says something, and hears the answer to its end."""
        await self.talk(seconds)
        await self.pause(0.7)
        return (await self.hear(outputs.ResponseEnded)).response


def _tone(samples: int) -> Pcm16:
    tone: Pcm16 = np.round(9000 * np.sin(2 * np.pi * 300 / WIRE_RATE * np.arange(samples))).astype(np.int16)
    return tone


def _context(drive: Drive) -> ToolContext:
    return ToolContext(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "en-US", drive.session.id, drive.announce)
