"""The microphone's ring: what goes in comes out once, whole and in order, whoever is slow."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from antiphon.desktop.ring import CaptureRing, Frames
from antiphon.errors import Bug


def counted(start: int, size: int, channels: int = 1) -> Frames:
    """Frames that hold their own position, on every channel."""
    return np.repeat(np.arange(start, start + size, dtype=np.float32)[:, None], channels, axis=1)


def test_what_was_written_is_read_across_the_seam() -> None:
    ring = CaptureRing(10, channels=2)
    ring.write(counted(0, 7, 2).data)
    assert ring.read(0).frames[:, 1].tolist() == [0, 1, 2, 3, 4, 5, 6]
    ring.write(counted(7, 6, 2).data)
    captured = ring.read(7)
    assert captured.frames[:, 0].tolist() == [7, 8, 9, 10, 11, 12]
    assert (captured.start, captured.end, captured.lost) == (7, 13, 0)


def test_a_late_reader_gets_what_is_left_and_is_told_of_the_rest() -> None:
    ring = CaptureRing(8)
    for start in range(0, 30, 3):
        ring.write(counted(start, 3).data)
    captured = ring.read(5)
    assert captured.frames[:, 0].tolist() == list(range(22, 30))
    assert (captured.start, captured.lost, ring.reader_losses) == (22, 17, 17)


def test_a_block_that_is_larger_than_the_ring_leaves_its_end() -> None:
    ring = CaptureRing(4)
    ring.write(counted(0, 11).data)
    assert ring.read(0).frames[:, 0].tolist() == [7, 8, 9, 10]
    assert ring.end == 11


def test_nothing_new_is_nothing() -> None:
    ring = CaptureRing(4)
    assert ring.read(0).frames.shape == (0, 1)
    with pytest.raises(Bug, match="a ring of 0 frames"):
        CaptureRing(0)


def test_a_piece_is_a_copy() -> None:
    ring = CaptureRing(4)
    ring.write(counted(0, 4).data)
    captured = ring.read(0)
    ring.write(counted(4, 4).data)
    assert captured.frames[:, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.real
def test_a_second_thread_never_sees_torn_sound() -> None:
    """The reader is often overtaken: the ring is small, and the writer does not wait."""
    ring = CaptureRing(1500)
    total = 900_000
    blocks = [counted(start, 480) for start in range(0, total, 480)]  # exact in float32 up to 2^24

    def write() -> None:
        for block in blocks:
            ring.write(block.data)

    writer = threading.Thread(target=write)
    position = seen = lost = 0
    writer.start()
    while position < len(blocks) * 480:
        captured = ring.read(position)
        found = captured.frames[:, 0]
        assert np.array_equal(found, np.arange(captured.start, captured.end, dtype=np.float32))
        assert captured.start == position + captured.lost
        seen, lost, position = seen + found.size, lost + captured.lost, captured.end
    writer.join()
    assert seen + lost == len(blocks) * 480
