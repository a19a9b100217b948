"""Tools made of typed functions: what models are told of them, and what they may write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal, cast

import pytest
from msgspec import Meta

from antiphon.errors import ConfigError
from antiphon.tools.api import BadArguments, Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.function import as_json, read_docstring, tool, tool_of

CONTEXT = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", "sess_1", lambda text: None)


def made(function: Callable[..., Any]) -> ServerTool:
    found = tool_of(function)
    assert found is not None
    return found


def called(function: Callable[..., Any], **arguments: Any) -> Any:
    return json.loads(asyncio.run(made(function).call(arguments, CONTEXT)))


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Topping:
    name: str
    grams: float = 20.0


@tool(name="order-pizza", conduct=Conduct(resource="kitchen"))
def order(
    size: Size,
    toppings: list[Topping],
    door: Literal["front", "back"] = "front",
    pieces: Annotated[int, Meta(ge=1, le=12, description="How many it is cut into.")] = 8,
    note: str | None = None,
) -> dict[str, Any]:
    """Order a pizza
    at the corner.

    Args:
        size: How large it is:
            nobody finishes a large one.
        toppings (list): What lies on it.
        pieces: Not this one: the annotation says more.

    Returns:
        The order.
    """
    return {"size": size.value, "toppings": [each.name for each in toppings], "pieces": pieces, "door": door}


def test_a_signature_becomes_a_schema() -> None:
    spec = made(order).spec
    assert (spec.name, spec.description) == ("order-pizza", "Order a pizza at the corner.")
    shape = spec.parameters
    assert shape["required"] == ["size", "toppings"]
    assert shape["additionalProperties"] is False
    properties = shape["properties"]
    assert properties["size"] == {
        "$ref": "#/$defs/Size",
        "description": "How large it is: nobody finishes a large one.",
    }
    assert properties["toppings"]["description"] == "What lies on it."
    assert properties["door"] == {"enum": ["back", "front"], "default": "front"}
    assert properties["pieces"]["description"] == "How many it is cut into."
    assert (properties["pieces"]["minimum"], properties["pieces"]["maximum"]) == (1, 12)
    assert shape["$defs"]["Topping"]["required"] == ["name"]


def test_the_function_stays_what_it_was() -> None:
    assert order(Size.SMALL, [])["door"] == "front"


def test_a_schema_has_the_same_bytes_each_time() -> None:
    def again() -> str:
        @tool
        def search(words: str, limit: int = 3, kinds: list[str] = ["a"]) -> None:  # noqa: B006 - copied for each call
            """Look for words."""

        return json.dumps(made(search).spec.parameters)

    assert again() == again()


def test_arguments_arrive_with_their_types() -> None:
    assert called(order, size="large", toppings=[{"name": "olives"}], pieces="6") == {
        "size": "large", "toppings": ["olives"], "pieces": 6, "door": "front",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "missing required field `size`."),
        ({"size": "huge", "toppings": []}, "size: Invalid enum value 'huge'."),
        ({"size": "small", "toppings": [{}]}, "toppings[0]: Object missing required field `name`."),
        ({"size": "small", "toppings": [], "pieces": 0}, "pieces: Expected `int` >= 1."),
        ({"size": "small", "toppings": [], "crust": "thick"}, "unknown field `crust`."),
        ({"size": "small", "toppings": "olives"}, "toppings: Expected `array`, got `str`."),
    ],
)
def test_what_is_not_the_schema_is_told_in_a_sentence(arguments: Any, complaint: str) -> None:
    with pytest.raises(BadArguments) as caught:
        called(order, **arguments)
    assert str(caught.value).endswith(complaint)


def test_a_default_that_can_change_is_not_shared() -> None:
    @tool
    def collect(item: str, into: list[str] = []) -> list[str]:  # noqa: B006 - this is what is tested
        into.append(item)
        return into

    assert called(collect, item="a") == ["a"]
    assert called(collect, item="b") == ["b"]


def test_the_context_is_given_and_not_shown() -> None:
    @tool
    async def where(context: ToolContext) -> str:
        return json.dumps(context.session)

    assert made(where).spec.parameters["properties"] == {}
    assert called(where) == "sess_1"


def test_a_function_that_is_not_async_runs_off_the_loop() -> None:
    import threading

    @tool
    def thread() -> str:
        return json.dumps(threading.current_thread().name)

    assert called(thread) == "tool"


def test_what_json_cannot_hold_is_refused_in_words() -> None:
    nested: list[Any] = []
    nested.append(nested)
    for result in (object(), {1j: 2}, nested, {"surrogate": "\ud800"}):
        with pytest.raises(ToolError, match="cannot be read"):
            as_json(result)
    assert as_json(None) == "null"
    assert as_json("as it is") == "as it is"
    assert as_json(float("nan")) == "null"


# --- functions that cannot be tools


def test_what_no_schema_can_describe_fails_at_once() -> None:
    def untyped(words) -> None: ...  # type: ignore[no-untyped-def]
    def variadic(*words: str) -> None: ...
    def keywords(**words: str) -> None: ...
    def positional(words: str, /) -> None: ...
    def strange(thing: Callable[[], None]) -> None: ...
    def unknown(thing: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function in (untyped, variadic, keywords, positional, strange, unknown):
        with pytest.raises(ConfigError) as caught:
            tool(function)
        assert function.__name__ in str(caught.value)
    with pytest.raises(ConfigError, match="no name for a tool"):
        tool(name="two words")(untyped)


@pytest.mark.parametrize(
    ("text", "description", "about"),
    [
        ("", "", {}),
        ("Only this.", "Only this.", {}),
        ("Sum.\n\n:param int left: The\n    first.\n:param right: The second.\n:returns: sum", "Sum.",
         {"left": "The first.", "right": "The second."}),
        ("Sum.\n\nMore: of it.\n\nArgs:\n  left: A: b.\n  right: C\n\n    d.\n", "Sum. More: of it.",
         {"left": "A: b.", "right": "C"}),
        ("Sum.\n\nReturns:\n    left: not a parameter.", "Sum.", {}),
    ],
)  # fmt: skip
def test_docstrings(text: str, description: str, about: dict[str, str]) -> None:
    assert read_docstring(text) == (description, about)


def test_only_tools_are_tools() -> None:
    for thing in (len, 3, "name", ServerTool, cast(Any, object())):
        assert tool_of(thing) is None
