"""Streaming recognisers by sherpa-onnx: every session of the process is decoded in one batch.

Zipformer and NeMo models, transducers (Nemotron's too) and CTC, from a folder on this machine. A session costs what its
new sound costs: nothing is recognised twice, and its last words are there some milliseconds after its last sound.
`Batches` knows sound and streams; `Sherpa` knows utterances and text.

sherpa-onnx ends the whole process when a model file is not what it expects, so each is looked at before.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.api import Hypothesis, SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.stt.agreement import Agreement
from antiphon.engines.stt.clip import spoken_clip
from antiphon.engines.utterance import Utterance
from antiphon.errors import ConfigError, EngineError, NotInstalled

log = logging.getLogger("antiphon.stt")

STEP_S: Seconds = 0.1  # of new sound, after which it is handed on; a model's own chunk may be longer
LARGEST_BATCH = 32
LONGEST_WAIT_S: Seconds = 0.010  # for company
CROWD = 16  # sessions from which on the wait is the longest
TAIL_S: Seconds = 0.8  # of silence after the end: models look ahead
LIMIT_S: Seconds = 60.0  # for one step: then the library hangs
LAST_WORD_S: Seconds = 0.3  # nobody says when the last word ended

Recogniser = Any
"""sherpa_onnx.OnlineRecognizer, or what stands for it in a test."""


class Step(Struct, frozen=True):
    """New sound of one stream, and who waits for what it says then."""

    stream: Any
    sound: Pcm
    is_last: bool
    done: Callable[[Any | BaseException], None]
    is_unwanted: Callable[[], bool]
    """Whether nobody waits for it any more: then it is not decoded. Asked in the thread."""


class Batches:
    """One thread that decodes all streams together, step by step."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.batches = 0
        self.decoded = 0
        """Streams in all batches."""
        self.sessions = 0
        """Streams that are open, whether or not they have sound now."""
        self._recogniser = recogniser
        self._new: deque[Step] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="sherpa", daemon=True)
        self._thread.start()

    def put(self, step: Step) -> None:
        """Have it decoded. `done` is called in the thread, with the result or an exception."""
        with self._changed:
            self._new.append(step)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        active: list[Step] = []
        last_start = 0.0
        while True:
            joined = self._join(wait=not active, due=last_start + self._patience_s())
            if joined is None:
                return
            active = [step for step in (*active, *joined) if not step.is_unwanted()]
            last_start = time.monotonic()
            try:
                active = self._decode(active)
            except Exception as error:
                log.exception("a batch could not be decoded")
                for step in active:
                    step.done(EngineError(f"the recogniser failed: {error}", "Speak again.", code="stt_failed"))
                active = []

    def _patience_s(self) -> Seconds:
        return LONGEST_WAIT_S * min(1.0, max(0, self.sessions - 1) / CROWD)

    def _join(self, *, wait: bool, due: float) -> list[Step] | None:
        """The steps that came since; None at the end. Waits for the first if nothing else is to do, and then, while it
        is not due, for company."""
        with self._changed:
            while wait and not self._new and not self._is_closed:
                self._changed.wait()
            while self._new and len(self._new) < min(LARGEST_BATCH, self.sessions):
                left = due - time.monotonic()
                if left <= 0 or self._is_closed:
                    break
                self._changed.wait(left)
            if self._is_closed:
                return None
            steps = list(self._new)
            self._new.clear()
        for step in steps:
            step.stream.accept_waveform(HEARING_RATE, step.sound)
            if step.is_last:
                step.stream.input_finished()
        return steps

    def _decode(self, active: list[Step]) -> list[Step]:
        """One batch of those that have a whole chunk, ends of utterances first; the others are done. Returns who is
        not."""
        recogniser = self._recogniser
        ready = [step for step in active if recogniser.is_ready(step.stream)]
        ready.sort(key=lambda step: not step.is_last)
        batch = ready[:LARGEST_BATCH]
        if batch:
            recogniser.decode_streams([step.stream for step in batch])
            self.batches += 1
            self.decoded += len(batch)
        for step in active:
            if not recogniser.is_ready(step.stream):
                step.done(_Said.read(recogniser, step.stream))
        again = [step for step in batch if recogniser.is_ready(step.stream)]
        return ready[LARGEST_BATCH:] + again  # who was not in this batch is in the next


