"""Speech to text by any server with OpenAI's `/audio/transcriptions`.

It sends an utterance whole, as a WAV file made in memory, and does not cut, join or improve what comes back.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.audio.wav import wav_from_mono
from antiphon.engines.api import LogProbs, SttRequest, Transcript, TranscriptDelta
from antiphon.engines.http import Answer, Call, Upstream, cut_short, error_message, malformed, reported

T = TypeVar("T")

LANGUAGE_CODE = re.compile("[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*")
SHORTEST_S = 0.1  # OpenAI refuses less, and there is no word in it


class OpenAiStt:
    """`Stt` over HTTP."""

    languages: frozenset[str] | None = None

    def __init__(
        self, upstream: Upstream, model: str | None = None, *, stream: bool = False, logprobs: bool = False
    ) -> None:
        """`model` None passes the client's choice on, or else "whisper-1", the name that every server knows.

        `stream` asks for the words as they are recognised, `logprobs` for how sure it is of each when a client wants to
        know. Some servers refuse what they do not know.
        """
        self._upstream = upstream
        self._model = model
        self._stream = stream
        self._logprobs = logprobs

    async def warm(self) -> None:
        """Open a connection."""
        await self._upstream.warm()

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. An utterance under 0.1 s has no words, and is not sent."""
        if pcm.size < SHORTEST_S * HEARING_RATE:
            yield Transcript("")
            return
        async with self._upstream.answer(self._call(pcm, request)) as answer:
            if answer.media_type != "text/event-stream":
                yield _whole(await answer.body(), self._upstream.origin)
                return
            async for heard in self._events(answer):
                yield heard

    async def _events(self, answer: Answer) -> AsyncIterator[TranscriptDelta | Transcript]:
        while (data := await answer.event()) is not None and data != "[DONE]":
            event = _decoded(data.encode(), _Event, self._upstream.origin)
            if event.error is not None or event.type == "error":
                raise reported(self._upstream.origin, error_message(data.encode()))
            if event.type == "transcript.text.delta" and event.delta:
                yield TranscriptDelta(event.delta, _logprobs(event.logprobs))
            elif event.type == "transcript.text.done":
                await answer.finish()
                yield Transcript(event.text.strip(), _code(event.language), logprobs=_logprobs(event.logprobs))
                return
        raise cut_short(self._upstream.origin)

    def _call(self, pcm: Pcm, request: SttRequest) -> Call:
        # A minute, the longest turn, takes some 4 ms here; a thread would cost every short one more than it saves.
        wav = wav_from_mono(int16_from_float(pcm), HEARING_RATE)
        fields = {"model": self._model or request.model or "whisper-1", "response_format": "json"}
        if request.language:
            fields["language"] = request.language
        if request.prompt:
            fields["prompt"] = request.prompt
        if self._stream:
            fields["stream"] = "true"
        if self._logprobs and request.logprobs:
            fields["include[]"] = "logprobs"
        return Call("/audio/transcriptions", fields=fields, file=("speech.wav", wav, "audio/wav"))


class _LogProb(Struct):
    token: str = ""
    logprob: float = 0.0


class _Whole(Struct):
    text: str
    language: str | None = None
    logprobs: tuple[_LogProb, ...] | None = None


class _Event(Struct):
    type: str = ""
    delta: str = ""
    text: str = ""
    language: str | None = None
    logprobs: tuple[_LogProb, ...] | None = None
    error: Any = None


def _whole(body: bytes, origin: str) -> Transcript:
    heard = _decoded(body, _Whole, origin)
    return Transcript(heard.text.strip(), _code(heard.language), logprobs=_logprobs(heard.logprobs))


def _logprobs(found: tuple[_LogProb, ...] | None) -> LogProbs:
    return tuple((each.token, each.logprob) for each in found or ())


def _code(language: str | None) -> str | None:
    """Some servers write "english" where others write "en"; what is no code is of no use to a voice."""
    return language if language and LANGUAGE_CODE.fullmatch(language) else None


def _decoded(body: bytes, shape: type[T], origin: str) -> T:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"{origin} sent a transcript that is not what the API promises: {error}") from error
