"""From one sample rate to another, as a stream: exact in count, 2 ms late, the same however it is cut.

It knows nothing of what the samples are for. Whole sounds, where delay costs nothing, go through `resampled`.

The filter is a windowed sinc. Its polyphase form is written out as one banded matrix that turns a block of
input into a block of output, so that a chunk is one matrix product, and so is a batch of streams;
docs/decisions/0002-resampling.md has the figures that chose it.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import soxr
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.units import Pcm
from antiphon.errors import ConfigError

REACH_MS = 1.5  # the filter looks this far to both sides: its delay
NARROW_REACH_MS = 2.0  # at 8 kHz 1.5 ms would cost the telephone band its top, from 3.2 kHz on
ATTENUATION_DB = 70.0  # of what cannot be represented; Kaiser's formula turns it into the window's shape
LONGEST_CYCLE = 1000  # 44.1 -> 16 kHz has 441; beyond this the matrix would not be small


class Filter(Struct, frozen=True):
    """How to turn `step_in` samples into `step_out`, with `reach` samples of context on both sides."""

    reach: int
    """Samples of input that an output needs before and after its own moment."""
    step_in: int
    step_out: int
    cycle_in: int
    """The shortest input, `cycle_in`, that makes a whole number of outputs, `cycle_out`; steps are multiples
    of it.
    """
    cycle_out: int
    matrix: NDArray[np.float32]
    """[step_in + 2 * reach, step_out]."""

    def apply(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """[B, k * step_in + 2 * reach], contiguous, to [B, k * step_out].

        The first and the last `reach` columns are context. A row's result does not depend on the other rows,
        to the bit.
        """
        batch, width = rows.shape
        steps = (width - 2 * self.reach) // self.step_in
        # Overlapping views of the blocks; np.ndarray makes one in a tenth of as_strided's time.
        size = rows.itemsize
        blocks: NDArray[np.float32] = np.ndarray(
            (batch, steps, self.step_in + 2 * self.reach),
            np.float32,
            rows,
            0,
            (width * size, self.step_in * size, size),
        )
        return np.asarray(np.matmul(blocks.copy(), self.matrix)).reshape(batch, steps * self.step_out)


@lru_cache(maxsize=64)
def filter_between(from_hz: int, to_hz: int) -> Filter:
    """The filter for this pair of rates, made once; a `ConfigError` if they have no small common measure."""
    if from_hz <= 0 or to_hz <= 0 or max(from_hz, to_hz) // gcd(from_hz, to_hz) > LONGEST_CYCLE:
        raise ConfigError(
            f"cannot resample a stream from {from_hz} Hz to {to_hz} Hz",
            "Use a rate that sound cards know: 8000, 16000, 22050, 24000, 44100 or 48000.",
        )
    common = gcd(from_hz, to_hz)
    cycle_in, cycle_out = from_hz // common, to_hz // common
    # Blocks of about 48: large enough for BLAS, and little of the matrix is zeros.
    steps = 16 if max(cycle_in, cycle_out) <= 4 else 1
    lower_hz = min(from_hz, to_hz)
    reach = round((NARROW_REACH_MS if lower_hz <= 8000 else REACH_MS) * from_hz / 1000)
    transition_hz = (ATTENUATION_DB - 7.95) / 14.36 * from_hz / (2 * reach)
    # Down, what aliases must be gone; up, what is there must stay.
    cutoff_hz = lower_hz / 2 - (transition_hz / 4 if to_hz < from_hz else 0)
    matrix = _matrix(steps * cycle_in, steps * cycle_out, reach, cutoff_hz / from_hz)
    return Filter(reach, steps * cycle_in, steps * cycle_out, cycle_in, cycle_out, matrix)


def _matrix(step_in: int, step_out: int, reach: int, cutoff: float) -> NDArray[np.float32]:
    """Windowed sincs around the moments of the outputs, each of unit gain; `cutoff` in cycles per input
    sample.
    """
    moments = np.arange(step_out) * step_in / step_out + reach
    distance = np.arange(step_in + 2 * reach)[:, None] - moments[None, :]
    beta = 0.1102 * (ATTENUATION_DB - 8.7)  # Kaiser
    inside = np.sqrt(np.clip(1 - (distance / reach) ** 2, 0, None))
    taps = np.where(np.abs(distance) <= reach, np.sinc(2 * cutoff * distance) * np.i0(beta * inside), 0)
    return np.asarray(taps / taps.sum(axis=0), dtype=np.float32)


class Resampler:
    """One stream of mono sound on its way from `from_hz` to `to_hz`.

    Output k is the sound at the moment k / to_hz of the input, without a shift. It comes as soon as its
    `delay` samples of lookahead have come: after n samples of input there are max(0, ceil((n - delay) * to_hz
    / from_hz)) of output, and after `flush` ceil(n * to_hz / from_hz).
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._filter = None if from_hz == to_hz else filter_between(from_hz, to_hz)
        self.delay = self._filter.reach if self._filter else 0
        """Samples of input that are held back: 2 ms at most."""
        self._restart()

    def _restart(self) -> None:
        self._tail: Pcm = np.zeros(self.delay, np.float32)
        """Input from `delay` samples before the current cycle on."""
        self._given = 0
        """Outputs of the current cycle that were handed out already."""

    def push(self, pcm: Pcm) -> Pcm:
        """The sound that can be had now; may be empty. `pcm` is not kept."""
        if self._filter is None:
            return pcm
        return self._run(self._filter, np.concatenate((self._tail, pcm)), self._filter.reach)

    def flush(self) -> Pcm:
        """The rest, as if silence followed. The next `push` begins another stream."""
        if self._filter is None:
            return np.zeros(0, np.float32)
        rest = self._run(self._filter, self._tail, 0)
        self._restart()
        return rest

    def _run(self, how: Filter, sound: Pcm, lookahead: int) -> Pcm:
        known = sound.size - how.reach
        ready = max(0, _ceil_divided((known - lookahead) * how.cycle_out, how.cycle_in))
        if ready <= self._given:
            self._tail = sound
            return np.zeros(0, np.float32)
        width = _ceil_divided(ready, how.step_out) * how.step_in + 2 * how.reach
        row = sound[:width]
        if row.size < width:
            # Whole blocks are computed; the outputs that saw the padding are thrown away, and made again
            # later.
            row = np.zeros(width, np.float32)
            row[: sound.size] = sound
        made = how.apply(row.reshape(1, width))[0, self._given : ready]
        cycles = ready // how.cycle_out
        self._given = ready - cycles * how.cycle_out
        self._tail = sound[cycles * how.cycle_in :]
        return made


def _ceil_divided(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def resampled(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """A whole sound at another rate, in high quality and without a shift; any rates. Slow for long ones: use
    a thread.
    """
    if from_hz == to_hz or not pcm.size:
        return pcm
    return np.asarray(soxr.resample(pcm, from_hz, to_hz, quality="HQ"), dtype=np.float32)
