"""How a voice sounded before it paused: whether its pitch and its loudness fell, as they do at the end of what one has
to say.

Pitch is the strongest peak of the normalised autocorrelation between 70 and 400 Hz (Boersma 1993, without the path
finder: medians over half a second do its work). It knows nothing of words, and not what a fall means in a language.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples
from antiphon.session.inputs import Prosody

SPAN: Samples = WIRE_RATE // 2
"""What is listened to: the last half second."""
DECIMATION = 3  # to 8 kHz: no pitch lies above
RATE = WIRE_RATE // DECIMATION
FRAME = RATE // 25  # 40 ms: three periods of the deepest voice
HOP = FRAME // 2
LAGS = slice(RATE // 400, RATE // 70 + 1)
PERIODIC = 0.45  # of the autocorrelation: below it there is no pitch
NEARLY = 0.85  # of the highest peak
QUIET_DB = 30.0  # below the loudest frame: the detector's tail, which is no voice
FEWEST = 3  # frames with a pitch on each side, to compare them
FFT = 512  # long enough for these lags not to wrap around
HANN = np.hanning(FRAME + 2)[1:-1].astype(np.float32)
_spectrum = np.fft.rfft(HANN, FFT)
HANN_AUTOCORRELATION: NDArray[np.float64] = np.fft.irfft(np.abs(_spectrum) ** 2)[: RATE // 70 + 1]


def measured(pcm: Pcm16, heard: Samples) -> Prosody:
    """Describe the voice that ends with this sound, int16 [N] at 24 kHz, at `heard` of its stream. A tenth of a
    millisecond of work for half a second; shorter sound is taken as it is."""
    frames = _frames(pcm[-SPAN:])
    if frames.shape[0] == 0:
        return Prosody(heard, None, 0.0)
    loudness = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-3)
    voiced = np.flatnonzero(loudness > loudness.max() - QUIET_DB)
    frames, loudness = frames[: voiced[-1] + 1], loudness[: voiced[-1] + 1]
    border = max(1, round(0.8 * loudness.size))
    fall_db = float(np.median(loudness[:border]) - np.median(loudness[border:])) if border < loudness.size else 0.0
    return Prosody(heard, _fall(_pitches(frames)), round(fall_db, 2))


def _frames(pcm: Pcm16) -> NDArray[np.float32]:
    """Overlapping frames at 8 kHz, [frames, FRAME]. The mean of three samples is filter enough for a pitch."""
    whole = pcm[: pcm.size // DECIMATION * DECIMATION].reshape(-1, DECIMATION)
    sound = whole.mean(axis=1, dtype=np.float32)
    if sound.size < FRAME:
        return np.empty((0, FRAME), np.float32)
    frames: NDArray[np.float32] = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    return frames


def _pitches(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """Hertz of each frame, NaN where it has none."""
    centred = (frames - frames.mean(axis=1, keepdims=True)) * HANN
    power = np.abs(np.fft.rfft(centred, FFT)) ** 2
    correlation = np.fft.irfft(power)[:, : LAGS.stop]
    correlation /= np.maximum(correlation[:, :1], 1e-6) * (HANN_AUTOCORRELATION / HANN_AUTOCORRELATION[0])
    best = _first_peak(correlation[:, LAGS]) + LAGS.start
    is_periodic = correlation[np.arange(best.size), best] >= PERIODIC
    return np.where(is_periodic, RATE / best, np.nan)


def _first_peak(correlation: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of each row's first peak that is nearly as high as its highest: a multiple of the period is as good a
    match, and no pitch."""
    highest = correlation.max(axis=1, keepdims=True)
    middle = correlation[:, 1:-1]
    is_peak = (middle >= correlation[:, :-2]) & (middle >= correlation[:, 2:]) & (middle >= NEARLY * highest)
    first: NDArray[np.int64] = is_peak.argmax(axis=1) + 1
    return np.where(is_peak.any(axis=1), first, correlation.argmax(axis=1))


def _fall(pitches: NDArray[np.float64]) -> float | None:
    """Octaves between the first half and the last two fifths of the frames with a pitch."""
    found = pitches[~np.isnan(pitches)]
    if found.size < 2 * FEWEST:
        return None
    before, after = found[: found.size // 2], found[-max(FEWEST, round(0.4 * found.size)) :]
    return round(float(np.log2(np.median(before) / np.median(after))), 3)
