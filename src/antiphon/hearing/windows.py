"""Bytes of many streams, cut into the windows that a voice detector scores.

It knows neither streams nor their order: bytes in, one row of 16 kHz sound each out. It runs in the hub's
worker thread, because resampling a batch as one matrix product costs a third of resampling every message by
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import FULL_SCALE
from antiphon.audio.resample import Filter, filter_between
from antiphon.audio.units import HEARING_RATE
from antiphon.errors import ConfigError

SAMPLE_BYTES = 2


class Cutter:
    """How windows of `window` samples at 16 kHz are cut from int16 sound at `rate_hz`.

    Window k is made of the input's samples from k * `step` - `reach` to (k + 1) * `step` + `reach`, and is
    the sound from k * `step` to (k + 1) * `step` without a shift: the resampler's lookahead delays a window
    and does not move it.
    """

    def __init__(self, rate_hz: int, window: int) -> None:
        self._filter: Filter | None = None if rate_hz == HEARING_RATE else filter_between(rate_hz, HEARING_RATE)
        self.step, odd = divmod(window * rate_hz, HEARING_RATE)
        if odd or (self._filter and self.step % self._filter.step_in):
            raise ConfigError(
                f"sound at {rate_hz} Hz cannot be heard directly",
                "Bring it to 24000 Hz first; 8000, 16000 and 48000 do as well.",
            )
        self.reach = self._filter.reach if self._filter else 0
        """1.5 ms for 24 kHz, 2 ms for 8."""
        self.span = self.step + 2 * self.reach
        """Samples that one window is made of."""

    def windows(self, spans: Sequence[bytes | bytearray], count: int = 1) -> NDArray[np.float32]:
        """[B * count, window] in [-1, 1] from B spans of `count` adjoining windows, that is of `span` samples and
        another `step` for each window more; a row does not depend on the others, to the bit.
        """
        length = self.span + (count - 1) * self.step
        strides = (length * SAMPLE_BYTES, self.step * SAMPLE_BYTES, SAMPLE_BYTES)  # windows overlap by what they reach
        samples = np.ndarray((len(spans), count, self.span), "<i2", b"".join(spans), strides=strides)
        sound = np.multiply(samples, np.float32(1 / FULL_SCALE), dtype=np.float32).reshape(-1, self.span)
        return self._filter.apply(sound) if self._filter else sound


@lru_cache(maxsize=16)
def cutter_for(rate_hz: int, window: int) -> Cutter:
    """The one cutter of this kind."""
    return Cutter(rate_hz, window)
