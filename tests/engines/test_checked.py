"""Any recogniser's transcripts, checked: heard again before they are dropped, and without what subtitles end with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.config import load
from antiphon.engines.api import Hypothesis, SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.registry import make_one
from antiphon.engines.stt.agreement import final
from antiphon.engines.stt.checked import Checked, CheckedListener, checked
from antiphon.engines.utterance import Utterance

LOOP = "and so on " * 30
SECOND = np.full(16_000, 0.1, np.float32)


class Says:
    """Says one thing after the other, and keeps what it was asked about."""

    languages: frozenset[str] | None = None

    def __init__(self, *answers: Transcript) -> None:
        self.answers = list(answers)
        self.asked: list[Pcm] = []

    async def warm(self) -> None: ...

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        self.asked.append(pcm)
        yield self.answers.pop(0)


class Listens(Says):
    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        await utterance.ended()
        yield Hypothesis("", LOOP)
        yield self.answers.pop(0)


def heard(stt: Says, request: SttRequest | None = None) -> Transcript:
    return asyncio.run(final(checked(stt), SECOND, request or SttRequest()))


def test_what_cannot_have_been_said_is_heard_again_with_quiet_around_it() -> None:
    stt = Says(Transcript(LOOP), Transcript("yes", "en", words=(Word("yes", 0.5, 0.9),)))
    again = heard(stt)
    assert again.text == "yes"
    assert abs(again.words[0].start_s - 0.2) < 1e-9
    first, second = stt.asked
    assert second.size == first.size + 2 * 4_800
    assert not second[:4_800].any()
    assert np.array_equal(second[4_800:-4_800], first)


def test_what_is_no_better_then_is_dropped_and_what_is_well_is_asked_once() -> None:
    assert heard(Says(Transcript(LOOP), Transcript(LOOP, "en"))) == Transcript("", "en")
    well = Says(Transcript("turn it off", "en", 0.9))
    assert heard(well) == Transcript("turn it off", "en", 0.9)
    assert len(well.asked) == 1
    look = Says(Transcript(LOOP))
    assert heard(look, SttRequest(is_partial=True)).text == LOOP
    assert len(look.asked) == 1


def test_an_outro_after_too_short_a_sound_or_an_unsure_one_goes() -> None:
    words = tuple(Word(word, 0.1, 0.2) for word in ["Well", "then.", "Thanks", "for", "watching."])
    assert [word.text for word in heard(Says(Transcript("Well then. Thanks for watching.", words=words))).words] == [
        "Well",
        "then.",
    ]
    assert heard(Says(Transcript("Well. Thank you.", logprobs=(("Well", -0.9), ("Thank", -0.9))))).text == "Well."
    assert heard(Says(Transcript("Well. Thank you."))).text == "Well. Thank you."


def test_one_that_listens_goes_on_doing_so_and_its_last_word_is_checked() -> None:
    async def listen() -> list[Hypothesis | Transcript]:
        stt = checked(Listens(Transcript(LOOP), Transcript("yes")))
        assert isinstance(stt, CheckedListener)
        return [event async for event in stt.listen(Utterance(SECOND), SttRequest())]

    assert asyncio.run(listen()) == [Hypothesis("", LOOP), Transcript("yes")]
    assert not hasattr(checked(Says()), "listen")


def test_a_recogniser_on_a_server_is_checked() -> None:
    config = load(None, {}, {"stt.base_url": "http://127.0.0.1:9/v1"})
    stt = make_one("stt", config)
    links = getattr(stt, "links", None)
    assert isinstance(links[0].engine if links else stt, Checked)
