"""The time and the date, in the session's zone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import Conduct, ToolContext, ToolError
from antiphon.tools.builtin.arguments import spec, words

DAYS_AHEAD: Mapping[str, int] = {"today": 0, "tomorrow": 1}


class GetTime:
    conduct: Conduct = Conduct(reads_only=True)
    spec: ToolSpec = spec("get_time", "The current time of day.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        now = context.now
        return json.dumps({"time": f"{now.hour % 12 or 12}:{now:%M} {'AM' if now.hour < 12 else 'PM'}"})


class GetDate:
    conduct: Conduct = Conduct(reads_only=True)
    spec: ToolSpec = spec(
        "get_date", "The date of today or tomorrow.", day={"type": "string", "enum": ["today", "tomorrow"]}
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        day = words(arguments, "day")
        if day not in DAYS_AHEAD:
            raise ToolError(f"day has to be today or tomorrow, not {day}.")
        date = context.now.date() + timedelta(days=DAYS_AHEAD[day])
        return json.dumps({"day": day, "date": f"{date:%A}, {date:%B} {date.day}, {date.year}"})
