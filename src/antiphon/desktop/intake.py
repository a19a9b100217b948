"""The microphone's sound as a program wants it: mono, checked, at one rate, with its level.

For the reader's thread. It does not know what the sound is for.
"""

from __future__ import annotations

from antiphon.audio.pcm import dbfs, guarded, mono_from_frames
from antiphon.audio.resample import Resampler
from antiphon.audio.units import Pcm
from antiphon.desktop.ring import CaptureRing


class Intake:
    """One reader of a capture ring."""

    def __init__(
        self, ring: CaptureRing, from_hz: int, to_hz: int, *, pre_roll_ms: int = 0, not_before: int = 0
    ) -> None:
        """Begins with the newest sound, and `pre_roll_ms` before it as far as there is some.

        What is before the position `not_before` is somebody else's.
        """
        self.lost = 0
        """Frames that were overwritten before they were read: the reader stood still for too long."""
        self.repaired = 0
        """Samples that were not finite or out of range."""
        self.level_dbfs = -120.0
        """Of the sound that was taken last."""
        self._ring = ring
        self._resampler = Resampler(from_hz, to_hz)
        self.position = max(not_before, ring.end - pre_roll_ms * from_hz // 1000)
        """Of the next frame in the ring."""

    def take(self, until: int | None = None) -> Pcm:
        """What has come since the last time, up to a position of the ring; may be empty. Every sample is finite and in
        [-1, 1]."""
        captured = self._ring.read(self.position, until)
        self.position = captured.end
        self.lost += captured.lost
        if not len(captured.frames):
            return captured.frames[:, 0]
        mono = captured.frames[:, 0] if self._ring.channels == 1 else mono_from_frames(captured.frames)
        checked = guarded(mono)
        self.repaired += checked.repaired
        self.level_dbfs = dbfs(checked.rms)
        return self._resampler.push(checked.pcm)
