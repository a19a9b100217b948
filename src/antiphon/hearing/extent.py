"""Where in a sound that is over somebody is to be heard: what lies before and after is for no recogniser.

It is listened to from both ends, a piece at a time, so that a long speech costs no more than finding its edges. Whose
sound it is, and who said that it is over, is not known here.
"""

from __future__ import annotations

import asyncio

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, samples_from_ms
from antiphon.hearing.edges import WINDOW, HearingEvent
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.stream import LEAD_IN
from antiphon.session.inputs import HearingFailed

FAINT = 0.15  # of the detector's scores: whoever says that they spoke is believed sooner
PIECE: Samples = WIRE_RATE
BEFORE_VOICE: Samples = samples_from_ms(300)  # for consonants, which are quieter than the detector hears
AFTER_VOICE: Samples = samples_from_ms(200)  # likewise


async def voiced_part(hub: HearingHub, pcm: Pcm16) -> Pcm16:
    """The part of this, int16 at 24 kHz, outside of which nobody is to be heard, and a little around it; empty if
    nobody is at all. In doubt somebody is: with a detector that fails, all of it."""
    pieces = range(0, pcm.size, PIECE)
    ear = _Ear(hub, pcm)
    try:
        found = 0
        for found in pieces:
            if voiced := await ear.voiced(found):
                break
        else:
            return pcm if ear.has_failed else pcm[:0]
        first, last = voiced[0] - WINDOW, voiced[-1]
        for start in reversed(pieces[found // PIECE + 1 :]):
            if voiced := await ear.voiced_anew(start):
                last = voiced[-1]
                break
    finally:
        ear.close()
    return pcm if ear.has_failed else pcm[max(0, first - BEFORE_VOICE) : last + AFTER_VOICE]


class _Ear:
    """The detector at one sound."""

    def __init__(self, hub: HearingHub, pcm: Pcm16) -> None:
        self.has_failed = False
        self._pcm = pcm
        self._stream = hub.open(self._take, threshold=FAINT)
        self._stream.on_score = self._score
        self._offset: Samples = 0
        """Of the stream's positions from those of the sound."""
        self._voiced: list[Samples] = []

    async def voiced(self, start: Samples) -> list[Samples]:
        """Where the voiced windows end that are whole with the piece at `start`, which follows on the last one."""
        self._voiced = []
        self._stream.append(self._pcm[start : start + PIECE], asyncio.get_running_loop().time())
        await self._stream.caught_up()
        return self._voiced

    async def voiced_anew(self, start: Samples) -> list[Samples]:
        """The same for a piece that follows on none."""
        lead_in = min(start, LEAD_IN * WINDOW)
        self._stream.reset()
        self._offset = self._stream.position - start + lead_in
        self._stream.append(self._pcm[start - lead_in : start], asyncio.get_running_loop().time())
        return await self.voiced(start)

    def close(self) -> None:
        self._stream.close()

    def _score(self, heard: Samples, score: float) -> None:
        if score >= FAINT:
            self._voiced.append(heard - self._offset)

    def _take(self, event: HearingEvent | HearingFailed) -> None:
        self.has_failed = self.has_failed or isinstance(event, HearingFailed)
