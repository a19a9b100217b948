"""A microphone without a sound card: it brings what it is given, at once.

It does not know what is done with the sound.
"""

from __future__ import annotations

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.desktop.card import Counters
from antiphon.desktop.ring import CaptureRing

KEPT_S = 30


class MemoryMicrophone:
    """`Ears` at 16 kHz, mono."""

    def __init__(self) -> None:
        self.rate_hz = HEARING_RATE
        self.ring = CaptureRing(KEPT_S * HEARING_RATE)
        self.counters = Counters()
        self.is_alive = True

    def hear(self, pcm: Pcm) -> None:
        """Somebody makes this sound; at most 30 s that nobody has taken yet."""
        self.ring.write(pcm.data)
        self.counters.blocks += 1

    def close(self) -> None:
        self.is_alive = False
