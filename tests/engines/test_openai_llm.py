"""Answers over HTTP: what is sent, and what local servers may leave out of what they send back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from remote import everything, failure, leave_after_first, talk

from antiphon.engines.api import (
    AssistantSaid,
    CallDelta,
    Image,
    LlmEnd,
    LlmRequest,
    LlmUsage,
    SystemSaid,
    TextDelta,
    ToolAnswered,
    ToolCalled,
    ToolSpec,
    UserSaid,
)
from antiphon.engines.deadlines import Deadlines
from antiphon.engines.fake import Call
from antiphon.engines.http import Upstream, UpstreamError
from antiphon.engines.llm.openai import ChatOptions, OpenAiLlm, Thoughts, chat_body
from antiphon.testing.upstream import Act, Fault, Script, ScriptedUpstream

pytestmark = pytest.mark.real

ASKED = LlmRequest(messages=(UserSaid("hello"),))
WEATHER = ToolSpec("weather", "The weather in a town.", {"type": "object", "properties": {"town": {"type": "string"}}})

Events = list[TextDelta | CallDelta | LlmEnd]


def written(script: Script, request: LlmRequest = ASKED) -> Events:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> Events:
        return await everything(OpenAiLlm(upstream, "m").write(request))

    return talk(conversation, script)


def streamed(*chunks: dict[str, Any] | str) -> Script:
    """A server that sends just these events."""
    events = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return Script(llm=Act(body="".join(f"data: {event}\n\n" for event in events).encode()))


def refused(script: Script) -> UpstreamError:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> UpstreamError:
        return await failure(everything(OpenAiLlm(upstream, "m").write(ASKED)))

    return talk(conversation, script)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": fields, "finish_reason": finish}]}


def text_of(events: Sequence[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: Sequence[object]) -> dict[int, tuple[str, str, str]]:
    """Id, name and whole arguments of each call."""
    calls: dict[int, tuple[str, str, str]] = {}
    for event in events:
        if isinstance(event, CallDelta):
            _, _, before = calls.get(event.index, ("", "", ""))
            calls[event.index] = (event.call_id, event.name, before + event.arguments)
    return calls


# --- the common case -------------------------------------------------------------------------------------------------


def test_text_comes_in_pieces_and_ends_with_its_cost() -> None:
    events = written(Script(reply="Good morning to you."))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["Good", " morning", " to", " you."]
    assert events[-1] == LlmEnd("stop", LlmUsage(input_tokens=1, output_tokens=4))


@pytest.mark.parametrize("size_bytes", [1, 3, 1000])
def test_the_answer_is_the_same_however_its_bytes_are_cut(size_bytes: int) -> None:
    script = Script(reply="Grüße, 漢字!", calls=(Call("weather", '{"town": "Zürich"}'),))
    cut = Script(reply=script.reply, calls=script.calls, llm=Act(piece_bytes=size_bytes))
    assert written(cut) == written(script)


def test_two_calls_in_pieces() -> None:
    script = Script(reply="", calls=(Call("weather", '{"town": "Rome"}'), Call("weather", '{"town": "Oslo"}')))
    events = written(script)
    assert calls_of(events) == {
        0: ("call_0", "weather", '{"town": "Rome"}'),
        1: ("call_1", "weather", '{"town": "Oslo"}'),
    }
    assert len(events) > 5
    assert events[-1] == LlmEnd("tool_calls", LlmUsage(1, 0))


def test_an_id_that_an_earlier_call_has_is_not_taken_again() -> None:
    """Some servers count their calls anew in every answer."""
    script = Script(reply="", calls=(Call("weather", '{"town": "Rome"}'), Call("weather", '{"town": "Oslo"}')))
    earlier = (UserSaid("hello"), ToolCalled("call_0", "weather", "{}"), ToolAnswered("call_0", "rain"))
    (first, second) = calls_of(written(script, LlmRequest(messages=earlier))).values()
    assert first[0] not in ("call_0", "call_1")
    assert first[1:] == ("weather", '{"town": "Rome"}')
    assert second == ("call_1", "weather", '{"town": "Oslo"}')


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("stop", "stop"), ("length", "length"), ("max_tokens", "length"), ("content_filter", "content_filter"),
     ("tool_calls", "tool_calls"), ("function_call", "tool_calls"), ("eos", "stop")],
)  # fmt: skip
def test_why_it_stopped(theirs: str, ours: str) -> None:
    end = written(streamed(delta(content="x"), delta(theirs), "[DONE]"))[-1]
    assert isinstance(end, LlmEnd)
    assert end.reason == ours


def test_what_is_sent() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> Any:
        request = LlmRequest(
            messages=(UserSaid("hello"),), instructions="Be short.", tools=(WEATHER,), tool_choice="required",
            max_tokens=50, model="theirs",
        )  # fmt: skip
        await everything(OpenAiLlm(upstream, None, ChatOptions(extra={"seed": 7})).write(request))
        return scripted.asked("/chat/completions")[0].json

    assert talk(conversation) == {
        "model": "theirs",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "The weather in a town.",
                    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
                },
            }
        ],
        "tool_choice": "required",
        "seed": 7,
    }


def test_a_call_and_its_answer_stand_together_wherever_the_answer_came() -> None:
    messages = (
        UserSaid("weather?"),
        ToolCalled("a", "weather", ""),
        ToolCalled("b", "weather", '{"x": 1}'),
        AssistantSaid("One moment."),
        ToolAnswered("a", "sunny"),
        ToolAnswered("gone", "late"),
        SystemSaid("Note."),
    )
    body = chat_body(LlmRequest(messages, tool_choice={"type": "function", "name": "w"}), "m", ChatOptions())
    roles = [(m["role"], m.get("content"), m.get("tool_call_id")) for m in body["messages"]]
    assert roles == [
        ("user", "weather?", None),
        ("assistant", None, None),
        ("tool", "sunny", "a"),
        ("tool", '{"status": "still running"}', "b"),
        ("assistant", "One moment.", None),
        ("system", "Result of an earlier function call: late", None),
        ("system", "Note.", None),
    ]
    assert [c["function"]["arguments"] for c in body["messages"][1]["tool_calls"]] == ["{}", '{"x": 1}']
    assert "tools" not in body
    assert "tool_choice" not in body


def test_one_function_can_be_demanded() -> None:
    request = LlmRequest((), tools=(WEATHER,), tool_choice={"type": "function", "name": "weather"})
    options = ChatOptions(count_tokens=False, max_tokens_field="max_completion_tokens")
    body = chat_body(request, None, options)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert "model" not in body
    assert "stream_options" not in body


# --- what local servers do -------------------------------------------------------------------------------------------


def test_missing_and_null_fields_mean_nothing() -> None:
    events = written(
        streamed(
            {"id": None, "choices": [{"delta": {"role": "assistant"}}], "usage": None},
            {"choices": [{"delta": {"content": None, "tool_calls": None}}]},
            {"choices": [{"delta": None}]},
            {"choices": None},
            delta(content="Hi"),
            delta("stop"),
            {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens": 2, "prompt_tokens_details": None}},
            "[DONE]",
        )
    )
    assert events == [TextDelta("Hi"), LlmEnd("stop", LlmUsage(0, 2))]


def test_done_without_a_reason_is_an_end_and_an_end_without_done_too() -> None:
    assert written(streamed(delta(content="Hi"), "[DONE]"))[-1] == LlmEnd("stop")
    assert written(streamed(delta(content="Hi"), delta("stop")))[-1] == LlmEnd("stop")


def test_a_call_in_one_piece_without_id_or_index_gets_an_id_that_the_question_decides() -> None:
    call = {"function": {"name": "weather", "arguments": {"town": "Rome"}}}
    script = streamed(delta("stop", tool_calls=[call, call]), "[DONE]")
    first, again = calls_of(written(script)), calls_of(written(script))
    other = calls_of(written(script, LlmRequest(messages=(UserSaid("another question"),))))
    assert [(name, arguments) for _, name, arguments in first.values()] == [("weather", '{"town":"Rome"}')] * 2
    assert first == again
    ids = [call_id for calls in (first, other) for call_id, _, _ in calls.values()]
    assert len(set(ids)) == 4
    assert written(script)[-1] == LlmEnd("tool_calls")


def test_calls_that_are_all_numbered_zero_are_told_apart_by_id() -> None:
    script = streamed(
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "weather", "arguments": "{}"}}]),
        delta(tool_calls=[{"index": 0, "id": "b", "function": {"name": "weather"}}]),
        delta("tool_calls"),
    )
    assert calls_of(written(script)) == {0: ("a", "weather", "{}"), 1: ("b", "weather", "{}")}


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param((("a", 1), (None, 1), ("b", 2), (None, 2)), id="counted-from-one"),
        pytest.param((("a", 0), (None, 0), ("b", 0), (None, 0)), id="all-zero"),
        pytest.param((("a", None), (None, None), ("b", None), (None, None)), id="not-counted"),
        pytest.param((("a", 0), ("b", 1), (None, 0), (None, 1)), id="side-by-side"),
    ],
)
def test_pieces_find_their_call_however_the_server_counts(numbers: Sequence[tuple[str | None, int | None]]) -> None:
    parts = {"a": iter(('{"town": ', '"Bern"}')), "b": iter(('{"town": ', '"Rome"}'))}
    last: dict[int | None, str] = {}
    chunks = []
    for call_id, number in numbers:
        whose = call_id or last[number]
        last[number] = whose
        function = {"name": "weather" if call_id else None, "arguments": next(parts[whose])}
        chunks.append(delta(tool_calls=[{"index": number, "id": call_id, "function": function}]))

    assert calls_of(written(streamed(*chunks, delta("tool_calls")))) == {
        0: ("a", "weather", '{"town": "Bern"}'),
        1: ("b", "weather", '{"town": "Rome"}'),
    }


def test_a_whole_answer_in_place_of_a_stream() -> None:
    body = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    script = Script(llm=Act(body=json.dumps(body).encode(), media_type="application/json"))
    assert written(script) == [TextDelta("Hi"), LlmEnd("stop", LlmUsage(3, 0))]


def test_thoughts_are_not_said() -> None:
    pieces = ["<th", "ink>I should", " greet.</thi", "nk>\n\n", "Hi", " <think> there"]
    script = streamed(*(delta(content=piece) for piece in pieces), delta("stop"))
    assert text_of(written(script)) in ("Hi <think> there", "\n\nHi <think> there")
    assert Thoughts().feed("<b") == "<b"
    held = Thoughts()
    assert held.feed("<t") + held.finish() == "<t"


def test_an_error_inside_the_stream_is_quoted() -> None:
    error = refused(streamed(delta(content="Hi"), {"error": {"message": "out of memory"}}))
    assert error.code == "upstream_failed"
    assert "out of memory" in error.message


@pytest.mark.parametrize("event", ['{"choices": 7}', "hello", '{"choices": [{"delta": {"tool_calls": [{}]}}]}'])
def test_nonsense_is_an_error(event: str) -> None:
    assert refused(streamed(event, delta("stop"))).code == "upstream_malformed"


def test_a_page_of_html_is_an_error() -> None:
    page = Act(body=b"<html>welcome</html>", media_type="text/html")
    assert refused(Script(llm=page)).code == "upstream_cut"


# --- ending ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.RESET])
def test_a_complete_answer_does_not_fail_or_wait_for_its_bill(fault: Fault) -> None:
    # 1 role, 2 words, 1 reason; then the usage never comes
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> Events:
        async with asyncio.timeout(3):
            return await everything(OpenAiLlm(upstream, "m").write(ASKED))

    script = Script(reply="Good morning", llm=Act(fault=fault, fault_after=4))
    events = talk(conversation, script, Deadlines(idle_s=0.2))
    assert text_of(events) == "Good morning"
    assert events[-1] == LlmEnd("stop")


def test_who_has_heard_enough_hangs_up() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> bool:
        await leave_after_first(OpenAiLlm(upstream, "m").write(ASKED))
        async with asyncio.timeout(2):
            await scripted.requests[-1].ended.wait()
        return scripted.requests[-1].hung_up

    assert talk(conversation, Script(llm=Act(fault=Fault.STALL, fault_after=3)))


def test_pictures_and_wishes_are_sent_on() -> None:
    picture = UserSaid("what is this", (Image("data:image/png;base64,AAAA", "low"),))
    tools = (ToolSpec("look", "", {"type": "object"}),)
    hints = {"parallel_tool_calls": False, "reasoning": {"effort": "low"}}
    body = chat_body(LlmRequest((picture,), tools=tools, hints=hints), "m", ChatOptions())
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    assert (body["parallel_tool_calls"], body["reasoning_effort"]) == (False, "low")
    plain = chat_body(LlmRequest((UserSaid("hi"),)), "m", ChatOptions())
    assert not {"parallel_tool_calls", "reasoning_effort"} & set(plain)
