"""Writes a recorded scenario anew with what the core says now, for a change that was meant.

    python tests/scenarios/retell.py tests/scenarios/demo_redacted.jsonl

Look at what `git diff` says afterwards: every change of it has to be wanted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from antiphon.session import trace
from antiphon.session.ids import Ids
from antiphon.session.session import Session


def retold(lines: list[bytes]) -> list[bytes]:
    """The same header and inputs, with the outputs of today."""
    header, *steps = trace.read(lines)
    assert isinstance(header, trace.Header)
    session = Session(header.config, Ids(header.seed))
    told = [msgspec.json.encode(header) + b"\n"]
    for step in steps:
        assert isinstance(step, trace.Step)
        told.append(trace.step_line(step.input, session.handle(step.input, step.at), step.at, redacted=header.redacted))
    return told


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_bytes(b"".join(retold(path.read_bytes().splitlines(keepends=True))))


if __name__ == "__main__":
    main()
