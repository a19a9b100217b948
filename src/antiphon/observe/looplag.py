"""How late the event loop is: one timer that looks at when it fires.

A loop that is late makes every sound late. What to do about it is for others to say.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from antiphon.audio.units import Seconds

INTERVAL_S: Seconds = 0.05  # between looks: 20 a second cost nothing, and see every stall that a person could hear
MEMORY_S: Seconds = 1.0  # what was longer ago than this hardly counts


class LoopLag:
    """Looks from `start` to `stop`. Everything is called on the event loop."""

    def __init__(self, observe: Callable[[Seconds], None]) -> None:
        """`observe` is told each lateness."""
        self.usual_s: Seconds = 0.0
        """The mean of lately: a stall alone hardly moves it, and a loop that is always late does."""
        self._observe = observe
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._plan(asyncio.get_running_loop())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, not from when the last one was due: a stall is one stall, not one for each look in it."""
        due = loop.time() + INTERVAL_S
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: Seconds) -> None:
        late_s = max(0.0, loop.time() - due)
        self.usual_s += (late_s - self.usual_s) * (1 - math.exp(-INTERVAL_S / MEMORY_S))
        self._observe(late_s)
        self._plan(loop)
