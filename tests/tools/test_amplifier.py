"""Tool modules of the real amplifier-core are tools of ours: mounted at the start, for each session, and stoppable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from antiphon.config import load
from antiphon.errors import ConfigError
from antiphon.tools.amplifier import Module, Modules
from antiphon.tools.api import ToolContext
from antiphon.tools.loading import workroom
from antiphon.tools.runner import Outcome, ToolCall, ToolRunner, Workroom

pytestmark = pytest.mark.real
MODULES = Path(__file__).parent / "amplifier_modules"
CONDUCT = {"wait": {"deadline_s": 0.1}, "dig": {"reads_only": True}}


@pytest.fixture(autouse=True)
def _modules_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(MODULES)


def told(story: Callable[[Workroom], Awaitable[None]], **config: object) -> None:
    """A story with the garden's tools, as a configuration brings them."""
    wish = json.dumps([{"module": "tool-garden", "config": {"litres": 7}}])
    environ = {"ANTIPHON_TOOLS__AMPLIFIER": wish, "ANTIPHON_TOOLS__CONDUCT": json.dumps(CONDUCT)}

    async def whole() -> None:
        room = await workroom(load(None, environ), with_assistants=False)
        try:
            await story(room)
        finally:
            await room.registry.close()

    asyncio.run(whole())


def runner(room: Workroom, session: str = "s1") -> ToolRunner:
    context = ToolContext(datetime(2026, 1, 2, tzinfo=UTC), "en-US", session, lambda text: None)
    return ToolRunner(room, lambda: context)


async def ask(tools: ToolRunner, name: str, **arguments: object) -> Outcome:
    return await tools.run(ToolCall("c", name, json.dumps(arguments)))


def test_the_modules_of_the_real_package_are_tools() -> None:
    import amplifier_module_tool_garden as garden

    assert int(version("amplifier-core").partition(".")[0]) >= 2

    async def story(room: Workroom) -> None:
        names = [(each.name, each.source) for each in room.registry]
        assert names == [(name, "amplifier") for name in ("dig",)] + [("read_more", "built in")] + [
            (name, "amplifier") for name in ("wait", "water")
        ]
        water = room.registry.get("water")
        assert water is not None
        assert water.tool.spec.description == "Waters a bed of the garden."
        assert water.tool.spec.parameters["required"] == ["bed"]
        assert room.registry.get("dig").conduct.reads_only  # type: ignore[union-attr]
        outcome = await ask(runner(room), "water", bed="roses")
        assert json.loads(outcome.output) == {"bed": "roses", "litres": 7, "times": 1}
        garden.dug.set()
        assert (await ask(runner(room), "dig")).output == "a hole"

    told(story)


def test_what_fails_is_told_in_its_own_words() -> None:
    async def story(room: Workroom) -> None:
        tools = runner(room)
        for arguments, sentence in (
            ({"bed": "desert"}, "there is no tap in the desert."),
            ({}, "the arguments of water are wrong: 'bed' is a required property."),
            ({"bed": 3}, "the arguments of water are wrong: bed: 3 is not of type 'string'."),
        ):
            outcome = await ask(tools, "water", **arguments)
            assert (outcome.ok, json.loads(outcome.output)["error"]) == (False, sentence)

    told(story)


def test_each_session_has_instances_of_its_own_and_they_end_with_it() -> None:
    import amplifier_module_tool_garden as garden

    async def story(room: Workroom) -> None:
        first, second = runner(room, "s1"), runner(room, "s2")
        times = [json.loads((await ask(tools, "water", bed="x")).output)["times"] for tools in (first, first, second)]
        assert times == [1, 2, 1]
        garden.unmounted.clear()
        await first.close()
        assert garden.unmounted == ["s1"]

    told(story)
    assert set(garden.unmounted) == {"s1", "s2", "start"}


def test_what_blocks_there_does_not_block_here() -> None:
    import amplifier_module_tool_garden as garden

    async def story(room: Workroom) -> None:
        garden.dug.clear()
        digging = asyncio.create_task(ask(runner(room), "dig"))
        await asyncio.sleep(0.05)
        garden.dug.set()  # nobody could, were this loop the one that is blocked
        assert (await digging).output == "a hole"

    told(story)


def test_its_own_cancellation_is_honoured() -> None:
    import amplifier_module_tool_garden as garden

    async def story(room: Workroom) -> None:
        garden.stopped.clear()
        tools = runner(room)
        outcome = await ask(tools, "wait")
        assert json.loads(outcome.output)["error"] == "wait did not answer within 0.1 seconds."
        async with asyncio.timeout(5):
            while set(garden.stopped) != {"callback", "thread"}:  # noqa: ASYNC110 - another thread's list
                await asyncio.sleep(0.005)
        assert (await ask(tools, "water", bed="x")).ok, "the next call is not cancelled too"

    told(story)


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        (Module("tool-nowhere"), "tool-nowhere cannot be mounted"),
        (Module("tool-rotten"), "tool-rotten cannot be mounted: OSError: no spade"),
        (Module("tool-rotten", {"empty": True}), "tool-rotten brought no tools"),
        (Module("tool-rotten", {"lies": True}), "the schema of rotten is none"),
    ],
)
def test_what_is_wrong_with_a_module_is_found_at_the_start(module: Module, complaint: str) -> None:
    async def story() -> None:
        modules = Modules([module])
        try:
            with pytest.raises(ConfigError, match=complaint):
                await modules.start()
        finally:
            await modules.close()

    asyncio.run(story())
