"""The sounds around a recording."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from antiphon.desktop.dictation.cues import PEAK, Cue, tones
from antiphon.desktop.dictation.surroundings import Surroundings


def test_they_are_soft_and_do_not_click() -> None:
    begin, end = tones("begin"), tones("end")
    assert np.abs(begin).max() == pytest.approx(PEAK, rel=0.01)
    assert np.abs(np.diff(begin)).max() < 0.01
    assert abs(begin[0]) == abs(begin[-1]) == 0
    assert not np.array_equal(begin, end)


@pytest.mark.real
def test_one_at_each_end_of_a_recording() -> None:
    played: list[Cue] = []

    async def story() -> None:
        surroundings = Surroundings(played.append, pauses_players=False)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(surroundings.run())
            for state in ("recording", "working", "idle", "recording", "idle"):
                surroundings.take(state)
            async with asyncio.timeout(20):
                while len(played) < 4:  # noqa: ASYNC110 - of another thread's doing
                    await asyncio.sleep(0.005)
            running.cancel()

    asyncio.run(story())
    assert played == ["begin", "end", "begin", "end"]
