"""The embedded recogniser, with its real worker process; sentences come from the bench, said by espeak-ng."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from processes import children

import rejection
from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest, Transcript
from antiphon.engines.llm.assistant import UNKNOWN
from antiphon.engines.stt import pocketsphinx
from antiphon.engines.stt.clip import spoken_clip
from antiphon.engines.stt.pocketsphinx import PocketSphinx
from antiphon.engines.stt.pocketsphinx_worker import OF_A_REQUEST, Doubt, Heard, Piece, doubt_about
from antiphon.errors import EngineError


def test_doubt_is_what_the_phones_explain_better_and_what_the_words_leave_out() -> None:
    words = Heard("so", -200.0, 20, (Piece("<sil>", 0, 10), Piece("so", 10, 10)))
    phones = Heard("S OW", -100.0, 20, (Piece("SIL", 0, 6), Piece("S", 6, 9), Piece("OW", 15, 5)))
    assert doubt_about(words, phones) == Doubt(gap=5.0, unexplained_s=0.04, stretch=5.0)
    assert doubt_about(words, phones).is_within(OF_A_REQUEST)


@pytest.mark.parametrize("doubt", [Doubt(17.1, 0.0, 5.0), Doubt(10.0, 0.3, 5.0), Doubt(0.0, 0.0, 21.0)])
def test_each_kind_of_doubt_is_enough(doubt: Doubt) -> None:
    assert not doubt.is_within(OF_A_REQUEST)


def test_a_sentence_without_words_is_never_accepted() -> None:
    silence = Heard("", 0.0, 20, (Piece("<sil>", 0, 20),))
    doubt = doubt_about(silence, silence)
    assert doubt.stretch == math.inf
    assert not doubt.is_within(OF_A_REQUEST)


@pytest.fixture(autouse=True)
def _the_machine_may_be_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that are long in coming are no worker that hangs."""
    monkeypatch.setattr(pocketsphinx, "START_S", 150.0)


def run(story: Callable[[PocketSphinx], Awaitable[None]]) -> None:
    async def whole() -> None:
        engine = PocketSphinx()
        try:
            await story(engine)
        finally:
            await engine.close()

    asyncio.run(whole())


async def heard(engine: PocketSphinx, pcm: Pcm, request: SttRequest) -> Transcript:
    (event,) = [event async for event in engine.transcribe(pcm, request)]
    assert isinstance(event, Transcript)
    return event


def said(*texts: str) -> list[Pcm]:
    sounds: list[Pcm] = rejection.said((text, rejection.Voice("en-us+f2")) for text in texts)
    return sounds


@pytest.mark.real
@pytest.mark.slow
def test_the_assistants_sentences_are_told_from_others_whoever_spoke_before() -> None:
    async def story(engine: PocketSphinx) -> None:
        inside = ("what time is it now", "what is on my shopping list", "convert ten miles to kilometers")
        outside = ("the children are playing in the garden",)
        sounds = said(*inside, *outside)
        first = [await heard(engine, sound, SttRequest("en")) for sound in sounds]
        assert [answer.text for answer in first[:3]] == list(inside)
        assert all(answer.confidence == 1.0 for answer in first[:3])
        assert all(rejection.meant(answer.text) == UNKNOWN for answer in first[3:])
        assert all(answer.confidence is None for answer in first[3:])
        assert await heard(engine, sounds[0], SttRequest("en-US")) == first[0]

    run(story)


@pytest.mark.real
@pytest.mark.slow
def test_noise_says_nothing_to_the_assistant_and_a_lost_worker_is_replaced() -> None:
    async def story(engine: PocketSphinx) -> None:
        (sound,) = said("what is on my list")
        cough, _knocks, _hum, hiss = rejection.bursts(4, seed=9)
        for noise in (cough, hiss):  # which have no pitch
            answer = await heard(engine, noise, SttRequest())
            assert rejection.meant(answer.text) == UNKNOWN
        task = asyncio.create_task(heard(engine, np.tile(sound, 10), SttRequest()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await heard(engine, sound, SttRequest())).text == "what is on my list"

    run(story)


@pytest.mark.real
@pytest.mark.slow
def test_a_look_holds_up_no_utterance_and_none_starts_a_process() -> None:
    look = SttRequest(purpose="transcription", is_partial=True)

    async def story(engine: PocketSphinx) -> None:
        await engine.warm()
        async with asyncio.timeout(150):
            while not (started := await asyncio.to_thread(workers, niceness=10)):  # noqa: ASYNC110 - it is not waited for
                await asyncio.sleep(0.05)
        looking = asyncio.create_task(heard(engine, np.tile(clip, 12), look))
        assert (await heard(engine, clip, SttRequest())).text == "what time is it"
        assert not looking.done()
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        await heard(engine, clip, look)  # once the one that nobody waits for is finished
        assert await asyncio.to_thread(workers, niceness=10) == started

    clip = spoken_clip()
    run(story)


def workers(niceness: int) -> list[int]:
    """The worker processes that we started with this niceness."""
    ours = [child for child in children() if b"pocketsphinx_worker" in child.command]
    return [child.id for child in ours if child.niceness == niceness]


def test_another_language_is_refused_before_any_work() -> None:
    async def story(engine: PocketSphinx) -> None:
        with pytest.raises(EngineError, match="English only") as error:
            await heard(engine, np.zeros(16_000, np.float32), SttRequest("de"))
        assert error.value.code == "unsupported_language"

    run(story)


@pytest.mark.real
@pytest.mark.slow
def test_free_transcription_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story(engine: PocketSphinx) -> None:
        for _ in range(2):
            await heard(engine, np.zeros(8_000, np.float32), SttRequest(purpose="transcription"))

    with caplog.at_level(logging.WARNING, "antiphon.stt"):
        run(story)
    assert len(caplog.records) == 1
