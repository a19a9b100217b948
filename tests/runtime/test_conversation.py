"""Whole conversations through the runtime, on scripted engines and virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import LlmRequest, ToolAnswered, ToolSpec, TtsRequest, UserSaid
from antiphon.engines.fake import Call, Fail, FakeLlm, FakeStt, FakeTts, Hang
from antiphon.session import outputs, trace
from antiphon.session.items import Message, text_of
from antiphon.session.settings import FunctionTool, SessionConfig, Settings
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolContext, ToolError


def said(response: outputs.ResponseInfo) -> str:
    return " ".join(text_of(item) for item in response.output if isinstance(item, Message))


def test_a_question_is_heard_and_answered_aloud() -> None:
    async def story() -> None:
        stt, llm, tts = FakeStt("how are you", 0.05), FakeLlm("I am fine, thank you.", 0.1), FakeTts(0.05)
        async with Conversation(stt, llm, tts) as call:
            response = await call.exchange()
            assert (response.status, said(response)) == ("completed", "I am fine, thank you.")
            turn = call.timeline.turns[0]
            assert turn.heard == "how are you"
            assert len(call.ear.audio) == 2 * sum(
                output.stop - output.start
                for _, _, out in call.steps
                for output in out
                if isinstance(output, outputs.AudioSent)
            )

    run(story())


def test_the_timeline_adds_up_to_voice_to_voice() -> None:
    async def story() -> None:
        async with Conversation(FakeStt("hi", 0.05), FakeLlm("Yes.", 0.1), FakeTts(0.05)) as call:
            await call.exchange()
            turn = call.timeline.turns[0]
            stages = turn.stages_ms()
            assert stages["transcript"] == pytest.approx(50, abs=1)
            assert stages["first_token"] == pytest.approx(100, abs=1)
            assert stages["first_audio"] == pytest.approx(50, abs=1)
            assert stages["silence_complete"] == pytest.approx(500, abs=60)
            assert sum(stages.values()) == pytest.approx(turn.voice_to_voice_ms(), abs=0.01)

    run(story())


def test_speaking_over_the_answer_stops_it() -> None:
    async def story() -> None:
        async with Conversation(FakeStt("go on"), FakeLlm("one two three " * 40), FakeTts()) as call:
            await call.talk(0.5)
            await call.pause(0.7)
            await call.hear(outputs.AudioSent)
            await call.pause(1.0)
            await call.talk(0.5)
            ended = (await call.hear(outputs.ResponseEnded)).response
            assert (ended.status, ended.reason) == ("cancelled", "turn_detected")
            sent = [type(notice) for _, notice in call.ear.shown]
            assert outputs.AudioSent not in sent

    run(story())


def test_a_model_that_fails_is_answered_for_and_the_next_turn_works() -> None:
    async def story() -> None:
        llm = FakeLlm([Fail("upstream_reset", "the model hung up"), "Here I am."])
        async with Conversation(FakeStt("hello"), llm) as call:
            response = await call.exchange()
            assert (response.status, response.error_code) == ("failed", "upstream_reset")
            assert said(await call.exchange()) == "Here I am."

    run(story())


def test_a_voice_that_fails_in_mid_answer_ends_it_with_its_reason() -> None:
    async def story() -> None:
        async with Conversation(FakeStt("hello"), FakeLlm("Well then."), FakeTts(script=[Fail("tts_down")])) as call:
            assert (await call.exchange()).error_code == "tts_down"
            assert (await call.exchange()).status == "completed"

    run(story())


def test_a_model_that_hangs_can_be_talked_over() -> None:
    async def story() -> None:
        async with Conversation(FakeStt("hello"), FakeLlm([Hang(), "Back again."])) as call:
            await call.talk(0.5)
            await call.pause(2.0)
            response = await call.exchange()
            assert response.status == "cancelled"
            assert said((await call.hear(outputs.ResponseEnded)).response) == "Back again."

    run(story())


class Clock:
    """A server-side tool."""

    spec = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})

    def __init__(self, fault: BaseException | None = None) -> None:
        self._fault = fault

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        if self._fault is not None:
            raise self._fault
        return f'{{"time": "{context.now:%H:%M}"}}'


def ask_the_clock(request: LlmRequest) -> str | Call:
    last = request.messages[-1]
    if isinstance(last, ToolAnswered):
        return f"The tool said {last.output}"
    assert isinstance(last, UserSaid)
    return Call("clock")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (None, "03:04"),
        (ToolError("The clock has stopped."), "The clock has stopped."),
        (ValueError("x"), "clock failed"),
    ],
)
def test_a_server_side_tool_is_run_and_its_failure_told(fault: BaseException | None, answer: str) -> None:
    async def story() -> None:
        tools = (FunctionTool("clock", "Tells the time.", {"type": "object"}),)
        config = SessionConfig(Settings(), server_tools=tools)
        clock = Clock(fault)
        async with Conversation(FakeStt("time"), FakeLlm(ask_the_clock), config=config, tools=(clock,)) as call:
            assert answer in said(await call.exchange())

    run(story())


def test_a_recorded_conversation_replays() -> None:
    async def story() -> list[bytes]:
        async with Conversation(FakeStt(["a", "b"], 0.1), FakeLlm("One, two, three. Four.", 0.1, 0.03)) as call:
            await call.exchange()
            await call.talk(0.4)
            await call.exchange()
        lines = [trace.header_line(7, call.drive.session.config, redacted=False)]
        return lines + [trace.step_line(item, out, now, redacted=False) for now, item, out in call.steps]

    steps, difference = trace.replay(run(story()))
    assert difference is None
    assert steps > 50


class ListeningTts(FakeTts):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str | None]] = []

    def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        self.asked.append((text, request.language))
        return super().speak(text, request)


@pytest.mark.parametrize(
    ("language", "clauses"),
    [("de", ["Am 3. Mai also komme ich gern."]), ("en", ["Am 3.", "Mai also komme ich gern."])],
)
def test_the_language_that_was_heard_reaches_the_splitter_and_the_voice(language: str, clauses: list[str]) -> None:
    async def story() -> None:
        tts = ListeningTts()
        stt = FakeStt("wann kommst du", language=language)
        async with Conversation(stt, FakeLlm("Am 3. Mai also komme ich gern."), tts) as call:
            await call.exchange()
            assert tts.asked == [(clause, language) for clause in clauses]
            tts.asked.clear()
            call.drive.announce("Am 3. Mai also komme ich gern.")
            await call.hear(outputs.ResponseEnded)
            assert tts.asked == [(clause, language) for clause in clauses]

    run(story())


def test_nothing_is_left_running() -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        async with Conversation(FakeStt("hello"), FakeLlm([Hang()])) as call:
            await call.talk(0.5)
            await call.pause(1.0)
            assert len(asyncio.all_tasks()) > len(before)
        assert asyncio.all_tasks() == before

    run(story())
