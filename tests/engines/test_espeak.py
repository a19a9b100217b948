"""The embedded voice, with its real helper process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.engines.tts.espeak import Espeak, known_voices
from antiphon.errors import EngineError

pytestmark = [pytest.mark.real, pytest.mark.slow]
LONG = "This is a rather long sentence, which goes on and on and on. " * 20


def run(story: Callable[[Espeak], Awaitable[None]]) -> None:
    async def whole() -> None:
        voice = Espeak()
        try:
            await story(voice)
        finally:
            await voice.close()

    asyncio.run(whole())


async def said(voice: Espeak, text: str, name: str = "marin", speed: float = 1.0) -> Pcm:
    chunks = [chunk async for chunk in voice.speak(text, TtsRequest(name, speed))]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def test_it_speaks_and_the_same_way_each_time() -> None:
    async def story(voice: Espeak) -> None:
        first = await said(voice, "Hello there.")
        assert 0.4 < first.size / voice.rate < 2.0
        assert 0.1 < np.abs(first).max() <= 1.0
        assert np.array_equal(first, await said(voice, "Hello there."))

    run(story)


def test_voices_differ_and_unknown_ones_are_the_default() -> None:
    async def story(voice: Espeak) -> None:
        sounds = [await said(voice, "Hello there.", name) for name in ("marin", "cedar", "en-gb", "de")]
        assert len({sound.tobytes() for sound in sounds}) == 4
        assert np.array_equal(await said(voice, "Hello there.", "nobody'); --"), sounds[0])
        assert (await said(voice, "Hello there.", speed=2.0)).size < 0.7 * sounds[0].size
        assert "marin" in known_voices()

    run(story)


@pytest.mark.parametrize("text", ["", "   ", "\x00\x07", "🙂", "..."])
def test_what_has_no_words_makes_no_sound(text: str) -> None:
    async def story(voice: Espeak) -> None:
        assert not (await said(voice, text)).size

    run(story)


def test_strange_text_is_read_as_text() -> None:
    async def story(voice: Espeak) -> None:
        for text in ("[[hello]] <speak>you</speak>", "a\x00b\nc", "x" * 100_000):
            assert (await said(voice, text)).size

    run(story)


async def first_of(sounds: AsyncIterator[Pcm]) -> None:
    async for _ in sounds:
        break
    await sounds.aclose()  # type: ignore[attr-defined]


def test_leaving_early_does_not_spoil_the_next_words() -> None:
    async def story(voice: Espeak) -> None:
        alone = await said(voice, "Hello there.")
        await first_of(voice.speak(LONG, TtsRequest("marin")))
        assert np.array_equal(await said(voice, "Hello there."), alone)

    run(story)


def test_two_at_once_get_each_their_own_sound() -> None:
    async def story(voice: Espeak) -> None:
        one, two = await said(voice, "One."), await said(voice, "Two, three.")
        both = await asyncio.gather(said(voice, "One."), said(voice, "Two, three."))
        assert np.array_equal(both[0], one)
        assert np.array_equal(both[1], two)

    run(story)


def test_a_helper_that_is_killed_is_replaced() -> None:
    async def story(voice: Espeak) -> None:
        async def cut_off() -> None:
            async for _ in voice.speak(LONG, TtsRequest("marin")):
                assert voice._helper is not None
                if voice._helper.returncode is None:
                    voice._helper.send_signal(signal.SIGKILL)

        with pytest.raises(EngineError, match="stopped"):
            await cut_off()
        assert (await said(voice, "Back again.")).size

    run(story)


def test_one_voice_serves_loop_after_loop() -> None:
    voice = Espeak()

    async def story() -> int:
        try:
            return (await said(voice, "Hello.")).size
        finally:
            await voice.close()

    assert asyncio.run(story()) == asyncio.run(story()) > 0
