"""`antiphon replay`: the verdict, what was found, and the steps to read."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from antiphon.cli.replay import command
from antiphon.session import inputs, trace
from antiphon.session.ids import Ids
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig


def written(folder: Path, *, seed: int = 1) -> Path:
    """The trace of a session that greets a connection and says good-bye, recorded under the seed 1."""
    session = Session(SessionConfig(), Ids(1))
    lines = [trace.header_line(seed, session.config, redacted=False)]
    for now, item in ((1.0, inputs.Attach("browser")), (2.5, inputs.Finish("enough"))):
        lines.append(trace.step_line(item, session.handle(item, now), now, redacted=False))
    path = folder / "trace.jsonl"
    path.write_bytes(b"".join([*lines, trace.finding_line("a word was lost")]))
    return path


def test_it_says_whether_it_goes_the_same_way_and_what_was_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(written(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "found: a word was lost" in result.output
    assert "2 steps, the same" in result.output


def test_the_steps_can_be_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--steps", str(written(tmp_path))])
    lines = [line.split() for line in result.output.splitlines()]
    assert ["2.500", "s", "finish", "reason=enough"] in lines
    assert ["->", "close", "reason=enough"] in lines


def test_it_ends_with_a_status_where_it_differs(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(written(tmp_path, seed=2))])
    assert result.exit_code == 1
    assert "differs at line 2" in result.output
