"""A whole text as one stream of sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.runtime.speech import spoken

RATE_HZ = 16_000
TONE_HZ = 440


class Singer:
    """A voice that goes on with its tone from clause to clause, where the one before has left it."""

    rate = RATE_HZ

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self._sung = 0

    async def warm(self) -> None:
        pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        self.clauses.append(text)
        for size in (1_601, 777):
            moments = np.arange(self._sung, self._sung + size) / RATE_HZ
            self._sung += size
            yield (0.5 * np.sin(2 * np.pi * TONE_HZ * moments)).astype(np.float32)


def test_there_is_no_click_between_clauses() -> None:
    singer = Singer()

    async def all_of_it() -> list[np.ndarray]:
        text = "The first sentence is here. The second one follows it. And this is the third."
        return [pcm async for pcm in spoken(text, singer, TtsRequest("marin"))]

    sound = np.concatenate(asyncio.run(all_of_it()))
    assert len(singer.clauses) >= 3
    assert sound.size == -(-len(singer.clauses) * (1_601 + 777) * 24_000 // RATE_HZ)
    inside = slice(48, sound.size - 48)  # at both ends silence joins on, which is audible everywhere
    tone = 0.5 * 32_767 * np.sin(2 * np.pi * TONE_HZ * np.arange(sound.size) / 24_000)
    assert np.abs(sound - tone)[inside].max() < 0.005 * 32_767
