"""The audio that was made for a session's answers, until it has been sent.

Every piece of speaking work has its own stretch, addressed by sample from its beginning; the session names the parts
that go out. It does not know when that is.
"""

from __future__ import annotations

import asyncio

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples

AHEAD: Samples = 30 * WIRE_RATE  # made before it is sent: a fast voice would otherwise make a whole speech in vain


class Stretch:
    """What one piece of work has made so far, int16 at 24 kHz."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self.sent: Samples = 0
        self._room = asyncio.Event()

    def append(self, pcm: Pcm16) -> None:
        self._pcm += pcm.tobytes()

    @property
    def made(self) -> Samples:
        return len(self._pcm) // 2

    def take(self, start: Samples, stop: Samples) -> bytes:
        """The samples from `start` to `stop` as little-endian bytes; they count as sent."""
        self.sent = stop
        if self.made - self.sent < AHEAD:
            self._room.set()
        return bytes(self._pcm[2 * start : 2 * stop])

    async def until_wanted(self) -> None:
        """Wait while so much lies ready that more would only take memory."""
        while self.made - self.sent >= AHEAD:
            self._room.clear()
            await self._room.wait()


class SpokenAudio:
    """The stretches of one session, by work number."""

    def __init__(self) -> None:
        self._stretches: dict[int, Stretch] = {}

    def open(self, work: int) -> Stretch:
        return self._stretches.setdefault(work, Stretch())

    def take(self, work: int, start: Samples, stop: Samples) -> bytes:
        return self._stretches[work].take(start, stop)

    def drop(self, work: int) -> None:
        self._stretches.pop(work, None)

    def __len__(self) -> int:
        return len(self._stretches)
