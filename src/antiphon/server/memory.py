"""The memory of a process that is nothing but one server: what it looks through, and what it gives back.

What the memory is used for is not known here.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc

from antiphon.audio.units import Seconds

GIVE_BACK_S: Seconds = 10.0  # between two times, each of which costs 1 ms in a thread while 100 sessions talk


async def tend(ready: asyncio.Event) -> None:
    """Until cancelled. From `ready` on everything is loaded."""
    await put_away(ready)
    await give_back()


async def put_away(ready: asyncio.Event) -> None:
    """Once all is loaded, take it out of the garbage collector's sight: to look through it again stands the loop still
    for 50 ms with 200 sessions, and for 30 without it."""
    await ready.wait()
    gc.collect()
    gc.freeze()


async def give_back() -> None:
    """Free memory goes back to the system now and then, until cancelled, where the C library holds on to it.

    glibc gives back by itself only what is free at the end of its heap. A server whose machine had no time for it for
    25 seconds holds the sound that came meanwhile (570 MB with 100 sessions), and would stay that large.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(GIVE_BACK_S)
        await asyncio.to_thread(trim, 0)
