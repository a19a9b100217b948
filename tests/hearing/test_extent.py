"""From where to where somebody is to be heard in a sound, under virtual time, and how little of it is listened to."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np
import pytest
from test_hub import RecordingVad, quiet, voice

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, samples_from_ms
from antiphon.hearing.edges import WINDOW
from antiphon.hearing.extent import AFTER_VOICE, BEFORE_VOICE, voiced_part
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.testing.virtual_time import run


def sound(*seconds: float) -> Pcm16:
    """Silence and voice in turns, silence first."""
    parts = [
        voice(length * WIRE_RATE / WINDOW) if number % 2 else quiet(length * WIRE_RATE / WINDOW)
        for number, length in enumerate(seconds)
    ]
    return np.concatenate([quiet(0), *parts])


def heard_of(pcm: Pcm16, vad: RecordingVad | None = None) -> tuple[Pcm16, int]:
    """The part, and how many windows were listened to."""
    found: list[tuple[Pcm16, int]] = []

    async def story() -> None:
        hub = HearingHub(vad or RecordingVad(), InPlace())
        part = await voiced_part(hub, pcm)
        assert not hub.streams
        found.append((part, hub.windows))
        await hub.close()

    run(story())
    return found[0]


def edges_of(part: Pcm16, whole: Pcm16) -> tuple[Samples, Samples]:
    """Where this part lies."""
    base = whole.ctypes.data
    start = (part.ctypes.data - base) // whole.itemsize
    return start, start + part.size


@pytest.mark.parametrize(("before", "after"), [(3.0, 2.0), (0.5, 0.5), (3.3, 0.0), (0.0, 2.7), (0.0, 0.0)])
def test_silence_before_and_after_is_left_out_but_for_a_little(before: float, after: float) -> None:
    whole = sound(before, 1.6, 0.9, 1.2, after)
    part, _ = heard_of(whole)
    start, stop = edges_of(part, whole)
    first, last = round(before * WIRE_RATE), whole.size - round(after * WIRE_RATE)
    assert max(0, first - BEFORE_VOICE - WINDOW) <= start <= max(0, first - BEFORE_VOICE + WINDOW)
    assert min(whole.size, last + AFTER_VOICE - WINDOW) <= stop <= min(whole.size, last + AFTER_VOICE + 2 * WINDOW)


def test_a_word_that_lies_across_two_pieces_is_whole() -> None:
    for middle_ms in range(1800, 2200, 50):
        whole = sound(middle_ms / 1000 - 0.1, 0.2, 4.0)
        start, stop = edges_of(heard_of(whole)[0], whole)
        assert start <= samples_from_ms(middle_ms - 100), middle_ms
        assert stop >= samples_from_ms(middle_ms + 100), middle_ms


def test_in_silence_there_is_nobody() -> None:
    assert heard_of(sound(4.2))[0].size == 0
    assert heard_of(sound())[0].size == 0


def test_a_long_speech_costs_no_more_than_its_ends() -> None:
    _, windows = heard_of(sound(0.2, 30.0, 0.3))
    assert windows <= 3 * WIRE_RATE // WINDOW


def test_with_a_detector_that_fails_all_of_it_is_kept() -> None:
    whole = sound(3.0, 1.0, 3.0)
    for broken_at in (1, 70, 150):
        vad = RecordingVad()
        vad.breaks_on = partial(_is_call, vad, broken_at)
        part, _ = heard_of(whole, vad)
        assert part.size == whole.size, broken_at


def _is_call(vad: RecordingVad, number: int, _: object) -> bool:
    return len(vad.batches) == number


def test_whoever_gives_up_leaves_no_stream_behind() -> None:
    async def story() -> None:
        hub = HearingHub(RecordingVad(), InPlace())
        task = asyncio.create_task(voiced_part(hub, sound(9.0)))
        await asyncio.sleep(0)
        assert hub.streams
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not hub.streams
        await hub.close()

    run(story())
