"""Where a verb writes to is looked at before it works."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from antiphon.cli.options import Destination


@click.command()
@click.option("-o", "output", type=Destination())
def write(output: Path) -> None:
    click.echo(f"work for {output}")


def given(path: Path | str) -> Result:
    return CliRunner().invoke(write, ["-o", str(path)])


def test_a_file_that_is_not_there_yet_or_standard_output(tmp_path: Path) -> None:
    for path in (tmp_path / "new.wav", "-"):
        assert given(path).output == f"work for {path}\n"


@pytest.mark.parametrize(("name", "reason"), [("missing/new.wav", "make it first"), (".", "is a directory")])
def test_what_cannot_be_written_costs_no_work(tmp_path: Path, name: str, reason: str) -> None:
    result = given(tmp_path / name)
    assert result.exit_code == 2
    assert reason in result.output
    assert "work" not in result.output


def test_a_folder_where_nothing_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, _mode: Path(path) != tmp_path)  # the superuser may always
    assert "Nothing may be written" in given(tmp_path / "new.wav").output
