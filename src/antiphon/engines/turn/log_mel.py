"""Sound as Whisper's family of models wants it: the logarithm of its energy in mel bands, a hundred times a second.

Computed from the definitions: a Hann window of 25 ms every 10 ms, power spectra, triangles of equal area on Slaney's
mel scale (linear up to 1 kHz, logarithmic above), and the loudest eight decades. It does not know what the model makes
of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.units import HEARING_RATE, Pcm

FRAME = 400  # samples at 16 kHz: 25 ms
HOP = 160  # 10 ms
BANDS = 80
LEAST_POWER = 1e-10
DECADES = 8.0  # what is quieter than the loudest by more is as quiet as that
LEAST_VARIANCE = 1e-7

HERTZ_PER_MEL = 200 / 3  # up to `LINEAR_HZ`
LINEAR_HZ = 1000.0
LINEAR_MELS = LINEAR_HZ / HERTZ_PER_MEL
MELS_PER_NEPER = 27 / np.log(6.4)  # above it


def log_mel(pcm: Pcm) -> NDArray[np.float32]:
    """[BANDS, samples / HOP] of sound at 16 kHz that is a whole number of hops long; about -1 to 2.

    The sound is brought to a mean of 0 and a variance of 1 first. A frame lies around its moment: beyond its ends the
    sound is taken as mirrored there.
    """
    sound = (pcm - pcm.mean()) / np.sqrt(pcm.var() + LEAST_VARIANCE)
    padded = np.pad(sound.astype(np.float32), FRAME // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP][:-1]
    power = np.abs(np.fft.rfft(frames * HANN, axis=1)) ** 2
    decades = np.log10(np.maximum(power @ FILTERS, LEAST_POWER)).T
    scaled = (np.maximum(decades, decades.max() - DECADES) + 4) / 4
    return np.ascontiguousarray(scaled, dtype=np.float32)


def _hertz_from_mels(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    above = LINEAR_HZ * np.exp((mels - LINEAR_MELS) / MELS_PER_NEPER)
    return np.where(mels < LINEAR_MELS, mels * HERTZ_PER_MEL, above)


def _filters() -> NDArray[np.float32]:
    """[FRAME // 2 + 1, BANDS]: what each band takes of each bin's power."""
    highest = LINEAR_MELS + np.log(HEARING_RATE / 2 / LINEAR_HZ) * MELS_PER_NEPER
    corners = _hertz_from_mels(np.linspace(0, highest, BANDS + 2))
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.fft.rfftfreq(FRAME, 1 / HEARING_RATE)[:, None]
    triangles = np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    return np.asarray(np.maximum(triangles, 0) * (2 / (high - low)), np.float32)


HANN = np.hanning(FRAME + 1)[:-1].astype(np.float32)  # periodic, as spectra want it
FILTERS = _filters()
