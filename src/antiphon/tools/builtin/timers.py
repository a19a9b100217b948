"""Timers that ring aloud, in the session that set them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from antiphon.engines.api import ToolSpec
from antiphon.tools.api import Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.builtin.arguments import number, spec

MOST_TIMERS = 10  # of one session
LONGEST_S = 24 * 3600.0


class Timers:
    """All running timers, by session. A session that is over has nobody to ring for: its announcements go nowhere."""

    def __init__(self) -> None:
        self._running: dict[str, list[asyncio.TimerHandle]] = {}

    def set(self, seconds: float, context: ToolContext) -> None:
        running = self.of(context.session)
        if len(running) >= MOST_TIMERS:
            raise ToolError(f"there are already {MOST_TIMERS} timers running.")
        loop = asyncio.get_running_loop()
        running.append(loop.call_later(seconds, context.announce, f"Your {_shown(seconds)} timer is done."))

    def of(self, session: str) -> list[asyncio.TimerHandle]:
        """The session's timers that have not rung yet."""
        now = asyncio.get_running_loop().time()
        running = [timer for timer in self._running.get(session, []) if not timer.cancelled() and timer.when() > now]
        self._running[session] = running
        return running

    def cancel(self, session: str) -> int:
        """Cancel them all; returns how many there were."""
        running = self.of(session)
        for timer in running:
            timer.cancel()
        self._running.pop(session, None)
        return len(running)

    def close(self) -> None:
        for session in list(self._running):
            self.cancel(session)


def _shown(seconds: float) -> str:
    """As it stands before "timer": "5 minute"."""
    for name, size in (("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} second"


class SetTimer:
    spec: ToolSpec = spec("set_timer", "Rings after this many seconds.", seconds={"type": "number"})

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        seconds = number(arguments, "seconds")
        if not 1 <= seconds <= LONGEST_S:
            raise ToolError("a timer takes from one second to a day.")
        self._timers.set(seconds, context)
        return json.dumps({"seconds": seconds})

    async def close(self) -> None:
        self._timers.close()


class ListTimers:
    conduct: Conduct = Conduct(reads_only=True)
    spec: ToolSpec = spec("list_timers", "How many seconds each running timer has left.")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        now = asyncio.get_running_loop().time()
        return json.dumps({"seconds_left": [round(timer.when() - now) for timer in self._timers.of(context.session)]})


class CancelTimer:
    spec: ToolSpec = spec("cancel_timer", "Cancels all timers.")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return json.dumps({"cancelled": self._timers.cancel(context.session)})


def timer_tools(timers: Timers) -> list[ServerTool]:
    return [SetTimer(timers), ListTimers(timers), CancelTimer(timers)]
