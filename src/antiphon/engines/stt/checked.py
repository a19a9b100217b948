"""Any recogniser, with its transcripts checked by `checks`: what cannot have been said is listened to once more, with
quiet around it, and dropped if it is no better.

It does not know which recogniser it is. Looks at unfinished utterances go through as they are: they are taken back
anyway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import msgspec
import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.engines.api import Hypothesis, Listener, Stt, SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.stt.agreement import final
from antiphon.engines.stt.checks import PADDING_S, Heard, doubt, without_outro
from antiphon.engines.utterance import Utterance


class Checked:
    """`Stt` around another."""

    def __init__(self, inner: Stt) -> None:
        self.inner = inner
        self.languages = inner.languages
        self.translates = bool(getattr(inner, "translates", False))

    async def warm(self) -> None:
        await self.inner.warm()

    async def close(self) -> None:
        close = getattr(self.inner, "close", None)
        if close is not None:
            await close()

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. Deltas come before the check: where they differ, the transcript is right."""
        events = cast("AsyncGenerator[TranscriptDelta | Transcript, None]", self.inner.transcribe(pcm, request))
        async with aclosing(events):
            async for event in events:
                yield await self._checked(event, pcm, request) if isinstance(event, Transcript) else event

    async def _checked(self, heard: Transcript, pcm: Pcm, request: SttRequest) -> Transcript:
        seconds = pcm.size / HEARING_RATE
        if request.is_partial:
            return heard
        if doubt(_judged(heard, seconds)):
            quiet = np.zeros(round(PADDING_S * HEARING_RATE), np.float32)
            heard = _earlier(await final(self.inner, np.concatenate((quiet, pcm, quiet)), request))
        if doubt(_judged(heard, seconds)):
            return Transcript("", heard.language)
        text = without_outro(_judged(heard, seconds))
        if text == heard.text.strip():
            return heard
        return msgspec.structs.replace(heard, text=text, words=heard.words[: len(text.split())], logprobs=())


class CheckedListener(Checked):
    """`Stt` and `Listener` around another that is both."""

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`."""
        inner = cast("Listener", self.inner)
        events = cast("AsyncGenerator[Hypothesis | Transcript, None]", inner.listen(utterance, request))
        async with aclosing(events):
            async for event in events:
                yield (
                    await self._checked(event, utterance.view(), request) if isinstance(event, Transcript) else event
                )


def checked(stt: Stt) -> Checked:
    """This recogniser, checked; one that listens goes on doing so."""
    return CheckedListener(stt) if hasattr(stt, "listen") else Checked(stt)


def _judged(heard: Transcript, seconds: float) -> Heard:
    """What the checks look at. The length is that of the sound as it was spoken, without quiet around it."""
    marks = [mark for _, mark in heard.logprobs]
    return Heard(heard.text, seconds, sum(marks) / len(marks) if marks else None)


def _earlier(heard: Transcript) -> Transcript:
    """What was heard with quiet before it, in the time of the sound itself."""
    words = tuple(
        Word(word.text, max(0.0, word.start_s - PADDING_S), max(0.0, word.end_s - PADDING_S)) for word in heard.words
    )
    return msgspec.structs.replace(heard, words=words)
