"""Scripted engines: a recogniser, a model and a voice that do as they are told, after the times that they are told.

For tests, examples and load: they cost almost nothing, wait only on the event loop's clock (so virtual time works),
and are the same every time. They pass the same contract tests as the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import chain, repeat

import numpy as np
from msgspec import Struct

from antiphon.audio.units import Pcm
from antiphon.engines.api import (
    CallDelta,
    LlmEnd,
    LlmRequest,
    LlmUsage,
    SttRequest,
    TextDelta,
    Transcript,
    TranscriptDelta,
    TtsRequest,
)
from antiphon.errors import EngineError


class Call(Struct, frozen=True):
    """In a model's script: a function call in place of words."""

    name: str
    arguments: str = "{}"


class Fail(Struct, frozen=True):
    """In any script: break here."""

    code: str = "scripted_failure"
    message: str = "the script says so"


class Hang(Struct, frozen=True):
    """In any script: never answer."""


Line = str | Call | Fail | Hang
Script = str | Sequence[Line] | Callable[[LlmRequest], Line]


class FakeStt:
    """Hears the next line of its script, whatever was said; the last line again and again."""

    languages: frozenset[str] | None = None

    def __init__(
        self, script: str | Sequence[str | Fail | Hang] = "hello", delay_s: float = 0.0, language: str | None = "en"
    ) -> None:
        """`language` is what it says that it heard."""
        self._lines = _lines(script)
        self._delay_s = delay_s
        self._language = language

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        line = next(self._lines)
        await _wait(self._delay_s, line)
        sure = tuple((word, 0.0) for word in str(line).split()) if request.logprobs else ()
        yield Transcript(str(line), self._language, 1.0, sure)


class FakeLlm:
    """Says the next line of its script, word by word; or what a function makes of the request."""

    sees: bool = True

    def __init__(self, script: Script = "Hello there.", first_token_s: float = 0.0, token_s: float = 0.0) -> None:
        self._script = script
        self._lines = None if callable(script) else _lines(script)
        self._first_token_s = first_token_s
        self._token_s = token_s

    async def warm(self) -> None:
        pass

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        line = self._script(request) if callable(self._script) else self._next()
        await _wait(self._first_token_s, line)
        if isinstance(line, Call):
            call_id = f"call_{len(request.messages)}"
            yield CallDelta(0, call_id, line.name, line.arguments)
            yield LlmEnd("tool_calls", LlmUsage(len(request.messages), 1))
            return
        words = str(line).split(" ")
        for number, word in enumerate(words):
            if number and self._token_s:
                await asyncio.sleep(self._token_s)
            yield TextDelta(word if number == len(words) - 1 else word + " ")
        yield LlmEnd("stop", LlmUsage(len(request.messages), len(words)))

    def _next(self) -> Line:
        assert self._lines is not None
        return next(self._lines)


class FakeTts:
    """Hums for as long as the text would take to say."""

    rate: int = 24_000

    def __init__(
        self,
        first_audio_s: float = 0.0,
        letters_per_second: float = 15.0,
        times_real_time: float = 0.0,
        script: Sequence[Fail | Hang] = (),
    ) -> None:
        """`times_real_time` is how fast it makes sound; 0 is at once. `script` breaks the first clauses."""
        self._first_audio_s = first_audio_s
        self._letters_per_second = letters_per_second
        self._times_real_time = times_real_time
        self._faults = chain(script, repeat(""))

    async def warm(self) -> None:
        pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        await _wait(self._first_audio_s, next(self._faults))
        left = max(1, round(len(text) / self._letters_per_second / request.speed * self.rate))
        chunk = self.rate // 10
        while left > 0:
            size = min(chunk, left)
            left -= size
            yield HUM[:size]
            if self._times_real_time and left:
                await asyncio.sleep(size / self.rate / self._times_real_time)


HUM: Pcm = (0.1 * np.sin(2 * np.pi * 220 / 24_000 * np.arange(2_400))).astype(np.float32)
"""100 ms at 220 Hz, which is a whole number of periods."""


async def _wait(seconds: float, line: object) -> None:
    """Take the time, then break or hang if that is what the script says."""
    if isinstance(line, Hang):
        await asyncio.Event().wait()
    if seconds:
        await asyncio.sleep(seconds)
    if isinstance(line, Fail):
        raise EngineError(line.message, "It is a test.", code=line.code)


def _lines(script: str | Sequence[Line]) -> chain[Line]:
    lines: Sequence[Line] = [script] if isinstance(script, str) else script
    return chain(lines, repeat(lines[-1]))
