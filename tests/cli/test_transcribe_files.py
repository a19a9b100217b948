"""`antiphon transcribe` on files, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from recorder import recorded

from antiphon.cli.transcribe import command


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    time = np.arange(48_000) / 48_000
    tone = np.round(9000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)
    path = tmp_path / "speech.ogg"
    path.write_bytes(recorded(np.concatenate([np.zeros(48_000, np.int16), tone, np.zeros(48_000, np.int16)]), "ogg"))
    config = tmp_path / "antiphon.toml"
    config.write_text('[stt]\nengine = "fake"\n[vad]\nengine = "energy"\n')
    return path


def transcribed(speech: Path, *flags: str) -> str:
    config = str(speech.parent / "antiphon.toml")
    result = CliRunner().invoke(command, ["--config", config, *flags, str(speech)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.real
def test_every_format(speech: Path) -> None:
    assert transcribed(speech) == "hello\n"
    assert "--> 00:00:02," in transcribed(speech, "-f", "srt")
    assert transcribed(speech, "-f", "vtt").startswith("WEBVTT")
    (segment,) = json.loads(transcribed(speech, "-f", "json"))["segments"]
    assert abs(segment["start"] - 0.7) < 0.1


@pytest.mark.real
def test_a_folder_gets_a_file_for_each(speech: Path) -> None:
    folder = speech.parent / "texts"
    folder.mkdir()
    assert transcribed(speech, "-f", "srt", "-o", str(folder)) == ""
    assert (folder / "speech.srt").read_text().startswith("1\n")


@pytest.mark.real
def test_what_is_no_sound(speech: Path) -> None:
    from antiphon.errors import PeerError

    speech.write_text("not at all")
    with pytest.raises(PeerError, match="cannot be read"):
        transcribed(speech)


def test_several_texts_do_not_go_into_one_file(speech: Path) -> None:
    result = CliRunner().invoke(command, [str(speech), str(speech), "-o", str(speech.parent / "one.txt")])
    assert result.exit_code == 2
    assert "give a folder" in result.output
