"""The time and the date, in the session's zone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import ToolContext
from antiphon.tools.builtin.arguments import spec


class GetTime:
    spec: ToolSpec = spec("get_time", "The current time of day.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        now = context.now
        return json.dumps({"time": f"{now.hour % 12 or 12}:{now:%M} {'AM' if now.hour < 12 else 'PM'}"})


class GetDate:
    spec: ToolSpec = spec("get_date", "Today's date.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        now = context.now
        return json.dumps({"date": f"{now:%A}, {now:%B} {now.day}, {now.year}"})
