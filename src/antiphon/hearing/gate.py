"""Whether a window of sound can be anything but the room it was a moment ago: if not, no detector needs to score it.

It does not know what a voice is. The detector has called half a second of sound no voice at all, and the sound has not
changed since, in any part of the spectrum that speech lives in: then it still is none. Any change, louder or softer,
opens the gate, so what it costs to be wrong is work, not words. In a room where others talk it never shuts.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import FULL_SCALE

STEADY_WINDOWS = 16  # that were neither voice nor change before the gate shuts: 0.5 s
CHANGE = 1.6  # times the power of before, or less than its part. The power of noise varies by a tenth at most
# Bands, at every 500 Hz from 250 on: in each, power is compared with the same band's before. A voice that is as loud as
# the noise in one of them is seen, also where a rumble below is ten times as loud as both.
BANDS = 8
VALUES = 2 * BANDS  # of a window: power in phase with the middle of each band, and across
BLOCKS = 16  # of 2 ms in a window, over which power is summed
SILENCE_DBFS = -80.0  # a change below is none
SILENCE = np.float32((FULL_SCALE * 10 ** (SILENCE_DBFS / 20)) ** 2 * BLOCKS / 2)
ALL = np.ones(BLOCKS, np.float32)


class Gate:
    """One stream's. It begins open."""

    def __init__(self, step: int) -> None:
        """`step` is how many samples a window has, at the stream's rate; a multiple of 16."""
        self.is_shut = False
        self._bank = _bank(step // BLOCKS)
        self._powers = np.zeros((STEADY_WINDOWS, VALUES), np.float32)
        """Of the last windows, in a ring."""
        self._measured = 0
        self._dead = 0
        self._weights = self._powers[0]
        self._silence = 0.0
        """What silence adds to each sum of the powers by their weights."""

    def measure(self, window: NDArray[np.int16]) -> None:
        """Take in a window, shape (step,). It may open the gate, never shut it."""
        parts = np.dot(window.astype(np.float32).reshape(BLOCKS, -1), self._bank)
        parts *= parts
        power = np.dot(ALL, parts)
        if not self.is_shut:
            self._powers[self._measured % STEADY_WINDOWS] = power
            self._measured += 1
        elif not 1 / CHANGE <= float(np.dot(power, self._weights)) + self._silence <= CHANGE:
            self.open()

    def scored(self, *, is_dead: bool) -> None:
        """What the detector said of one of the windows: `is_dead` if there was nothing like a voice. It may shut the
        gate, or open it: windows that were on their way to the detector when it shut are heard afterwards."""
        if not is_dead:
            self.open()
            return
        self._dead += 1
        if self.is_shut or self._dead < STEADY_WINDOWS or self._measured < STEADY_WINDOWS:
            return
        weights = 1 / (VALUES * (self._powers.mean(axis=0) + SILENCE))
        silence = float(weights.sum() * SILENCE)
        changes = self._powers @ weights + silence
        if changes.max() <= CHANGE and changes.min() >= 1 / CHANGE:
            self.is_shut, self._weights, self._silence = True, weights, silence

    def open(self) -> None:
        """Begin anew: what was is no measure of what comes."""
        self.is_shut = False
        self._measured = self._dead = 0


@lru_cache(maxsize=8)
def _bank(block: int) -> NDArray[np.float32]:
    """[block, VALUES]: cosines, then sines, of the middles of the bands; together each band has white noise's power."""
    turns = np.outer(np.arange(block), 0.5 + np.arange(BANDS)) / block
    shape = np.hanning(block)
    bank = np.hstack((np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns))) * shape[:, None]
    return np.asarray(bank / np.sqrt((shape**2).sum()), np.float32)
