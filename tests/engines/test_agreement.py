"""Words that two recognitions agree on stay; nothing is shown twice, nothing is lost, and long speech costs no more."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ticking import WORD, TickingStt, counting, word

from antiphon.audio.units import Pcm
from antiphon.engines.api import Hypothesis, SttRequest, Transcript, TranscriptDelta
from antiphon.engines.stt.agreement import Agreeing, Agreement, anchor_for, pieces_of, quietest
from antiphon.engines.utterance import Utterance
from antiphon.errors import EngineError
from antiphon.testing.virtual_time import run as run_virtually

# --- words -----------------------------------------------------------------------------------------------------------


def heard(*recognitions: str) -> tuple[str, str]:
    agreement = Agreement()
    for text in recognitions:
        agreement.hear(text)
    return agreement.stable, agreement.tail


def test_two_in_a_row_make_a_word_stable_but_not_the_last_one() -> None:
    assert heard("the cat") == ("", "the cat")
    assert heard("the cat", "the cat") == ("the", " cat")
    assert heard("the cat", "the cap", "the cat sat") == ("the", " cat sat")
    assert heard("the cat", "the cat sat", "the cat sat down") == ("the cat sat", " down")


def test_case_and_punctuation_do_not_matter_and_are_not_taken_back() -> None:
    assert heard("Hello.", "hello, there", "Hello there, you") == ("hello, there,", " you")


def test_a_recogniser_that_changes_its_mind_about_what_is_stable_says_nothing_twice() -> None:
    stable, tail = heard("I scream for", "I scream for ice", "Ice cream for ice cream")
    assert (stable + tail).split().count("for") == 1
    assert (stable + tail).endswith("ice cream")


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    assert heard("今日は", "今日はい", "今日はいい天気") == ("今日はい", "い天気")
    assert pieces_of("Hello 世界 again") == ["Hello", " 世", "界", " again"]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), max_size=8).map(" ".join), max_size=8))
@settings(max_examples=200)
def test_what_is_stable_only_grows(recognitions: list[str]) -> None:
    agreement, before = Agreement(), ""
    for text in recognitions:
        agreement.hear(text)
        assert agreement.stable.startswith(before)
        before = agreement.stable


# --- sound -----------------------------------------------------------------------------------------------------------


def listened(sound: Pcm, stt: TickingStt, *, step_s: float = 0.1) -> list[Hypothesis | Transcript]:
    """All that came of an utterance said in real time."""

    async def listen() -> list[Hypothesis | Transcript]:
        utterance = Utterance()

        async def speak() -> None:
            step = round(step_s * 16_000)
            for start in range(0, sound.size, step):
                await asyncio.sleep(step_s)
                utterance.append(sound[start : start + step])
            utterance.end()

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            events = cast("AsyncGenerator[Hypothesis | Transcript]", Agreeing(stt).listen(utterance, SttRequest("en")))
            return [event async for event in events]

    return run_virtually(listen())


def test_words_appear_while_they_are_said() -> None:
    stt = TickingStt()
    *partials, last = listened(counting(0, 16), stt)
    assert isinstance(last, Transcript)
    assert last.text.split() == [word(number) for number in range(16)]
    stables = [partial.stable for partial in partials if isinstance(partial, Hypothesis)]
    assert all(later.startswith(sooner) for sooner, later in itertools.pairwise(stables))
    assert len(stables) >= 10  # 4 s; a look every 300 ms of new speech
    assert last.text.startswith(stables[-1])


def test_long_speech_costs_what_its_length_costs() -> None:
    def cost(words: int) -> float:
        stt = TickingStt()
        *partials, last = listened(counting(0, words), stt)
        assert isinstance(last, Transcript)
        assert last.text.split() == [word(number) for number in range(words)]
        shown = [partial.stable + partial.tail for partial in partials if isinstance(partial, Hypothesis)]
        for text in shown:  # all of it, and every word once, wherever the anchors lie
            said = text.split()
            assert said == [word(number) for number in range(len(said))]
        return sum(stt.heard_s)

    assert cost(200) / cost(100) < 2.6  # the whole grows by two; a square would grow by four


def test_a_slow_recogniser_is_asked_less_often_and_the_end_is_not_late() -> None:
    stt = TickingStt(seconds_per_second=0.5)
    *_, last = listened(counting(0, 32), stt)
    assert isinstance(last, Transcript)
    assert last.text.split() == [word(number) for number in range(32)]
    assert 3 <= len(stt.heard_s) <= 9


class ForgetfulStt(TickingStt):
    """Cannot say what is being said, only what was."""

    def transcribe(self, sound: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        if request.is_partial:
            raise EngineError("too much to do", "Ask later.")
        return super().transcribe(sound, request)


def test_a_look_that_fails_costs_no_utterance() -> None:
    (last,) = listened(counting(0, 60), ForgetfulStt())
    assert isinstance(last, Transcript)
    assert last.text.split() == [word(number) for number in range(60)]


def test_an_utterance_that_is_over_is_recognised_once() -> None:
    async def listen() -> None:
        stt = TickingStt()
        events = [event async for event in Agreeing(stt).listen(Utterance(counting(0, 8)), SttRequest("en"))]
        assert [type(event) for event in events] == [Transcript]
        assert stt.heard_s == [2.0]
        assert not stt.requests[0].is_partial

    run_virtually(listen())


def test_the_pause_that_ends_an_utterance_has_often_been_heard_already() -> None:
    async def listen() -> list[float]:
        stt, utterance = TickingStt(), Utterance()

        async def speak() -> None:
            utterance.append(np.concatenate((counting(0, 4), np.zeros(8000, np.float32))))
            await asyncio.sleep(1)
            utterance.end(size=4 * WORD + 3200, quiet_to=4 * WORD + 8000)

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            async for event in Agreeing(stt).listen(utterance, SttRequest("en")):
                last = event
        assert isinstance(last, Transcript)
        assert last.text == "zero one two three"
        return stt.heard_s

    assert run_virtually(listen()) == [1.5]


def test_an_anchor_lies_in_a_quiet_place() -> None:
    sound = np.full(16_000 * 14, 0.3, np.float32)
    assert anchor_for(sound[: 16_000 * 11]) == 0
    sound[16_000 * 9 : 16_000 * 9 + 3200] = 0
    assert abs(anchor_for(sound) - (16_000 * 9 + 1600)) <= 800
    assert quietest(np.zeros(100, np.float32), 0, 100) == 50
