"""From what a codec gives to what a recogniser takes: one channel at 16 kHz, whatever comes.

It knows frames, not containers. A stream that changes its rate, channels or sample format in the middle goes on
without a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from antiphon.audio.pcm import guarded, int16_from_float
from antiphon.audio.units import HEARING_RATE, Pcm, Pcm16
from antiphon.errors import PeerError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler


PLACED_CHANNELS = 8  # for which it is always known what is left and what is right
LOWEST_HZ = 2_000  # no sound that a word could be heard in: at 1 Hz, a file of 80 kB would become gigabytes


class Folding:
    """One stream of frames on its way to mono at `rate_hz`. Not for two threads at once."""

    def __init__(self, rate_hz: int = HEARING_RATE) -> None:
        self._rate_hz = rate_hz
        self._kind: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def push(self, frame: AudioFrame) -> list[Pcm]:
        """What can be had now, as the codec gives it: see `joined`. Raises `PeerError` for a rate that no sound has,
        and for so many channels that nobody knows how to mix them."""
        from av.error import FFmpegError

        made: list[Pcm] = []
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind or self._resampler is None:
            if frame.sample_rate < LOWEST_HZ:
                raise PeerError(
                    f"this sound has {frame.sample_rate} samples a second",
                    f"Send it at {LOWEST_HZ} Hz or more.",
                    code="invalid_audio",
                )
            from av.audio.resampler import AudioResampler

            made = self.flush()
            self._kind = kind
            self._resampler = AudioResampler(format="flt", layout="mono", rate=self._rate_hz)
        frame.pts = None  # a gap in the timestamps would become a gap in the sound, of up to hours
        try:
            return made + [_samples(out) for out in self._resampler.resample(frame)]
        except FFmpegError:
            self._resampler = self._kind = None
            if frame.layout.nb_channels <= PLACED_CHANNELS:
                raise
            raise PeerError(
                f"this sound has {frame.layout.nb_channels} channels, and nothing says how to mix them",
                f"Send it with one channel, or with {PLACED_CHANNELS} at most.",
                code="invalid_audio",
            ) from None

    def flush(self) -> list[Pcm]:
        """The last millisecond, which the resampler holds back."""
        resampler, self._resampler, self._kind = self._resampler, None, None
        return [] if resampler is None else [_samples(out) for out in resampler.resample(None)]


def joined(pieces: list[Pcm]) -> Pcm16:
    """One array of int16. NaN and infinity become silence. Once for many frames: a quarter of the cost of each."""
    if not pieces:
        return np.zeros(0, np.int16)
    return int16_from_float(guarded(pieces[0] if len(pieces) == 1 else np.concatenate(pieces)).pcm)


def _samples(frame: AudioFrame) -> Pcm:
    return np.asarray(frame.to_ndarray(), np.float32).reshape(-1)
