"""Makes the voice detector's graph of the one that its owner distributes: the same weights, a quarter of the work.

    python bench/silero_graph.py silero_vad_16k_op15.onnx

The original scores one window of each stream and spends most of its time beside the arithmetic: its convolutions are
of four columns each, so that no matrix product is large. Here the rows of all windows are products of matrices, and
the recurrent part takes any number of windows of each stream in their order. The result is written beside
`engines/vad/silero.py`, after both have been given the same sound.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from antiphon.audio.wav import read_wav

HERE = Path(__file__).parents[1]
VAD = HERE / "src" / "antiphon" / "engines" / "vad"
SPEECH = HERE / "tests" / "data" / "hello.wav"
WINDOW, CONTEXT, WIDTH = 512, 64, 128
FRAME, HOP, FRAMES = 256, 128, 4  # of the spectrum, in a window with its context
BANDS = FRAME // 2 + 1
LARGEST_DIFFERENCE = 2e-5  # of a score: rounding, in another order

Weights = dict[str, NDArray[np.float32]]


class Graph:
    """Nodes and constants, by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: object, kind: type = np.int64) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return name

    def weights(self, values: NDArray[np.float32]) -> str:
        return self.constant(values, np.float32)

    def node(self, kind: str, *inputs: str, outputs: tuple[str, ...] = (), **settings: object) -> str:
        names = outputs or (f"{kind.lower()}_{len(self.nodes)}",)
        self.nodes.append(helper.make_node(kind, inputs, names, **settings))  # type: ignore[arg-type]
        return names[0]

    def reshaped(self, name: str, *shape: int) -> str:
        return self.node("Reshape", name, self.constant(shape))

    def columns(self, name: str, start: int, stop: int) -> str:
        return self.node("Slice", name, self.constant([start]), self.constant([stop]), self.constant([1]))

    def strips(self, name: str, width: int, step: int) -> str:
        """`FRAMES` overlapping stretches of each row, as rows of their own."""
        strips = [self.columns(name, step * number, step * number + width) for number in range(FRAMES)]
        return self.reshaped(self.node("Concat", *strips, axis=1), -1, width)

    def dense(self, name: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        return self.node("Gemm", name, self.weights(weights), self.weights(bias))


def built(weights: Weights) -> onnx.ModelProto:
    """`sound` [T * B, 576] with the rows of one moment side by side, and the two recurrent states [1, B, 128], to
    `scores` [T * B, 1] and the states after."""
    graph = Graph()
    rows = _spectrum(graph, weights["model.stft.forward_basis_buffer"][:, 0])
    rows = _encoded(graph, rows, weights)
    _scored(graph, rows, weights)
    state: list[str | int | None] = [1, "streams", WIDTH]
    inputs: dict[str, list[str | int | None]] = {"sound": ["rows", CONTEXT + WINDOW], "hidden": state, "cell": state}
    outputs: dict[str, list[str | int | None]] = {"scores": ["rows", 1], "hidden_after": state, "cell_after": state}
    made = helper.make_graph(
        graph.nodes,
        "silero_vad",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _spectrum(graph: Graph, basis: NDArray[np.float32]) -> str:
    """[T * B, 4 * 129]: the magnitudes of each window's four frames."""
    padded = graph.node("Pad", "sound", graph.constant([0, 0, 0, CONTEXT]), mode="reflect")
    frames = graph.strips(padded, FRAME, HOP)
    parts = [graph.node("MatMul", frames, graph.weights(half.T)) for half in (basis[:BANDS], basis[BANDS:])]
    power = graph.node("Add", *(graph.node("Mul", part, part) for part in parts))
    return graph.reshaped(graph.node("Sqrt", power), -1, FRAMES * BANDS)


def _encoded(graph: Graph, rows: str, weights: Weights) -> str:
    """[T * B, 128]: four convolutions of three taps, as products; taps that only meet padding are left out."""
    taps = [_taps(weights[f"model.encoder.{layer}.reparam_conv.weight"]) for layer in range(4)]
    biases = [weights[f"model.encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
    padded = graph.node("Pad", rows, graph.constant([0, BANDS, 0, BANDS]))
    rows = graph.node("Relu", graph.dense(graph.strips(padded, 3 * BANDS, BANDS), taps[0], biases[0]))
    rows = graph.reshaped(rows, -1, FRAMES * 128)
    # Every second frame from here on: the first of two has no left neighbour, and the last layers have one frame.
    first = graph.dense(graph.columns(rows, 0, 2 * 128), taps[1][128:], biases[1])
    second = graph.dense(graph.columns(rows, 128, 4 * 128), taps[1], biases[1])
    rows = graph.node("Relu", graph.node("Concat", first, second, axis=1))
    rows = graph.node("Relu", graph.dense(rows, taps[2][64:], biases[2]))
    return graph.node("Relu", graph.dense(rows, taps[3][64:128], biases[3]))


def _scored(graph: Graph, rows: str, weights: Weights) -> None:
    streams = graph.node("Gather", graph.node("Shape", "hidden"), graph.constant([1]), axis=0)
    shape = graph.node("Concat", graph.constant([-1]), streams, graph.constant([WIDTH]), axis=0)
    memory = [_gates(weights[f"model.decoder.rnn.{name}"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    constants = [graph.weights(memory[0][None]), graph.weights(memory[1][None])]
    constants.append(graph.weights(np.concatenate(memory[2:])[None]))
    moments = graph.node(
        "LSTM", graph.node("Reshape", rows, shape), *constants, "", "hidden", "cell",
        outputs=("moments", "hidden_after", "cell_after"), hidden_size=WIDTH,
    )  # fmt: skip
    rows = graph.reshaped(graph.node("Relu", moments), -1, WIDTH)
    last = weights["model.decoder.decoder.2.weight"][:, :, 0].T
    graph.node("Sigmoid", graph.dense(rows, last, weights["model.decoder.decoder.2.bias"]), outputs=("scores",))


def _taps(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[out, in, 3] as [3 * in, out]."""
    return weights.transpose(2, 1, 0).reshape(-1, weights.shape[0])


def _gates(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """PyTorch's order of an LSTM's gates as ONNX's."""
    into, forget, cell, out = np.split(weights, 4)
    return np.concatenate((into, out, forget, cell))


def check(original: Path, made: onnx.ModelProto) -> float:
    """The largest difference between the scores of both for some speech and some silence."""
    speech = read_wav(SPEECH.read_bytes()).pcm
    sound = np.concatenate((speech, np.zeros(WINDOW * 20, np.float32), speech))
    windows = sound[: sound.size // WINDOW * WINDOW].reshape(-1, WINDOW)
    contexts = np.concatenate((np.zeros((1, CONTEXT), np.float32), windows[:-1, -CONTEXT:]))
    rows = np.concatenate((contexts, windows), axis=1)
    theirs, state = [], np.zeros((2, 1, WIDTH), np.float32)
    session = onnxruntime.InferenceSession(original)
    for row in rows:
        score, state = session.run(None, {"input": row[None], "state": state, "sr": np.array(16_000)})
        theirs.append(score[0, 0])
    nothing = np.zeros((1, 1, WIDTH), np.float32)
    ours = onnxruntime.InferenceSession(made.SerializeToString()).run(
        ["scores"], {"sound": rows, "hidden": nothing, "cell": nothing}
    )[0]
    return float(np.abs(ours[:, 0] - np.array(theirs)).max())


def main() -> None:
    original = Path(sys.argv[1])
    loaded = onnx.load(original)
    made = built({constant.name: numpy_helper.to_array(constant) for constant in loaded.graph.initializer})
    difference = check(original, made)
    if difference > LARGEST_DIFFERENCE:
        sys.exit(f"the scores differ by up to {difference}: nothing was written")
    data = made.SerializeToString(deterministic=True)
    (VAD / "silero_vad.onnx").write_bytes(data)
    about = msgspec.json.decode((VAD / "silero_vad.json").read_bytes())
    about["original_sha256"] = hashlib.sha256(original.read_bytes()).hexdigest()
    about["sha256"] = hashlib.sha256(data).hexdigest()
    (VAD / "silero_vad.json").write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    print(f"written: {len(data)} bytes; the scores differ by at most {difference:.1e}")


if __name__ == "__main__":
    main()
