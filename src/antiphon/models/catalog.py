"""The models that Antiphon knows by name: whose they are, for which engine, in which languages, under which licence.

Data, and nothing about downloading. Sizes are what their owners say; the exact one is asked for before a download.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from antiphon.errors import UnknownName

EngineName = Literal["whisper", "sherpa", "parakeet", "moonshine", "sherpa-tts"]


class Model(Struct, frozen=True):
    """One model, as it can be had."""

    engine: EngineName
    repository: str
    """On the hub, owner/name."""
    languages: str
    licence: str
    about_mb: int
    files: tuple[str, ...] = ("*",)
    """Patterns of those that are needed."""
    note: str = ""
    language: str | None = None
    """The only one, by its code."""


_WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
_INT8 = ("*.int8.onnx", "tokens.txt", "*.model", "LICENSE*")

MODELS: Mapping[str, Model] = {
    "whisper-tiny.en": Model(
        "whisper", "Systran/faster-whisper-tiny.en", "English", "MIT", 75, _WHISPER, language="en"
    ),
    "whisper-tiny": Model("whisper", "Systran/faster-whisper-tiny", "99", "MIT", 75, _WHISPER),
    "whisper-base.en": Model(
        "whisper", "Systran/faster-whisper-base.en", "English", "MIT", 145, _WHISPER, language="en"
    ),
    "whisper-base": Model("whisper", "Systran/faster-whisper-base", "99", "MIT", 145, _WHISPER),
    "whisper-small.en": Model(
        "whisper", "Systran/faster-whisper-small.en", "English", "MIT", 484, _WHISPER, language="en"
    ),
    "whisper-small": Model("whisper", "Systran/faster-whisper-small", "99", "MIT", 484, _WHISPER),
    "whisper-medium": Model("whisper", "Systran/faster-whisper-medium", "99", "MIT", 1_528, _WHISPER),
    "whisper-large-v3": Model(
        "whisper", "Systran/faster-whisper-large-v3", "99", "MIT", 3_090, _WHISPER, note="wants a GPU"
    ),
    "zipformer-en": Model(
        "sherpa",
        "csukuangfj/sherpa-onnx-streaming-zipformer-en-2023-06-26",
        "English",
        "Apache-2.0",
        72,
        _INT8,
        "streams; many sessions in one batch",
        "en",
    ),
    "parakeet-v3": Model(
        "parakeet",
        "istupakov/parakeet-tdt-0.6b-v3-onnx",
        "25 European",
        "CC-BY-4.0",
        670,
        ("*int8.onnx", "config.json", "vocab.txt"),
        "the best for whole utterances",
    ),
    "kokoro-en": Model(
        "sherpa-tts", "csukuangfj/kokoro-en-v0_19", "English", "Apache-2.0; espeak-ng's data GPL-3", 340, note="a voice"
    ),
    "piper-lessac": Model(
        "sherpa-tts",
        "csukuangfj/vits-piper-en_US-lessac-medium",
        "English (US)",
        "MIT; the voice's data: see its card; espeak-ng's data GPL-3",
        80,
        note="a voice, fast",
    ),
}


def model_named(name: str) -> Model:
    """The model of this name. Raises `UnknownName`."""
    if name not in MODELS:
        raise UnknownName("model", name, MODELS)
    return MODELS[name]
