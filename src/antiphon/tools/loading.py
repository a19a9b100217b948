"""The tools that a configuration asks for, from everywhere that tools come from.

It does not know how they are run or offered. Whatever is wrong is a `ConfigError`, before anybody connects.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.config import Config, Tools
from antiphon.tools.registry import Offer, Registry
from antiphon.tools.runner import ToolLimits, Workroom


async def workroom(config: Config, *, with_assistants: bool, own: Iterable[object] | None = None) -> Workroom:
    """All tools of the configuration, or `own` in their place. `with_assistants`: whether the model is the offline
    assistant, which can do little without its own tools."""
    wanted = config.tools
    registry = Registry(offer=Offer(wanted.offer, wanted.approval), conduct=wanted.conduct)
    if own is None:
        await _add_configured(registry, wanted, with_assistants)
    for tool in own or ():
        registry.add(tool, "code")
    theirs = own or wanted.modules or wanted.entry_points or wanted.amplifier or config.mcp.servers
    if theirs or wanted.roots or wanted.fetch:
        from antiphon.tools.builtin.reading import ReadMore

        registry.add(ReadMore(), "built in", is_aid=True)
    if any(each.conduct.outlives_response or each.conduct.background_after_s is not None for each in registry):
        from antiphon.tools.builtin.tasks import task_tools

        for tool in task_tools():
            registry.add(tool, "built in", is_aid=True)
    return Workroom(registry, limits(config))


async def _add_configured(registry: Registry, wanted: Tools, with_assistants: bool) -> None:
    if with_assistants if wanted.assistants == "auto" else wanted.assistants == "always":
        from antiphon.tools.builtin import builtin_tools

        for tool in builtin_tools(wanted.list_path.expanduser()):
            registry.add(tool, "built in")
    for module in wanted.modules:
        registry.add_module(module)
    if wanted.entry_points:
        registry.add_entry_points(wanted.entry_points)
    if wanted.amplifier:
        from antiphon.tools.amplifier import Module, Modules

        modules = Modules([Module(each.module, each.config) for each in wanted.amplifier])
        for tool in await modules.start():
            registry.add(tool, "amplifier")
    if wanted.roots:
        from antiphon.tools.builtin.files import file_tools

        for tool in file_tools(wanted.roots):
            registry.add(tool, "built in")
    if wanted.fetch:
        from antiphon.tools.builtin.fetch import fetch_tool

        registry.add(fetch_tool(wanted.fetch), "built in")


def offer_for(wanted: Tools, key: str) -> Offer | None:
    """What the sessions of the key of this name may use; None: what everybody may."""
    narrower = wanted.for_keys.get(key)
    return None if narrower is None else Offer(narrower.offer, narrower.approval or wanted.approval)


def limits(config: Config) -> ToolLimits:
    wanted = config.tools
    return ToolLimits(
        deadline_s=wanted.deadline_s,
        parallel=wanted.parallel,
        output_bytes=wanted.output_bytes,
        cache_s=wanted.cache_s,
        cache_entries=wanted.cache_entries,
        cache_bytes=wanted.cache_bytes,
    )
