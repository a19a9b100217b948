"""`antiphon transcribe` on files, as a person calls it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from recorder import recorded

from antiphon.cli import transcribe
from antiphon.cli.transcribe import command

CONFIG = """
[stt]
engine = "fake"
[vad]
engine = "energy"
"""
BROKEN_FIRST = """
[stt]
base_url = "http://127.0.0.1:9/v1"
[[stt.fallbacks]]
engine = "fake"
[vad]
engine = "energy"
"""


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    time = np.arange(48_000) / 48_000
    tone = np.round(9000 * np.sin(2 * np.pi * 300 * time)).astype(np.int16)
    path = tmp_path / "speech.ogg"
    path.write_bytes(recorded(np.concatenate([np.zeros(48_000, np.int16), tone, np.zeros(48_000, np.int16)]), "ogg"))
    return path


def called(*arguments: str | Path, config: str = CONFIG) -> Result:
    place = Path(arguments[0]).with_name("antiphon.toml")
    place.write_text(config)
    return CliRunner().invoke(command, ["--config", str(place), *map(str, arguments)], catch_exceptions=False)


def transcribed(*arguments: str | Path, config: str = CONFIG) -> str:
    result = called(*arguments, config=config)
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
def test_what_is_no_sound_is_named_and_the_others_are_written_to_the_folder(speech: Path) -> None:
    folder = speech.parent / "texts"
    folder.mkdir()
    garbage = speech.with_name("garbage.wav")
    garbage.write_text("not at all")
    last = speech.with_name("last.ogg")
    last.write_bytes(speech.read_bytes())
    result = called(speech, garbage, last, "-f", "srt", "-o", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sorted(path.name for path in folder.iterdir()) == ["last.srt", "speech.srt"]
    assert (folder / "last.srt").read_text().startswith("1\n")
    assert f"antiphon: {garbage}: this sound cannot be read" in result.stderr
    assert "-> Send WebM, Ogg, MP4, WAV, MP3 or FLAC" in result.stderr
    assert "samples" not in result.stderr, "bare samples are not taken"
    assert result.stderr.endswith(f"antiphon: 1 of 3 files failed: {garbage}\n")


@pytest.mark.real
def test_a_server_that_does_not_answer_is_followed_by_the_fallback(speech: Path) -> None:
    assert transcribed(speech, config=BROKEN_FIRST) == "hello\n"


def test_several_texts_do_not_go_into_one_file(speech: Path) -> None:
    result = called(speech, speech, "-o", speech.parent / "one.txt")
    assert result.exit_code == 2
    assert "give a folder" in result.output


def test_texts_of_one_name_are_refused_before_anything_is_written(speech: Path) -> None:
    folder, other = speech.parent / "texts", speech.with_suffix(".mp3")
    folder.mkdir()
    other.write_bytes(speech.read_bytes())
    result = called(speech, other, "-f", "srt", "-o", folder)
    assert result.exit_code == 2
    assert f"the texts of {speech}, {other} would all be written to {folder / 'speech.srt'}" in result.output
    assert not list(folder.iterdir())


def test_a_recording_is_not_written_over_by_its_text(speech: Path) -> None:
    before = speech.read_bytes()
    result = called(speech, "-o", speech)
    assert result.exit_code == 2
    assert "would be written over" in result.output
    assert speech.read_bytes() == before


class Terminal(io.StringIO):
    """A screen that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_the_bar_tells_the_time_of_the_sound_and_how_much_of_it_there_is() -> None:
    screen = Terminal()
    with transcribe._bar("a.webm", screen) as bar:
        transcribe._show(bar, 65.0, 0.25)
        assert screen.getvalue().rstrip().endswith("1:05")
        assert " 25%" in screen.getvalue()
        transcribe._show(bar, 125.0, 0.25)
        assert screen.getvalue().rstrip().endswith("2:05")


def test_the_bar_of_a_pipe_tells_the_time_alone() -> None:
    screen = Terminal()
    with transcribe._bar("pipe", screen) as bar:
        screen.seek(screen.truncate(0))
        transcribe._show(bar, 65.0, None)
        assert screen.getvalue().rstrip().endswith("1:05")
        assert "%" not in screen.getvalue()
