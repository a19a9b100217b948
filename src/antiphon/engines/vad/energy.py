"""A voice detector that is only a level meter: for tests, for fakes, and for a line that is silent between
words.

It does not know speech from any other sound. It is the same on every machine, to the bit, and needs no
thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH_DB = 20.0  # from surely silence to surely a voice; the score is one half in the middle


class EnergyVad:
    """`Vad` by loudness alone: 0.5 at `middle_dbfs`, 0 from 10 dB below it, 1 from 10 dB above. No memory."""

    window = 512  # samples at 16 kHz: 32 ms, as Silero's, so that either can stand in for the other
    memory = 0
    most_at_once = 1
    most_in_place = 4

    def __init__(self, middle_dbfs: float = -40.0) -> None:
        self._middle_dbfs = middle_dbfs

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Vad.score`."""
        power = np.mean(np.square(windows, dtype=np.float64), axis=1)
        level_dbfs = 10 * np.log10(np.maximum(power, 1e-12))
        scores = np.clip(0.5 + (level_dbfs - self._middle_dbfs) / WIDTH_DB, 0, 1)
        return scores.astype(np.float32), memories
