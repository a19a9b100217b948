"""A voice that speaks when another one fails, so that an answer is heard all the same.

It does not know either of them. What is said is said whole by one voice: if the first one breaks in the middle of a
clause, that clause fails, for hearing half of it twice would be worse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from antiphon.audio.pcm import guarded
from antiphon.audio.resample import Resampler
from antiphon.audio.units import Pcm, Seconds
from antiphon.engines.api import Tts, TtsRequest
from antiphon.errors import EngineError

log = logging.getLogger("antiphon.tts")

REST_S: Seconds = 30.0  # in which a voice that failed is not asked: every clause would wait for it to fail again


class Fallback:
    """`Tts` that tries each of its voices in turn. At the rate of the first."""

    def __init__(self, *voices: Tts) -> None:
        self._voices = voices
        self.rate = voices[0].rate
        self._rests_until: dict[int, Seconds] = {}

    def voices(self) -> list[str]:
        """Those of the first."""
        known = getattr(self._voices[0], "voices", None)
        return list(known()) if known is not None else []

    async def warm(self) -> None:
        """All of them. One that cannot be is left for later."""
        results = await asyncio.gather(*(voice.warm() for voice in self._voices), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            log.warning("a voice is not ready: %s", failure)
        if len(failures) == len(results):
            raise failures[0]

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """See `Tts.speak`."""
        now = asyncio.get_running_loop().time()
        rested = [number for number in range(len(self._voices)) if self._rests_until.get(number, 0.0) <= now]
        order = rested or [len(self._voices) - 1]
        for number in order:
            began = False
            try:
                async for chunk in self._by(number, text, request):
                    began = True
                    yield chunk
            except EngineError as error:
                self._rests_until[number] = now + REST_S
                if began or number == order[-1]:
                    raise
                log.warning("a voice failed, the next one speaks: %s", error.message)
            else:
                return

    async def _by(self, number: int, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        voice = self._voices[number]
        resampler = Resampler(voice.rate, self.rate)
        async with aclosing(cast("AsyncGenerator[Pcm, None]", voice.speak(text, request))) as chunks:
            async for chunk in chunks:
                sound = resampler.push(guarded(chunk).pcm)
                if sound.size:
                    yield sound
        rest = resampler.flush()
        if rest.size:
            yield rest

    async def close(self) -> None:
        for voice in self._voices:
            close = getattr(voice, "close", None)
            if close is not None:
                await close()
