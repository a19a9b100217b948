"""What one person said lately, addressed by absolute position in their stream.

It knows neither turns nor time: `keep` says from where on sound may be asked for, and the limit how much
there can be.
"""

from __future__ import annotations

import numpy as np

from antiphon.audio.units import Pcm16, Samples
from antiphon.errors import Bug

SAMPLE_BYTES = 2


class Ring:
    """The newest part of one stream of int16 sound at 24 kHz.

    While nothing is kept, the last `pre_roll` samples stay. Once `keep` names a position, everything from
    there on stays and memory grows with it, up to `limit`; then the oldest goes, and `start` says so.
    """

    def __init__(self, pre_roll: Samples, limit: Samples) -> None:
        if not 0 <= pre_roll <= limit:
            raise Bug(f"a pre-roll of {pre_roll} samples in a ring of {limit}", "Give it at least its pre-roll.")
        self.start: Samples = 0
        """Position of the oldest sample that is still here."""
        self.end: Samples = 0
        """Position after the newest sample: how much the stream has brought."""
        self._pre_roll = pre_roll
        self._limit = limit
        self._kept_from: Samples | None = None
        # A bytearray drops bytes from its front without moving the rest, grows by an eighth and shrinks by
        # halves: a queue of samples in C.
        self._bytes = bytearray()

    @property
    def held_bytes(self) -> int:
        return len(self._bytes)

    def append(self, chunk: Pcm16) -> None:
        """Take in a copy of the next samples."""
        self._bytes += chunk.tobytes()
        self.end += chunk.size
        self._drop()

    def keep(self, start: Samples | None) -> None:
        """From now on everything from `start` on stays, as far as it is still here; None: only the pre-roll
        does.
        """
        self._kept_from = start
        self._drop()

    def read(self, start: Samples, stop: Samples) -> Pcm16:
        """A copy of the samples from `start` up to `stop`, or of what is left of them: the oldest may be
        gone.

        Asking for what has not come yet is a `Bug`.
        """
        if not start <= stop <= self.end:
            raise Bug(f"samples {start} to {stop} of a stream of {self.end}", "Read only what was appended.")
        first, last = max(start, self.start) - self.start, max(stop, self.start) - self.start
        return np.frombuffer(self._bytes[first * SAMPLE_BYTES : last * SAMPLE_BYTES], dtype=np.int16)

    def _drop(self) -> None:
        """Let go of what nobody may ask for."""
        wanted = self.end - self._pre_roll
        if self._kept_from is not None:
            wanted = max(min(wanted, self._kept_from), self.end - self._limit)
        if wanted > self.start:
            del self._bytes[: (wanted - self.start) * SAMPLE_BYTES]
            self.start = wanted
