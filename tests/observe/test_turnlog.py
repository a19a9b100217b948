"""A turn is one line, a session another, and neither has a word of what was said."""

from __future__ import annotations

import pytest

from antiphon.observe.budget import VOICE_TO_VOICE
from antiphon.observe.timeline import ToolRun, Turn
from antiphon.observe.turnlog import line, summary


def turn(wait_s: float = 0.7, **more: object) -> Turn:
    return Turn(
        "item_1",
        10.0,
        10.5,
        10.502,
        10.6,
        10.65,
        10.66,
        10.0 + wait_s,
        status="completed",
        heard="my secret",
        said="your secret",
        **more,  # type: ignore[arg-type]
    )


def test_a_turn_says_how_long_the_person_waited_and_for_what() -> None:
    assert line(turn(was_prepared=True, tools=[ToolRun("call_1", "clock", 10.61)])) == (
        "700 ms voice to voice (good), silence 500 commit 2 words 98 token 50 clause 10 audio 40, prepared, 1 tools, "
        "completed"
    )


def test_a_turn_says_how_much_of_its_question_the_models_server_had_kept() -> None:
    assert "75% of 2048 tokens cached" in line(turn(input_tokens=2048, cached_tokens=1536))
    assert "cached" not in line(turn(input_tokens=2048))


def test_a_turn_that_was_cut_says_why() -> None:
    cut = Turn("", began=1.0, status="cancelled", reason="turn_detected")
    assert line(cut) == "not spoken, cancelled: turn_detected"


def test_no_word_is_logged() -> None:
    assert "secret" not in line(turn()) + summary([turn()])


def test_a_session_has_percentiles() -> None:
    text = summary([turn(wait) for wait in (0.7, 0.8, 0.9)] + [Turn("")])
    assert text.startswith("3 turns from voice to voice, p50 800, p95 890, p99 898 ms (fair at p95)")
    assert summary([Turn("")]) == "1 turns, none of them from voice to voice"


@pytest.mark.parametrize(
    ("ms", "word"), [(799, "good"), (800, "fair"), (1200, "slow"), (2000, "slow"), (2001, "critical")]
)
def test_verdicts(ms: float, word: str) -> None:
    assert VOICE_TO_VOICE.verdict(ms) == word
