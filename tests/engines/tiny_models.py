"""Models of the true shape with random weights, small enough to make in a test."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Shape = tuple[int, int, int, int]
KEEPING = ("cached_key_0", "embed_states")
"""The tiny Zipformer's caches that do remember something: sherpa-onnx lays the streams of a batch along the second axis
of the one, and along the first of the other."""


def tiny_whisper(folder: Path, shape: Shape = (16, 2, 1, 80), tokens: int = 0) -> Path:
    """A folder as faster-whisper wants it. `shape`: width, heads, layers and mel bands; of tiny.en 384, 6, 4, 80."""
    width, heads, layers, mels = shape
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = whisper_tokenizer(tokens)
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


def whisper_tokenizer(tokens: int = 0) -> Tokenizer:
    """Bytes as tokens, as many others as make `tokens`, and the own tokens of an English Whisper after them."""
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
    words += [f"<{number}>" for number in range(tokens - len(words) - len(own))]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in own])
    return tokenizer


def tiny_nemo_ctc(folder: Path, words: int = 12, seed: int = 5, layers: int = 0, width: int = 512) -> Path:
    """A folder with a streaming CTC model as sherpa-onnx reads NeMo's: one convolution and its caches; and as many
    layers of `width` squared weights as it takes to cost what a real one does."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder.mkdir(parents=True, exist_ok=True)
    tokens = [f"\u2581w{number}" for number in range(words)] + ["<blk>"]
    (folder / "tokens.txt").write_text("".join(f"{token} {number}\n" for number, token in enumerate(tokens)))
    chance = np.random.default_rng(seed)
    sizes = [width] * (layers + 1) + [words + 1] if layers else [words + 1]
    kernel = chance.normal(size=(sizes[0], 80, 8)).astype(np.float32)
    weights = [(chance.normal(size=pair) / np.sqrt(pair[0])).astype(np.float32) for pair in pairwise(sizes)]
    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    caches = {"cache_last_channel": (1, 4, 8), "cache_last_time": (1, 8, 4)}
    inputs = [
        helper.make_tensor_value_info("audio_signal", floats, ["B", 80, "T"]),
        helper.make_tensor_value_info("length", integers, ["B"]),
        *(helper.make_tensor_value_info(name, floats, ["B", *size]) for name, size in caches.items()),
        helper.make_tensor_value_info("cache_last_channel_len", integers, ["B"]),
    ]
    outputs = [
        helper.make_tensor_value_info("logprobs", floats, ["B", "S", words + 1]),
        helper.make_tensor_value_info("encoded_lengths", integers, ["B"]),
        *(helper.make_tensor_value_info(f"{name}_next", floats, ["B", *size]) for name, size in caches.items()),
        helper.make_tensor_value_info("cache_last_channel_len_next", integers, ["B"]),
    ]
    nodes = [
        helper.make_node("Conv", ["audio_signal", "kernel"], ["scores"], kernel_shape=[8], strides=[8]),
        helper.make_node("Transpose", ["scores"], ["layer0"], perm=[0, 2, 1]),
        *(
            helper.make_node("MatMul", [f"layer{number}", f"weights{number}"], [f"layer{number + 1}"])
            for number in range(len(weights))
        ),
        helper.make_node("LogSoftmax", [f"layer{len(weights)}"], ["logprobs"], axis=-1),
        helper.make_node("Identity", ["length"], ["encoded_lengths"]),
        *(helper.make_node("Identity", [name], [f"{name}_next"]) for name in (*caches, "cache_last_channel_len")),
    ]
    constants = [numpy_helper.from_array(array, f"weights{number}") for number, array in enumerate(weights)]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [numpy_helper.from_array(kernel, "kernel"), *constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    figures = {"window_size": 32, "chunk_shift": 32, "subsampling_factor": 8, "vocab_size": words}
    for name, size in caches.items():
        figures |= {f"{name}_dim{number}": value for number, value in enumerate(size, 1)}
    helper.set_model_props(model, {name: str(value) for name, value in figures.items()})
    save(model, str(folder / "model.onnx"))
    return folder


def tiny_vits(folder: Path, rate_hz: int = 16_000, speakers: int = 2) -> Path:
    """A folder with a VITS voice as sherpa-onnx reads it: each letter is a tone of its own."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder.mkdir(parents=True, exist_ok=True)
    letters = "_ ,.!?abcdefghijklmnopqrstuvwxyz"
    (folder / "tokens.txt").write_text("".join(f"{letter} {number}\n" for number, letter in enumerate(letters)))
    words = ("hello", "there", "and", "again", "good", "morning", "the", "weather", "is", "fine", "today", "how", "are")
    (folder / "lexicon.txt").write_text("".join(f"{word} {' '.join(word)}\n" for word in (*words, "you", "one", "two")))
    time = np.arange(rate_hz // 20) / rate_hz
    tones = np.stack([0.3 * np.sin(2 * np.pi * (200 + 20 * number) * time) for number in range(len(letters))])
    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    scalars = [helper.make_tensor_value_info(name, floats, [1]) for name in ("noise", "length", "noise_w")]
    inputs = [
        helper.make_tensor_value_info("x", integers, ["N", "T"]),
        helper.make_tensor_value_info("x_length", integers, ["N"]),
        *scalars,
        helper.make_tensor_value_info("sid", integers, [1]),
    ]
    nodes = [
        helper.make_node("Gather", ["tones", "x"], ["spoken"], axis=0),
        helper.make_node("Reshape", ["spoken", "shape"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(tones.astype(np.float32), "tones"),
        numpy_helper.from_array(np.array([1, 1, -1], np.int64), "shape"),
    ]
    outputs = [helper.make_tensor_value_info("y", floats, [1, 1, "S"])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    figures = {
        "sample_rate": rate_hz, "add_blank": 0, "n_speakers": speakers, "language": "English", "comment": "vctk",
        "punctuation": ", . ! ?", "model_type": "vits", "frontend": "characters", "use_eos_bos": 0,
    }  # fmt: skip
    helper.set_model_props(model, {name: str(value) for name, value in figures.items()})
    save(model, str(folder / "voice.onnx"))
    return folder


def tiny_parakeet(folder: Path, words: int = 12, width: int = 6) -> Path:
    """A folder with a TDT model as onnx-asr reads NeMo's: an encoder of one convolution, and a decoder with a state."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder.mkdir(parents=True, exist_ok=True)
    tokens = [f"\u2581{letter}" for letter in "abcdefghijklmnopqrst"[:words]] + ["<blk>"]
    (folder / "vocab.txt").write_text("".join(f"{token} {number}\n" for number, token in enumerate(tokens)))
    (folder / "config.json").write_text(
        json.dumps({"features_size": 80, "subsampling_factor": 8, "max_tokens_per_step": 1})
    )
    chance = np.random.default_rng(11)
    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    value = helper.make_tensor_value_info

    def saved(name: str, nodes: list[Any], ends: tuple[list[Any], list[Any]], arrays: dict[str, object]) -> None:
        constants = [numpy_helper.from_array(np.asarray(array), key) for key, array in arrays.items()]
        graph = helper.make_graph(nodes, name, *ends, constants)
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(folder / name))

    saved(
        "encoder-model.onnx",
        [
            helper.make_node("Conv", ["audio_signal", "kernel"], ["outputs"], kernel_shape=[8], strides=[8]),
            helper.make_node("Div", ["length", "eight"], ["encoded_lengths"]),
        ],
        (
            [value("audio_signal", floats, ["B", 80, "T"]), value("length", integers, ["B"])],
            [value("outputs", floats, ["B", width, "S"]), value("encoded_lengths", integers, ["B"])],
        ),
        {"kernel": chance.normal(size=(width, 80, 8)).astype(np.float32), "eight": np.array(8, np.int64)},
    )
    durations = 5
    saved(
        "decoder_joint-model.onnx",
        [
            helper.make_node("Transpose", ["encoder_outputs"], ["frame"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["frame", "weights"], ["scores"]),
            helper.make_node("Unsqueeze", ["scores", "axis"], ["outputs"]),
            helper.make_node("Identity", ["input_states_1"], ["output_states_1"]),
            helper.make_node("Identity", ["input_states_2"], ["output_states_2"]),
            helper.make_node("Identity", ["targets"], ["unused_targets"]),
            helper.make_node("Identity", ["target_length"], ["unused_length"]),
        ],
        (
            [
                value("encoder_outputs", floats, [1, width, 1]),
                value("targets", TensorProto.INT32, [1, 1]),
                value("target_length", TensorProto.INT32, [1]),
                value("input_states_1", floats, [1, "B", 4]),
                value("input_states_2", floats, [1, "B", 4]),
            ],
            [
                value("outputs", floats, [1, 1, 1, words + 1 + durations]),
                value("output_states_1", floats, [1, "B", 4]),
                value("output_states_2", floats, [1, "B", 4]),
                value("unused_targets", TensorProto.INT32, [1, 1]),
                value("unused_length", TensorProto.INT32, [1]),
            ],
        ),
        {
            "weights": chance.normal(size=(width, words + 1 + durations)).astype(np.float32),
            "axis": np.array([1], np.int64),
        },
    )
    return folder


def tiny_zipformer(folder: Path, words: int = 12, width: int = 16) -> Path:
    """A folder with a streaming transducer as sherpa-onnx reads icefall's Zipformer2: encoder, decoder and joiner, by
    their names in its releases. The encoder is one convolution; of its two layers only the caches are there, of which
    one of each layout remembers how loud it was, and has a say in what is heard."""
    from onnx import TensorProto, helper, numpy_helper, save

    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["<blk>", "<unk>", *(f"\u2581w{number}" for number in range(words))]
    (folder / "tokens.txt").write_text("".join(f"{token} {number}\n" for number, token in enumerate(tokens)))
    chance = np.random.default_rng(13)
    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    value, node = helper.make_tensor_value_info, helper.make_node
    chunk, frames, context = 32, 45, 2  # new frames for each run, those that it sees, and tokens that the decoder does
    stacks = [(8, 2, 4, 3, 2, 5), (12, 2, 4, 3, 4, 7)]  # width, heads, a head's query and value, context, kernel
    caches: dict[str, tuple[int | str, ...]] = {}
    for number, (wide, heads, query, each, past, kernel) in enumerate(stacks):
        caches |= {
            f"cached_key_{number}": (past, "N", query * heads),
            f"cached_nonlin_attn_{number}": (1, "N", past, 3 * wide // 4),
            f"cached_val1_{number}": (past, "N", each * heads),
            f"cached_val2_{number}": (past, "N", each * heads),
            f"cached_conv1_{number}": ("N", wide, kernel // 2),
            f"cached_conv2_{number}": ("N", wide, kernel // 2),
        }
    caches["embed_states"] = ("N", 128, 3, 19)

    def saved(
        name: str, nodes: list[Any], ends: tuple[list[Any], list[Any]], arrays: dict[str, Any], figures: dict[str, Any]
    ) -> None:
        constants = [numpy_helper.from_array(np.asarray(array), key) for key, array in arrays.items()]
        graph = helper.make_graph(nodes, name, *ends, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, {key: str(figure) for key, figure in figures.items()})
        save(model, str(folder / f"{name}-epoch-99-avg-1-chunk-16-left-128.int8.onnx"))

    def listed(place: int) -> str:
        return ",".join(str(stack[place]) for stack in stacks)

    def remembered(cache: str, level: str) -> list[Any]:
        return [
            node("Mul", [cache, "half"], [f"half_{cache}"]),
            node("Add", [f"half_{cache}", level], [f"new_{cache}"]),
        ]

    saved(
        "encoder",
        [
            node("ReduceMean", ["x"], ["level"], axes=[1, 2]),
            node("Transpose", ["level"], ["turned_level"], perm=[1, 0, 2]),
            node("Unsqueeze", ["level", "time"], ["deep_level"]),
            *remembered("cached_key_0", "turned_level"),
            *remembered("embed_states", "deep_level"),
            node("ReduceMean", ["cached_key_0"], ["turned_past"], axes=[0, 2]),
            node("Transpose", ["turned_past"], ["past"], perm=[1, 0, 2]),
            node("ReduceMean", ["embed_states"], ["deep_past"], axes=[1, 2, 3]),
            node("Squeeze", ["deep_past", "time"], ["long_past"]),
            node("Sub", ["x", "level"], ["centred"]),
            node("Transpose", ["centred"], ["bands"], perm=[0, 2, 1]),
            node("Slice", ["bands", "first", "after", "time"], ["new"]),
            node("Conv", ["new", "kernel"], ["heard"], kernel_shape=[4], strides=[4]),
            node("Transpose", ["heard"], ["turned"], perm=[0, 2, 1]),
            node("Sum", ["turned", "past", "long_past"], ["encoder_out"]),
            *(node("Identity", [name], [f"new_{name}"]) for name in caches if name not in KEEPING),
            node("Add", ["processed_lens", "chunk"], ["new_processed_lens"]),
        ],
        (
            [
                value("x", floats, ["N", frames, 80]),
                *(value(name, floats, shape) for name, shape in caches.items()),
                value("processed_lens", integers, ["N"]),
            ],
            [
                value("encoder_out", floats, ["N", chunk // 4, width]),
                *(value(f"new_{name}", floats, shape) for name, shape in caches.items()),
                value("new_processed_lens", integers, ["N"]),
            ],
        ),
        {
            "kernel": (chance.normal(size=(width, 80, 4)) / 6).astype(np.float32), "half": np.float32(0.5),
            "first": np.array([0], np.int64), "after": np.array([chunk], np.int64), "time": np.array([2], np.int64),
            "chunk": np.array([chunk], np.int64),
        },
        {
            "model_type": "zipformer2", "version": 1, "model_author": "nobody", "decode_chunk_len": chunk, "T": frames,
            "num_encoder_layers": ",".join("1" for _ in stacks), "encoder_dims": listed(0), "num_heads": listed(1),
            "query_head_dims": listed(2), "value_head_dims": listed(3), "left_context_len": listed(4),
            "cnn_module_kernels": listed(5),
        },
    )  # fmt: skip
    saved(
        "decoder",
        [
            node("Gather", ["meanings", "y"], ["each"], axis=0),
            node("ReduceSum", ["each", "time"], ["decoder_out"], keepdims=0),
        ],
        ([value("y", integers, ["N", context])], [value("decoder_out", floats, ["N", width])]),
        {"meanings": chance.normal(size=(len(tokens), width)).astype(np.float32), "time": np.array([1], np.int64)},
        {"context_size": context, "vocab_size": len(tokens)},
    )
    saved(
        "joiner",
        [
            node("Add", ["encoder_out", "decoder_out"], ["both"]),
            node("Tanh", ["both"], ["bent"]),
            node("MatMul", ["bent", "weights"], ["logit"]),
        ],
        (
            [value("encoder_out", floats, ["N", width]), value("decoder_out", floats, ["N", width])],
            [value("logit", floats, ["N", len(tokens)])],
        ),
        {"weights": chance.normal(size=(width, len(tokens))).astype(np.float32)},
        {"joiner_dim": width},
    )
    return folder
