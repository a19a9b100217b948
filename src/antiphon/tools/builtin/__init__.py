"""The server's own tools, which the offline assistant calls; any other model may be offered them too."""

from __future__ import annotations

from pathlib import Path

from antiphon.tools.api import ServerTool
from antiphon.tools.builtin.calculation import Calculate, Convert
from antiphon.tools.builtin.clock import GetDate, GetTime
from antiphon.tools.builtin.lists import Lists, list_tools
from antiphon.tools.builtin.timers import Timers, timer_tools


def builtin_tools(list_path: Path) -> list[ServerTool]:
    """All of them. The list is kept in the SQLite file at `list_path`, which is made when it is first used."""
    return [GetTime(), GetDate(), Calculate(), Convert(), *timer_tools(Timers()), *list_tools(Lists(list_path))]