class _Said(Struct, frozen=True):
    """What a stream says so far."""

    text: str
    tokens: tuple[str, ...]
    times_s: tuple[float, ...]

    @classmethod
    def read(cls, recogniser: Recogniser, stream: Any) -> _Said:
        text = recogniser.get_result(stream)
        return cls(str(text).strip(), tuple(recogniser.tokens(stream)), tuple(recogniser.timestamps(stream)))


class Sherpa:
    """`Stt` and `Listener` on a folder with a streaming model."""

    def __init__(self, folder: Path, threads: int = 1, language: str | None = "en") -> None:
        """`language` is what the model understands; None if many. Raises `ConfigError` for what is no model."""
        self.languages = frozenset({language}) if language else None
        self._folder = folder
        self._language = language
        self._threads = threads
        self._files = find_files(folder)
        try:
            import sherpa_onnx  # noqa: F401 - a start without it should say so at once
        except ImportError:
            raise NotInstalled("sherpa-onnx", "sherpa") from None
        self._recogniser: Recogniser | None = None
        self._batches: Batches | None = None
        self._loading = asyncio.Lock()

    async def warm(self) -> None:
        """Load the weights, and decode a second of speech."""
        async with self._loading:
            if self._batches is None:
                self._recogniser = await asyncio.to_thread(self._load)
                self._batches = Batches(self._recogniser)

    async def close(self) -> None:
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. There are no deltas: the sound is over already."""
        async for event in self.listen(Utterance(pcm), request):
            if isinstance(event, Transcript):
                yield event

    async def listen(self, utterance: Utterance, request: SttRequest) -> AsyncIterator[Hypothesis | Transcript]:
        """See `Listener.listen`."""
        await self.warm()
        assert self._recogniser is not None
        assert self._batches is not None
        stream, batches = self._recogniser.create_stream(), self._batches
        agreement, last, seen = Agreement(), Hypothesis("", ""), 0
        batches.sessions += 1
        try:
            while True:
                await utterance.until(seen + round(STEP_S * HEARING_RATE))
                if utterance.is_ended:
                    break
                sound, seen = utterance.view(seen), utterance.size
                said = await self._step(batches, stream, sound, is_last=False)
                agreement.hear(said.text)
                news = Hypothesis(agreement.stable, agreement.tail)
                if news != last:
                    last = news
                    yield news
            # What was heard beyond the end was silence.
            rest = np.concatenate((utterance.view(seen), np.zeros(round(TAIL_S * HEARING_RATE), np.float32)))
            said = await self._step(batches, stream, rest, is_last=True)
            yield Transcript(said.text, self._language, words=words_from(said.tokens, said.times_s))
        finally:
            batches.sessions -= 1

    async def _step(self, batches: Batches, stream: Any, sound: Pcm, *, is_last: bool) -> _Said:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Said] = loop.create_future()

        def settle(result: Any) -> None:
            if future.done():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        def done(result: Any) -> None:
            try:
                loop.call_soon_threadsafe(settle, result)
            except RuntimeError:
                return  # the loop is gone, and with it whoever waited

        batches.put(Step(stream, np.ascontiguousarray(sound), is_last, done, future.done))
        try:
            async with asyncio.timeout(LIMIT_S):
                return await future
        except TimeoutError:
            if self._batches is batches:
                log.error("the recogniser hangs: another thread takes its place")
                batches.close()
                self._batches = Batches(self._recogniser)
            raise EngineError("the recogniser hangs", "Speak again; another takes over.", code="engine_hangs") from None

    def _load(self) -> Recogniser:
        from sherpa_onnx import OnlineRecognizer

        files = self._files
        for path in files.models:
            check_model(path, needs_figures=not path.name.startswith(("decoder", "joiner")))
        common: dict[str, Any] = {"tokens": str(files.tokens), "num_threads": self._threads}
        try:
            if files.kind == "transducer":
                encoder, decoder, joiner = map(str, files.models)
                recogniser = OnlineRecognizer.from_transducer(encoder=encoder, decoder=decoder, joiner=joiner, **common)
            elif files.kind == "nemo_ctc":
                recogniser = OnlineRecognizer.from_nemo_ctc(model=str(files.models[0]), **common)
            else:
                recogniser = OnlineRecognizer.from_zipformer2_ctc(model=str(files.models[0]), **common)
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"the model in {self._folder} cannot be loaded: {error}",
                "Remove and pull it again: antiphon models rm NAME; antiphon models pull NAME.",
                code="model_broken",
            ) from None
        stream = recogniser.create_stream()
        stream.accept_waveform(HEARING_RATE, spoken_clip())
        while recogniser.is_ready(stream):
            recogniser.decode_streams([stream])
        return recogniser


class ModelFiles(Struct, frozen=True):
    """A folder's model."""

    kind: str
    """"transducer", "nemo_ctc" or "zipformer2_ctc"."""
    models: tuple[Path, ...]
    tokens: Path


