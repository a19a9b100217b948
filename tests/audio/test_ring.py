"""The ring answers by absolute position and forgets what nobody may ask for."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.ring import Ring
from antiphon.audio.units import Pcm16
from antiphon.errors import Bug


def stretch(start: int, stop: int) -> Pcm16:
    """Sound whose every sample tells its position."""
    return (np.arange(start, stop) % 30_000).astype(np.int16)


def fill(ring: Ring, length: int, chunk: int = 480) -> None:
    stop = ring.end + length
    while ring.end < stop:
        ring.append(stretch(ring.end, min(stop, ring.end + chunk)))


def test_while_nothing_is_kept_only_the_pre_roll_stays() -> None:
    ring = Ring(pre_roll=1000, limit=10_000)
    fill(ring, 5000)
    assert (ring.start, ring.end) == (4000, 5000)
    np.testing.assert_array_equal(ring.read(4000, 5000), stretch(4000, 5000))


def test_what_is_kept_can_be_read_by_position() -> None:
    ring = Ring(pre_roll=1000, limit=100_000)
    fill(ring, 5000)
    ring.keep(4500)
    fill(ring, 20_000)
    assert ring.start == 4500
    np.testing.assert_array_equal(ring.read(4600, 24_000), stretch(4600, 24_000))


def test_the_pre_roll_stays_even_if_less_is_kept() -> None:
    ring = Ring(pre_roll=1000, limit=10_000)
    fill(ring, 5000)
    ring.keep(4900)
    assert ring.start == 4000


def test_over_the_limit_the_oldest_goes_and_a_reader_gets_what_is_left() -> None:
    ring = Ring(pre_roll=100, limit=2000)
    ring.keep(0)
    fill(ring, 5000)
    assert ring.start == 3000
    np.testing.assert_array_equal(ring.read(0, 3500), stretch(3000, 3500))
    assert ring.read(0, 1000).size == 0


def test_a_chunk_longer_than_the_limit_leaves_its_end() -> None:
    ring = Ring(pre_roll=100, limit=2000)
    ring.keep(0)
    ring.append(stretch(0, 9000))
    assert (ring.start, ring.end) == (7000, 9000)


def test_letting_go_gives_the_memory_back() -> None:
    ring = Ring(pre_roll=24_000, limit=24_000 * 60)
    fill(ring, 48_000)
    idle = sys.getsizeof(ring._bytes)
    ring.keep(ring.start)
    fill(ring, 24_000 * 30)
    assert sys.getsizeof(ring._bytes) > 10 * idle
    ring.keep(None)
    assert sys.getsizeof(ring._bytes) < 1.5 * idle
    fill(ring, 24_000 * 5)
    assert sys.getsizeof(ring._bytes) < 1.5 * idle


def test_what_was_read_is_a_copy() -> None:
    ring = Ring(pre_roll=100, limit=100)
    fill(ring, 100)
    taken = ring.read(0, 100)
    fill(ring, 500)  # would raise if the copy still held the buffer
    np.testing.assert_array_equal(taken, stretch(0, 100))


@pytest.mark.parametrize(("start", "stop"), [(0, 101), (50, 40)])
def test_reading_what_has_not_come_is_our_mistake(start: int, stop: int) -> None:
    ring = Ring(pre_roll=100, limit=100)
    fill(ring, 100)
    with pytest.raises(Bug):
        ring.read(start, stop)


def test_a_ring_holds_its_pre_roll() -> None:
    with pytest.raises(Bug):
        Ring(pre_roll=200, limit=100)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 900), st.integers(-1, 3000)), max_size=30))
def test_whatever_happens_what_is_here_is_right_and_bounded(moves: list[tuple[int, int]]) -> None:
    ring = Ring(pre_roll=300, limit=1500)
    for length, kept_from in moves:
        ring.append(stretch(ring.end, ring.end + length))
        ring.keep(None if kept_from < 0 else kept_from)
        assert min(ring.end, 300) <= ring.end - ring.start <= 1500
        np.testing.assert_array_equal(ring.read(ring.start, ring.end), stretch(ring.start, ring.end))
