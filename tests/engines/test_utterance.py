"""Sound that grows while it is looked at."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from antiphon.engines.utterance import FIRST_SAMPLES, Utterance
from antiphon.errors import Bug


def test_a_look_is_no_copy_and_stays_what_it_was() -> None:
    utterance = Utterance()
    utterance.append(np.full(1000, 0.5, np.float32))
    view = utterance.view(100, 200)
    assert np.shares_memory(view, utterance.view())
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    utterance.append(np.zeros(3 * FIRST_SAMPLES, np.float32))
    assert utterance.size == 1000 + 3 * FIRST_SAMPLES
    assert view.tolist() == [0.5] * 100
    assert utterance.view(0, 1000).tolist() == [0.5] * 1000


def test_who_waits_is_woken_by_enough_sound_or_by_the_end() -> None:
    async def wait() -> None:
        utterance = Utterance()
        enough, never = (asyncio.ensure_future(utterance.until(size)) for size in (10, 1000))
        given_up = asyncio.ensure_future(utterance.until(10))
        await asyncio.sleep(0)
        given_up.cancel()
        utterance.append(np.zeros(10, np.float32))
        await enough
        assert not never.done()
        utterance.end(5, 8)
        await never
        assert (utterance.size, utterance.quiet_to, utterance.is_ended) == (5, 8, True)
        with pytest.raises(Bug):
            utterance.append(np.zeros(1, np.float32))
        await Utterance(np.zeros(3, np.float32)).until(100)

    asyncio.run(wait())
