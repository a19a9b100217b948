"""Writes a session's trace to a file of its own, line by line.

Every line reaches the operating system before the next step, so that a crash of the process loses nothing that
happened before it. It is for finding out what went wrong: it costs a write for each step, and is off unless asked for.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from antiphon.audio.units import Seconds
from antiphon.errors import ConfigError
from antiphon.session.inputs import Input
from antiphon.session.outputs import Output
from antiphon.session.settings import SessionConfig
from antiphon.session.trace import header_line, step_line


class TraceFile:
    """One trace being written; `record` takes the session's steps."""

    def __init__(self, path: Path, seed: int, config: SessionConfig, started: datetime, *, redacted: bool) -> None:
        """Raises `ConfigError` if the file cannot be made."""
        self.path = path
        self._redacted = redacted
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise ConfigError(
                f"cannot write the trace {path}: {error.strerror}", "Give --trace a folder that can be written."
            ) from None
        self._file.write(header_line(seed, config, redacted=redacted, started=started.isoformat()))

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        self._file.write(step_line(item, out, now, redacted=self._redacted))

    def close(self) -> None:
        self._file.close()
