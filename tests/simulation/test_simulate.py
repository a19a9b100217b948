"""The command that tries many seeds says which broke a law, leaves a trace that can be replayed, and can be broken off.

The processes that it works with are real; what it tries is made to fail.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from antiphon.cli.replay import command as replay

pytestmark = [pytest.mark.real, pytest.mark.slow]

TESTS = Path(__file__).parents[1]
FOLDERS = [str(folder) for folder in (TESTS / "simulation", TESTS / "session", TESTS.parent / "bench")]
PATIENCE_S = 120.0  # for a process on a machine that stands still for a while
COMMAND = """\"\"\"The command, with a law that seed 2 breaks, and chunks of two.\"\"\"
import sys

sys.path[:0] = {folders!r}

import laws
import simulate


def seed_two_is_wrong(account):
    if account.seed == 2:
        yield "it was told to break this"


laws.WORLD_LAWS = (seed_two_is_wrong, *laws.WORLD_LAWS)
simulate.CHUNK = 2
simulate.TELLS_S = 0.0

if __name__ == "__main__":
    simulate.main()
"""


def begun(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The command, in a file: its processes may be begun by reading it again."""
    script = folder / "command.py"
    script.write_text(COMMAND.format(folders=FOLDERS))
    return subprocess.Popen(
        [sys.executable, str(script), *options, "--processes", "2", "--folder", str(folder / "traces")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_seed_that_breaks_a_law_is_told_and_can_be_replayed(tmp_path: Path) -> None:
    out, _ = (command := begun(tmp_path, "4", "--first", "1")).communicate(timeout=PATIENCE_S)
    assert command.returncode == 1
    lines = out.splitlines()
    assert [line for line in lines if line.startswith("seed ")] == ["seed 2 breaks 1:"]
    assert "  seed_two_is_wrong: it was told to break this" in lines
    assert lines[-1].count("1 seeds broke a law") == 1
    (trace,) = (tmp_path / "traces").iterdir()
    assert f"  antiphon replay --steps {trace}" in lines
    shown = CliRunner().invoke(replay, ["--steps", str(trace)])
    assert shown.exit_code == 0
    assert "found: seed_two_is_wrong: it was told to break this" in shown.output
    assert "steps, the same" in shown.output


def test_where_all_is_well_nothing_is_left_but_how_much_was_tried(tmp_path: Path) -> None:
    out, _ = (command := begun(tmp_path, "2", "--first", "4", "--core", "3")).communicate(timeout=PATIENCE_S)
    assert command.returncode == 0
    whole, core = out.splitlines()
    assert "(whole)" in whole
    assert core.startswith("3 conversations (core)")
    assert not (tmp_path / "traces").exists()


def test_who_breaks_it_off_is_told_where_to_go_on(tmp_path: Path) -> None:
    command = begun(tmp_path, "2000", "--first", "10")
    assert command.stderr is not None
    assert "2 of 2,000 seeds" in command.stderr.readline()
    os.kill(command.pid, signal.SIGINT)
    out, _ = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 1
    said = re.match(r"broken off: whole goes on with FIRST=(\d+)\n", out)
    assert said is not None
    assert int(said[1]) in range(12, 2010, 2), "whole chunks were tried, and not all"
