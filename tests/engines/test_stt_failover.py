"""A chain of recognisers listens while somebody speaks, loses no words when one fails, and takes back none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest

from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.api import Hypothesis, Stt, SttRequest, Transcript, TranscriptDelta
from antiphon.engines.failover import Link
from antiphon.engines.fake import FakeStt, Hang
from antiphon.engines.registry import listener_of
from antiphon.engines.stt.failover import FailoverStt
from antiphon.engines.utterance import Utterance
from antiphon.errors import EngineError
from antiphon.testing.virtual_time import run

WHOLE = "one two three four five six"
WORDS = WHOLE.split()  # one a second
BROKEN = EngineError("it broke", "It is a test.")


class Streaming:
    """Hears a word in each second of sound, the newest as a tail, and breaks or hangs where it is told to."""

    languages: frozenset[str] | None = None

    def __init__(self, words: Sequence[str] = WORDS, breaks_at: int = 99, last_word_s: Seconds = 0.0) -> None:
        self.words = words
        self.breaks_at = breaks_at
        self.last_word_s = last_word_s
        self.heard_from: list[int] = []
        self.stopped = 0

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        if not self.breaks_at:
            raise BROKEN
        yield Transcript(self.said(pcm.size))

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        self.heard_from.append(utterance.size)
        count = 0
        try:
            while not utterance.is_ended:
                await utterance.until((count + 1) * HEARING_RATE)
                count = utterance.size // HEARING_RATE
                if count >= self.breaks_at:
                    raise BROKEN
                yield Hypothesis(" ".join(self.words[: count - 1]), " " + self.words[count - 1])
            await asyncio.sleep(self.last_word_s)
            yield Transcript(self.said(utterance.size))
        finally:
            self.stopped += 1

    def said(self, samples: int) -> str:
        return " ".join(self.words[: samples // HEARING_RATE])


def heard(*engines: Stt, patience_s: Seconds = 2.0) -> list[Hypothesis | Transcript]:
    """What a chain of these hears of somebody who speaks for six seconds."""

    async def story() -> list[Hypothesis | Transcript]:
        stt = FailoverStt([Link(f"stt {number}", engine, patience_s) for number, engine in enumerate(engines, 1)])
        utterance = Utterance()

        async def speak() -> None:
            for _ in WORDS:
                await asyncio.sleep(1.0)
                utterance.append(np.zeros(HEARING_RATE, np.float32))
            utterance.end()

        assert listener_of(stt) is stt
        speaking = asyncio.ensure_future(speak())
        try:
            return [event async for event in stt.listen(utterance, SttRequest("en"))]
        finally:
            await speaking
            await stt.close()

    return run(story())


def check(events: Sequence[Hypothesis | Transcript]) -> None:
    """Nothing is taken back, nothing is shown twice, and the last word is the whole."""
    *hypotheses, last = events
    assert isinstance(last, Transcript)
    assert last.text == WHOLE
    shown = ""
    for event in hypotheses:
        assert isinstance(event, Hypothesis)
        assert event.stable.startswith(shown)
        shown = event.stable
        text = (event.stable + event.tail).split()
        assert text == WORDS[: len(text)]


def test_who_listens_by_himself_does_so_in_a_chain() -> None:
    first, second = Streaming(), Streaming()
    events = heard(first, second)
    check(events)
    assert len(events) == len(WORDS) + 1
    assert events[3] == Hypothesis("one two three", " four")
    assert second.heard_from == []


@pytest.mark.parametrize("second", [Streaming, lambda: FakeStt(WHOLE)])
def test_who_fails_is_followed_by_the_next_who_hears_it_from_the_beginning(second: Callable[[], Stt]) -> None:
    first, other = Streaming(breaks_at=4), second()
    events = heard(first, other)
    check(events)
    assert Hypothesis("one two", " three") in events
    if isinstance(other, Streaming):
        assert other.heard_from == [4 * HEARING_RATE]
        assert events[-2] == Hypothesis("one two three four five", " six")
    assert first.stopped == 1


def test_what_was_shown_stays_whatever_the_next_one_thinks_of_it() -> None:
    events = heard(Streaming(["won", *WORDS[1:]], breaks_at=4), Streaming())
    assert events[-2] == Hypothesis("won two three four five", " six")
    assert events[-1] == Transcript(WHOLE)


def test_a_last_word_that_takes_too_long_is_asked_of_the_others() -> None:
    slow = Streaming(last_word_s=60.0)
    check(heard(slow, FakeStt(WHOLE)))
    assert slow.stopped == 1


def test_who_is_slow_alone_is_waited_for() -> None:
    check(heard(Streaming(last_word_s=5.0), FakeStt([Hang()]), patience_s=1.0))
    check(heard(Streaming(last_word_s=5.0), Streaming(breaks_at=0), patience_s=1.0))


def test_when_all_fail_the_last_one_says_why() -> None:
    with pytest.raises(EngineError, match="it broke"):
        heard(Streaming(breaks_at=2), Streaming(breaks_at=3))


def test_who_leaves_stops_them_all() -> None:
    first = Streaming()

    async def story() -> None:
        stt = FailoverStt([Link("stt 1", first, 1.0), Link("stt 2", FakeStt("x"), 1.0)])
        utterance = Utterance()
        listening = asyncio.ensure_future(anext(aiter(stt.listen(utterance, SttRequest()))))
        await asyncio.sleep(1.0)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        assert first.stopped == 1
        assert not stt.links[0].breaker.is_open
        await stt.close()

    run(story())
