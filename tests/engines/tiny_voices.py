"""Voices of the shapes that sherpa-onnx reads, without a voice in them: what they say are tones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, save

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.wav import wav_from_mono

RATE = 24_000
PHONEMES = (
    '$;:,.!?—…"()“” \u0303ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌːᵻ'
)
"""Kokoro's, most of them."""
PHONEME = RATE // 20  # samples
STYLE = 4  # floats, of Kokoro's 256
LONGEST = 60  # phonemes, of Kokoro's 510
LATENT, WIDTH, FRAME = 32, 1024, 1920  # pocket-tts's own: sherpa-onnx knows no others


def tiny_kokoro(folder: Path, speakers: int = 11) -> Path:
    """Each phoneme is a tone; the style says how loud it is, and the speed how long."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokens.txt").write_text("".join(f"{phoneme} {number}\n" for number, phoneme in enumerate(PHONEMES)))
    styles = np.repeat(np.linspace(0.2, 1.0, speakers, dtype=np.float32), LONGEST * STYLE)
    (folder / "voices.bin").write_bytes(styles.tobytes())
    tones = np.stack([tone(200 + 10 * number, PHONEME) for number in range(len(PHONEMES))])
    model = made(
        {"tokens": [1, "N"], "style": [1, STYLE], "speed": [1]},
        {"audio": ["S"]},
        [
            helper.make_node("Gather", ["tones", "tokens"], ["spoken"]),
            helper.make_node("Div", ["length", "speed"], ["exact"]),
            helper.make_node("Cast", ["exact"], ["samples"], to=TensorProto.INT64),
            helper.make_node("Slice", ["spoken", "zero", "samples", "two"], ["shortened"]),
            helper.make_node("Slice", ["style", "zero", "one", "one"], ["loudness"]),
            helper.make_node("Mul", ["shortened", "loudness"], ["louder"]),
            helper.make_node("Reshape", ["louder", "flat"], ["audio"]),
        ],
        {
            "tones": tones, "length": np.array([PHONEME], np.float32), "zero": whole(0), "one": whole(1),
            "two": whole(2), "flat": whole(-1),
        },
    )  # fmt: skip
    figures = {
        "model_type": "kokoro", "version": 1, "sample_rate": RATE, "n_speakers": speakers, "has_espeak": 1,
        "voice": "en-us", "language": "English", "style_dim": f"{LONGEST},1,{STYLE}", "comment": "tiny",
    }  # fmt: skip
    helper.set_model_props(model, {name: str(value) for name, value in figures.items()})
    save(model, str(folder / "model.onnx"))
    return folder


def tiny_piper(folder: Path, rate_hz: int = 22_050) -> Path:
    """Each phoneme, and each blank between two, is a tone; the scale of lengths says how long."""
    folder.mkdir(parents=True, exist_ok=True)
    symbols = "_^" + PHONEMES
    (folder / "tokens.txt").write_text("".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols)))
    tones = np.stack([tone(200 + 10 * number, PHONEME) for number in range(len(symbols))])
    model = made(
        {"tokens": [1, "N"], "token_lengths": [1], "scales": [3]},
        {"audio": [1, 1, "S"]},
        [
            helper.make_node("Gather", ["tones", "tokens"], ["spoken"]),
            helper.make_node("Slice", ["scales", "one", "two", "zero"], ["slowness"]),
            helper.make_node("Mul", ["length", "slowness"], ["exact"]),
            helper.make_node("Cast", ["exact"], ["samples"], to=TensorProto.INT64),
            helper.make_node("Slice", ["spoken", "zero", "samples", "two"], ["shortened"]),
            helper.make_node("Reshape", ["shortened", "flat"], ["audio"]),
        ],
        {
            "tones": tones, "length": np.array([PHONEME], np.float32), "zero": whole(0), "one": whole(1),
            "two": whole(2), "flat": np.array([1, 1, -1]),
        },
    )  # fmt: skip
    figures = {
        "model_type": "vits", "comment": "piper", "language": "English", "voice": "en-us", "has_espeak": 1,
        "n_speakers": 1, "sample_rate": rate_hz,
    }  # fmt: skip
    helper.set_model_props(model, {name: str(value) for name, value in figures.items()})
    save(model, str(folder / "en_US-tiny.onnx"))
    return folder


def tiny_pocket(folder: Path) -> Path:
    """Each token of the text is a frame of 80 ms, as loud as the voice that it was given."""
    folder.mkdir(parents=True, exist_ok=True)
    unread = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *unread,
        "\u2581",
        *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-",
    ]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "token_scores.json").write_text(json.dumps(dict.fromkeys(pieces, -1.0)))
    (folder / "voice.wav").write_bytes(wav_from_mono(int16_from_float(tone(300, RATE)), RATE))
    parts = {
        "encoder": pocket_encoder(), "text_conditioner": pocket_text(len(pieces)), "lm_main": pocket_main(),
        "lm_flow": pocket_flow(), "decoder": pocket_decoder(),
    }  # fmt: skip
    for name, model in parts.items():
        save(model, str(folder / f"{name}.onnx"))
    return folder


def pocket_encoder() -> ModelProto:
    """The voice as one frame that holds its mean loudness."""
    nodes = [
        helper.make_node("Abs", ["audio"], ["loud"]),
        helper.make_node("ReduceMean", ["loud"], ["mean"], axes=[2], keepdims=1),
        helper.make_node("Expand", ["mean", "shape"], ["voice"]),
    ]
    return made({"audio": [1, 1, "T"]}, {"voice": [1, 1, WIDTH]}, nodes, {"shape": np.array([1, 1, WIDTH])})


def pocket_text(tokens: int) -> ModelProto:
    nodes = [helper.make_node("Gather", ["embeddings", "token_ids"], ["text"])]
    embeddings = np.zeros((tokens, WIDTH), np.float32)
    return made({"token_ids": [1, "N"]}, {"text": [1, "N", WIDTH]}, nodes, {"embeddings": embeddings})


def pocket_main() -> ModelProto:
    """Counts what it is told, says that it is over after as many steps, and hands on how loud the voice is."""
    nodes = [
        helper.make_node("Shape", ["text"], ["text_shape"]),
        helper.make_node("Gather", ["text_shape", "one"], ["told"]),
        helper.make_node("Shape", ["sequence"], ["sequence_shape"]),
        helper.make_node("Gather", ["sequence_shape", "one"], ["said"]),
        helper.make_node("Sub", ["told", "said"], ["change"]),
        helper.make_node("Cast", ["change"], ["change_float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["left", "change_float"], ["left_after"]),
        helper.make_node("ReduceSum", ["text", "axes"], ["heard"], keepdims=0),
        helper.make_node("Slice", ["heard", "zero", "one", "zero"], ["heard_first"]),
        helper.make_node("Add", ["loudness", "heard_first"], ["loudness_after"]),
        helper.make_node("Neg", ["left_after"], ["overdue"]),
        helper.make_node("Mul", ["overdue", "ten"], ["eos_logit"]),
        helper.make_node("Expand", ["loudness_after", "wide"], ["conditioning"]),
    ]
    return made(
        {"sequence": [1, "S", LATENT], "text": [1, "M", WIDTH], "left": [1], "loudness": [1]},
        {"conditioning": [1, WIDTH], "eos_logit": [1], "left_after": [1], "loudness_after": [1]},
        nodes,
        {
            "one": whole(1), "zero": whole(0), "axes": np.array([0, 1]), "wide": np.array([1, WIDTH]),
            "ten": np.array([10], np.float32),
        },
    )  # fmt: skip


def pocket_flow() -> ModelProto:
    """Straight from the noise to the loudness."""
    nodes = [
        helper.make_node("Slice", ["conditioning", "zero", "latent", "one"], ["target"]),
        helper.make_node("Sub", ["target", "noise"], ["way"]),
    ]
    inputs = {"conditioning": [1, WIDTH], "from": [1, 1], "to": [1, 1], "noise": [1, LATENT]}
    constants = {"zero": whole(0), "latent": whole(LATENT), "one": whole(1)}
    return made(inputs, {"way": [1, LATENT]}, nodes, constants)


def pocket_decoder() -> ModelProto:
    nodes = [
        helper.make_node("Slice", ["latents", "zero", "one", "two"], ["loudness"]),
        helper.make_node("Mul", ["loudness", "tone"], ["frames"]),
        helper.make_node("Reshape", ["frames", "flat"], ["audio"]),
        helper.make_node("Add", ["frames_done", "unit"], ["frames_done_after"]),
    ]
    constants: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {
        "zero": whole(0), "one": whole(1), "two": whole(2), "tone": tone(300, FRAME), "flat": np.array([1, 1, -1]),
        "unit": np.array([1], np.float32),
    }  # fmt: skip
    inputs: dict[str, list[int | str]] = {"latents": [1, "F", LATENT], "frames_done": [1]}
    return made(inputs, {"audio": [1, 1, "S"], "frames_done_after": [1]}, nodes, constants)


def made(
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    nodes: list[NodeProto],
    constants: Mapping[str, NDArray[np.float32] | NDArray[np.int64]],
) -> ModelProto:
    """A graph of floats, but for what is called tokens."""
    told = [
        helper.make_tensor_value_info(name, TensorProto.INT64 if "token" in name else TensorProto.FLOAT, shape)
        for name, shape in inputs.items()
    ]
    said = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
    kept = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "tiny", told, said, kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tone(hertz: float, samples: int) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def whole(number: int) -> NDArray[np.int64]:
    return np.array([number], np.int64)
