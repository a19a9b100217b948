"""Two sides on one ruler: sound has its place, silence its length, and what was not played is not there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from antiphon.audio.sides import AHEAD, JITTER, LATE, PIECE, Sides, Stereo
from antiphon.audio.units import WIRE_RATE, Pcm16

FRAME = WIRE_RATE // 50


def sound(samples: int, value: int) -> Pcm16:
    return np.full(samples, value, np.int16)


def whole(pieces: list[Stereo | int]) -> Stereo:
    return np.concatenate([np.zeros((one, 2), np.int16) if isinstance(one, int) else one for one in pieces])


def stretches(line: Pcm16) -> list[tuple[int, int, int]]:
    """(start, stop, value) of all that is no silence."""
    borders = [0, *(np.flatnonzero(np.diff(line)) + 1).tolist(), line.size]
    found = [(a, b, int(line[a])) for a, b in itertools.pairwise(borders) if b > a]
    return [one for one in found if one[2]]


def test_each_side_has_its_place() -> None:
    sides = Sides()
    for number in range(1, 101):
        sides.heard(sound(FRAME, 7), number * FRAME)
    sides.said(sound(WIRE_RATE, 5), 50 * FRAME)
    sides.said(sound(WIRE_RATE // 2, 6), 60 * FRAME)  # ahead of its time: it waits for the first
    made = whole(sides.finish(10 * WIRE_RATE))
    assert stretches(made[:, 0]) == [(0, 100 * FRAME, 7)]
    begins = 50 * FRAME
    assert stretches(made[:, 1]) == [
        (begins, begins + WIRE_RATE, 5),
        (begins + WIRE_RATE, begins + WIRE_RATE + WIRE_RATE // 2, 6),
    ]


def test_what_was_interrupted_is_not_heard() -> None:
    sides = Sides()
    sides.said(sound(WIRE_RATE, 5), 0)
    sides.said(sound(WIRE_RATE, 6), 100)
    sides.hush(WIRE_RATE // 2)
    sides.said(sound(FRAME, 8), WIRE_RATE)
    made = whole(sides.finish(4 * WIRE_RATE))
    assert stretches(made[:, 1]) == [(0, WIRE_RATE // 2, 5), (WIRE_RATE, WIRE_RATE + FRAME, 8)]


def test_a_microphone_that_was_off_leaves_a_gap_and_jitter_none() -> None:
    sides = Sides()
    sides.heard(sound(FRAME, 7), FRAME)
    sides.heard(sound(FRAME, 7), 2 * FRAME + JITTER // 2)
    sides.heard(sound(FRAME, 8), 5 * WIRE_RATE)
    assert stretches(whole(sides.finish(0))[:, 0]) == [(0, 2 * FRAME, 7), (5 * WIRE_RATE - FRAME, 5 * WIRE_RATE, 8)]


@pytest.mark.parametrize("every", [1, 7, 50])
def test_it_makes_no_difference_how_often_it_is_taken(every: int) -> None:
    def made(every: int) -> Stereo:
        sides, found = Sides(), []
        for number in range(1, 400):
            now = number * FRAME
            if number % 100 > 30:
                sides.heard(sound(FRAME, number), now)
            if number % 120 == 0:
                sides.said(sound(WIRE_RATE // 2, -number), now)
            if number % 130 == 0:
                sides.hush(now)
            if number % every == 0:
                found += sides.take(now)
        return whole(found + sides.finish(400 * FRAME))

    assert np.array_equal(made(every), made(1000))


def test_little_is_held_back_and_silence_costs_nothing() -> None:
    sides = Sides()
    sides.heard(sound(FRAME, 7), FRAME)
    assert sides.take(LATE) == []
    hour = 3600 * WIRE_RATE
    first, rest = sides.take(hour)
    assert isinstance(first, np.ndarray)
    assert rest == hour - LATE - PIECE
    for _ in range(60):  # a client that sends a minute at once
        sides.heard(sound(WIRE_RATE, 7), hour)
    taken = sum(one if isinstance(one, int) else one.shape[0] for one in sides.take(hour))
    assert taken == 60 * WIRE_RATE - AHEAD
