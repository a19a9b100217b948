"""A tool module that is wrong in the way its configuration says."""

from __future__ import annotations

from typing import Any, ClassVar

from amplifier_core import ModuleCoordinator


class Rotten:
    name = "rotten"
    description = "Lies about its schema."
    input_schema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {"x": {"type": "nothing"}}}

    async def execute(self, input: dict[str, Any]) -> Any:
        return None


async def mount(coordinator: ModuleCoordinator, config: dict[str, Any] | None = None) -> None:
    if (config or {}).get("empty"):
        return
    if (config or {}).get("lies"):
        await coordinator.mount("tools", Rotten(), name="rotten")
        return
    raise OSError("no spade")
