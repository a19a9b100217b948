"""smart-turn v3: an open model (BSD-2) that tells from the sound of a turn whether it is over.

It hears the last eight seconds, whatever their language, as Whisper would. Its file is the user's own: nothing is
downloaded. It does not know words, and not how long a pause has lasted; both are judged elsewhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from antiphon.audio.units import HEARING_RATE, Pcm, Seconds
from antiphon.engines.pool import Pool
from antiphon.engines.turn.log_mel import BANDS, HOP, log_mel
from antiphon.errors import ConfigError, EngineError

SPAN = 8 * HEARING_RATE  # samples that it hears; a shorter turn stands at their end
FRAMES = SPAN // HOP
MOST_WAITING = 8  # scores: half a second of work, after which a pause has been judged without
LIMIT_S: Seconds = 5.0
WHERE = (
    "Set turns.model to a file like smart-turn-v3.2-cpu.onnx, from the repository pipecat-ai/smart-turn-v3 on "
    "Hugging Face; or leave it out."
)


class SmartTurn:
    """`TurnModel` on a file of smart-turn v3, v3.1 or v3.2. One serves the process, one turn after another, in a thread
    of its own: a score must not wait for somebody's long recognition.
    """

    def __init__(self, path: Path) -> None:
        """Load the file and score a silence with it. `ConfigError` if it is missing, or is another model."""
        self._session = _loaded(path)
        self._input = str(self._session.get_inputs()[0].name)
        self._pool = Pool(cores=1)
        self._waiting = 0
        _check(self, path)

    async def warm(self) -> None:
        """Nothing is left to do: the model has run."""

    async def score(self, pcm: Pcm) -> float:
        """See `TurnModel.score`. `EngineError` when more wait than could be scored in time."""
        if self._waiting >= MOST_WAITING:
            raise EngineError(
                "too many pauses wait for the turn model",
                "They are judged without it. If this repeats, let fewer sessions in, or leave turns.model out.",
                code="engine_overloaded",
            )
        self._waiting += 1
        try:
            return await self._pool.run(lambda: self.scored(pcm), limit_s=LIMIT_S)
        finally:
            self._waiting -= 1

    def scored(self, pcm: Pcm) -> float:
        """The score, in the thread that asks: tens of milliseconds."""
        features = log_mel(_span(pcm))[None]
        answer = self._session.run(None, {self._input: features})[0]
        return float(np.clip(np.asarray(answer).reshape(-1)[0], 0.0, 1.0))

    async def close(self) -> None:
        """Let its thread end."""
        self._pool.close()


def _span(pcm: Pcm) -> Pcm:
    """The last eight seconds; zeros stand before a shorter turn."""
    last = np.asarray(pcm[-SPAN:], np.float32)
    return np.pad(last, (SPAN - last.size, 0))


def _loaded(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", WHERE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a second one would spin on the core that serves the sockets
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as failure:  # noqa: BLE001 - onnxruntime's own, which are no family
        raise ConfigError(f"{path} is no ONNX model that can be loaded: {_first_line(failure)}", WHERE) from None


def _check(model: SmartTurn, path: Path) -> None:
    """Refuse what takes or gives something else, before anybody speaks."""
    takes = [list(each.shape) for each in model._session.get_inputs()]
    if len(takes) != 1 or takes[0][1:] != [BANDS, FRAMES]:
        raise ConfigError(
            f"{path} is not smart-turn v3: it takes {takes}, and not one input of [1, {BANDS}, {FRAMES}]", WHERE
        )
    try:
        answers = model._session.run(None, {model._input: log_mel(np.zeros(SPAN, np.float32))[None]})
    except Exception as failure:  # noqa: BLE001 - as above
        raise ConfigError(f"{path} is not smart-turn v3: it fails: {_first_line(failure)}", WHERE) from None
    answer = np.asarray(answers[0])
    if answer.size != 1 or not 0 <= float(answer.reshape(-1)[0]) <= 1:
        raise ConfigError(f"{path} is not smart-turn v3: its answer is no probability, but {answer.tolist()}", WHERE)


def _first_line(failure: Exception) -> str:
    return str(failure).partition("\n")[0]
