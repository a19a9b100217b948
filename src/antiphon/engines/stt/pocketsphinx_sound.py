"""What an utterance goes through before PocketSphinx hears it, so that it is more like what its models were made from.

High voices are stretched: they come from shorter vocal tracts, and the same sound played a little slower has the
formants of a longer one. On the tuning set of bench/rejection.py this took requests in voices above 150 Hz that were
heard right from 127 to 135 of 141; for the other voices it did harm, so they stay as they are. And a quiet room is
put under and around everything, for digital silence is nothing that the models ever heard.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Pcm

PADDING_S = 0.25  # on both sides, besides what the segmenter left
ROOM_DBFS = -45.0  # of the noise

HIGH_HZ = 150.0  # fundamental frequency from which a voice counts as high
STRETCH = 1.07

FRAME = 1024  # samples: 64 ms, two periods of the lowest voice
HOP = 512
LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0
LOUD = 0.02  # rms from which a frame is looked at
VOICED = 0.5  # correlation with itself one period later
NEARLY = 0.9


def prepared(sound: Pcm, pitch_hz: float) -> bytes:
    """An utterance at 16 kHz as the decoders take it. Always the same for the same sound."""
    if pitch_hz > HIGH_HZ:
        sound = np.asarray(soxr.resample(sound, HEARING_RATE, HEARING_RATE * STRETCH), np.float32)
    sound = np.pad(sound, round(PADDING_S * HEARING_RATE))
    noise = 10 ** (ROOM_DBFS / 20) * np.random.default_rng(0).normal(size=sound.size)
    return int16_from_float(sound + noise.astype(np.float32)).tobytes()


def pitch_of(sound: Pcm) -> float:
    """The median fundamental frequency of its voiced frames in Hz, by autocorrelation; 0 if there are none."""
    count = 1 + (sound.size - FRAME) // HOP
    if count < 1:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP]
    frames = frames[np.sqrt(np.mean(frames * frames, axis=1)) >= LOUD]
    if not frames.size:
        return 0.0
    window = np.hanning(FRAME).astype(np.float32)
    correlation = _autocorrelation((frames - frames.mean(axis=1, keepdims=True)) * window)
    correlation = correlation / correlation[:, :1] / (_autocorrelation(window[None])[0] / np.sum(window**2) + 1e-9)
    shortest, longest = int(HEARING_RATE / HIGHEST_HZ), int(HEARING_RATE / LOWEST_HZ)
    within = correlation[:, shortest:longest]
    best = within.max(axis=1)
    within, best = within[best > VOICED], best[best > VOICED]
    # Two periods are as much like each other as one and the next: the first that is nearly the best is the period.
    periods = shortest + _tops(within, NEARLY * best)
    return float(np.median(HEARING_RATE / periods)) if periods.size else 0.0


def _tops(rows: Pcm, levels: Pcm) -> NDArray[np.intp]:
    """Of each row, the place of the first peak that reaches its level."""
    places = []
    for row, level in zip(rows, levels, strict=True):
        start = int(np.argmax(row >= level))
        falls = np.flatnonzero(np.diff(row[start:]) < 0)
        places.append(start + (int(falls[0]) if falls.size else row.size - start - 1))
    return np.array(places, np.intp)


def _autocorrelation(frames: Pcm) -> Pcm:
    """[n, FRAME] of each row with itself, by lag."""
    spectrum = np.fft.rfft(frames, 2 * FRAME)
    return np.asarray(np.fft.irfft(np.abs(spectrum) ** 2)[:, :FRAME])
