"""The two sides of a conversation on one ruler: who spoke when, although sound comes in bursts and answers come ahead.

Moments are samples at 24 kHz since the beginning, and the caller's: no clock is known here, nor what becomes of the
sound.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples

Stereo = NDArray[np.int16]
"""Shape (n, 2): the person on the left, the answers on the right."""

JITTER: Samples = WIRE_RATE // 5  # a network's: what is later than this was not said without a pause
LATE: Samples = WIRE_RATE  # how long a piece may be on its way and still get its place
AHEAD: Samples = 10 * WIRE_RATE  # that a client may be ahead of real time; then time goes with it
PIECE: Samples = WIRE_RATE  # that is taken at once, at most


class Side:
    """Sound in places that do not overlap, in order."""

    def __init__(self) -> None:
        self.end: Samples = 0
        self._pieces: deque[tuple[Samples, Pcm16]] = deque()

    def put(self, start: Samples, pcm: Pcm16) -> None:
        self._pieces.append((start, pcm))
        self.end = start + pcm.size

    def cut(self, at: Samples) -> None:
        """Nothing after this is to be heard."""
        while self._pieces and self.end > at:
            start, pcm = self._pieces.pop()
            if start < at:
                self._pieces.append((start, pcm[: at - start]))
            self.end = at if start < at else self._end_of_last()
        self.end = min(self.end, at)

    def fill(self, into: NDArray[np.int16], start: Samples) -> bool:
        """Write what belongs into this stretch, and forget it. Whether there was anything."""
        stop = start + into.size
        found = False
        while self._pieces and self._pieces[0][0] < stop:
            place, pcm = self._pieces.popleft()
            room = pcm[: stop - place]
            into[place - start : place - start + room.size] = room
            found = found or bool(room.size)
            if room.size < pcm.size:
                self._pieces.appendleft((stop, pcm[room.size :]))
        return found

    def _end_of_last(self) -> Samples:
        if not self._pieces:
            return 0
        start, pcm = self._pieces[-1]
        return start + pcm.size


class Sides:
    """Give it what is heard and said, each with the moment at which that happened, and take what is settled."""

    def __init__(self) -> None:
        self._person = Side()
        self._answers = Side()
        self._taken: Samples = 0

    def heard(self, pcm: Pcm16, at: Samples) -> None:
        """The person's sound, the last of which came at this moment."""
        start = self._person.end
        if start < at - pcm.size - JITTER:
            start = at - pcm.size
        self._person.put(max(start, self._taken), pcm)

    def said(self, pcm: Pcm16, at: Samples) -> None:
        """More of an answer, which is played from now on, or once what came before it was."""
        self._answers.put(max(self._answers.end, at, self._taken), pcm)

    def hush(self, at: Samples) -> None:
        """What was not played by now never will be."""
        self._answers.cut(max(at, self._taken))

    def take(self, now: Samples) -> list[Stereo | Samples]:
        """What is settled by now and was not taken yet, in pieces; of silence only its length."""
        return self._take(max(now - LATE, self._person.end - AHEAD))

    def finish(self, now: Samples) -> list[Stereo | Samples]:
        """All the rest. What the person has not heard by now is left out."""
        self.hush(now)
        return self._take(max(self._person.end, self._answers.end))

    def _take(self, until: Samples) -> list[Stereo | Samples]:
        found: list[Stereo | Samples] = []
        while self._taken < until:
            size = min(PIECE, until - self._taken)
            both = np.zeros((2, size), np.int16)
            has_sound = self._person.fill(both[0], self._taken)
            has_sound = self._answers.fill(both[1], self._taken) or has_sound
            self._taken += size
            if has_sound:
                found.append(both.T)
            elif found and isinstance(found[-1], int):
                found[-1] += size
            else:
                found.append(size)
        return found
