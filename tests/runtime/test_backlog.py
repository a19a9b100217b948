"""Sound that comes faster than it can be heard is kept until it was."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from antiphon.engines.fake import FakeStt
from antiphon.engines.vad.energy import EnergyVad
from antiphon.session import inputs, outputs
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run


@pytest.mark.parametrize("frame", [480, 24_000, 240_000])
def test_a_whole_recording_at_once_is_one_turn_with_all_its_sound(frame: int) -> None:
    async def story() -> None:
        tone = np.round(9000 * np.sin(2 * np.pi * 300 / 24_000 * np.arange(120_000))).astype(np.int16)
        sound = np.concatenate((np.zeros(24_000, np.int16), tone, np.zeros(96_000, np.int16)))
        async with Conversation(FakeStt("hello")) as call:
            for start in range(0, sound.size, frame):
                call.drive.hear(sound[start : start + frame])
            await call.hear(outputs.ResponseEnded)
            tasks = [o for _, _, out in call.steps for o in out if isinstance(o, outputs.Transcribe)]
            assert len(tasks) == 1
            assert tasks[0].start <= 24_000 < 144_000 <= tasks[0].stop
            done = [item for _, item, _ in call.steps if isinstance(item, inputs.TranscriptReady)]
            assert done[0].seconds >= 5.0, "the ring had forgotten the beginning"

    run(story())


def test_each_turn_of_many_that_come_at_once_has_its_sound_whatever_the_detector_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(EnergyVad, "most_at_once", 64)

    async def story() -> None:
        tone = np.round(9000 * np.sin(2 * np.pi * 300 / 24_000 * np.arange(12_000))).astype(np.int16)
        sound = np.concatenate([tone, np.zeros(24_000, np.int16)] * 6)
        async with Conversation(FakeStt("hello")) as call:
            call.drive.hear(sound)
            await asyncio.sleep(30.0)
            done = [item for _, item, _ in call.steps if isinstance(item, inputs.TranscriptReady)]
            assert len(done) == 6
            assert min(one.seconds for one in done) > 0.5, "the ring had forgotten a turn"

    run(story())
