"""The audio that was made for a session's answers, until it has been sent.

Every piece of speaking work has its own stretch, addressed by sample from its beginning; the session names the parts
that go out. It does not know when that is.
"""

from __future__ import annotations

import asyncio

import numpy as np

from antiphon.audio.formats import Kind, SoundWriter
from antiphon.audio.units import WIRE_RATE, Pcm16, Samples

AHEAD: Samples = 30 * WIRE_RATE  # made before it is sent: a fast voice would otherwise make a whole speech in vain


class Stretch:
    """What one piece of work has made so far, int16 at 24 kHz, and on its way out in the response's format."""

    def __init__(self, kind: Kind) -> None:
        self._pcm = bytearray()
        self._writer = SoundWriter(kind)
        self._is_whole = False
        self.sent: Samples = 0
        self._room = asyncio.Event()

    def append(self, pcm: Pcm16) -> None:
        self._pcm += pcm.tobytes()

    @property
    def made(self) -> Samples:
        return len(self._pcm) // 2

    def finish(self) -> None:
        """Nothing will be added."""
        self._is_whole = True

    def read(self, start: Samples, stop: Samples) -> Pcm16:
        """A copy of the samples from `start` to `stop`."""
        return np.frombuffer(bytes(self._pcm[2 * start : 2 * stop]), np.int16)

    def take(self, start: Samples, stop: Samples) -> bytes:
        """The samples from `start` to `stop` as they go out, in order; they count as sent.

        A telephone's format runs 2 ms behind; they follow with the last samples if these are known to be the last.
        """
        self.sent = stop
        if self.made - self.sent < AHEAD:
            self._room.set()
        data = self._writer.write(self.read(start, stop))
        return data + self._writer.finish() if self._is_whole and stop == self.made else data

    async def until_wanted(self) -> None:
        """Wait while so much lies ready that more would only take memory."""
        while self.made - self.sent >= AHEAD:
            self._room.clear()
            await self._room.wait()


class SpokenAudio:
    """The stretches of one session, by work number."""

    def __init__(self) -> None:
        self._stretches: dict[int, Stretch] = {}

    def open(self, work: int, kind: Kind) -> Stretch:
        """A stretch for this work, which goes out in this format."""
        return self._stretches.setdefault(work, Stretch(kind))

    def read(self, work: int, start: Samples, stop: Samples) -> Pcm16:
        """See `Stretch.read`."""
        return self._stretches[work].read(start, stop)

    def take(self, work: int, start: Samples, stop: Samples) -> bytes:
        return self._stretches[work].take(start, stop)

    @property
    def held_bytes(self) -> int:
        return sum(2 * stretch.made for stretch in self._stretches.values())

    def drop(self, work: int) -> None:
        self._stretches.pop(work, None)

    def __len__(self) -> int:
        return len(self._stretches)
