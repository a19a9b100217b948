"""Models of the true shape with random weights, small enough to make in a test."""

from __future__ import annotations

import json
from pathlib import Path

import ctranslate2
import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Shape = tuple[int, int, int, int]


def tiny_whisper(folder: Path, shape: Shape = (16, 2, 1, 80)) -> Path:
    """A folder as faster-whisper wants it. `shape`: width, heads, layers and mel bands; of tiny.en 384, 6, 4, 80."""
    width, heads, layers, mels = shape
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = whisper_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])]
    spec = ctranslate2.specs.WhisperSpec(layers, heads, layers, heads)
    chance = np.random.default_rng(7)

    def weights(*size: int) -> NDArray[np.float32]:
        return np.asarray(chance.normal(size=size) / np.sqrt(size[-1]), np.float32)

    def norm(place: object) -> None:
        place.gamma, place.beta = np.ones(width, np.float32), np.zeros(width, np.float32)  # type: ignore[attr-defined]

    def linear(place: object, rows: int, columns: int) -> None:
        place.weight, place.bias = weights(rows, columns), np.zeros(rows, np.float32)  # type: ignore[attr-defined]

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = weights(width, mels, 3), np.zeros(width, np.float32)
    encoder.conv2.weight, encoder.conv2.bias = weights(width, width, 3), np.zeros(width, np.float32)
    encoder.position_encodings.encodings = weights(1500, width)
    norm(encoder.layer_norm)
    decoder.embeddings.weight = weights(len(vocabulary), width)
    decoder.position_encodings.encodings = weights(448, width)
    norm(decoder.layer_norm)
    decoder.projection.weight = decoder.embeddings.weight
    for stack, has_memory in ((encoder.layer, False), (decoder.layer, True)):
        for layer in stack:
            linear(layer.self_attention.linear[0], 3 * width, width)
            linear(layer.self_attention.linear[1], width, width)
            norm(layer.self_attention.layer_norm)
            if has_memory:
                linear(layer.attention.linear[0], width, width)
                linear(layer.attention.linear[1], 2 * width, width)
                linear(layer.attention.linear[2], width, width)
                norm(layer.attention.layer_norm)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 4 * width, width)
            linear(layer.ffn.linear_1, width, 4 * width)
    begin = tokenizer.token_to_id("<|startoftranscript|>")
    spec.config.lang_ids = []
    spec.config.suppress_ids = [begin]
    spec.config.suppress_ids_begin = [tokenizer.token_to_id("<|endoftext|>")]
    spec.config.alignment_heads = [(layers - 1, head) for head in range(heads)]
    spec.register_vocabulary(vocabulary)
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": mels}))
    return folder


def whisper_tokenizer() -> Tokenizer:
    """Bytes as tokens, and the own tokens of an English Whisper after them."""
    own = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
        *(f"<|{number * 0.02:.2f}|>" for number in range(1501)),
    ]
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in own])
    return tokenizer
