"""Makes the voice detector's graph of the one that its owner distributes: the same weights, a quarter of the work.

    python bench/silero_graph.py silero_vad_16k_op15.onnx

The original scores one window of each stream and spends most of its time beside the arithmetic: its convolutions are
of four columns each, so that no matrix product is large. Here the rows of all windows are products of matrices, and
the recurrent part takes any number of windows of each stream in their order. A frame's cosines are the same forwards
and backwards and its sines the opposite, so that the products are with sums and differences of its halves. The result
is written beside `engines/vad/silero.py`, after both have been given the same sound.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from antiphon.audio.wav import read_wav
from antiphon.engines.vad.silero import CONTEXT, FRAMES, HERE, HOP, WIDTH, WINDOW, SileroVad

SPEECH = Path(__file__).parents[1] / "tests" / "data" / "hello.wav"
FRAME = 2 * HOP
BANDS = HOP + 1
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

    def strips(self, name: str, width: int, *strips: tuple[int, int, int]) -> str:
        """Of each row's four frames of this width three in a row, as often as wanted, as rows of their own. They are
        counted from one; number zero is all zeros."""
        padded = self.node("Pad", self.reshaped(name, -1, FRAMES * width), self.constant([0, width, 0, 0]))
        frames = self.reshaped(padded, -1, FRAMES + 1, width)
        return self.reshaped(self.node("Gather", frames, self.constant(strips), axis=1), -1, 3 * width)

    def dense(self, name: str, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        return self.node("Gemm", name, self.weights(weights), self.weights(bias))


def built(weights: Weights) -> onnx.ModelProto:
    """`sums` and `differences` [T * B * 4, 128] of the mirrored halves of each window's frames, with the windows of one
    moment side by side, the two recurrent states [1, B, 128], and `shape`, which is T, B and 128, to `scores`
    [T * B, 1] and the states after."""
    graph = Graph()
    rows = _spectrum(graph, weights["model.stft.forward_basis_buffer"][:, 0])
    rows = _encoded(graph, rows, weights)
    _scored(graph, rows, weights)
    half: list[str | int | None] = ["frames", HOP]
    state: list[str | int | None] = [1, "streams", WIDTH]
    inputs = {"sums": half, "differences": half, "hidden": state, "cell": state}
    outputs: dict[str, list[str | int | None]] = {"scores": ["rows", 1], "hidden_after": state, "cell_after": state}
    made = helper.make_graph(
        graph.nodes,
        "silero_vad",
        [
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [3]),
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _spectrum(graph: Graph, basis: NDArray[np.float32]) -> str:
    """[T * B * 4, 129]: the magnitudes of each frame."""
    halves = basis[:, 1 : HOP + 1].copy()
    halves[:, -1] /= 2  # the middle of a frame is its own mirror image, and comes added to itself
    cosines = graph.node("MatMul", "sums", graph.weights(halves[:BANDS].T))
    sines = graph.node("MatMul", "differences", graph.weights(halves[BANDS:].T))
    powers = [graph.node("Mul", part, part) for part in (cosines, sines)]
    return graph.node("Sqrt", graph.node("Add", *powers))


def _encoded(graph: Graph, rows: str, weights: Weights) -> str:
    """[T * B, 128]: four convolutions of three taps, as products; taps that only meet padding are left out."""
    taps = [_taps(weights[f"model.encoder.{layer}.reparam_conv.weight"]) for layer in range(4)]
    biases = [weights[f"model.encoder.{layer}.reparam_conv.bias"] for layer in range(4)]
    strips = graph.strips(rows, BANDS, (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 0))
    rows = graph.node("Relu", graph.dense(strips, taps[0], biases[0]))
    # Every second frame from here on: the last layers have one.
    strips = graph.strips(rows, 128, (0, 1, 2), (2, 3, 4))
    rows = graph.node("Relu", graph.dense(strips, taps[1], biases[1]))
    rows = graph.reshaped(rows, -1, 2 * 64)
    rows = graph.node("Relu", graph.dense(rows, taps[2][64:], biases[2]))
    return graph.node("Relu", graph.dense(rows, taps[3][64:128], biases[3]))


def _scored(graph: Graph, rows: str, weights: Weights) -> None:
    memory = [_gates(weights[f"model.decoder.rnn.{name}"]) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    constants = [graph.weights(memory[0][None]), graph.weights(memory[1][None])]
    constants.append(graph.weights(np.concatenate(memory[2:])[None]))
    moments = graph.node(
        "LSTM", graph.node("Reshape", rows, "shape"), *constants, "", "hidden", "cell",
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


def check(original: Path, folder: Path) -> float:
    """The largest difference between the original's scores for some speech and some silence and those of the detector
    with the graph in this folder."""
    speech = read_wav(SPEECH.read_bytes()).pcm
    sound = np.concatenate((speech, np.zeros(WINDOW * 20, np.float32), speech))
    windows = sound[: sound.size // WINDOW * WINDOW].reshape(-1, WINDOW)
    contexts = np.concatenate((np.zeros((1, CONTEXT), np.float32), windows[:-1, -CONTEXT:]))
    theirs, state = [], np.zeros((2, 1, WIDTH), np.float32)
    session = onnxruntime.InferenceSession(original)
    for row in np.concatenate((contexts, windows), axis=1):
        score, state = session.run(None, {"input": row[None], "state": state, "sr": np.array(16_000)})
        theirs.append(score[0, 0])
    ours, _ = SileroVad(folder).score(windows, np.zeros((1, SileroVad.memory), np.float32))
    return float(np.abs(ours - np.array(theirs)).max())


def write(made: bytes, original: bytes, folder: Path) -> None:
    about = msgspec.json.decode((HERE / "silero_vad.json").read_bytes())
    about["original_sha256"] = hashlib.sha256(original).hexdigest()
    about["sha256"] = hashlib.sha256(made).hexdigest()
    (folder / "silero_vad.onnx").write_bytes(made)
    (folder / "silero_vad.json").write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")


def main() -> None:
    original = Path(sys.argv[1])
    loaded = onnx.load(original)
    made = built({constant.name: numpy_helper.to_array(constant) for constant in loaded.graph.initializer})
    data = made.SerializeToString(deterministic=True)
    with tempfile.TemporaryDirectory() as folder:
        write(data, original.read_bytes(), Path(folder))
        difference = check(original, Path(folder))
    if difference > LARGEST_DIFFERENCE:
        sys.exit(f"the scores differ by up to {difference}: nothing was written")
    write(data, original.read_bytes(), HERE)
    print(f"written: {len(data)} bytes; the scores differ by at most {difference:.1e}")


if __name__ == "__main__":
    main()
