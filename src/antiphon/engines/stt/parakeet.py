"""Parakeet and its kin by onnx-asr: whole utterances, among the most accurate that a CPU can do.

It does not stream; words on the screen come by `agreement`. The folder is one on this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.engines.api import SttRequest, Transcript, TranscriptDelta, Word
from antiphon.engines.pool import Pool
from antiphon.engines.stt.checks import Heard, doubt
from antiphon.engines.stt.clip import spoken_clip
from antiphon.engines.stt.sherpa import words_from
from antiphon.errors import ConfigError, EngineError

SHORTEST_S = 0.2  # the models want some frames
KINDS = {"nemo-conformer-tdt": "decoder_joint-model", "nemo-conformer-ctc": "model"}
"""onnx-asr's name for each kind, and a file that only it has."""
LIMIT_S = 90.0


class Parakeet:
    """`Stt` on a folder with a NeMo model."""

    languages: frozenset[str] | None = None

    def __init__(self, folder: Path, pool: Pool, language: str | None = None) -> None:
        """`language` is the only one of the model, or None. Raises `ConfigError` for what is no model."""
        try:
            import onnx_asr  # noqa: F401 - a start without it should say so at once
        except ImportError:
            raise ConfigError("onnx-asr is not installed", "pip install 'antiphon[parakeet]'") from None
        self.languages = frozenset({language}) if language else None
        self._language = language
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
        yield await self._pool.run(lambda: self._transcript(pcm), is_partial=request.is_partial, limit_s=LIMIT_S)

    def _transcript(self, pcm: Pcm) -> Transcript:
        result = self._model.recognize(np.asarray(pcm, np.float32))
        if doubt(Heard(result.text, pcm.size / HEARING_RATE)):
            return Transcript("", self._language)
        words: tuple[Word, ...] = words_from(tuple(result.tokens or ()), tuple(result.timestamps or ()))
        return Transcript(result.text.strip(), self._language, words=words)

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
