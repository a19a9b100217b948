"""The models that Antiphon knows by name: whose they are, for which engine, in which languages, under which licence.

Data, and nothing about downloading. Sizes are what their owners say; the exact one is asked for before a download.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from antiphon.errors import UnknownName

EngineName = Literal["whisper", "sherpa", "parakeet", "moonshine", "sherpa-tts"]


class Listed(Struct, frozen=True):
    """A file of a model that is not on the hub, as its owner lists it."""

    name: str
    size_bytes: int
    crc32c: str
    """In base64."""


class Model(Struct, frozen=True):
    """One model, as it can be had."""

    engine: EngineName
    repository: str
    """On the hub, owner/name; or the address of a folder with the files that are `listed`."""
    languages: str
    licence: str
    about_mb: int
    files: tuple[str, ...] = ("*",)
    """Patterns of those that are needed."""
    note: str = ""
    language: str | None = None
    """The only one, by its code."""
    listed: tuple[Listed, ...] = ()


_WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json")
_MOONSHINE = "https://download.moonshine.ai/model"
_KOKORO = ("model.onnx", "voices.bin", "tokens.txt", "LICENSE*")
_PIPER = ("*.onnx", "*.onnx.json", "tokens.txt", "MODEL_CARD")
_POCKET = ("*.int8.onnx", "encoder.onnx", "text_conditioner.onnx", "vocab.json", "token_scores.json", "LICENSE*")
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
    "whisper-large-v3-turbo": Model(
        "whisper",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
        "99",
        "MIT",
        1_620,
        _WHISPER,
        note="does not translate; wants a GPU",
    ),
    "moonshine-tiny": Model(
        "moonshine",
        f"{_MOONSHINE}/tiny-streaming-en/quantized_26_08_21",
        "English",
        "MIT",
        45,
        note="streams",
        language="en",
        listed=(
            Listed("adapter.ort", 1_319_664, "kwQ+Bw=="),
            Listed("cross_kv.ort", 1_287_544, "76wzFQ=="),
            Listed("decoder_kv.ort", 32_583_720, "KJjeNw=="),
            Listed("encoder.ort", 7_675_440, "UjAIpQ=="),
            Listed("frontend.model.ort", 23_344, "aM/+wQ=="),
            Listed("frontend.weights.ort", 2_093_464, "WYZ7EQ=="),
            Listed("streaming_config.json", 509, "HGL0Ug=="),
            Listed("tokenizer.bin", 249_974, "B7s10Q=="),
        ),
    ),
    "moonshine-small": Model(
        "moonshine",
        f"{_MOONSHINE}/small-streaming-en/quantized_26_08_21",
        "English",
        "MIT",
        142,
        note="streams",
        language="en",
        listed=(
            Listed("adapter.ort", 2_870_368, "XlWjTg=="),
            Listed("cross_kv.ort", 5_356_536, "5ySK8g=="),
            Listed("decoder_kv.ort", 81_878_600, "Rn/VUA=="),
            Listed("encoder.ort", 44_148_576, "41D2jQ=="),
            Listed("frontend.model.ort", 26_944, "WW2/2g=="),
            Listed("frontend.weights.ort", 7_769_464, "9pROuQ=="),
            Listed("streaming_config.json", 512, "dPbFiw=="),
            Listed("tokenizer.bin", 249_974, "B7s10Q=="),
        ),
    ),
    "moonshine-medium": Model(
        "moonshine",
        f"{_MOONSHINE}/medium-streaming-en/quantized_26_08_21",
        "English",
        "MIT",
        269,
        note="streams",
        language="en",
        listed=(
            Listed("adapter.ort", 3_651_296, "Ds3Hsg=="),
            Listed("cross_kv.ort", 11_643_776, "liqlOg=="),
            Listed("decoder_kv.ort", 146_972_408, "GPnzeQ=="),
            Listed("encoder.ort", 94_705_376, "yWvDwA=="),
            Listed("frontend.model.ort", 28_720, "k1kKsQ=="),
            Listed("frontend.weights.ort", 11_889_560, "w5QjIA=="),
            Listed("streaming_config.json", 513, "+1bE9Q=="),
            Listed("tokenizer.bin", 249_974, "B7s10Q=="),
        ),
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
        "sherpa-tts", "csukuangfj/kokoro-en-v0_19", "English", "Apache-2.0", 350, _KOKORO, "eleven voices"
    ),
    "pocket-tts": Model(
        "sherpa-tts",
        "csukuangfj2/sherpa-onnx-pocket-tts-int8-2026-01-26",
        "English",
        "CC-BY-4.0 (see its note)",
        198,
        _POCKET,
        "speaks like voice.wav, which you put there; its README says non-commercial, its LICENSE does not",
    ),
    "piper-lessac": Model(
        "sherpa-tts",
        "csukuangfj/vits-piper-en_US-lessac-medium",
        "English (US)",
        "not for commercial use",
        63,
        _PIPER,
        "a voice, fast; learnt from Lessac's recordings, see its card",
    ),
}


def model_named(name: str) -> Model:
    """The model of this name. Raises `UnknownName`."""
    if name not in MODELS:
        raise UnknownName("model", name, MODELS)
    return MODELS[name]
