"""What was said and heard is in the file, also when the process dies, and nobody waits for it."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.errors import ConfigError
from antiphon.store import recording
from antiphon.store.recording import Recorder

pytestmark = pytest.mark.real
FRAME = WIRE_RATE // 50


def tone(samples: int, frequency: float, start: int = 0) -> Pcm16:
    return np.round(9000 * np.sin(2 * np.pi * frequency * (start + np.arange(samples)) / WIRE_RATE)).astype(np.int16)


def heard(path: Path) -> NDArray[np.float32]:
    """Both channels at 48 kHz, shape (2, n)."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=1)


def loudness(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


def record(recorder: Recorder, name: str, seconds: int) -> recording.Recording:
    """A person who speaks in even seconds, and answers in odd ones."""
    made = recorder.begin(name, 100.0)
    for number in range(seconds * 50):
        now = 100.0 + (number + 1) * 0.02
        second = number // 50
        made.heard(tone(FRAME, 300, number * FRAME) if second % 2 == 0 else np.zeros(FRAME, np.int16), now)
        if number % 50 == 0 and second % 2:
            made.said(tone(WIRE_RATE, 900), now)
    return made


def test_both_sides_are_in_the_file_at_their_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "sound")
    record(recorder, "one", 6).close(106.0)
    recorder.close()
    path = recorder.path("one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    left, right = heard(path)
    assert left.size / 48_000 == pytest.approx(6.0, abs=0.1)
    for second in range(6):
        middle = slice(second * 48_000 + 12_000, second * 48_000 + 36_000)
        loud, quiet = (left, right) if second % 2 == 0 else (right, left)
        assert loudness(loud[middle]) > 0.1 > 0.01 > loudness(quiet[middle])
    assert not recorder.waiting_bytes


def test_what_a_killed_process_leaves_can_be_played(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    record(recorder, "one", 10)
    limit = time.monotonic() + 20
    while recorder.waiting_bytes and time.monotonic() < limit:
        time.sleep(0.01)
    copy = tmp_path / "copy.ogg"
    copy.write_bytes(recorder.path("one").read_bytes())  # as it is, without an end
    assert heard(copy).shape[1] / 48_000 > 6.5
    recorder.close()


def test_what_does_not_fit_becomes_silence_of_the_same_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST_WAITING_BYTES", 0)
    recorder = Recorder(tmp_path)
    record(recorder, "one", 4).close(104.0)
    assert recorder.lost["one"] >= 3 * WIRE_RATE
    recorder.close()
    both = heard(recorder.path("one"))
    assert both.shape[1] / 48_000 == pytest.approx(4.0, abs=0.1)
    assert loudness(both) < 0.01


def test_a_disk_that_fails_ends_that_recording_and_no_other(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.path("bad").mkdir()
    record(recorder, "bad", 3).close(103.0)
    record(recorder, "good", 3).close(103.0)
    recorder.close()
    assert heard(recorder.path("good")).shape[1] > 2.5 * 48_000


def test_old_recordings_are_forgotten(tmp_path: Path) -> None:
    old, new = tmp_path / "old.ogg", tmp_path / "new.ogg"
    for path in (old, new):
        path.write_bytes(b"OggS")
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    Recorder(tmp_path, keep_days=2).close()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be recorded"):
        Recorder(tmp_path / "file" / "folder")
