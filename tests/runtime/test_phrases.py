"""A fixed phrase is synthesised once for each voice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.engines.fake import Fail, FakeTts
from antiphon.errors import EngineError
from antiphon.runtime.phrases import KeptPhrases
from antiphon.testing.virtual_time import run


class Counting(FakeTts):
    """A voice that knows how often it was asked."""

    asked = 0

    def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        self.asked += 1
        return super().speak(text, request)


class Breaking(FakeTts):
    """A voice that may be gone."""

    is_broken = False

    def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        voice = FakeTts(script=[Fail()]) if self.is_broken else FakeTts()
        return voice.speak(text, request)


async def said(phrases: KeptPhrases, text: str = "One moment.", voice: str = "marin") -> Pcm:
    return np.concatenate([chunk async for chunk in phrases.speak(text, TtsRequest(voice))])


def test_the_second_time_is_the_same_sound_at_once() -> None:
    async def story() -> None:
        voice = Counting(0.2)
        phrases = KeptPhrases(voice)
        first = await said(phrases)
        assert np.array_equal(await said(phrases), first)
        assert voice.asked == 1
        await said(phrases, voice="cedar")
        assert voice.asked == 2

    run(story())


def test_what_was_broken_off_or_failed_is_not_kept() -> None:
    async def story() -> None:
        voice = Counting(script=[Fail()])
        phrases = KeptPhrases(voice)
        with pytest.raises(EngineError):
            await said(phrases)
        async for _ in phrases.speak("One moment.", TtsRequest("marin")):
            break
        assert (await said(phrases)).size > 2_400
        assert voice.asked == 3

    run(story())


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    async def story() -> None:
        voice = Counting()
        one = (await said(KeptPhrases(voice))).nbytes
        phrases = KeptPhrases(voice, most_bytes=2 * one)
        for text in ("One moment.", "Two moment.", "One moment.", "Six moment.", "One moment."):
            await said(phrases, text)
        assert voice.asked == 1 + 3
        await said(phrases, "Two moment.")
        assert voice.asked == 1 + 4

    run(story())


def test_a_voice_that_is_gone_says_what_it_has_said_before_in_another_manner() -> None:
    async def story() -> None:
        voice = Breaking()
        phrases = KeptPhrases(voice)
        await phrases.learn("Sorry. I cannot reach it.", TtsRequest("marin", language="en"))
        voice.is_broken = True
        assert (await said(phrases, "Sorry. ")).size
        with pytest.raises(EngineError):
            await said(phrases, "Something else.")

    run(story())
