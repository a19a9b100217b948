"""Arithmetic, and units into one another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import Conduct, ToolContext, ToolError
from antiphon.tools.builtin.arguments import number, spec, words

NUMBER = {"type": "number"}

SCALES: Mapping[str, tuple[str, float]] = {
    "miles": ("length", 1609.344),
    "kilometers": ("length", 1000.0),
    "meters": ("length", 1.0),
    "feet": ("length", 0.3048),
    "inches": ("length", 0.0254),
    "centimeters": ("length", 0.01),
    "pounds": ("weight", 453.59237),
    "kilograms": ("weight", 1000.0),
    "ounces": ("weight", 28.349523125),
    "grams": ("weight", 1.0),
    "gallons": ("volume", 3.785411784),
    "liters": ("volume", 1.0),
    "cups": ("volume", 0.2365882365),
    "milliliters": ("volume", 0.001),
}
"""What is measured, and how much of its base unit (meter, gram, liter) it is. US gallons and cups."""

TEMPERATURES = frozenset({"fahrenheit", "celsius"})
UNIT = {"type": "string", "enum": [*SCALES, *sorted(TEMPERATURES)]}


class Calculate:
    conduct: Conduct = Conduct(reads_only=True)
    spec: ToolSpec = spec(
        "calculate",
        "Arithmetic with two numbers. With '%' it is left percent of right.",
        left=NUMBER,
        operator={"type": "string", "enum": ["+", "-", "*", "/", "%"]},
        right=NUMBER,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        left, right = number(arguments, "left"), number(arguments, "right")
        return json.dumps({"result": _result(left, words(arguments, "operator"), right)})


def _result(left: float, operator: str, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            if right == 0:
                raise ToolError("nothing can be divided by zero.")
            return left / right
        case "%":
            return left * right / 100
        case _:
            raise ToolError("the operator has to be one of + - * / %.")


class Convert:
    conduct: Conduct = Conduct(reads_only=True)
    spec: ToolSpec = spec(
        "convert", "Converts a measure into another unit.", value=NUMBER, from_unit=UNIT, to_unit=UNIT
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        value = number(arguments, "value")
        source, target = words(arguments, "from_unit"), words(arguments, "to_unit")
        return json.dumps({"result": converted(value, source, target), "unit": _shown(target)})


def converted(value: float, source: str, target: str) -> float:
    """The measure in another unit. Raises `ToolError` where there is no way from one to the other."""
    if {source, target} <= TEMPERATURES:
        if source == target:
            return value
        return (value - 32) / 1.8 if source == "fahrenheit" else value * 1.8 + 32
    if source not in SCALES or target not in SCALES or SCALES[source][0] != SCALES[target][0]:
        raise ToolError(f"{source} cannot be converted to {target}.")
    return value * SCALES[source][1] / SCALES[target][1]


def _shown(unit: str) -> str:
    return f"degrees {unit}" if unit in TEMPERATURES else unit
