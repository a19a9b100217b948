"""Samples in the shapes they arrive in, made into the shapes we use: int16, float32, one channel, in range.

It knows nothing of rates, streams or files; every function is of one array and keeps nothing.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.units import Pcm, Pcm16
from antiphon.errors import Bug, PeerError

FULL_SCALE = 32768.0  # int16 -32768 is float -1.0 exactly; +1.0 has no int16 and becomes 32767
QUIETEST_DBFS = -120.0  # below the noise of any converter: what silence is called, so that levels stay finite


def float_from_int16(pcm: Pcm16) -> Pcm:
    """The same sound in [-1, 1): every int16 has its own float32, so that the way back is exact."""
    samples: Pcm = np.multiply(pcm, np.float32(1 / FULL_SCALE), dtype=np.float32)
    return samples


def int16_from_float(pcm: Pcm) -> Pcm16:
    """Rounded to the nearest step; what lies outside [-1, 1] is clipped, never wrapped. Not for NaN: see
    `guarded`.
    """
    scaled: Pcm = np.rint(pcm * np.float32(FULL_SCALE))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def int16_from_bytes(data: bytes | bytearray | memoryview, param: str | None = None) -> Pcm16:
    """Little-endian samples as they came from a peer, without a copy; shape (n,).

    Half a sample at the end is a `PeerError` about the field `param`: guessing which byte was lost turns
    speech to noise.
    """
    if len(data) % 2:
        raise PeerError(
            f"pcm16 audio must have an even number of bytes, and this has {len(data)}",
            "Send whole 16-bit little-endian samples: two bytes each, no container header.",
            code="invalid_value",
            param=param,
        )
    return np.frombuffer(data, dtype="<i2")


class Guarded(Struct, frozen=True):
    """Float samples that can be trusted."""

    pcm: Pcm
    """Finite and in [-1, 1]; the array that was handed in if nothing had to be repaired."""
    rms: float
    """Root mean square of `pcm`, in [0, 1]; 0 for no samples."""
    repaired: int
    """How many samples were not finite, and became 0, or were out of range, and were clipped."""


def guarded(pcm: NDArray[np.float32]) -> Guarded:
    """Check every sample of a float sound, shape (n,), from a source that may be broken, and repair what is.

    One NaN would otherwise deafen a recurrent model for good. The sum of squares answers for all samples in
    one pass: it is finite only if each sample is, and at most 1 only if none is out of range.
    """
    if not pcm.size:
        return Guarded(pcm, 0.0, 0)
    energy = _energy(pcm)
    if energy <= 1.0 or (math.isfinite(energy) and np.abs(pcm).max() <= 1.0):
        return Guarded(pcm, math.sqrt(energy / pcm.size), 0)
    clean = np.clip(np.where(np.isfinite(pcm), pcm, np.float32(0)), np.float32(-1), np.float32(1))
    return Guarded(clean, math.sqrt(_energy(clean) / pcm.size), int(np.count_nonzero(clean != pcm)))


def rms(pcm: Pcm | Pcm16) -> float:
    """Root mean square in [0, 1] of either kind of sound; 0 for no samples. Cannot overflow."""
    if not pcm.size:
        return 0.0
    scale = FULL_SCALE if pcm.dtype == np.int16 else 1.0
    return math.sqrt(_energy(pcm.astype(np.float32)) / pcm.size) / scale


def dbfs(level: float) -> float:
    """A level in [0, 1] in decibels below full scale, at least `QUIETEST_DBFS`."""
    return max(QUIETEST_DBFS, 20 * math.log10(level)) if level > 0 else QUIETEST_DBFS


def mono_from_frames(frames: NDArray[np.float32]) -> Pcm:
    """The mean of the channels of [n, channels], in an array of its own: `frames` may be reused at once."""
    if frames.ndim != 2:
        raise Bug(f"frames have {frames.ndim} dimensions, not 2", "Use reshape(-1, channels) on interleaved sound.")
    if frames.shape[1] == 2:
        # Twice as fast as `mean`, and stereo is what comes.
        return np.asarray((frames[:, 0] + frames[:, 1]) * np.float32(0.5))
    return np.asarray(frames.mean(axis=1, dtype=np.float32))


def interleaved(left: Pcm16, right: Pcm16) -> Pcm16:
    """Two voices side by side, left first; the shorter one ends in silence. Shape (2 * longest,)."""
    frames = np.zeros((max(left.size, right.size), 2), np.int16)
    frames[: left.size, 0] = left
    frames[: right.size, 1] = right
    return frames.reshape(-1)


def _energy(pcm: Pcm) -> float:
    return float(np.vdot(pcm, pcm))  # which, other than dot, does not warn of what it overflows with
