"""A turn as a trace: its spans lie in each other, on the wall's clock, and hold no word."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from antiphon.engines.fake import Fail, FakeLlm, FakeStt, FakeTts
from antiphon.observe.otel import TurnTraces
from antiphon.observe.timeline import ToolRun, Turn
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

EPOCH_S = 1_700_000_000.0


def spans_of(*turns: Turn) -> list[ReadableSpan]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = TurnTraces(provider.get_tracer("test"), "house", EPOCH_S)
    for turn in turns:
        traces.turn_ended("sess_1", turn)
    return list(exporter.get_finished_spans())


def conversation(llm: FakeLlm) -> Turn:
    async def story() -> Turn:
        async with Conversation(FakeStt("my secret", 0.05), llm, FakeTts(0.05)) as call:
            await call.exchange()
            return call.timeline.turns[0]

    return run(story())


def test_a_turn_is_one_trace_whose_stages_follow_each_other() -> None:
    turn = conversation(FakeLlm("Your secret.", 0.1))
    found = {span.name: span for span in spans_of(turn)}
    root = found.pop("turn")
    assert root.parent is None
    assert root.kind is SpanKind.SERVER
    assert root.start_time == pytest.approx((EPOCH_S + (turn.start or 0)) * 1e9)
    assert all(span.parent is not None and span.parent.span_id == root.context.span_id for span in found.values())
    stages = [found[name] for name in turn.stages_ms()]
    assert stages[0].start_time == root.start_time
    assert [one.end_time for one in stages[:-1]] == [one.start_time for one in stages[1:]]
    assert [((one.end_time or 0) - (one.start_time or 0)) / 1e6 for one in stages] == pytest.approx(
        list(turn.stages_ms().values()), abs=0.01
    )


def test_the_models_part_is_named_by_the_conventions() -> None:
    chat = next(span for span in spans_of(conversation(FakeLlm("Your secret."))) if span.name == "chat house")
    about = chat.attributes or {}
    assert chat.kind is SpanKind.CLIENT
    assert about["gen_ai.operation.name"] == "chat"
    assert about["gen_ai.request.model"] == "house"
    assert about["gen_ai.usage.output_tokens"] == 2
    assert about["gen_ai.usage.input_tokens"] == 1


def test_no_word_is_in_it() -> None:
    assert "secret" not in "".join(span.to_json() for span in spans_of(conversation(FakeLlm("Your secret."))))


def test_tools_are_spans_and_one_that_was_cut_off_ends_with_its_turn() -> None:
    tools = [ToolRun("call_1", "clock", 1.0, 1.5), ToolRun("call_2", "slow", 1.0)]
    found = {span.name: span for span in spans_of(Turn("", began=1.0, ended=2.0, status="completed", tools=tools))}
    assert found["execute_tool clock"].end_time == (EPOCH_S + 1.5) * 1e9
    assert found["execute_tool slow"].end_time == (EPOCH_S + 2.0) * 1e9
    assert (found["execute_tool clock"].attributes or {})["gen_ai.tool.name"] == "clock"


def test_each_turn_has_a_trace_of_its_own_and_a_failure_is_one() -> None:
    turns = (conversation(FakeLlm("Yes.")), conversation(FakeLlm([Fail()])))
    roots = [span for span in spans_of(*turns) if span.name == "turn"]
    assert len({span.context.trace_id for span in roots}) == 2
    assert [span.status.status_code for span in roots] == [StatusCode.UNSET, StatusCode.ERROR]


def test_a_turn_that_was_never_answered_has_no_trace() -> None:
    assert spans_of(Turn("item_1", speech_end=1.0)) == []
