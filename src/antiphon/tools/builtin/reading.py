"""Reading on in an output that was too long to be given whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import BadArguments, Conduct, ToolContext, ToolError


class ReadMore:
    conduct: Conduct = Conduct(reads_only=True, cache_s=0.0, output_bytes=1_000_000)
    spec: ToolSpec = ToolSpec(
        "read_more",
        "Reads on in an output of a tool that was cut, with the token that it named.",
        {
            "type": "object",
            "properties": {
                "token": {"type": "string"},
                "start": {"type": "integer", "minimum": 0, "description": "The character to begin with."},
            },
            "required": ["token"],
            "additionalProperties": False,
        },
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        token, start = arguments.get("token"), arguments.get("start", 0)
        if not isinstance(token, str) or not isinstance(start, int):
            raise BadArguments("token has to be a text, and start a whole number.")
        if context.desk is None:
            raise ToolError("nothing is kept here.")
        return context.desk.read_more(token, start)
