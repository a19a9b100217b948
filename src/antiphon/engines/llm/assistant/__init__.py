"""The offline assistant: a model without a network, that understands a small set of requests and says so plainly.

It is an `Llm` like any other: it reads the last messages, calls real tools by name, and words what they answer. It
keeps nothing between requests, ignores instructions, and is the same every time.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from antiphon.engines.api import (
    AssistantSaid,
    CallDelta,
    ChatMessage,
    LlmEnd,
    LlmRequest,
    LlmUsage,
    TextDelta,
    ToolAnswered,
    ToolCalled,
    UserSaid,
)
from antiphon.engines.llm.assistant.intents import Understood, understand
from antiphon.engines.llm.assistant.numbers import as_text, number_from

HELP = (
    "I can tell you the time and the date, calculate, convert units, set timers, and keep a list. "
    "For example, say: what is twelve times seven, or: add milk to my list."
)
UNKNOWN = (
    "Sorry, I did not understand that. I can tell the time, calculate, convert units, set timers, and keep a list."
)
FAILED = "That did not work."
FORBIDDEN = "All right, I have not done it."
NO_TOOL = "I know what you mean, but I have no tool for it here."
FIXED: Mapping[str, str] = {
    "help": HELP,
    "greeting": "Hello! What can I do for you?",
    "thanks": "You are welcome.",
    "goodbye": "Goodbye!",
}
SECONDS = {"second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
UNIT_NAMES = {
    "mile": "miles", "km": "kilometers", "kilometer": "kilometers", "kilometre": "kilometers",
    "kilometres": "kilometers", "meter": "meters", "metre": "meters", "metres": "meters", "m": "meters",
    "foot": "feet", "ft": "feet", "inch": "inches", "cm": "centimeters", "centimeter": "centimeters",
    "centimetres": "centimeters", "pound": "pounds", "lb": "pounds", "lbs": "pounds", "kg": "kilograms",
    "kilogram": "kilograms", "kilos": "kilograms", "kilo": "kilograms", "ounce": "ounces", "oz": "ounces",
    "gram": "grams", "g": "grams", "gallon": "gallons", "liter": "liters", "litre": "liters", "litres": "liters",
    "l": "liters", "cup": "cups", "ml": "milliliters", "milliliter": "milliliters", "f": "fahrenheit",
    "c": "celsius",
}  # fmt: skip
UNITS = frozenset(UNIT_NAMES.values())
OPERATORS = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "over": "/"}

Call = tuple[str, dict[str, Any]]


class Assistant:
    """See the module."""

    sees: bool = False

    async def warm(self) -> None:
        pass

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        """Words, or one call of a tool that the request offers."""
        count = sum(len(str(message).split()) for message in request.messages)
        answer = answer_to(request)
        if isinstance(answer, tuple):
            name, arguments = answer
            yield CallDelta(0, f"call_{len(request.messages)}", name, json.dumps(arguments))
            yield LlmEnd("tool_calls", LlmUsage(count, 1))
            return
        words = re.findall(r"\S+\s*", answer)
        for word in words if request.max_tokens is None else words[: request.max_tokens]:
            yield TextDelta(word)
        is_cut = request.max_tokens is not None and len(words) > request.max_tokens
        yield LlmEnd("length" if is_cut else "stop", LlmUsage(count, len(words)))


def answer_to(request: LlmRequest) -> str | Call:
    """What to say, or which tool to call."""
    last = request.messages[-1] if request.messages else None
    if isinstance(last, ToolAnswered):
        return _after_tool(last, request)
    if not isinstance(last, UserSaid) or not last.text.strip():
        return "I did not hear anything. " + HELP
    found = understand(last.text)
    if found is None:
        return UNKNOWN
    if found.intent == "repeat":
        return _last_said(request.messages)
    if found.intent in FIXED:
        return FIXED[found.intent]
    call = _call(found)
    if call is None:
        return UNKNOWN
    offered = {tool.name for tool in request.tools}
    if call[0] not in offered or not _may_call(call[0], request.tool_choice):
        return NO_TOOL
    return call


def _after_tool(last: ToolAnswered, request: LlmRequest) -> str | Call:
    if not _was_forbidden(last):
        return _worded(last, request.messages)
    # Whoever asked for something else in place of a yes, right before, is answered that.
    *_, said, _call, _answer = (None, *request.messages)
    if isinstance(said, UserSaid) and understand(said.text) is not None:
        return answer_to(msgspec.structs.replace(request, messages=(*request.messages, said)))
    return FORBIDDEN


def _was_forbidden(answer: ToolAnswered) -> bool:
    try:
        facts = json.loads(answer.output)
    except ValueError:
        return False
    return isinstance(facts, dict) and facts.get("status") == "not done"


def _may_call(name: str, choice: str | Mapping[str, Any]) -> bool:
    """ "required" cannot be obeyed where nothing was asked for: then there are words, as with "auto"."""
    if isinstance(choice, str):
        return choice != "none"
    return choice.get("name") == name


def _last_said(messages: Iterable[ChatMessage]) -> str:
    said = [message.text for message in messages if isinstance(message, AssistantSaid)]
    return said[-1] if said else "I have not said anything yet."


# --- from words to a call


def _call(found: Understood) -> Call | None:
    """The tool and its arguments, or None if the words in a slot are nothing that belongs there."""
    return _CALLS[found.intent](found)


def _calculate(found: Understood) -> Call | None:
    left, right = (number_from(words) for words in found.all("number"))
    if left is None or right is None:
        return None
    return "calculate", {"left": left, "operator": OPERATORS[found.all("operator")[0]], "right": right}


def _percent(found: Understood) -> Call | None:
    left, right = (number_from(words) for words in found.all("number"))
    if left is None or right is None:
        return None
    return "calculate", {"left": left, "operator": "%", "right": right}


def _convert(found: Understood) -> Call | None:
    value = number_from(found.all("number")[0])
    units = [_unit(words) for words in found.all("unit")]
    if found.slots[0][0] == "unit":  # "how many feet are two meters"
        units.reverse()
    if value is None or None in units:
        return None
    return "convert", {"value": value, "from_unit": units[0], "to_unit": units[1]}


def _unit(words: str) -> str | None:
    name = words.removeprefix("degrees ").removeprefix("degree ").strip()
    name = UNIT_NAMES.get(name, name)
    return name if name in UNITS else None


def _set_timer(found: Understood) -> Call | None:
    *number, unit = found.all("span")[0].split()
    value = number_from(" ".join(number))
    if value is None or unit not in SECONDS:
        return None
    return "set_timer", {"seconds": value * SECONDS[unit]}


def _item(name: str) -> Callable[[Understood], Call | None]:
    return lambda found: (name, {"item": found.all("item")[0]})


def _plain(name: str, **arguments: Any) -> Callable[[Understood], Call | None]:
    return lambda found: (name, dict(arguments))


_CALLS: Mapping[str, Callable[[Understood], Call | None]] = {
    "time": _plain("get_time"),
    "date": _plain("get_date", day="today"),
    "tomorrow": _plain("get_date", day="tomorrow"),
    "calculate": _calculate,
    "percent": _percent,
    "convert": _convert,
    "set_timer": _set_timer,
    "list_timers": _plain("list_timers"),
    "cancel_timer": _plain("cancel_timer"),
    "list_add": _item("list_add"),
    "list_remove": _item("list_remove"),
    "list_show": _plain("list_show"),
    "list_clear": _plain("list_clear"),
}


# --- from a tool's answer to words


def _worded(answer: ToolAnswered, messages: Sequence[ChatMessage]) -> str:
    # The last call of this id: ours count messages, which a long conversation has fewer of again.
    name = next((m.name for m in reversed(messages) if isinstance(m, ToolCalled) and m.call_id == answer.call_id), "")
    try:
        facts = json.loads(answer.output)
        if not isinstance(facts, dict):
            return FAILED
        if "question" in facts:
            return str(facts["question"])
        if "error" in facts:
            return f"That did not work: {facts['error']}"
        return _WORDS[name](facts)
    except (ValueError, KeyError, TypeError):
        return FAILED


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def span_in_words(seconds: float) -> str:
    """A length of time as it is said: "1 minute and 30 seconds"."""
    parts = []
    left = round(seconds)
    for name, size in (("hour", 3600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " and ".join(parts) or "0 seconds"


def _timers(facts: Any) -> str:
    if not facts["seconds_left"]:
        return "There is no timer running."
    verb = "is" if facts["seconds_left"] == [60] or facts["seconds_left"] == [1] else "are"
    return f"There {verb} {_listed([span_in_words(left) for left in facts['seconds_left']])} left."


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "get_time": lambda facts: f"It is {facts['time']}.",
    "get_date": lambda facts: f"{facts['day'].capitalize()} is {facts['date']}.",
    "calculate": lambda facts: f"That is {as_text(facts['result'])}.",
    "convert": lambda facts: f"That is {as_text(facts['result'])} {facts['unit']}.",
    "set_timer": lambda facts: f"Your timer for {span_in_words(facts['seconds'])} is set.",
    "list_timers": _timers,
    "cancel_timer": lambda facts: "The timer is cancelled." if facts["cancelled"] else "There is no timer running.",
    "list_add": lambda facts: f"I have put {facts['item']} on your list.",
    "list_remove": lambda facts: (
        f"I have taken {facts['item']} off your list."
        if facts["removed"]
        else f"There is no {facts['item']} on your list."
    ),
    "list_show": lambda facts: f"On your list: {_listed(facts['items'])}." if facts["items"] else "Your list is empty.",
    "list_clear": lambda facts: "Your list is empty now.",
}
