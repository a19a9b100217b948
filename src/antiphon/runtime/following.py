"""Listening along with a session: the words of what is being said while it is said, from the session's own sound.

A turn, which the session's detector heard begin, is one utterance. A stream in which only the client says what an item
is, is cut into utterances as `/ws/transcribe` cuts it. It does not know the session, nor what its words are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import reduce
from typing import cast

from msgspec import Struct

from antiphon.audio.pcm import float_from_int16, int16_from_float
from antiphon.audio.resample import Resampler
from antiphon.audio.ring import Ring
from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm, Pcm16, Samples
from antiphon.engines.api import Hypothesis, Listener, SttRequest, Transcript
from antiphon.engines.stt.agreement import joined, pieces_of, unsaid
from antiphon.engines.utterance import Utterance
from antiphon.errors import EngineError
from antiphon.hearing.extent import AFTER_VOICE
from antiphon.hearing.hub import HearingHub
from antiphon.runtime.live import Event, Failed, Final, LiveTranscription, Partial, raise_first

Grown = Callable[[str, str], None]
"""Takes text to append to what was told, which may be empty, and what seems to follow it."""


class Feed:
    """A session's sound from one position on, on its way to who listens along. Cheap while nothing waits for it."""

    def __init__(self, ring: Ring, start: Samples, heard: Callable[[], Samples]) -> None:
        """`heard` is how far the sound may be taken before its end is known."""
        self.start = self.stop = self.voiced_to = start
        """`stop` and `voiced_to` once it is over."""
        self._ring = ring
        self._heard = heard
        self._taken = start
        self._rest: Pcm16 | None = None
        self._has_news = asyncio.Event()

    def came(self) -> None:
        """There is more in the ring."""
        self._has_news.set()

    def end(self, stop: Samples, voiced_to: Samples) -> None:
        """It was over at `stop`, and after `voiced_to` was no voice. Takes what is left out of the ring."""
        self.stop, self.voiced_to = min(stop, self._ring.end), voiced_to
        self._rest = self._ring.read(min(self._taken, self.stop), self.stop)
        self._has_news.set()

    async def pieces(self) -> AsyncIterator[Pcm16]:
        """What comes, in order. It may be more than what was before `stop`: nobody had said so yet."""
        while self._rest is None:
            await self._has_news.wait()
            self._has_news.clear()
            heard = self._heard()
            if self._rest is None and heard > self._taken:
                piece = self._ring.read(self._taken, heard)
                self._taken = heard
                yield piece
        yield self._rest


class Companion(Struct, frozen=True):
    """What listens along."""

    listener: Listener
    hub: HearingHub

    async def follow_turn(self, feed: Feed, request: SttRequest, grown: Grown) -> Transcript:
        """The transcript of a turn, once it is over."""
        utterance, told = Utterance(), _Told(grown)
        async with asyncio.TaskGroup() as group:
            filling = group.create_task(_fill(utterance, feed))
            events = cast("AsyncGenerator[Hypothesis | Transcript, None]", self.listener.listen(utterance, request))
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Transcript):
                        told.finish(event.text)
                        filling.cancel()
                        return event
                    told.hear(event.stable, event.tail)
            raise EngineError("the recogniser ended without a transcript", "This is a mistake in the engine.")

    async def follow_stream(self, feed: Feed, request: SttRequest, grown: Grown) -> Transcript:
        """The transcript of a stream, with all its utterances, once it is over."""
        finals: list[Final] = []
        failures: list[Failed] = []
        told = _Told(grown)

        async def show(event: Event) -> None:
            match event:
                case Partial(stable=stable, tail=tail):
                    told.hear(stable, tail)
                case Final(text=text):
                    finals.append(event)
                    told.finish(text)
                case Failed():
                    failures.append(event)

        live = LiveTranscription(self.hub, self.listener, show, request)
        try:
            async for piece in _resampled(feed):
                await live.push(int16_from_float(piece))
                raise_first(failures)
            await live.end()
            raise_first(failures)
        finally:
            await live.close()
        language = next((final.language for final in finals if final.language), request.language)
        return Transcript(reduce(joined, (final.text for final in finals), ""), language)


class _Told:
    """What was told of an item's words so far, utterance after utterance. Nothing of it is ever taken back."""

    def __init__(self, grown: Grown) -> None:
        self._grown = grown
        self._utterance = ""
        """What was told of the one that goes on."""
        self._has_words = False
        """Whether anything was told of those before."""
        self._tail = ""

    def hear(self, stable: str, tail: str) -> None:
        self._append(stable[len(self._utterance) :], tail)

    def finish(self, text: str) -> None:
        """The utterance is over, and this is what it says. What was told of it stays; what it lacks is added."""
        self._append("".join(unsaid(pieces_of(self._utterance), pieces_of(text))), "")
        self._has_words = self._has_words or bool(self._utterance)
        self._utterance = ""

    def _append(self, more: str, tail: str) -> None:
        if more == "" and tail == self._tail:
            return
        begins = self._has_words and not self._utterance
        self._utterance += more
        self._tail = tail
        if begins and more:
            more = joined("-", more)[1:]
        elif begins:
            tail = joined("-", tail)[1:]
        self._grown(more, tail)


async def _fill(utterance: Utterance, feed: Feed) -> None:
    async for piece in _resampled(feed):
        utterance.append(piece)
    whole, voiced = feed.stop - feed.start, feed.voiced_to + AFTER_VOICE - feed.start
    utterance.end(_at_hearing_rate(min(whole, voiced)), _at_hearing_rate(whole))


async def _resampled(feed: Feed) -> AsyncIterator[Pcm]:
    resampler = Resampler(WIRE_RATE, HEARING_RATE)
    async for piece in feed.pieces():
        yield resampler.push(float_from_int16(piece))
    yield resampler.flush()


def _at_hearing_rate(samples: Samples) -> int:
    return samples * HEARING_RATE // WIRE_RATE
