"""A tool module as people write them for Amplifier: it knows its coordinator, blocks here and there, and can be asked
to stop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, ClassVar

from amplifier_core import ModuleCoordinator, ToolResult

__amplifier_module_type__ = "tool"

unmounted: list[str] = []
stopped: list[str] = []
dug = threading.Event()
"""Until it is set, or PATIENCE_S are over, `Dig` blocks."""
PATIENCE_S = 30.0


class Water:
    name = "water"
    description = """
    Waters a bed of the garden.
    """

    def __init__(self, config: dict[str, Any], coordinator: ModuleCoordinator) -> None:
        self._litres = config.get("litres", 1)
        self._times = 0
        self._coordinator = coordinator

    @property
    def input_schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"bed": {"type": "string"}, "seconds": {"type": "number", "maximum": 60}},
            "required": ["bed"],
        }

    async def execute(self, input: dict[str, Any]) -> ToolResult:
        if input["bed"] == "desert":
            return ToolResult(success=False, error={"message": "there is no tap in the desert."})
        self._times += 1
        return ToolResult(success=True, output={"bed": input["bed"], "litres": self._litres, "times": self._times})


class Dig:
    """Blocks the loop that it is called on."""

    name = "dig"
    description = "Digs."
    input_schema: ClassVar[dict[str, Any]] = {}

    async def execute(self, input: dict[str, Any]) -> ToolResult:
        is_dug = dug.wait(PATIENCE_S)  # as some do
        return ToolResult(success=True, output="a hole" if is_dug else "nobody came")


class Wait:
    """Watches the token in a thread, as tools do that run other programs."""

    name = "wait"
    description = "Waits for the harvest."

    def __init__(self, coordinator: ModuleCoordinator) -> None:
        self._coordinator = coordinator
        coordinator.cancellation.on_cancel(lambda: stopped.append("callback"))

    async def execute(self, input: dict[str, Any]) -> ToolResult:
        await asyncio.to_thread(self._watch)
        return ToolResult(success=True, output="apples")

    def _watch(self) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self._coordinator.cancellation.is_immediate:
                stopped.append("thread")
                return
            time.sleep(0.005)


async def mount(coordinator: ModuleCoordinator, config: dict[str, Any] | None = None) -> Any:
    for tool in (Water(config or {}, coordinator), Dig(), Wait(coordinator)):
        await coordinator.mount("tools", tool, name=tool.name)

    async def unmount() -> None:
        unmounted.append(coordinator.session_id)

    return unmount
