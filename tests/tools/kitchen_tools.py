"""A module of tools, as a configuration names it."""

from __future__ import annotations

from antiphon.tools.api import Conduct
from antiphon.tools.function import tool


@tool(conduct=Conduct(reads_only=True))
def get_time() -> dict[str, str]:
    """What time it is."""
    return {"time": "ten past four"}
