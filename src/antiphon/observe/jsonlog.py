"""The log as lines of JSON, for programs that read it: one object for each line, with figures as figures.

What people say is in no line of the log, whatever its form: who logs sees to that. It does not know what is told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec


def told(event: str, **fields: object) -> Mapping[str, object]:
    """For the `extra` of a log call: what the line is about, and figures that a program would otherwise have to find in
    its words."""
    return {"fields": {"event": event, **fields}}


class JsonLines(logging.Formatter):
    """Each record as an object: `time` (UTC), `level`, `logger`, `message`; `error` and `traceback` if there is one;
    and what `told` has added."""

    def __init__(self, always: Mapping[str, object]) -> None:
        """`always` is in every line."""
        super().__init__()
        self._always = dict(always)

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        line |= self._always | {"message": record.getMessage()} | record.__dict__.get("fields", {})
        if record.exc_info is not None and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()
