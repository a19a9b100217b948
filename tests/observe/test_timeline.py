"""A turn's timeline, and the message that it becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.engines.api import LlmRequest, ToolAnswered, ToolSpec
from antiphon.engines.fake import Call, FakeLlm, FakeStt, FakeTts, Line
from antiphon.observe.report import report
from antiphon.session import inputs
from antiphon.session.items import Message, Role, Text
from antiphon.session.outputs import ResponseEnded
from antiphon.session.settings import FunctionTool, ResponseOptions, SessionConfig, Settings, Transcription
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolContext


class SlowOracle:
    spec = ToolSpec("ask_oracle", "Ask.", {"type": "object", "properties": {}})

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        await asyncio.sleep(0.2)
        return "yes"


def model(request: LlmRequest) -> Line:
    if isinstance(request.messages[-1], ToolAnswered):
        return "The oracle says yes."
    return Call("ask_oracle", "{}")


def test_a_spoken_turn_is_told_stage_by_stage() -> None:
    async def story() -> None:
        async with Conversation(FakeStt("hi", 0.05), FakeLlm("Yes.", 0.1), FakeTts(0.05)) as call:
            await call.exchange()
            turn = call.timeline.turns[0]
            told = report(turn)
            assert [stage.name for stage in told.stages] == list(turn.stages_ms())
            assert told.wait_ms == pytest.approx(turn.voice_to_voice_ms(), abs=0.1)
            assert sum(stage.ms for stage in told.stages) == pytest.approx(told.wait_ms, abs=0.5)
            assert (told.item_id, told.response_id) == (turn.item_id, turn.response_id)
            assert told.response_id.startswith("resp_")

    run(story())


def test_a_typed_turn_is_counted_from_the_request() -> None:
    async def story() -> None:
        async with Conversation(llm=FakeLlm("Yes.", 0.1), tts=FakeTts(0.05)) as call:
            call.drive.put(inputs.CreateItem("ear", None, Message("", Role.USER, (Text("well?"),))))
            call.drive.put(inputs.CreateResponse("ear", None, ResponseOptions()))
            await call.hear(ResponseEnded)
            told = report(call.timeline.turns[0])
            assert told.item_id is None
            assert [stage.name for stage in told.stages] == ["first_token", "first_clause", "first_audio"]
            assert told.wait_ms == pytest.approx(150, abs=2)

    run(story())


def test_a_turn_that_the_client_ends_took_nothing_of_the_wait_before_the_answer_was_asked_for() -> None:
    async def story() -> None:
        config = SessionConfig(Settings(transcription=Transcription(), turn_detection=None))
        async with Conversation(FakeStt("hi", 0.05), FakeLlm("Yes.", 0.1), FakeTts(0.05), config=config) as call:
            await call.talk(1.0)
            call.drive.ask(inputs.CommitAudio("ear", None, call.drive.position))
            await call.pause(0.02)
            call.drive.put(inputs.CreateResponse("ear", None, ResponseOptions()))
            await call.hear(ResponseEnded)
            told = report(call.timeline.turns[0])
            stages = {stage.name: stage.ms for stage in told.stages}
            assert stages["committed"] == 0
            assert stages["transcript"] == pytest.approx(30, abs=2), "what was left of it"
            assert sum(stages.values()) == pytest.approx(told.wait_ms, abs=0.5)

    run(story())


def test_the_servers_tools_have_their_place_in_it() -> None:
    async def story() -> None:
        offers = (FunctionTool("ask_oracle", "Ask.", {"type": "object", "properties": {}}),)
        config = SessionConfig(Settings(transcription=Transcription()), server_tools=offers)
        stt, llm = FakeStt("well", 0.05), FakeLlm(model, 0.1)
        async with Conversation(stt, llm, FakeTts(0.05), config=config, tools=(SlowOracle(),)) as call:
            await call.exchange()
            (span,) = report(call.timeline.turns[0]).tools
            assert span.name == "ask_oracle"
            assert span.ms == pytest.approx(200, abs=1)
            stages = call.timeline.turns[0].stages_ms()
            before = stages["silence_complete"] + stages["committed"] + stages["transcript"]
            assert before < span.start_ms < before + 150

    run(story())
