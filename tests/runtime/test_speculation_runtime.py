"""Answers that are prepared, through the whole runtime and on virtual time: what they save, and what they cost."""

from __future__ import annotations

import pytest

from antiphon.engines.fake import Call, FakeLlm, FakeStt, FakeTts
from antiphon.runtime.workers import PIECES_AHEAD
from antiphon.session import outputs
from antiphon.session.settings import FunctionTool, SessionConfig, Settings, Speculating, Transcription, TurnDetection
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

EAGER = SessionConfig(Settings(transcription=Transcription()), speculation=Speculating(answers=True))


def engines(llm: FakeLlm | None = None) -> tuple[FakeStt, FakeLlm, FakeTts]:
    """What a recogniser, a model and a voice take in the founding documents."""
    return FakeStt("how are you", 0.1), llm or FakeLlm("I am fine, thank you. And you?", 0.2, 0.01), FakeTts(0.15)


def waited_ms(config: SessionConfig) -> float:
    async def story() -> float:
        stt, llm, tts = engines()
        async with Conversation(stt, llm, tts, config=config) as call:
            await call.exchange()
            turn = call.timeline.turns[0]
            assert turn.was_prepared is config.speculation.answers
            waited = turn.voice_to_voice_ms()
            assert waited is not None
            assert sum(turn.stages_ms().values()) == pytest.approx(waited)
            return waited

    return run(story())


def test_the_wait_is_the_silence_or_the_work_and_not_their_sum() -> None:
    sequential, prepared = waited_ms(SessionConfig(Settings(transcription=Transcription()))), waited_ms(EAGER)
    assert sequential == pytest.approx(500 + 100 + 200 + 20 + 150, abs=60)
    assert prepared == pytest.approx(max(500, 160 + 100 + 200 + 20 + 150), abs=60)


def test_only_the_first_clause_and_a_little_text_are_made_before_the_turn_is_over() -> None:
    async def story() -> None:
        stt, llm, tts = engines(FakeLlm("Yes. " + "word " * 400, 0.01))
        detection = TurnDetection(silence_duration_ms=3000)
        config = SessionConfig(Settings(turn_detection=detection), speculation=Speculating(answers=True))
        async with Conversation(stt, llm, tts, config=config) as call:
            await call.talk(1.0)
            await call.pause(2.5)
            made = [type(item).__name__ for _, item, _ in call.steps]
            assert made.count("TextWritten") == PIECES_AHEAD
            assert made.count("ClauseEnded") == 1
            response = (await call.hear(outputs.ResponseEnded, 200.0)).response
            assert response.status == "completed"

    run(story())


def test_what_is_dropped_costs_nothing_further() -> None:
    async def story() -> None:
        stt, llm, tts = engines(FakeLlm("Yes. " + "word " * 40, 0.01, 0.05))
        async with Conversation(stt, llm, tts, config=EAGER) as call:
            await call.talk(1.0)
            await call.pause(0.35)
            await call.talk(1.0)
            first = next(
                output.work for _, _, out in call.steps for output in out if isinstance(output, outputs.Generate)
            )
            end = len(call.steps)
            await call.talk(1.0)
            assert first not in {getattr(item, "work", None) for _, item, _ in call.steps[end:]}
            shown = {type(notice) for _, notice in call.ear.shown}
            assert not shown & {outputs.TextSent, outputs.ResponseBegan, outputs.TranscriptionDone}

    run(story())


def test_a_function_that_was_called_too_early_waits_for_the_end_of_the_turn() -> None:
    async def story() -> None:
        settings = Settings(tools=(FunctionTool("light"),))
        config = SessionConfig(settings, speculation=Speculating(answers=True))
        stt, llm, tts = engines(FakeLlm([Call("light", '{"on": true}')]))
        async with Conversation(stt, llm, tts, config=config) as call:
            await call.talk(1.0)
            await call.pause(0.4)
            assert not [notice for _, notice in call.ear.shown if isinstance(notice, outputs.ArgumentsSent)]
            assert (await call.hear(outputs.ArgumentsSent)).text == '{"on": true}'

    run(story())
