"""More turns at once than anybody can say: they are recognised a few at a time, and none is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.units import WIRE_RATE, Pcm
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta
from antiphon.engines.fake import FakeStt
from antiphon.runtime.workers import RECOGNISED_AT_ONCE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.settings import SessionConfig, Settings, Transcription
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

VOICE = np.asarray(8000 * np.sin(np.arange(4800) * 2 * np.pi * 500 / WIRE_RATE), np.int16)
TURNS = 3 * RECOGNISED_AT_ONCE


class Counting(FakeStt):
    """Takes a tenth of a second each time, and counts how often at once."""

    def __init__(self) -> None:
        super().__init__([f"turn {number}" for number in range(TURNS)], delay_s=0.1)
        self.busy = self.most = 0

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        self.busy += 1
        self.most = max(self.most, self.busy)
        try:
            async for event in super().transcribe(pcm, request):
                yield event
        finally:
            self.busy -= 1


def test_a_flood_of_turns_does_not_take_the_whole_recogniser() -> None:
    async def story() -> None:
        stt = Counting()
        settings = Settings(kind="transcription", transcription=Transcription(), turn_detection=None)
        async with Conversation(stt, config=SessionConfig(settings)) as call:
            for _ in range(TURNS):
                call.drive.hear(VOICE)
                call.drive.put(i.CommitAudio("ear", None, call.drive.position))
            await call.pause(1.0)
            done = [notice for _, notice in call.ear.shown if isinstance(notice, o.TranscriptionDone)]
            assert {notice.text for notice in done} == {f"turn {number}" for number in range(TURNS)}
            assert len({notice.item_id for notice in done}) == len(done) == TURNS
            assert stt.most == RECOGNISED_AT_ONCE

    run(story())


def test_silence_that_a_client_commits_has_no_words() -> None:
    async def story() -> None:
        stt = Counting()
        settings = Settings(transcription=Transcription(), turn_detection=None)
        async with Conversation(stt, config=SessionConfig(settings)) as call:
            for sound in (np.zeros(2 * WIRE_RATE, np.int16), VOICE):
                call.drive.hear(sound)
                call.drive.put(i.CommitAudio("ear", None, call.drive.position))
                await call.pause(1.0)
            done = [notice for _, notice in call.ear.shown if isinstance(notice, o.TranscriptionDone)]
            assert [notice.text for notice in done] == ["", "turn 0"]

    run(story())
