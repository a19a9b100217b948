"""@openai/agents-realtime in Node, unchanged: RealtimeSession over WebSocket, with a function that it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import House, check_spoken, check_whole, node, spoken, whole

pytestmark = [pytest.mark.real, pytest.mark.slow]
COMMAND = node("talk_agents.mjs")
ROLES = ["user", "assistant", "user", "function_call", "assistant", *["user", "assistant"] * 4]


def test_a_whole_conversation(sounds: Path, tmp_path: Path) -> None:
    performance = whole(COMMAND, sounds, tmp_path)
    check_whole(performance)
    assert performance.shown("history")[-1]["roles"] == ROLES


def test_a_spoken_question_to_the_embedded_engines(sounds: Path, embedded: House) -> None:
    check_spoken(spoken(COMMAND, sounds, embedded))
