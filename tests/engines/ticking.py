"""A recogniser that hears one word in each quarter of a second of voice, so that a test sees what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORD = 4_000  # samples


class TickingStt:
    """Counts from where a voice of rising loudness says that it is: `counting` makes the sound."""

    languages: frozenset[str] | None = None

    def __init__(self, seconds_per_second: float = 0.0) -> None:
        self.heard_s: list[float] = []
        """How much sound each request brought."""
        self.requests: list[SttRequest] = []
        self._slowness = seconds_per_second
        self.translates = False

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        self.heard_s.append(pcm.size / 16_000)
        self.requests.append(request)
        await asyncio.sleep(self._slowness * pcm.size / 16_000)
        yield Transcript(" ".join(words_in(pcm)), request.language or "en")


def words_in(pcm: Pcm) -> list[str]:
    """Every level that lasts for most of a word's time is one word."""
    steps = np.rint(np.abs(pcm[::100]) * 1000).astype(int)
    numbers: list[int] = []
    run = 0
    for before, now in zip([0, *steps[:-1].tolist()], steps.tolist(), strict=True):
        run = run + 1 if now == before else 1
        if now >= 100 and run == 30:
            numbers.append(now - 100)
    return [word(number) for number in numbers]


def word(number: int) -> str:
    return " ".join(NUMBERS[int(digit)] for digit in str(number)).replace(" ", "-")


def counting(start: int, stop: int) -> Pcm:
    """The numbers from `start` up to `stop`, each a quarter of a second at a level of its own; for up to 800."""
    levels = (100 + np.arange(start, stop)) / 1000
    return np.repeat(levels, WORD).astype(np.float32)
