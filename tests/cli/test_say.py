"""`antiphon say` plays by what is there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.audio.wav import read_wav
from antiphon.cli import say
from antiphon.config import Config, Voice
from antiphon.engines import registry
from antiphon.engines.fake import Fail, FakeTts
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


def test_a_voice_that_fails_leaves_it_to_those_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = FakeTts(script=[Fail("the voice is broken")])
    monkeypatch.setitem(registry.FACTORIES["tts"], "fake", lambda settings, workshop: broken)
    monkeypatch.setitem(registry.FACTORIES["tts"], "espeak", lambda settings, workshop: FakeTts())
    config = Config(tts=Voice(engine="fake", fallbacks=(Voice(engine="espeak"),)))
    sound = read_wav(asyncio.run(say._speak(config, "Hello there.", "marin", 1.0)))
    assert sound.pcm.size == round(len("Hello there.") / 15 * 24_000)
