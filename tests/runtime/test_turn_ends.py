"""When a turn ends, through the whole runtime and on virtual time: by the turn model's word, and in a noisy place."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm
from antiphon.engines.fake import FakeStt
from antiphon.errors import EngineError
from antiphon.session import outputs
from antiphon.session.settings import SessionConfig, Settings, TurnDetection
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

SEMANTIC = Settings(turn_detection=TurnDetection(kind="semantic_vad"))


class Certain:
    """A turn model that always says the same, or fails."""

    def __init__(self, over: float | None) -> None:
        self.over = over
        self.heard: list[Pcm] = []

    async def warm(self) -> None:
        pass

    async def score(self, pcm: Pcm) -> float:
        self.heard.append(pcm)
        if self.over is None:
            raise EngineError("it cannot say", "Ask somebody else.")
        return self.over


def silence_ms(model: Certain | None) -> float:
    """Silence that ends a turn of one second of which no words are known."""

    async def story() -> float:
        config = SessionConfig(SEMANTIC, scores_turns=model is not None)
        async with Conversation(FakeStt("so", 30.0), config=config, turns=model) as call:
            await call.talk(1.0)
            await call.hear(outputs.SpeechStopped)
            return (call.drive.position - WIRE_RATE) * 1000 / WIRE_RATE

    return run(story())


def test_the_models_word_makes_the_wait_shorter_or_longer_and_its_failure_neither() -> None:
    over, unknown, open_ = (silence_ms(Certain(over)) for over in (0.98, None, 0.02))
    assert over < 450
    assert unknown == silence_ms(None)
    assert open_ > 2 * unknown


def test_the_model_hears_the_turn_up_to_the_pause() -> None:
    model = Certain(0.9)
    silence_ms(model)
    (sound,) = model.heard
    assert sound.dtype == np.float32
    assert 1.1 < sound.size / HEARING_RATE < 1.6


@pytest.mark.parametrize(("voiced_from", "is_heard"), [(0.5, True), (0.9, False)])
def test_a_faint_voice_is_one_or_not_by_what_the_operator_says_of_the_place(voiced_from: float, is_heard: bool) -> None:
    async def story() -> None:
        async with Conversation(config=SessionConfig(SEMANTIC, voiced_from=voiced_from)) as call:
            faint = np.round(500 * np.sin(2 * np.pi * 300 / WIRE_RATE * np.arange(WIRE_RATE))).astype(np.int16)
            call.drive.hear(faint)
            await call.pause(0.1)
            shown = [notice for _, notice in call.ear.shown if isinstance(notice, outputs.SpeechStarted)]
            assert bool(shown) is is_heard

    run(story())
