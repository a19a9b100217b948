"""What a conversation does to the metrics, under a clock that jumps: every figure has its reason in the story."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from antiphon.audio.units import Seconds
from antiphon.engines.api import LlmRequest, ToolAnswered, ToolSpec
from antiphon.engines.fake import Call, Fail, FakeLlm, FakeStt, FakeTts, Line
from antiphon.observe.metrics import Metrics
from antiphon.observe.watch import Watch
from antiphon.session import inputs, outputs
from antiphon.session.inputs import Input
from antiphon.session.outputs import Output
from antiphon.session.settings import (
    AudioFormat,
    FunctionTool,
    SessionConfig,
    Settings,
    Speculating,
    Transcription,
)
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolContext


class Oracle:
    spec = ToolSpec("ask_oracle", "Ask.", {"type": "object", "properties": {}})

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "yes"


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, f"there is no {name} with {labels}"
    return found


def mean(metrics: Metrics, name: str, **labels: str) -> float:
    """Of a histogram that was told something."""
    return value(metrics.registry, f"{name}_sum", **labels) / value(metrics.registry, f"{name}_count", **labels)


def watched(call: Conversation) -> Metrics:
    """What the steps of a conversation come to: a trace would give the same."""
    metrics = Metrics(["ask_oracle"])
    watch = Watch(metrics, 0.0)
    for now, item, out in call.steps:
        watch.record(now, item, out)
    for turn in call.timeline.turns:
        watch.turn_ended(turn)
    return metrics


def test_words_that_were_followed_are_measured_from_the_end_of_what_was_said() -> None:
    async def story() -> Metrics:
        settings = Settings(kind="transcription", transcription=Transcription())
        config = SessionConfig(settings, follows=True)
        async with Conversation(FakeStt("hi", 0.05), config=config) as call:
            await call.talk(2.0)
            await call.pause(0.7)
            await call.hear(outputs.TranscriptionDone)
            return watched(call)

    metrics = run(story())
    assert value(metrics.registry, "voice_recognition_seconds_count") == 1
    # The last look had heard all of it: nothing is left to do at the end.
    assert mean(metrics, "voice_recognition_seconds") == 0


def test_a_spoken_turn_is_measured_from_end_to_end_and_engine_by_engine() -> None:
    async def story() -> Metrics:
        async with Conversation(FakeStt("hi", 0.05), FakeLlm("Yes.", 0.1), FakeTts(0.07)) as call:
            await call.exchange()
            return watched(call)

    metrics = run(story())
    waited = mean(metrics, "voice_to_voice_latency_seconds")
    stages = ("silence_complete", "committed", "transcript", "first_token", "first_clause", "first_audio")
    assert sum(mean(metrics, "voice_stage_seconds", stage=stage) for stage in stages) == pytest.approx(waited)
    assert mean(metrics, "voice_recognition_seconds") == pytest.approx(0.05, abs=0.002)
    assert mean(metrics, "voice_first_token_seconds") == pytest.approx(0.1, abs=0.002)
    assert mean(metrics, "voice_first_sound_seconds") == pytest.approx(0.07, abs=0.002)
    assert 0.5 <= mean(metrics, "voice_endpoint_delay_seconds") < 0.65
    assert value(metrics.registry, "voice_turns_total") == 1
    assert value(metrics.registry, "voice_responses_total", status="completed") == 1
    assert value(metrics.registry, "voice_tokens_total", kind="output") == 1
    assert value(metrics.registry, "voice_spoken_seconds_total") == pytest.approx(4 / 15, abs=0.01)
    assert value(metrics.registry, "voice_underruns_total") == 0


def test_an_interruption_is_timed_from_its_first_sound() -> None:
    async def story() -> Metrics:
        async with Conversation(FakeStt("hi"), FakeLlm("This is a long answer that goes on and on and on.")) as call:
            await call.talk(1.0)
            await call.pause(0.7)
            await call.hear(outputs.AudioSent)
            await call.pause(0.6)
            await call.talk(0.5)
            assert (await call.hear(outputs.ResponseEnded)).response.reason == "turn_detected"
            return watched(call)

    metrics = run(story())
    assert value(metrics.registry, "voice_barge_ins_total", outcome="confirmed") == 1
    assert 0.0 < mean(metrics, "voice_barge_in_stop_seconds") < 0.3
    assert value(metrics.registry, "voice_responses_total", status="cancelled") == 1
    assert value(metrics.registry, "voice_false_endpoints_total") == 0, "something was heard of it"


def test_a_person_who_speaks_on_before_the_answer_is_heard_was_cut_off() -> None:
    async def story() -> Metrics:
        async with Conversation(FakeStt("hi"), FakeLlm("Yes.", 1.0)) as call:
            await call.talk(1.0)
            await call.pause(0.7)
            await call.talk(0.5)
            await call.pause(3.0)
            return watched(call)

    metrics = run(story())
    assert value(metrics.registry, "voice_false_endpoints_total") == 1
    assert value(metrics.registry, "voice_turns_total") == 2
    assert value(metrics.registry, "voice_barge_in_stop_seconds_count") == 0, "there was nothing to stop"


def test_prepared_answers_are_counted_with_what_they_cost() -> None:
    async def story() -> Metrics:
        config = SessionConfig(Settings(transcription=Transcription()), speculation=Speculating(True))
        script = ["where is the station", "where is the station please"]
        async with Conversation(FakeStt(script), FakeLlm("It is over there."), config=config) as call:
            await call.talk(1.0)
            await call.pause(0.3)
            await call.talk(0.5)
            await call.pause(0.7)
            await call.hear(outputs.ResponseEnded)
            return watched(call)

    metrics = run(story())
    assert value(metrics.registry, "voice_speculations_total", outcome="miss") == 1
    assert value(metrics.registry, "voice_speculations_total", outcome="hit") == 1
    assert value(metrics.registry, "voice_speculation_wasted_tokens_total") > 0


def answer(request: LlmRequest) -> Line:
    if isinstance(request.messages[-1], ToolAnswered):
        return "The oracle has spoken."
    return Call("ask_oracle") if len(request.messages) == 1 else Call("made_up_by_the_model")


def test_tools_are_named_only_if_the_server_has_them() -> None:
    async def story() -> Metrics:
        offers = (FunctionTool("ask_oracle", "Ask.", {"type": "object", "properties": {}}),)
        config = SessionConfig(Settings(transcription=Transcription()), server_tools=offers)
        async with Conversation(llm=FakeLlm(answer), config=config, tools=(Oracle(),)) as call:
            await call.exchange()
            await call.exchange()
            return watched(call)

    metrics = run(story())
    assert value(metrics.registry, "tool_execution_seconds_count", tool_name="ask_oracle") == 1
    assert "made_up" not in metrics.page_of_instruments().decode()


def test_failures_are_counted_by_the_work_that_failed() -> None:
    async def story() -> Metrics:
        recogniser, model = FakeStt([Fail(), "hi", "hi"]), FakeLlm([Fail(), "Yes.", "Yes."])
        async with Conversation(recogniser, model, FakeTts(script=[Fail()])) as call:
            for _ in range(3):
                await call.talk(1.0)
                await call.pause(3.0)
            return watched(call)

    metrics = run(story())
    found = {work: value(metrics.registry, "voice_work_failures_total", work=work) for work in ("recognise", "write")}
    assert found == {"recognise": 1, "write": 1}
    assert value(metrics.registry, "voice_work_failures_total", work="speak") == 1


def sent(start: int, stop: int) -> Output:
    return outputs.AudioSent("resp_1", 0, "item_1", 1, start, stop)


def step(watch: Watch, now: Seconds, *out: Output, item: Input | None = None) -> None:
    watch.record(now, item or inputs.TimePassed(), list(out))


def test_sound_that_comes_after_the_last_was_played_is_an_underrun() -> None:
    metrics = Metrics()
    watch = Watch(metrics, 0.0)
    step(watch, 0.0, sent(0, 2400))
    step(watch, 0.08, sent(2400, 4800))
    assert value(metrics.registry, "voice_underruns_total") == 0
    step(watch, 0.5, sent(4800, 7200))
    assert value(metrics.registry, "voice_underruns_total") == 1
    assert value(metrics.registry, "voice_underrun_seconds_total") == pytest.approx(0.3)


def test_an_answer_that_was_held_back_on_purpose_is_none() -> None:
    metrics = Metrics()
    watch = Watch(metrics, 0.0)
    step(watch, 0.0, sent(0, 2400))
    step(watch, 0.4, outputs.BargeInJudged("backchannel", 300))
    step(watch, 0.4, sent(2400, 4800))
    assert value(metrics.registry, "voice_underruns_total") == 0


def test_work_that_was_stopped_leaves_nothing_and_fails_nobody() -> None:
    metrics = Metrics()
    watch = Watch(metrics, 0.0)
    say = outputs.Say(1, "resp_1", "Hello.", "marin", 1.0, AudioFormat())
    step(watch, 0.0, say)
    step(watch, 0.1, outputs.StopWork(1))
    step(watch, 0.2, item=inputs.WorkFailed(1, "late", "too late"))
    assert value(metrics.registry, "voice_work_failures_total", work="speak") == 0


def test_nothing_is_left_of_a_hundred_turns() -> None:
    async def story() -> int:
        async with Conversation(FakeStt("hi"), FakeLlm("Yes, it is so.")) as call:
            for _ in range(100):
                await call.exchange(0.3)
            watch = Watch(Metrics(), 0.0)
            for now, item, out in call.steps:
                watch.record(now, item, out)
            return watch.open_ends

    assert run(story()) <= 1


def test_no_label_comes_from_use() -> None:
    """However much happens, the page has as many series as at the start."""
    metrics = Metrics(["ask_oracle"])
    before = series(metrics)
    watch = Watch(metrics, 0.0)
    for number in range(50):
        step(watch, number, outputs.RunTool(number, "resp", f"call_{number}", f"tool_{number}", "{}"))
        step(watch, number, item=inputs.ToolReturned(number, "output", ok=False))
        watch.session_ended(number, f"reason {number}", 24_000, 72_000)
        metrics.refused.of(f"code_{number}").inc()
    assert series(metrics) == before
    assert value(metrics.registry, "tool_failures_total", tool_name="other") == 50
    assert value(metrics.registry, "voice_sessions_ended_total", reason="other") == 50


def series(metrics: Metrics) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    families = text_string_to_metric_families(metrics.page_of_instruments().decode())
    return {(sample.name, frozenset(sample.labels.items())) for family in families for sample in family.samples}