def find_files(folder: Path) -> ModelFiles:
    """The model in a folder as sherpa-onnx's releases are, the int8 one where there are two. Raises `ConfigError`."""
    tokens = folder / "tokens.txt"
    parts = [_newest_of(folder, part) for part in ("encoder", "decoder", "joiner")]
    if tokens.is_file() and all(parts):
        return ModelFiles("transducer", tuple(path for path in parts if path), tokens)
    model = _newest_of(folder, "model") or _newest_of(folder, "ctc")
    if tokens.is_file() and model is not None:
        kind = "zipformer2_ctc" if "zipformer" in folder.name.lower() else "nemo_ctc"
        return ModelFiles(kind, (model,), tokens)
    raise ConfigError(
        f"{folder} holds no streaming model for sherpa-onnx",
        "It needs tokens.txt, and encoder, decoder and joiner or one model as .onnx. "
        "Get one with: antiphon models pull zipformer-en",
    )


def _newest_of(folder: Path, part: str) -> Path | None:
    found = sorted(folder.glob(f"{part}*.onnx"))
    return next((path for path in found if "int8" in path.name), found[0] if found else None)


def check_model(path: Path, *, needs_figures: bool) -> None:
    """Whether it is a graph, with the figures that sherpa-onnx wants to read from it. Raises `EngineError`."""
    if not figures_of(path) and needs_figures:
        raise EngineError(
            f"{path.name} is a model, but not one that was exported for sherpa-onnx",
            "Take one of its releases: antiphon models list",
            code="model_broken",
        )


def figures_of(path: Path) -> Mapping[str, str]:
    """What a graph tells of itself. Raises `EngineError` for what is none."""
    import onnxruntime

    try:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        figures: Mapping[str, str] = (
            onnxruntime.InferenceSession(str(path), options).get_modelmeta().custom_metadata_map
        )
    except Exception as error:  # noqa: BLE001 - its errors have no common base
        raise EngineError(f"{path} is no ONNX model: {error}", "Pull it again.", code="model_broken") from None
    return figures


def words_from(tokens: tuple[str, ...], times_s: tuple[float, ...]) -> tuple[Word, ...]:
    """Words with their times, from pieces of words of which the first of each begins with a space."""
    words: list[tuple[str, float]] = []
    for token, at in zip(tokens, times_s, strict=False):
        text = token.replace("\u2581", " ")
        if text.startswith(" ") or not words:
            words.append((text.strip(), at))
        else:
            words[-1] = (words[-1][0] + text, words[-1][1])
    words = [word for word in words if word[0]]
    ends = [at for _, at in words[1:]] + [words[-1][1] + LAST_WORD_S] if words else []
    return tuple(Word(text, at, end) for (text, at), end in zip(words, ends, strict=True))
