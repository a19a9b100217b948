"""What the microphone brings, between the thread of the sound card and whoever reads it.

One thread writes, and its cost is one copy; any thread reads, by absolute position, and never gets torn or repeated
sound: what was overwritten under a reader's hands is left out and counted. It knows neither rates nor devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.errors import Bug

if TYPE_CHECKING:  # a name that the library has from Python 3.12 on
    from typing_extensions import Buffer

Frames = NDArray[np.float32]
"""Sound as a card delivers it: float32, shape (n, channels)."""

ATTEMPTS = 4  # a reader is overtaken only if it stood still for a whole ring between two lines of its code


class Captured(Struct, frozen=True):
    """A piece of the stream, in memory of its own."""

    frames: Frames
    start: int
    """Position of its first frame."""
    lost: int
    """Frames between the position that was asked for and `start`: they are gone."""

    @property
    def end(self) -> int:
        return self.start + len(self.frames)


class CaptureRing:
    """The newest `capacity` frames of one stream.

    The writer says what it is about to overwrite before it does so (`_claimed`) and what can be read after it has done
    so (`_written`). Both are plain integers that one thread stores, so a reader that finds its piece unclaimed after
    copying it knows that the copy is whole. No lock: the callback of a sound card must never wait for a reader.
    """

    def __init__(self, capacity: int, channels: int = 1) -> None:
        if capacity < 1 or channels < 1:
            raise Bug(f"a ring of {capacity} frames with {channels} channels", "Both are at least 1.")
        self.capacity = capacity
        self.channels = channels
        self.reader_losses = 0
        """Frames that a reader asked for too late."""
        # Written once, so that every page is there: the card's thread is not to wait for the kernel to find one.
        self._frames: Frames = np.full((capacity, channels), 0, np.float32)
        self._bytes = self._frames.data.cast("B")
        self._frame_bytes = 4 * channels
        self._claimed = 0
        self._written = 0

    @property
    def end(self) -> int:
        """Position after the newest frame."""
        return self._written

    def write(self, data: Buffer) -> None:
        """Take in a copy of the next whole frames, as the card's bytes: float32, interleaved. For one thread.

        Never waits, and makes nothing but views: a third of what it would cost to make an array of the bytes first.
        """
        view = memoryview(data).cast("B")
        size = len(view) // self._frame_bytes
        end = self._written + size
        if size > self.capacity:
            view, size = view[(size - self.capacity) * self._frame_bytes :], self.capacity
        self._claimed = end
        at = (end - size) % self.capacity * self._frame_bytes
        first = min(len(view), len(self._bytes) - at)
        self._bytes[at : at + first] = view[:first]
        if first < len(view):
            self._bytes[: len(view) - first] = view[first:]
        self._written = end

    def read(self, start: int, stop: int | None = None) -> Captured:
        """A copy of everything from `start` to `stop` or the newest frame, or of what is left of it. May be empty."""
        wanted = start
        for _ in range(ATTEMPTS):
            end = self._written if stop is None else max(start, min(stop, self._written))
            first = min(max(start, end - self.capacity), end)
            frames = self._copy(first, end)
            oldest = self._claimed - self.capacity
            if oldest <= first:
                break
            start = oldest
        else:
            first, frames = end, self._copy(end, end)
        lost = max(0, first - wanted)
        self.reader_losses += lost
        return Captured(frames, first, lost)

    def _copy(self, start: int, end: int) -> Frames:
        at, size = start % self.capacity, end - start
        first = min(size, self.capacity - at)
        frames: Frames = np.empty((size, self.channels), np.float32)
        frames[:first] = self._frames[at : at + first]
        frames[first:] = self._frames[: size - first]
        return frames
