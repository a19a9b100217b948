"""`antiphon say` plays by what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.cli import say
from antiphon.errors import ConfigError


def player(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.real
def test_a_player_that_cannot_play_leaves_it_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(say, "PLAYERS", (("first",), ("second",)))
    player(tmp_path, "first", "exit 1")
    with pytest.raises(ConfigError, match=r"first could not play it\n  -> Write a file"):
        say._play(b"RIFF")
    player(tmp_path, "second", f"cat > {tmp_path}/played < $1")
    say._play(b"RIFF")
    assert (tmp_path / "played").read_bytes() == b"RIFF"


def test_no_player_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(say, "PLAYERS", ())
    with pytest.raises(ConfigError, match="no program here that plays"):
        say._play(b"")
