"""Whether this machine slept, and for how long: what was open before is best opened anew then.

It does not know what is open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from antiphon.audio.units import Seconds

LOOK_S: Seconds = 1.0  # between looks
SLEPT_S: Seconds = 1.0  # less is no sleep that a device or a connection would notice

Asleep = Callable[[], Seconds]


def asleep_s() -> Seconds:
    """How long this machine has slept since it was started: what the one clock counts and the other does not."""
    if not hasattr(time, "CLOCK_BOOTTIME"):  # Linux alone has it: elsewhere a lost connection is noticed by its silence
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


async def awakening(asleep: Asleep = asleep_s) -> None:
    """Return once the machine has slept. It is noticed within `LOOK_S` of its awakening."""
    before = asleep()
    while asleep() - before < SLEPT_S:  # noqa: ASYNC110 - a clock tells nobody that it moved
        await asyncio.sleep(LOOK_S)
