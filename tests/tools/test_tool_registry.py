"""Tools come from code, modules and entry points, and each name is one tool."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from antiphon.config import Config, load
from antiphon.errors import ConfigError
from antiphon.server.tools import tools_page
from antiphon.tools.api import Conduct
from antiphon.tools.function import tool
from antiphon.tools.loading import workroom
from antiphon.tools.registry import Offer, Policy, Registry
from antiphon.tools.runner import Workroom

MODULE = '''
from antiphon.tools.api import Conduct
from antiphon.tools.api import Conduct
from antiphon.tools.function import tool

@tool(conduct=Conduct(reads_only=True))
def opening_hours(shop: str) -> str:
    """When a shop is open."""
    return "from nine to five"

@tool
def _hidden() -> None: ...

def no_tool() -> None: ...
'''


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "shop_tools.py").write_text(MODULE)
    (tmp_path / "empty_tools.py").write_text("")
    (tmp_path / "broken_tools.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop_tools", raising=False)
    return "shop_tools"


@tool
def beta() -> None: ...


@tool
def alpha() -> None: ...


def names(registry: Registry) -> list[str]:
    return [each.name for each in registry]


def test_tools_stand_in_one_order() -> None:
    assert names(Registry([beta, alpha])) == names(Registry([alpha, beta])) == ["alpha", "beta"]


def test_a_module_brings_its_public_tools(shop: str) -> None:
    registry = Registry()
    registry.add_module(shop)
    assert names(registry) == ["opening_hours"]
    assert next(iter(registry)).source == "the module shop_tools"
    registry.add_module(shop)  # the same tool is not another one
    assert len(registry) == 1


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        ("nowhere_tools", "there is no module 'nowhere_tools'"),
        ("empty_tools", "has no tools"),
        ("broken_tools", "fails when it is imported: ZeroDivisionError"),
    ],
)
def test_a_module_that_brings_nothing_is_refused(shop: str, module: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Registry().add_module(module)


def test_a_name_is_taken_once() -> None:
    @tool(name="alpha")
    def another() -> None: ...

    registry = Registry([alpha])
    with pytest.raises(ConfigError, match="two tools are called 'alpha': one from code, one from the module m"):
        registry.add(another, "the module m")
    with pytest.raises(ConfigError, match="is no tool"):
        registry.add(len, "code")


def test_entry_points_are_taken_by_name(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint(name, value, "antiphon.tools")
        for name, value in (("shop", shop), ("hours", f"{shop}:opening_hours"), ("gone", "nowhere_tools"))
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    for wanted in (("shop",), ("hours",), ("hours", "shop")):
        registry = Registry()
        registry.add_entry_points(wanted)
        assert names(registry) == ["opening_hours"]
    with pytest.raises(ConfigError, match="nobody has 'shops'"):
        registry.add_entry_points(["shops"])
    with pytest.raises(ConfigError, match="gone cannot be loaded"):
        registry.add_entry_points(["*"])


def made(config: Config, *, with_assistants: bool) -> Workroom:
    return asyncio.run(workroom(config, with_assistants=with_assistants))


def test_how_tools_are_run_can_be_said_over_them() -> None:
    registry = Registry([alpha, beta], conduct={"al*": {"reads_only": True, "cache_s": 5}, "*": {"deadline_s": 2.0}})
    conducts = [each.conduct for each in registry]
    assert conducts == [Conduct(reads_only=True, cache_s=5, deadline_s=2), Conduct(deadline_s=2)]
    for fields, complaint in (({"read_only": True}, "Did you mean 'reads_only'"), ({"deadline_s": "x"}, "Expected")):
        with pytest.raises(ConfigError, match=complaint):
            Registry(conduct={"alpha": fields})


def test_a_configuration_says_which_there_are_and_which_are_offered(shop: str, tmp_path: Path) -> None:
    environ = {"ANTIPHON_TOOLS__MODULES": shop, "ANTIPHON_TOOLS__OFFER": "opening_*,list_show"}
    overrides = {"tools.list_path": tmp_path / "list.sqlite3"}
    alone = made(load(None, environ, overrides), with_assistants=False)
    assert names(alone.registry) == ["opening_hours", "read_more"]
    both = made(load(None, {**environ, "ANTIPHON_TOOLS__DEADLINE_S": "3"}, overrides), with_assistants=True)
    assert {"get_time", "opening_hours"} < set(names(both.registry))
    assert [each.name for each in both.registry.offered()] == ["list_show", "opening_hours", "read_more"]
    assert both.limits.deadline_s == 3
    never = load(None, {"ANTIPHON_TOOLS__ASSISTANTS": "never"}, overrides)
    assert names(made(never, with_assistants=True).registry) == []


def test_the_page_tells_what_there_is(shop: str) -> None:
    registry = Registry([alpha], Offer(("b*",)))
    registry.add_module(shop)
    page = json.loads(tools_page(registry, None))
    assert [(each["id"], each["offered"]) for each in page["data"]] == [("alpha", False), ("opening_hours", False)]
    assert page["data"][1]["conduct"]["reads_only"] is True
    assert page["data"][1]["source"] == "the module shop_tools"
    assert page["data"][1]["parameters"]["required"] == ["shop"]


def test_one_that_cannot_be_closed_keeps_no_other_from_it() -> None:
    closed: list[str] = []

    class Closing:
        def __init__(self, name: str, *, fails: bool = False) -> None:
            found = Registry([alpha]).get("alpha")
            assert found is not None
            self.spec = type(found.tool.spec)(name, "", {})
            self.call = found.tool.call
            self._fails = fails

        async def close(self) -> None:
            if self._fails:
                raise OSError("no")
            closed.append(self.spec.name)

    registry = Registry([Closing("a"), Closing("b", fails=True), Closing("c")])
    with pytest.raises(ExceptionGroup):
        asyncio.run(registry.close())
    assert closed == ["a", "c"]


def test_policies() -> None:
    @tool(conduct=Conduct(reads_only=True))
    def look() -> None: ...

    @tool(conduct=Conduct(destroys=True))
    def wipe() -> None: ...

    @tool(conduct=Conduct(asks=True))
    def pay() -> None: ...

    @tool(conduct=Conduct(asks=False, destroys=True))
    def undo() -> None: ...

    def of(policy: Policy) -> tuple[list[str], tuple[str, ...]]:
        registry = Registry([alpha, look, wipe, pay, undo], Offer(policy=policy))
        return [each.name for each in registry.offered()], registry.asks_before()

    everything = ["alpha", "look", "pay", "undo", "wipe"]
    assert of("auto") == (everything, ("pay",))
    assert of("safe-only") == (["look"], ())
    assert of("confirm-dangerous") == (everything, ("pay", "wipe"))
    assert of("always-ask") == (everything, ("alpha", "look", "pay", "wipe"))


def test_a_narrower_offer_lets_through_less_and_never_more() -> None:
    registry = Registry([alpha, beta], Offer(("a*",)))
    assert [each.name for each in registry.offered(Offer(("*",)))] == ["alpha"]
    assert registry.offered(Offer(("b*",))) == ()
    assert registry.offered(Offer(policy="safe-only")) == ()
    assert registry.asks_before(Offer(policy="always-ask")) == ("alpha",)
    assert registry.asks_before() == ()
