"""The sound of one utterance, which can be listened to while it is still being said.

Whoever has the microphone appends; whoever recognises looks at what there is, waits for more, and is told the end. It
does not know voices, words or rates other than its own: mono float32 at 16 kHz. All of it is for one event loop.
"""

from __future__ import annotations

import asyncio

import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.errors import Bug

FOREVER = 2**62
FIRST_SAMPLES = 4 * HEARING_RATE  # most utterances are shorter; doubled when it is full


class Utterance:
    """Grows until `end`. Appending costs a copy of what is appended, looking costs nothing."""

    def __init__(self, sound: Pcm | None = None) -> None:
        """With a `sound`, it has been said already: there is nothing to wait for."""
        self._samples: Pcm = np.empty(FIRST_SAMPLES, np.float32) if sound is None else sound
        self._size = 0 if sound is None else sound.size
        self._is_ended = sound is not None
        self.quiet_to = self._size
        """Once it is over: up to how many samples there was quiet after it, cut off or not."""
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def size(self) -> int:
        """Samples so far."""
        return self._size

    @property
    def is_ended(self) -> bool:
        return self._is_ended

    def append(self, pcm: Pcm) -> None:
        """Take in a copy of the next samples."""
        if self._is_ended:
            raise Bug("sound was appended to an utterance that is over", "Begin another one.")
        size = self._size + pcm.size
        if size > self._samples.size:
            # Views of the old array stay what they are: who looks at one keeps it alive.
            grown = np.empty(max(size, 2 * self._samples.size), np.float32)
            grown[: self._size] = self._samples[: self._size]
            self._samples = grown
        self._samples[self._size : size] = pcm
        self._size = size
        if self._waiting:
            self._wake()

    def end(self, size: int | None = None, quiet_to: int = 0) -> None:
        """It is over, and was over after `size` samples already: what came after them is cut off."""
        if size is not None:
            self._size = max(0, min(self._size, size))
        self.quiet_to = max(self._size, quiet_to)
        self._is_ended = True
        self._wake()

    def view(self, start: int = 0, stop: int | None = None) -> Pcm:
        """The samples from `start` to `stop`, or to the newest; not a copy, and not to be written to."""
        view = self._samples[start : self._size if stop is None else min(stop, self._size)]
        view.flags.writeable = False
        return view

    async def until(self, size: int) -> None:
        """Wait for this many samples, or for the end."""
        if self._is_ended or self._size >= size:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, future))
        await future

    async def ended(self) -> None:
        """Wait for the end."""
        await self.until(FOREVER)

    def _wake(self) -> None:
        still: list[tuple[int, asyncio.Future[None]]] = []
        for size, future in self._waiting:
            if future.done():
                continue
            if self._is_ended or self._size >= size:
                future.set_result(None)
            else:
                still.append((size, future))
        self._waiting = still
