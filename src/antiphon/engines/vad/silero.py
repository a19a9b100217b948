"""Silero's voice detector: one ONNX graph that scores windows of many streams in one run.

It does not know thresholds, turns or streams: scores go out for windows and memories that came in. The weights lie
beside this file with their licence, and are checked against their sum before they are used; they are Silero's, in a
graph of our own that needs a quarter of the time (`bench/silero_graph.py` makes it).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.errors import ConfigError

HERE = Path(__file__).parent
CONTEXT = 64  # samples of the window before, which the graph wants in front of each window
WIDTH = 128  # floats in each of the two layers of the recurrent state


class Weights(Struct, frozen=True):
    """Where the weights came from, and how to know them again."""

    name: str
    version: str
    file: str
    original: str
    original_sha256: str
    source: str
    licence: str
    licence_file: str
    sha256: str


class SileroVad:
    """`Vad` with Silero's weights. One serves every stream of the process; `score` is for one thread at a
    time.

    Sixteen windows or more cost about 12 µs each on a modern core, of one stream or of sixteen; one alone costs
    about 60. The result for a stream does not depend on who else is in the batch, nor on how many of its windows
    are, to the bit.
    """

    window = 512  # samples at 16 kHz: 32 ms; the graph takes no other
    memory = CONTEXT + 2 * WIDTH
    most_at_once = 8
    most_in_place = 4

    def __init__(self, folder: Path = HERE) -> None:
        """Load the weights and run them once, in about 30 ms. `ConfigError` if they are missing or not what
        they were.
        """
        self._session = _session(_checked_weights(folder))
        self.score(np.zeros((1, self.window), np.float32), np.zeros((1, self.memory), np.float32))

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Vad.score`. The interpreter is free while the graph runs."""
        streams = memories.shape[0]
        contexts = np.concatenate((memories[:, :CONTEXT], windows[:-streams, -CONTEXT:]))
        states = memories[:, CONTEXT:].reshape(streams, 2, WIDTH).transpose(1, 0, 2)
        feed = {
            "sound": np.concatenate((contexts, windows), axis=1),
            "hidden": np.ascontiguousarray(states[:1]),
            "cell": np.ascontiguousarray(states[1:]),
        }
        scores, hidden, cell = self._session.run(None, feed)
        after = np.concatenate((windows[-streams:, -CONTEXT:], hidden[0], cell[0]), axis=1)
        return scores[:, 0], after


def _checked_weights(folder: Path) -> bytes:
    hint = 'Install antiphon again: its wheel carries the file. Or set engines.vad = "energy".'
    try:
        known = msgspec.json.decode((folder / "silero_vad.json").read_bytes(), type=Weights)
        weights = (folder / known.file).read_bytes()
    except (OSError, msgspec.MsgspecError) as failure:
        raise ConfigError(f"the voice detector's weights cannot be read: {failure}", hint) from failure
    if hashlib.sha256(weights).hexdigest() != known.sha256:
        raise ConfigError(f"{folder / known.file} is not the file of {known.name} {known.version}", hint)
    return weights


def _session(weights: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One thread: batches are small, and a second one would spin on the core that serves the sockets.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
