"""The tools that a configuration asks for, from everywhere that tools come from.

It does not know how they are run or offered. Whatever is wrong is a `ConfigError`, before anybody connects.
"""

from __future__ import annotations

from antiphon.config import Config
from antiphon.tools.registry import Registry
from antiphon.tools.runner import ToolLimits, Workroom


def workroom(config: Config, *, with_assistants: bool) -> Workroom:
    """All tools of the configuration. `with_assistants`: whether the model is the offline assistant, which can do
    little without its own tools."""
    wanted = config.tools
    registry = Registry(offered=wanted.offer)
    if with_assistants if wanted.assistants == "auto" else wanted.assistants == "always":
        from antiphon.tools.builtin import builtin_tools

        for tool in builtin_tools(wanted.list_path.expanduser()):
            registry.add(tool, "built in")
    for module in wanted.modules:
        registry.add_module(module)
    registry.add_entry_points(wanted.entry_points)
    if wanted.modules or wanted.entry_points:
        from antiphon.tools.builtin.reading import ReadMore

        registry.add(ReadMore(), "built in")
    return Workroom(registry, limits(config))


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
