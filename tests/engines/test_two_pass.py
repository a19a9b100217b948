"""A fast recogniser for the screen, a better one for the last word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
from ticking import TickingStt, counting, word

from antiphon.engines.api import Hypothesis, SttRequest, Transcript, TranscriptDelta
from antiphon.engines.fake import Fail, FakeStt
from antiphon.engines.stt.two_pass import TwoPass
from antiphon.engines.utterance import Utterance
from antiphon.testing.virtual_time import run


async def heard(ears: TwoPass, utterance: Utterance) -> list[Hypothesis | Transcript]:
    return [event async for event in ears.listen(utterance, SttRequest("en"))]


async def speak(utterance: Utterance, seconds: float) -> None:
    sound = counting(0, round(4 * seconds))
    for start in range(0, sound.size, 1600):
        await asyncio.sleep(0.1)
        utterance.append(sound[start : start + 1600])
    utterance.end()


def spoken(ears: TwoPass, seconds: float = 3.0) -> tuple[list[Hypothesis | Transcript], float]:
    """What came, and how long after the end the last of it did."""

    async def story() -> tuple[list[Hypothesis | Transcript], float]:
        utterance, loop = Utterance(), asyncio.get_running_loop()
        listening = asyncio.ensure_future(heard(ears, utterance))
        await speak(utterance, seconds)
        ended = loop.time()
        events = await listening
        assert len(asyncio.all_tasks()) == 1
        return events, loop.time() - ended

    return run(story())


def test_one_shows_and_the_other_has_the_last_word() -> None:
    fast = TickingStt()
    events, _ = spoken(TwoPass(fast, FakeStt("what was said")))
    assert events[-1] == Transcript("what was said", "en", 1.0)
    shown = [event for event in events if isinstance(event, Hypothesis)]
    assert shown == events[:-1]
    assert shown[-1].stable.startswith(" ".join(word(number) for number in range(8)))


def test_what_the_fast_one_thinks_of_the_end_is_not_waited_for() -> None:
    class Stuck(TickingStt):
        async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
            yield Hypothesis("some", "")
            await asyncio.sleep(1000)
            yield Transcript("never")

    events, late_s = spoken(TwoPass(Stuck(), FakeStt("what was said", delay_s=0.2)))
    assert [type(event) for event in events] == [Hypothesis, Transcript]
    assert round(late_s, 3) == 0.2


def test_a_fast_one_that_fails_shows_nothing_more_and_the_transcript_comes() -> None:
    events, _ = spoken(TwoPass(FakeStt([Fail("gone", "it is gone")]), FakeStt("what was said")))
    assert events == [Transcript("what was said", "en", 1.0)]


def test_a_fast_one_that_is_through_before_the_end_does_not_end_it() -> None:
    class Hasty(FakeStt):
        async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
            yield Transcript("so soon")

    better = TickingStt()
    events, _ = spoken(TwoPass(Hasty(), better))
    assert len(events) == 1
    assert better.heard_s == [3.0]


def test_an_utterance_that_is_over_is_for_the_better_one_alone() -> None:
    fast = TickingStt()
    over = Utterance(np.zeros(16_000, np.float32))
    assert run(heard(TwoPass(fast, FakeStt("so")), over)) == [Transcript("so", "en", 1.0)]
    assert not fast.heard_s


def test_it_warms_and_closes_the_fast_one() -> None:
    class Watched(FakeStt):
        done = ""

        async def warm(self) -> None:
            self.done += "w"

        async def close(self) -> None:
            self.done += "c"

        async def transcribe(self, pcm: object, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
            yield Transcript("")

    async def story() -> None:
        fast, better = Watched(), Watched()
        ears = TwoPass(fast, better)
        await ears.warm()
        await ears.close()
        assert (fast.done, better.done) == ("wc", "")

    asyncio.run(story())
