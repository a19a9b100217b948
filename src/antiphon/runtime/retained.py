"""The sound of a session's items, kept for those who retrieve them, within a bound.

It does not know what an item is, nor the format in which its sound will be asked for.
"""

from __future__ import annotations

import numpy as np

from antiphon.audio.units import Pcm16, Samples


class RetainedAudio:
    """Sound by item id, int16 at 24 kHz. When it is more than `limit_bytes`, the oldest goes first."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._sounds: dict[str, Pcm16] = {}
        self.held_bytes = 0

    def retain(self, item_id: str, pcm: Pcm16) -> None:
        """Keep this sound, unless it alone is over the limit."""
        self.forget(item_id)
        if not 0 < pcm.nbytes <= self._limit_bytes:
            return
        while self.held_bytes + pcm.nbytes > self._limit_bytes:
            self.forget(next(iter(self._sounds)))
        self._sounds[item_id] = pcm
        self.held_bytes += pcm.nbytes

    def trim(self, item_id: str, stop: Samples) -> None:
        """Keep only what lies before `stop`. The item keeps its age."""
        pcm = self._sounds.get(item_id)
        if pcm is None or stop >= pcm.size:
            return
        if stop <= 0:
            self.forget(item_id)
            return
        self._sounds[item_id] = pcm[:stop].copy()
        self.held_bytes -= 2 * (pcm.size - stop)

    def forget(self, item_id: str) -> None:
        pcm = self._sounds.pop(item_id, None)
        if pcm is not None:
            self.held_bytes -= pcm.nbytes

    def of(self, item_id: str) -> Pcm16:
        """The item's sound; empty if it has none or it was given up."""
        return self._sounds.get(item_id, _NONE)


_NONE: Pcm16 = np.zeros(0, np.int16)
