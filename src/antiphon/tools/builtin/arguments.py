"""Checks of what a model gave a tool: what is wrong is said in one sentence to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import ToolError

LARGEST = 1e150  # so that the product of two is still a number


def spec(name: str, description: str, **properties: Mapping[str, Any]) -> ToolSpec:
    """A tool whose arguments are all required."""
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return ToolSpec(name, description, schema)


def number(arguments: Mapping[str, Any], name: str) -> float:
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ToolError(f"{name} has to be a number.")
    if not abs(value) <= LARGEST:
        raise ToolError(f"{name} is too large a number.")
    return float(value)


def words(arguments: Mapping[str, Any], name: str, longest: int = 200) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ToolError(f"{name} has to be a text of 1 to {longest} letters.")
    return value.strip()
