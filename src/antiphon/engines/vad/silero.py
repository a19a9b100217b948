"""Silero's voice detector: one ONNX graph that scores windows of many streams in one run.

It does not know thresholds, turns or streams: scores go out for windows and memories that came in. The weights lie
beside this file with their licence, and are checked against their sum before they are used; they are Silero's, in a
graph of our own that needs a quarter of the time (`bench/silero_graph.py` makes it). Its sound comes in mirrored: the
spectrum of a frame is of sums and differences of its two halves, which takes half the work and half the weights.
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
SAMPLE_BYTES = 4
WINDOW = 512  # samples
CONTEXT = 64  # samples of the window before, which are wanted in front of each window
PADDED = CONTEXT + WINDOW + CONTEXT  # behind it comes its own end once more, backwards
FRAMES, FRAME, HOP = 4, 256, 128  # of the spectrum, in a padded window; a frame's first sample counts for nothing
WIDTH = 128  # floats in each of the two halves of the recurrent state
ROWS = 64  # windows for which there is room from the start: the largest batch of a hub


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


class Room:
    """Memory for calls of up to so many windows, all of which use the same: the graph reads and writes it in place."""

    def __init__(self, rows: int) -> None:
        self.sound = np.empty((rows, PADDED), np.float32)
        self.sums = np.empty((rows, FRAMES, HOP), np.float32)
        self.differences = np.empty((rows, FRAMES, HOP), np.float32)
        self.states = np.empty((4, rows, WIDTH), np.float32)
        """Hidden and cell, before and after."""
        self.scores = np.empty((rows, 1), np.float32)


class Call:
    """All that calls of one shape have in common: where in the room their numbers lie, bound to the graph once."""

    def __init__(self, session: onnxruntime.InferenceSession, room: Room, rows: int, streams: int) -> None:
        self._session = session
        self._streams = streams
        self._sound = room.sound[:rows]
        row, frame, sample = PADDED * SAMPLE_BYTES, HOP * SAMPLE_BYTES, SAMPLE_BYTES
        shape = (rows, FRAMES, HOP)
        self._rising = np.ndarray(shape, np.float32, room.sound, sample, (row, frame, sample))
        self._falling = np.ndarray(shape, np.float32, room.sound, (FRAME - 1) * sample, (row, frame, -sample))
        self._sums, self._differences = room.sums[:rows], room.differences[:rows]
        self._scores = room.scores[:rows]
        self._states = room.states[:, :streams]
        self._shape = np.array((rows // streams, streams, WIDTH))
        self._binding = session.io_binding()
        hidden, cell, hidden_after, cell_after = (state[None] for state in self._states)
        for name, values in (
            ("sums", self._sums.reshape(-1, HOP)),
            ("differences", self._differences.reshape(-1, HOP)),
            ("hidden", hidden),
            ("cell", cell),
            ("shape", self._shape),
        ):
            self._binding.bind_input(name, "cpu", 0, values.dtype.type, values.shape, values.ctypes.data)
        for name, values in (("scores", self._scores), ("hidden_after", hidden_after), ("cell_after", cell_after)):
            self._binding.bind_output(name, "cpu", 0, values.dtype.type, values.shape, values.ctypes.data)

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Vad.score`; windows and streams are as many as this call is for."""
        sound, streams = self._sound, self._streams
        sound[:streams, :CONTEXT] = memories[:, :CONTEXT]
        sound[streams:, :CONTEXT] = windows[:-streams, -CONTEXT:]
        sound[:, CONTEXT:-CONTEXT] = windows
        sound[:, -CONTEXT:] = windows[:, -2 : -2 - CONTEXT : -1]
        np.add(self._rising, self._falling, self._sums)
        np.subtract(self._rising, self._falling, self._differences)
        hidden, cell, hidden_after, cell_after = self._states
        hidden[:] = memories[:, CONTEXT:-WIDTH]
        cell[:] = memories[:, -WIDTH:]
        self._session.run_with_iobinding(self._binding)
        after = np.concatenate((windows[-streams:, -CONTEXT:], hidden_after, cell_after), axis=1)
        return self._scores[:, 0].copy(), after


class SileroVad:
    """`Vad` with Silero's weights. One serves every stream of the process; `score` is for one thread at a
    time.

    Sixteen windows or more cost about 12 µs each on a modern core, of one stream or of sixteen; one alone costs
    about 40. The result for a stream does not depend on who else is in the batch, nor on how many of its windows
    are, to the bit.
    """

    window = WINDOW  # at 16 kHz: 32 ms; the graph takes no other
    memory = CONTEXT + 2 * WIDTH
    most_at_once = 8
    most_in_place = 8

    def __init__(self, folder: Path = HERE) -> None:
        """Load the weights and run them once, in about 30 ms. `ConfigError` if they are missing or not what
        they were.
        """
        self._session = _session(_checked_weights(folder))
        self._room = Room(ROWS)
        self._calls: dict[tuple[int, int], Call] = {}
        """By windows and streams; the batches of a hub have at most some 170 shapes."""
        self.score(np.zeros((1, self.window), np.float32), np.zeros((1, self.memory), np.float32))

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Vad.score`. The interpreter is free while the graph runs."""
        rows, streams = len(windows), len(memories)
        call = self._calls.get((rows, streams))
        if call is None:
            call = self._call(rows, streams)
        return call.score(windows, memories)

    def _call(self, rows: int, streams: int) -> Call:
        if rows > len(self._room.sound):
            self._room = Room(rows)
            self._calls.clear()
        call = self._calls[rows, streams] = Call(self._session, self._room, rows, streams)
        return call


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
