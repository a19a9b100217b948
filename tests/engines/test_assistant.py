"""What the offline assistant understands, what it calls, and how it words the answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.engines.api import (
    AssistantSaid,
    CallDelta,
    ChatMessage,
    LlmEnd,
    LlmRequest,
    TextDelta,
    ToolAnswered,
    ToolCalled,
    UserSaid,
)
from antiphon.engines.llm.assistant import HELP, UNKNOWN, Assistant, answer_to, span_in_words
from antiphon.engines.llm.assistant.intents import INTENTS, grammar, understand
from antiphon.engines.llm.assistant.numbers import as_text, number_from
from antiphon.tools.builtin import builtin_tools

TOOLS = tuple(tool.spec for tool in builtin_tools(Path("never-opened.sqlite")))


def asked(text: str) -> object:
    return answer_to(LlmRequest((UserSaid(text),), tools=TOOLS))


def told(name: str, **facts: object) -> str:
    """What is said when the tool `name` answered with `facts`."""
    messages: tuple[ChatMessage, ...] = (ToolCalled("call", name, "{}"), ToolAnswered("call", json.dumps(facts)))
    answer = answer_to(LlmRequest(messages, tools=TOOLS))
    assert isinstance(answer, str)
    return answer


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("What time is it?", ("get_time", {})),
        ("what day is it", ("get_date", {"day": "today"})),
        ("What day is tomorrow?", ("get_date", {"day": "tomorrow"})),
        ("what's 12 times 3?", ("calculate", {"left": 12, "operator": "*", "right": 3})),
        ("12*3", ("calculate", {"left": 12, "operator": "*", "right": 3})),
        ("what is -4 plus 1.5", ("calculate", {"left": -4, "operator": "+", "right": 1.5})),
        ("What is 15% of 80?", ("calculate", {"left": 15, "operator": "%", "right": 80})),
        ("how much is ten percent of fifty", ("calculate", {"left": 10, "operator": "%", "right": 50})),
        ("5 km in miles", ("convert", {"value": 5, "from_unit": "kilometers", "to_unit": "miles"})),
        ("what is 5km in miles", ("convert", {"value": 5, "from_unit": "kilometers", "to_unit": "miles"})),
        ("How many feet are two meters?", ("convert", {"value": 2, "from_unit": "meters", "to_unit": "feet"})),
        (
            "convert seventy degrees fahrenheit to celsius",
            ("convert", {"value": 70, "from_unit": "fahrenheit", "to_unit": "celsius"}),
        ),
        ("Please set a timer for five minutes.", ("set_timer", {"seconds": 300})),
        ("set a 90 second timer", ("set_timer", {"seconds": 90})),
        ("how much time is left", ("list_timers", {})),
        ("cancel the timer", ("cancel_timer", {})),
        ("Add milk to my list!", ("list_add", {"item": "milk"})),
        ("add olive oil to the shopping list", ("list_add", {"item": "olive oil"})),
        ("remove milk from my list", ("list_remove", {"item": "milk"})),
        ("what's on my list?", ("list_show", {})),
        ("clear my list", ("list_clear", {})),
    ],
)
def test_a_request_becomes_a_call(text: str, call: object) -> None:
    assert asked(text) == call


@pytest.mark.parametrize(
    "text",
    ["what is the price of milk", "what is love plus hate", "set a timer for ever", "5 km in apples", "add", "?!"],
)
def test_anything_else_is_not_understood_and_says_what_would_be(text: str) -> None:
    answer = asked(text)
    assert isinstance(answer, str)
    assert "timer" in answer
    assert "understand" in answer or "hear" in answer


def test_every_intent_understands_its_own_example_as_itself() -> None:
    for intent in INTENTS:
        found = understand(intent.example)
        assert found is not None, intent.example
        assert found.intent == intent.name


def test_every_call_is_of_a_tool_that_exists() -> None:
    names = {tool.name for tool in TOOLS}
    for intent in INTENTS:
        answer: Any = asked(intent.example)
        assert not isinstance(answer, tuple) or answer[0] in names
        assert answer != UNKNOWN


def test_the_grammar_defines_every_rule_that_it_uses() -> None:
    text = grammar()
    used = {part.split(">")[0] for part in text.split("<")[1:]}
    defined = {line.partition(">")[0].rpartition("<")[2] for line in text.splitlines() if "> =" in line}
    assert used == defined


def test_repeat_says_the_last_answer_again_and_keeps_nothing() -> None:
    messages = (UserSaid("hello"), AssistantSaid("Hello!"), UserSaid("say that again"))
    assert answer_to(LlmRequest(messages)) == "Hello!"
    assert "not said anything" in str(answer_to(LlmRequest((UserSaid("say that again"),))))


def test_silence_is_answered() -> None:
    for messages in ((), (UserSaid("  "),), (AssistantSaid("Hello!"),)):
        assert str(answer_to(LlmRequest(messages))).startswith("I did not hear anything.")


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    said = UserSaid("what time is it")
    for request in (LlmRequest((said,)), LlmRequest((said,), tools=TOOLS, tool_choice="none")):
        assert "no tool" in str(answer_to(request))
    forced = LlmRequest((said,), tools=TOOLS, tool_choice={"type": "function", "name": "get_date"})
    assert "no tool" in str(answer_to(forced))


@pytest.mark.parametrize(
    ("name", "facts", "words"),
    [
        ("get_time", {"time": "4:20 PM"}, "It is 4:20 PM."),
        ("get_date", {"day": "today", "date": "Monday, March 2, 2026"}, "Today is Monday, March 2, 2026."),
        ("get_date", {"day": "tomorrow", "date": "Tuesday, March 3, 2026"}, "Tomorrow is Tuesday, March 3, 2026."),
        ("calculate", {"result": 84.0}, "That is 84."),
        ("calculate", {"result": 10 / 3}, "That is 3.33."),
        ("convert", {"result": 6.2137, "unit": "miles"}, "That is 6.21 miles."),
        ("set_timer", {"seconds": 90.0}, "Your timer for 1 minute and 30 seconds is set."),
        ("list_timers", {"seconds_left": []}, "There is no timer running."),
        ("list_timers", {"seconds_left": [60]}, "There is 1 minute left."),
        ("list_timers", {"seconds_left": [60, 5]}, "There are 1 minute and 5 seconds left."),
        ("list_show", {"items": ["milk", "tea", "rice"]}, "On your list: milk, tea and rice."),
        ("list_show", {"items": []}, "Your list is empty."),
        ("list_remove", {"item": "milk", "removed": False}, "There is no milk on your list."),
        (
            "calculate",
            {"error": "nothing can be divided by zero."},
            "That did not work: nothing can be divided by zero.",
        ),
        ("calculate", {"nonsense": 1}, "That did not work."),
        ("nobody", {"result": 1}, "That did not work."),
    ],
)
def test_a_tools_answer_is_worded(name: str, facts: dict[str, object], words: str) -> None:
    assert told(name, **facts) == words


def test_an_answer_that_is_no_object_did_not_work() -> None:
    for output in ("not json", "[]", "3", "null"):
        messages = (ToolCalled("call", "get_time", "{}"), ToolAnswered("call", output))
        assert answer_to(LlmRequest(messages)) == "That did not work."


def written(request: LlmRequest) -> list[TextDelta | CallDelta | LlmEnd]:
    async def story() -> list[TextDelta | CallDelta | LlmEnd]:
        return [event async for event in Assistant().write(request)]

    return asyncio.run(story())


def test_text_comes_in_pieces_and_ends_once() -> None:
    *pieces, end = written(LlmRequest((UserSaid("help"),)))
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == HELP
    assert len(pieces) > 10
    assert isinstance(end, LlmEnd)
    assert end.reason == "stop"


def test_a_limit_cuts_the_answer_and_says_so() -> None:
    *pieces, end = written(LlmRequest((UserSaid("help"),), max_tokens=3))
    assert len(pieces) == 3
    assert isinstance(end, LlmEnd)
    assert end.reason == "length"


def test_a_call_is_written_as_json() -> None:
    call, end = written(LlmRequest((UserSaid("add tea to my list"),), tools=TOOLS))
    assert isinstance(call, CallDelta)
    assert (call.name, json.loads(call.arguments)) == ("list_add", {"item": "tea"})
    assert isinstance(end, LlmEnd)
    assert end.reason == "tool_calls"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("zero", 0), ("twenty one", 21), ("twenty-one", 21), ("a hundred and five", 105), ("3,500", 3500),
        ("nine thousand nine hundred ninety nine", 9999), ("two point five", 2.5), ("point five", 0.5),
        ("12.5", 12.5), ("minus seven", -7), ("-7", -7), ("", None), ("fish", None), ("one point ten", None),
        ("nan", None), ("inf", None), ("1e400", None), ("and", None), ("twenty thirty", None), ("five six", None),
    ],
)  # fmt: skip
def test_numbers(words: str, value: float | None) -> None:
    assert number_from(words) == value


def test_numbers_and_lengths_of_time_are_said_well() -> None:
    assert [as_text(value) for value in (84.0, 0.1 + 0.2, -2.5, 1e6, 1e20)] == ["84", "0.3", "-2.5", "1000000", "1e+20"]
    assert [span_in_words(s) for s in (0, 1, 61, 3600)] == ["0 seconds", "1 second", "1 minute and 1 second", "1 hour"]
