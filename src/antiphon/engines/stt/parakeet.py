"""Parakeet and its kin by onnx-asr: whole utterances, among the most accurate that a CPU can do.

It does not stream; words on the screen come by `agreement`. The folder is one on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.pool import Share
from antiphon.engines.stt.agreement import joined, quietest
from antiphon.engines.stt.clip import spoken_clip
from antiphon.engines.stt.sherpa import words_from
from antiphon.errors import ConfigError, EngineError, NotInstalled

SHORTEST_S = 0.2  # the models want some frames
KINDS = {"nemo-conformer-tdt": "decoder_joint-model", "nemo-conformer-ctc": "model"}
"""onnx-asr's name for each kind, and a file that only it has."""
LIMIT_S = 90.0  # for one stretch
LONGEST_S = 24.0  # of sound at a time: what the models were trained on is not much longer
V3_LANGUAGES = frozenset("bg cs da de el en es et fi fr hr hu it lt lv mt nl pl pt ro ru sk sl sv uk".split())  # noqa: SIM905


class Parakeet:
    """`Stt` on a folder with a NeMo model."""

    languages: frozenset[str] | None = None

    def __init__(self, folder: Path, pool: Share, languages: frozenset[str] | None = None) -> None:
        """`languages` are the model's, or None. Raises `ConfigError` for what is no model."""
        try:
            import onnx_asr  # noqa: F401 - a start without it should say so at once
        except ImportError:
            raise NotInstalled("onnx-asr", "parakeet") from None
        self.languages = languages
        self._language = next(iter(languages)) if languages and len(languages) == 1 else None
        self._folder = folder
        self._kind = kind_of(folder)
        self._pool = pool
        self._model: Any = None
        self._loading = asyncio.Lock()

    async def warm(self) -> None:
        """Load the weights, and recognise a second of speech."""
        if self._model is None:
            async with self._loading:
                self._model = self._model or await self._pool.run(self._load, limit_s=600)

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """See `Stt.transcribe`. There are no deltas; words have their times."""
        if pcm.size < SHORTEST_S * HEARING_RATE:
            yield Transcript("")
            return
        await self.warm()
        text, words, start = "", list[Word](), 0
        for stop in cuts(pcm):
            heard, spoken = await self._pool.run(
                partial(self._heard, pcm[start:stop]), is_partial=request.is_partial, limit_s=LIMIT_S
            )
            begins_s = start / HEARING_RATE
            text = joined(text, heard)
            words += [Word(word.text, word.start_s + begins_s, word.end_s + begins_s) for word in spoken]
            start = stop
        yield Transcript(text, self._language, words=tuple(words))

    def _heard(self, pcm: Pcm) -> tuple[str, tuple[Word, ...]]:
        result = self._model.recognize(np.asarray(pcm, np.float32))
        return result.text.strip(), words_from(tuple(result.tokens or ()), tuple(result.timestamps or ()))

    def _load(self) -> Any:
        import onnx_asr
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._pool.threads_each
        options.inter_op_num_threads = 1
        quantization = "int8" if list(self._folder.glob("*int8.onnx")) else None
        try:
            model = onnx_asr.load_model(
                self._kind,
                self._folder,
                quantization=quantization,
                sess_options=options,
                providers=["CPUExecutionProvider"],
            ).with_timestamps()
            model.recognize(spoken_clip())
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base
            raise EngineError(
                f"the model in {self._folder} cannot be loaded: {error}",
                "Remove and pull it again: antiphon models rm NAME; antiphon models pull NAME.",
                code="model_broken",
            ) from None
        return model


def cuts(pcm: Pcm) -> list[int]:
    """After how many samples each stretch ends: long sound is cut in quiet places, into no more than the longest."""
    longest, shortest, found = round(LONGEST_S * HEARING_RATE), round(SHORTEST_S * HEARING_RATE), [0]
    while pcm.size - found[-1] > longest:
        found.append(quietest(pcm, found[-1] + longest // 2, min(found[-1] + longest, pcm.size - shortest)))
    return [*found[1:], pcm.size]


def kind_of(folder: Path) -> str:
    """What kind of model a folder holds. Raises `ConfigError`."""
    for kind, file in KINDS.items():
        if list(folder.glob(f"{file}*.onnx")) and (folder / "vocab.txt").is_file():
            return kind
    raise ConfigError(
        f"{folder} holds no NeMo model for onnx-asr",
        "It needs vocab.txt, and encoder-model and decoder_joint-model, or model, as .onnx. "
        "Get one with: antiphon models pull parakeet-v3",
    )
