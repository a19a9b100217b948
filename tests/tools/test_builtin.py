"""The server's own tools, by what a model gets back from them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from antiphon.testing.virtual_time import run as run_in_virtual_time
from antiphon.tools.api import ServerTool, ToolContext, ToolError
from antiphon.tools.builtin import builtin_tools
from antiphon.tools.builtin.timers import MOST_TIMERS

NOW = datetime(2026, 12, 31, 16, 5, tzinfo=ZoneInfo("Europe/Vienna"))


class Desk:
    """All tools, as one session has them; what is announced is collected."""

    def __init__(self, list_path: Path = Path("never-opened.sqlite")) -> None:
        self.tools: dict[str, ServerTool] = {tool.spec.name: tool for tool in builtin_tools(list_path)}
        self.announced: list[str] = []

    async def call(self, name: str, session: str = "s1", **arguments: Any) -> Any:
        context = ToolContext(NOW, "en-US", session, self.announced.append)
        return json.loads(await self.tools[name].call(arguments, context))


def called(name: str, **arguments: Any) -> Any:
    return asyncio.run(Desk().call(name, **arguments))


def test_time_and_date_are_the_sessions() -> None:
    assert called("get_time") == {"time": "4:05 PM"}
    assert called("get_date", day="today") == {"day": "today", "date": "Thursday, December 31, 2026"}
    assert called("get_date", day="tomorrow") == {"day": "tomorrow", "date": "Friday, January 1, 2027"}


@pytest.mark.parametrize(
    ("left", "operator", "right", "result"),
    [(12, "+", 3, 15), (12, "-", 3, 9), (12, "*", 3, 36), (12, "/", 4, 3), (15, "%", 80, 12)],
)
def test_arithmetic(left: float, operator: str, right: float, result: float) -> None:
    assert called("calculate", left=left, operator=operator, right=right) == {"result": result}


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (26.2, "miles", "kilometers", 42.16),
        (150, "pounds", "kilograms", 68.04),
        (212, "fahrenheit", "celsius", 100),
        (-40, "celsius", "fahrenheit", -40),
        (1, "gallons", "liters", 3.79),
        (2, "cups", "milliliters", 473.18),
        (10, "inches", "centimeters", 25.4),
    ],
)
def test_units(value: float, source: str, target: str, result: float) -> None:
    answer = called("convert", value=value, from_unit=source, to_unit=target)
    assert answer["result"] == pytest.approx(result, abs=0.005)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("calculate", {"left": 1, "operator": "/", "right": 0}),
        ("calculate", {"left": 1, "operator": "^", "right": 2}),
        ("calculate", {"left": "1", "operator": "+", "right": 2}),
        ("calculate", {"left": True, "operator": "+", "right": 2}),
        ("calculate", {"left": 1e308, "operator": "*", "right": 1e308}),
        ("calculate", {"left": 10**400, "operator": "*", "right": 2}),
        ("calculate", {}),
        ("convert", {"value": 1, "from_unit": "miles", "to_unit": "liters"}),
        ("convert", {"value": 1, "from_unit": "celsius", "to_unit": "liters"}),
        ("set_timer", {"seconds": 0}),
        ("set_timer", {"seconds": 1e9}),
        ("set_timer", {"seconds": float("nan")}),
        ("list_add", {"item": " "}),
        ("list_add", {"item": 7}),
        ("list_add", {"item": "x" * 201}),
        ("get_date", {"day": "doomsday"}),
    ],
)
def test_what_makes_no_sense_is_one_sentence_for_the_model(name: str, arguments: Mapping[str, object]) -> None:
    with pytest.raises(ToolError, match=r"\.$"):
        called(name, **arguments)


def test_every_schema_names_what_the_tool_requires() -> None:
    for tool in Desk().tools.values():
        parameters = tool.spec.parameters
        assert parameters["type"] == "object"
        assert parameters["required"] == list(parameters["properties"])


# --- the list


def test_the_list_outlives_its_server(tmp_path: Path) -> None:
    path = tmp_path / "new" / "list.sqlite"

    async def story() -> None:
        desk = Desk(path)
        for item in ("milk", "tea", "milk", "Milk"):
            await desk.call("list_add", item=item)
        again = Desk(path)
        assert await again.call("list_show") == {"items": ["milk", "tea"]}
        assert (await again.call("list_remove", item="milk"))["removed"] is True
        assert (await again.call("list_remove", item="milk"))["removed"] is False
        assert await again.call("list_show") == {"items": ["tea"]}
        await again.call("list_clear")
        assert await again.call("list_show") == {"items": []}

    asyncio.run(story())


def test_a_list_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database" * 100)
    for path in (broken, tmp_path, broken / "below"):
        with pytest.raises(ToolError, match="the list cannot be used"):
            asyncio.run(Desk(path).call("list_show"))


def test_items_are_never_part_of_a_statement(tmp_path: Path) -> None:
    async def story() -> None:
        desk = Desk(tmp_path / "list.sqlite")
        await desk.call("list_add", item="x'); DROP TABLE item; --")
        assert len((await desk.call("list_show"))["items"]) == 1

    asyncio.run(story())


# --- timers


def timed(story: Callable[[Desk], Any]) -> None:
    run_in_virtual_time(story(Desk()))


def test_a_timer_rings_once_in_its_own_time() -> None:
    async def story(desk: Desk) -> None:
        await desk.call("set_timer", seconds=300)
        await asyncio.sleep(299)
        assert desk.announced == []
        assert await desk.call("list_timers") == {"seconds_left": [1]}
        await asyncio.sleep(500)
        assert desk.announced == ["Your 5 minute timer is done."]
        assert await desk.call("list_timers") == {"seconds_left": []}

    timed(story)


def test_a_session_cancels_only_its_own_timers() -> None:
    async def story(desk: Desk) -> None:
        await desk.call("set_timer", session="s1", seconds=10)
        await desk.call("set_timer", session="s1", seconds=20)
        await desk.call("set_timer", session="s2", seconds=30)
        assert await desk.call("cancel_timer", session="s1") == {"cancelled": 2}
        assert await desk.call("cancel_timer", session="s1") == {"cancelled": 0}
        await asyncio.sleep(60)
        assert desk.announced == ["Your 30 second timer is done."]

    timed(story)


def test_a_session_has_only_so_many_timers() -> None:
    async def story(desk: Desk) -> None:
        for _ in range(MOST_TIMERS):
            await desk.call("set_timer", seconds=60)
        with pytest.raises(ToolError, match="already 10 timers"):
            await desk.call("set_timer", seconds=60)
        await asyncio.sleep(61)
        await desk.call("set_timer", seconds=60)

    timed(story)
