"""Words on the screen while somebody speaks, from any recogniser of whole utterances: LocalAgreement-2.

What is there so far is recognised again every few hundred milliseconds, and the words on which two recognitions in a
row agree are stable: they are not taken back (Macháček et al., 2023). Utterances that go on for long are anchored:
what lies before a quiet place is settled, and only what comes after it is recognised again, so that the cost grows
with the length of the speech and not with its square. The final text is that of the whole utterance, recognised once.

`Agreement` knows words only, and is told what was heard. `Agreeing` knows sound and time, and no words.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import cast

import msgspec
import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.api import Hypothesis, Stt, SttRequest, Transcript, TranscriptDelta
from antiphon.engines.utterance import Utterance
from antiphon.errors import EngineError

log = logging.getLogger("antiphon.engines")

INTERVAL_S: Seconds = 0.3  # of new sound, after which it is worth looking again
LONGEST_TAIL_S: Seconds = 12.0  # that is recognised again and again; then what is before a quiet place is settled
NEWEST_S: Seconds = 3.0  # in which no anchor is set: two recognitions have to agree on it first
QUIET_S: Seconds = 0.1  # how long a quiet place has to be
PROMPT_CHARS = 200  # of what is settled, told to the recogniser of what follows
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"  # scripts that put no spaces between words
PIECE = re.compile(rf"\s*(?:[{CJK}]|[^\s{CJK}]+)")


def pieces_of(text: str) -> list[str]:
    """The words of a text, each with the space before it; they join to the text without what ends it."""
    return PIECE.findall(text.strip())


def bare(piece: str) -> str:
    """A word as it is compared: without case, punctuation and space, which come and go with what follows."""
    return "".join(character for character in piece.casefold() if character.isalnum()) or piece.strip()


class Agreement:
    """What of one stretch of speech is stable, by the recognitions of it so far."""

    def __init__(self) -> None:
        self._stable: list[str] = []
        self._newest: list[str] = []
        """What the last recognition had after the stable words."""

    @property
    def stable(self) -> str:
        return "".join(self._stable)

    @property
    def tail(self) -> str:
        return "".join(self._newest)

    def hear(self, text: str) -> None:
        """Another recognition, of the same stretch and perhaps more of it."""
        rest = unsaid(self._stable, pieces_of(text))
        agreed = 0
        for before, now in zip(self._newest, rest, strict=False):
            if bare(before) != bare(now):
                break
            agreed += 1
        # A last word without anything after it may only be the beginning of one.
        agreed = min(agreed, max(0, len(rest) - 1))
        self._stable += rest[:agreed]
        self._newest = rest[agreed:]

    def settle(self, text: str) -> tuple[str, Agreement]:
        """`text` is what the beginning of the stretch holds, up to a place where it is cut. What is now said before
        the cut for good, and the agreement on what comes after it, which may begin with words that are stable."""
        rest = Agreement()
        said = [bare(piece) for piece in self._stable]
        place = _aligned([bare(piece) for piece in pieces_of(text)], said)
        if place < len(said):
            rest._stable = self._stable[place:]
            return "".join(self._stable[:place]), rest
        return "".join(self._stable + unsaid(self._stable, pieces_of(text))), rest


def unsaid(said: Sequence[str], pieces: list[str]) -> list[str]:
    """What of a recognition comes after the words that were said already, whatever it has made of those."""
    before = [bare(piece) for piece in said]
    heard = [bare(piece) for piece in pieces]
    if heard[: len(before)] == before:
        return pieces[len(before) :]
    return pieces[_aligned(before, heard) :]


def _aligned(said: Sequence[str], heard: Sequence[str]) -> int:
    """How many words of `heard` stand for all of `said`: where the fewest have to be changed, left out or put in."""
    row = np.arange(len(heard) + 1)
    for number, word in enumerate(said, 1):
        diagonal = row[:-1] + np.fromiter((word != other for other in heard), np.int64, len(heard))
        best = np.concatenate(([number], np.minimum(diagonal, row[1:] + 1)))
        # What is put in costs one for each word: a running minimum once that slope is taken away.
        slope = np.arange(best.size)
        row = np.minimum.accumulate(best - slope) + slope
    # Of equally good places the one nearest to as many words as there were.
    places = np.flatnonzero(row == row.min())
    return int(places[np.argmin(np.abs(places - len(said)))])


class Agreeing:
    """`Listener` over any `Stt`."""

    def __init__(self, stt: Stt, interval_s: Seconds = INTERVAL_S) -> None:
        """`interval_s` of new sound are waited for before each look."""
        self._stt = stt
        self._interval_s = interval_s

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`. An utterance that is over already gives its transcript alone. A look that fails is a
        look less: what counts is the whole."""
        loop = asyncio.get_running_loop()
        settled, agreement, anchor = "", Agreement(), 0
        seen, pause_s = 0, self._interval_s
        whole: Transcript | None = None
        last = Hypothesis("", "")
        while True:
            await utterance.until(seen + round(pause_s * HEARING_RATE))
            if utterance.is_ended:
                break
            seen, before = utterance.size, loop.time()
            cut, heard = anchor_for(utterance.view(anchor)), None
            try:
                if cut:
                    text = (await self._recognised(utterance.view(anchor, anchor + cut), request, settled)).text
                    newly_settled, agreement = agreement.settle(text)
                    settled, anchor = joined(settled, newly_settled), anchor + cut
                look = asyncio.ensure_future(self._recognised(utterance.view(anchor, seen), request, settled))
                if not await _worth_waiting_for(look, utterance, seen):
                    break
                heard = look.result()
            except EngineError as error:
                log.warning("words were not recognised while they were said: %s", error.message)
            whole = heard if anchor == 0 else None
            # At most half of the time goes into looking: a slow recogniser looks less often.
            pause_s = max(self._interval_s, loop.time() - before)
            if heard is None:
                continue
            agreement.hear(heard.text)
            news = _hypothesis(settled, agreement)
            if news != last:
                last = news
                yield news
        # Often the pause that ended the utterance has been heard with the rest, and there is nothing to add.
        if whole is None or not utterance.size <= seen <= utterance.quiet_to:
            whole = await final(self._stt, utterance.view(), request)
        yield whole

    async def _recognised(self, sound: Pcm, request: SttRequest, before: str) -> Transcript:
        prompt = before[-PROMPT_CHARS:] or None
        look = msgspec.structs.replace(
            request, is_partial=True, prompt=" ".join(filter(None, (request.prompt, prompt))) or None
        )
        return await final(self._stt, sound, look)


