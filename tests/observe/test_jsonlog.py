"""The log for programs: figures as figures, errors with their place, and never a word of what was said."""

from __future__ import annotations

import json
import logging
from typing import Any

from antiphon.observe import turnlog
from antiphon.observe.jsonlog import JsonLines, told
from antiphon.observe.timeline import Turn


def logged(*always: tuple[str, object], **how: Any) -> dict[str, Any]:
    """What becomes of one line."""
    record = logging.LogRecord("antiphon.sessions", logging.INFO, "", 0, "session %s: %s", ("s1", "done"), None)
    record.__dict__.update(how)
    line = JsonLines(dict(always)).format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_plain_line() -> None:
    found = logged(("worker", 1))
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "info", "logger": "antiphon.sessions", "worker": 1, "message": "session s1: done"}


def test_an_error_has_its_kind_and_place() -> None:
    try:
        raise ValueError("over\ntwo lines")
    except ValueError as error:
        found = logged(exc_info=(ValueError, error, error.__traceback__))
    assert found["error"] == "ValueError"
    assert "test_jsonlog.py" in found["traceback"]


def test_a_turn_is_told_in_figures_and_without_words() -> None:
    turn = Turn("item_1", 1.0, 1.5, 1.501, 1.55, 1.65, 1.66, 1.712, "resp_1", 1.501, 4.0, "completed")
    turn.heard, turn.said = "my secret", "kept safe"
    found = logged(**told("turn", session_id="s1", **turnlog.figures(turn)))
    assert found["event"] == "turn"
    assert found["session_id"] == "s1"
    assert found["voice_to_voice_ms"] == 712.0
    assert found["stages_ms"]["silence"] == 500.0
    assert sum(found["stages_ms"].values()) == 712.0
    assert "secret" not in str(found)
    assert "safe" not in str(found)


def test_a_turn_that_nobody_spoke_has_no_length() -> None:
    assert turnlog.figures(Turn(""))["voice_to_voice_ms"] is None


def test_a_session_is_told_by_its_percentiles() -> None:
    turns = [Turn("a", 1.0, first_audio=1.0 + wait) for wait in (0.5, 0.6, 0.7)] + [Turn("")]
    found = turnlog.summary_figures(turns)
    assert found["turns"] == 4
    assert found["spoken_turns"] == 3
    assert found["p50_ms"] == 600.0
    assert turnlog.summary_figures([]) == {"turns": 0, "spoken_turns": 0, "prepared": 0}
