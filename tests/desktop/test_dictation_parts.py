"""Keys, the history, the control socket, and which way a text goes into a window."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.wav import read_wav
from antiphon.desktop.dictation.cleaning import cleaned
from antiphon.desktop.dictation.control import ask, listening
from antiphon.desktop.dictation.history import History
from antiphon.desktop.dictation.injection import Desktop, ladder, missing, paste_chord
from antiphon.desktop.dictation.modes import Presses
from antiphon.desktop.dictation.preferences import load
from antiphon.engines.fake import FakeLlm
from antiphon.errors import ConfigError, TransportClosed

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_hold_tap_and_lock() -> None:
    key = Presses("hold")
    assert [key.press(0.0), key.press(0.1), key.release(1.0)] == ["start", None, "stop"]
    assert [key.press(2.0), key.release(2.1)] == ["start", "cancel"]
    assert [key.press(2.3), key.release(2.35), key.press(9.0), key.release(9.1)] == ["start", None, "stop", None]
    assert [key.press(20.0), key.release(20.1), key.press(21.0)] == ["start", "cancel", "start"]


def test_toggle() -> None:
    key = Presses("toggle")
    assert [key.press(0.0), key.release(0.1), key.press(5.0), key.release(5.1)] == ["start", None, "stop", None]


def test_a_recording_can_be_read_while_it_is_made_and_after_a_crash(tmp_path: Path) -> None:
    history = History(tmp_path / "kept")
    recording = history.begin(NOW)
    recording.append(np.full(16_000, 0.25, np.float32))
    (path,) = (tmp_path / "kept").glob("*.wav")
    assert read_wav(path.read_bytes()).pcm.size == 16_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = History(tmp_path / "kept")  # as after a crash: nobody closed it
    assert again.recovered == 1
    entry = again.entry(recording.entry_id)
    assert (entry.outcome, entry.seconds) == ("recovered", 1.0)
    assert again.sound(entry)[0] == pytest.approx(0.25)
    recording.close()
    history.close()
    again.close()


def test_texts_are_found_kept_and_forgotten(tmp_path: Path) -> None:
    history = History(tmp_path)
    for text in ("a letter to Anna", "a bill for the garden", ""):
        recording = history.begin(NOW)
        recording.append(np.zeros(1600, np.float32))
        history.note(recording.entry_id, text=text, outcome="typed", seconds=recording.close())
    assert [entry.text for entry in history.find("gard")] == ["a bill for the garden"]
    assert history.find('"') == []
    last = history.last()
    assert last is not None
    assert last.text == "a bill for the garden"
    history.keep(1)
    assert len(history.find()) == len(list(tmp_path.glob("*.wav"))) == 1
    with pytest.raises(ConfigError, match="there is no dictation 99"):
        history.entry(99)
    history.close()


def test_a_history_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "history.sqlite3")
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(ConfigError, match="newer Antiphon"):
        History(tmp_path)


@pytest.mark.real
def test_the_control_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def act(command: str) -> str:
        return command.upper()

    async def story() -> None:
        async with listening(act, path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await asyncio.to_thread(ask, "toggle", path) == "TOGGLE"
            assert "Did you mean 'toggle'" in await asyncio.to_thread(ask, "togle", path)
            with pytest.raises(ConfigError, match="runs already"):
                async with listening(act, path):
                    pass

    asyncio.run(story())
    with pytest.raises(TransportClosed, match="no dictation runs"):
        ask("status", path)


X11 = Desktop("x11", frozenset({"xdotool", "xclip"}))
WAYLAND = Desktop("wayland", frozenset({"wtype", "wl-copy", "wl-paste"}))


def test_the_ladder() -> None:
    assert ladder(X11, "short") == ("x11-keys", "x11-paste", "xdotool", "copy")
    assert ladder(X11, "two\nlines") == ("x11-paste", "xdotool", "copy")
    assert ladder(WAYLAND, "x" * 4000) == ("wayland-paste", "wtype", "copy")
    assert ladder(Desktop("none", frozenset()), "short") == ("copy",)
    assert missing(Desktop("wayland", frozenset())) == ["wtype", "wl-clipboard"]
    assert [paste_chord(name) for name in ("firefox", "XTerm", "kitty", "")] == [
        "ctrl+v", "shift+Insert", "ctrl+shift+v", "shift+Insert",
    ]  # fmt: skip


def test_preferences(tmp_path: Path) -> None:
    path = tmp_path / "dictate.toml"
    assert load(path).profile("anything").code is False
    path.write_text('fillers = false\n[[profiles]]\nwindow = "code"\ncode = true\n[replacements]\nfoo = "bar"\n')
    found = load(path)
    how = found.writing(found.profile("VSCode"))
    assert (how.code, how.fillers, how.replacements) == (True, False, {"foo": "bar"})
    path.write_text("filers = false\n")
    with pytest.raises(ConfigError, match="filers"):
        load(path)


def test_a_model_cleans_up_or_is_ignored() -> None:
    said = "hello there i am writing to you"

    async def story() -> None:
        assert await cleaned(said, FakeLlm("Hello there, I am writing to you.")) == "Hello there, I am writing to you."
        assert await cleaned(said, FakeLlm("word " * 100)) is None, "it wrote a text of its own"
        assert await cleaned(said, FakeLlm("No.")) is None
        assert await cleaned(said, FakeLlm("Hello.", 5.0), patience_s=0.02) is None, "it was late"

    asyncio.run(story())