async def _worth_waiting_for(look: asyncio.Future[Transcript], utterance: Utterance, seen: int) -> bool:
    """Wait for a look at the first `seen` samples. If the utterance ends meanwhile and there is more in it, the look is
    given up and this is False: the whole is to be recognised, and nothing else should be in its way."""
    ending = asyncio.ensure_future(utterance.ended())
    try:
        await asyncio.wait((look, ending), return_when=asyncio.FIRST_COMPLETED)
        if not look.done() and not utterance.size <= seen <= utterance.quiet_to:
            return False
        await asyncio.wait((look,))
        return True
    finally:
        ending.cancel()
        if not look.done():
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)


class WholeOnly:
    """`Listener` that waits for the end and listens once."""

    def __init__(self, stt: Stt) -> None:
        self._stt = stt

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`."""
        await utterance.ended()
        yield await final(self._stt, utterance.view(), request)


async def final(stt: Stt, sound: Pcm, request: SttRequest) -> Transcript:
    """The one `Transcript` that a recogniser has for this sound."""
    async with aclosing(
        cast("AsyncGenerator[TranscriptDelta | Transcript, None]", stt.transcribe(sound, request))
    ) as events:
        async for event in events:
            if isinstance(event, Transcript):
                return event
    raise EngineError("the recogniser ended without a transcript", "This is a mistake in the engine.")


def anchor_for(sound: Pcm) -> int:
    """After how many samples what was said is to be settled: at the quietest place, if the sound is too long to be
    recognised again and again; else 0."""
    if sound.size <= LONGEST_TAIL_S * HEARING_RATE:
        return 0
    return quietest(sound, round(LONGEST_TAIL_S / 3 * HEARING_RATE), sound.size - round(NEWEST_S * HEARING_RATE))


def quietest(sound: Pcm, start: int, stop: int) -> int:
    """The middle of the quietest tenth of a second between two places."""
    size = round(QUIET_S * HEARING_RATE)
    energy = np.concatenate(([0.0], np.cumsum(np.square(sound[start:stop], dtype=np.float64))))
    if energy.size <= size:
        return (start + stop) // 2
    return start + size // 2 + int(np.argmin(energy[size:] - energy[:-size]))


def _hypothesis(settled: str, agreement: Agreement) -> Hypothesis:
    stable = joined(settled, agreement.stable)
    return Hypothesis(stable, joined(stable, agreement.tail)[len(stable) :])


def joined(before: str, after: str) -> str:
    """Two stretches of text, with a space between them where the script has one."""
    if not before or not after:
        return before + after
    gap = "" if after[0].isspace() or re.match(rf"[{CJK}]", after) else " "
    return f"{before}{gap}{after}"
