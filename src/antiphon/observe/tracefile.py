"""Writes a session's trace to a file of its own, line by line.

Every line reaches the operating system before the next step, so that a crash of the process loses nothing that
happened before it. It is for finding out what went wrong: it costs a write for each step, and is off unless asked for.
"""

from __future__ import annotations

from pathlib import Path

from antiphon.audio.units import Samples, Seconds
from antiphon.errors import ConfigError
from antiphon.hearing.edges import WINDOW
from antiphon.session.inputs import Input
from antiphon.session.outputs import Output
from antiphon.session.trace import scores_line, step_line

SCORES_A_LINE = 31  # of 32 ms each


class TraceFile:
    """One trace being written; `record` takes the session's steps."""

    def __init__(self, path: Path, header: bytes, *, redacted: bool) -> None:
        """`header` is the first line. Raises `ConfigError` if the file cannot be made."""
        self.path = path
        self._redacted = redacted
        self._scores: list[float] = []
        self._scored: Samples = 0
        """Where the last of them ends."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise ConfigError(
                f"cannot write the trace {path}: {error.strerror}", "Give --trace a folder that can be written."
            ) from None
        self._file.write(header)

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        self._file.write(step_line(item, out, now, redacted=self._redacted))

    def score(self, heard: Samples, score: float) -> None:
        """One window's; they are written a second at a time, or when they do not adjoin."""
        if self._scores and heard != self._scored + WINDOW:
            self._write_scores()
        self._scores.append(score)
        self._scored = heard
        if len(self._scores) >= SCORES_A_LINE:
            self._write_scores()

    def _write_scores(self) -> None:
        if self._scores:
            self._file.write(scores_line(self._scored, self._scores))
            self._scores.clear()

    def close(self) -> None:
        self._write_scores()
        self._file.close()
