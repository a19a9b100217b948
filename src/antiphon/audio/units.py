"""What a sample is here, and how samples become milliseconds.

There is one ruler for what a person said: samples at 24 kHz from the start of the session, counted as they arrive
(`Samples`). How long we waited is seconds of the event loop (`Seconds`). The two are converted only by name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.float32]
"""Mono sound, float32 in [-1, 1], shape (n,)."""

Pcm16 = NDArray[np.int16]
"""Mono sound, int16 little-endian as on the wire, shape (n,)."""

Samples = int
"""A position or length in a session's stream, in samples at `WIRE_RATE`."""

Seconds = float
"""A moment or a length on the event loop's clock."""

WIRE_RATE = 24_000  # Hz: the only rate of audio/pcm in the Realtime protocol, and the session's ruler
HEARING_RATE = 16_000  # Hz: what VAD and recognisers take


def samples_from_ms(ms: float) -> Samples:
    """Samples at `WIRE_RATE` in `ms` milliseconds, rounded to the nearest."""
    return round(ms * WIRE_RATE / 1000)


def ms_from_samples(samples: Samples) -> int:
    """Whole milliseconds in `samples` at `WIRE_RATE`, rounded down, as the protocol's `*_ms` fields want."""
    return samples * 1000 // WIRE_RATE


def seconds_from_samples(samples: Samples) -> Seconds:
    """How long `samples` at `WIRE_RATE` take to say or to play."""
    return samples / WIRE_RATE
