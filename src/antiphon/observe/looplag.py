"""How late the event loop is: one timer that looks at when it fires.

A loop that is late makes every sound late. What to do about it is for others to say.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from antiphon.audio.units import Seconds

CLOSE_S: Seconds = 0.05  # between looks while the loop is late: 20 a second cost a busy process nothing
CALM_S: Seconds = 0.2  # while it is not: an idle one is woken by each, for a tenth of a millisecond
LATE_S: Seconds = 0.01  # from where on it is late
MEMORY_S: Seconds = 1.0  # while it is late, what was longer ago than this hardly counts
WEIGHT = 1 - math.exp(-CLOSE_S / MEMORY_S)  # of one look, in calm too: a stall alone is to be forgiven


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
        due = loop.time() + (CLOSE_S if self.usual_s > LATE_S else CALM_S)
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: Seconds) -> None:
        late_s = max(0.0, loop.time() - due)
        self.usual_s += (late_s - self.usual_s) * WEIGHT
        self._observe(late_s)
        self._plan(loop)
