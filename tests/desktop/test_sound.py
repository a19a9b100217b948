"""Devices that go away while they are used."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from antiphon.audio.units import HEARING_RATE
from antiphon.desktop.sound import Sound
from antiphon.testing.microphone import MemoryMicrophone

pytestmark = [pytest.mark.real, pytest.mark.slow]  # opening happens on threads, and is looked for twice a second


def test_a_microphone_that_is_unplugged_is_replaced_by_the_next() -> None:
    opened: list[MemoryMicrophone] = []
    told: list[str] = []
    refreshed: list[int] = []

    def plug_in() -> MemoryMicrophone:
        opened.append(MemoryMicrophone())
        return opened[-1]

    async def story() -> None:
        sound = Sound(plug_in, None, told.append, refresh=lambda: refreshed.append(len(opened)), rate_hz=HEARING_RATE)
        async with asyncio.timeout(30), sound, asyncio.TaskGroup() as group:
            tending = group.create_task(sound.tend())
            opened[0].is_alive = False
            while sound.reopened == 0:  # noqa: ASYNC110 - of another thread's doing
                await asyncio.sleep(0.01)
            opened[1].hear(np.full(160, 0.5, np.float32))
            assert sound.take().size == 160
            tending.cancel()

    asyncio.run(story())
    assert told[0] == "the sound device is gone: looking for another"
    assert refreshed == [1], "the list of devices is read anew while nothing is open"
