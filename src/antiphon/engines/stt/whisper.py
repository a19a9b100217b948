"""Whisper, by faster-whisper: ninety-nine languages, on a CPU, from a folder on this machine.

Set up for short speech. It does not find the speech in the sound, which is done before; nor does it download: the
folder is the model manager's, or the operator's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.pool import Share
from antiphon.engines.stt.checks import PADDING_S, Heard, doubt, without_outro
from antiphon.engines.stt.clip import spoken_clip
from antiphon.errors import ConfigError, EngineError, NotInstalled

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

SHORTEST_S = 0.1  # there is no word in less
TOKENS_PER_S = 12  # the fastest speech has some eight; more is a loop
FEWEST_TOKENS = 24
MOST_TOKENS = 200  # of Whisper's 448, with room for a prompt
PROMPT_TOKENS = 240  # of vocabulary and prompt together: with the answer and Whisper's own marks, less than 448
MOST_VOCABULARY_TOKENS = 223  # faster-whisper leaves out what comes after
FILES = ("model.bin", "config.json", "tokenizer.json")


class WhisperOptions(Struct, frozen=True):
    """How a model is run."""

    compute_type: str = "int8"
    beam_size: int = 1
    """5 is a little better and costs two to three times as much decoding."""
    vocabulary: tuple[str, ...] = ()
    """Names and words to expect."""
    word_times: bool = False
    """Find out when each word was said, for whole utterances: a fifth more work."""


class Whisper:
    """`Stt` on a folder with a CTranslate2 model."""

    languages: frozenset[str] | None = None
    translates = True

    def __init__(self, folder: Path, pool: Share, options: WhisperOptions | None = None) -> None:
        """Raises `ConfigError` if the folder does not hold a model, or faster-whisper is not installed."""
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ConfigError(
                f"{folder} is no Whisper model for faster-whisper: there is no {missing[0]}",
                "Get one with: antiphon models pull whisper-small. Or convert yours with ct2-transformers-converter.",
            )
        try:
            import faster_whisper  # noqa: F401 - a start without it should say so at once
        except ImportError:
            raise NotInstalled("faster-whisper", "whisper") from None
        self._folder = folder
        self._pool = pool
        self._options = options or WhisperOptions()
        self._model: WhisperModel | None = None
        self._loading = asyncio.Lock()

    async def warm(self) -> None:
        """Load the weights, and recognise a second of speech: the first run lays out memory."""
        if self._model is None:
            async with self._loading:
                self._model = self._model or await self._pool.run(self._load, limit_s=600)

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. There are no deltas. What cannot have been said is listened to once more, with quiet
        around it and a search, and dropped if it is no better."""
        if pcm.size < SHORTEST_S * HEARING_RATE:
            yield Transcript("")
            return
        await self.warm()
        take = _Take(self, pcm, request)
        yield await self._pool.run(take.transcript, is_partial=request.is_partial, limit_s=limit_for(pcm))

    def _load(self) -> WhisperModel:
        from faster_whisper import WhisperModel

        try:
            model = WhisperModel(
                str(self._folder),
                device="auto",
                compute_type=self._options.compute_type,
                cpu_threads=self._pool.threads_each,
                num_workers=self._pool.workers,
                local_files_only=True,
            )
            if not model.model.is_multilingual:
                self.languages, self.translates = frozenset({"en"}), False
            list(model.transcribe(spoken_clip(), language="en", max_new_tokens=4, temperature=0)[0])
        except (RuntimeError, ValueError, OSError) as error:
            raise EngineError(
                f"the Whisper model in {self._folder} cannot be loaded: {error}",
                "Remove and pull it again: antiphon models rm NAME; antiphon models pull NAME.",
                code="model_broken",
            ) from None
        return model

    def heard(self, pcm: Pcm, request: SttRequest, *, beam_size: int) -> tuple[Heard, str, tuple[Word, ...]]:
        """What is in the sound, in which language, and when. In a worker's thread."""
        assert self._model is not None
        seconds = pcm.size / HEARING_RATE
        is_whole = not request.is_partial
        vocabulary = ", ".join(self._options.vocabulary)
        segments, info = self._model.transcribe(
            pcm,
            language=language_for(request, self._model.supported_languages),
            task="translate" if request.translate else "transcribe",
            beam_size=beam_size,
            temperature=0.0,
            without_timestamps=not (self._options.word_times and is_whole),
            word_timestamps=self._options.word_times and is_whole,
            condition_on_previous_text=False,
            max_new_tokens=max(FEWEST_TOKENS, min(MOST_TOKENS, round(TOKENS_PER_S * seconds))),
            initial_prompt=self._newest(request.prompt, vocabulary),
            hotwords=vocabulary or None,
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
            vad_filter=False,
        )
        found: Sequence[Any] = list(segments)
        text = "".join(segment.text for segment in found).strip()
        heard = Heard(
            text,
            seconds,
            min((segment.avg_logprob for segment in found), default=None),
            max((segment.no_speech_prob for segment in found), default=None),
        )
        words = tuple(
            Word(word.word.strip(), float(word.start), float(word.end))
            for segment in found
            for word in segment.words or ()
        )
        return heard, info.language, words

    def _newest(self, prompt: str | None, vocabulary: str) -> list[int] | None:
        """The end of a prompt, as tokens: as much as has room beside the vocabulary and the answer."""
        if not prompt:
            return None
        assert self._model is not None
        tokens = self._model.hf_tokenizer.encode(f" {prompt.strip()}", add_special_tokens=False).ids
        words = self._model.hf_tokenizer.encode(f" {vocabulary}", add_special_tokens=False).ids if vocabulary else []
        return list(tokens[-(PROMPT_TOKENS - min(len(words), MOST_VOCABULARY_TOKENS)) :])

    @property
    def beam_size(self) -> int:
        return self._options.beam_size


class _Take(Struct, frozen=True):
    """One utterance in a worker's thread."""

    whisper: Whisper
    pcm: Pcm
    request: SttRequest

    def transcript(self) -> Transcript:
        heard, language, words = self.whisper.heard(self.pcm, self.request, beam_size=self.whisper.beam_size)
        if not self.request.is_partial and doubt(heard):
            quiet = np.zeros(round(PADDING_S * HEARING_RATE), np.float32)
            around = np.concatenate((quiet, self.pcm, quiet))
            heard, language, words = self.whisper.heard(around, self.request, beam_size=max(5, self.whisper.beam_size))
            words = tuple(
                Word(word.text, max(0.0, word.start_s - PADDING_S), max(0.0, word.end_s - PADDING_S)) for word in words
            )
        if doubt(heard):
            return Transcript("", language)
        text = without_outro(heard)
        confidence = None if heard.mean_logprob is None else float(np.clip(np.exp(heard.mean_logprob), 0, 1))
        kept = words if text == heard.text else words[: len(text.split())]
        return Transcript(text, language, confidence, words=kept)


def language_for(request: SttRequest, known: Sequence[str]) -> str | None:
    """What to tell the model: the only language that it knows, the one asked for, or None, to decide itself."""
    if len(known) == 1:
        return known[0]
    code = (request.language or "").partition("-")[0].lower() or None
    if code is not None and code not in known:
        raise EngineError(
            f"Whisper does not know the language {request.language!r}",
            'Give the code of another one, or leave it out ("auto") and let Whisper decide.',
            code="unsupported_language",
        )
    return code


def limit_for(pcm: Pcm) -> Seconds:
    """After how long work on this sound hangs: even a large model on a slow machine is ten times as fast."""
    return 60.0 + 10 * pcm.size / HEARING_RATE
