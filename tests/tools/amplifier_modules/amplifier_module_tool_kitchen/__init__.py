"""A tool module whose tools go by names that the offline assistant knows; its timer is long."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from amplifier_core import ModuleCoordinator, ToolResult

__amplifier_module_type__ = "tool"

began: list[int] = []
stopped: list[int] = []


class Convert:
    name = "convert"
    description = "Converts between units."
    input_schema: ClassVar[dict[str, Any]] = {"type": "object"}

    async def execute(self, input: dict[str, Any]) -> ToolResult:
        return ToolResult(success=True, output={"result": input["value"] * 1.6, "unit": input["to_unit"]})


class Timer:
    name = "set_timer"
    description = "Waits for so many seconds."
    input_schema: ClassVar[dict[str, Any]] = {"type": "object"}

    async def execute(self, input: dict[str, Any]) -> ToolResult:
        began.append(input["seconds"])
        try:
            await asyncio.sleep(input["seconds"])
        except asyncio.CancelledError:
            stopped.append(input["seconds"])
            raise
        return ToolResult(success=True, output={"seconds": input["seconds"]})


async def mount(coordinator: ModuleCoordinator, config: dict[str, Any] | None = None) -> None:
    for tool in (Convert(), Timer()):
        await coordinator.mount("tools", tool, name=tool.name)
