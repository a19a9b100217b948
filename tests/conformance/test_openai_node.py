"""openai for Node, unchanged: OpenAIRealtimeWS, which accepts no connection without TLS."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import House, check_spoken, check_whole, node, spoken, whole

pytestmark = [pytest.mark.real, pytest.mark.slow]
COMMAND = node("talk_openai.mjs")


def test_a_whole_conversation_over_tls(sounds: Path, tmp_path: Path) -> None:
    performance = whole(COMMAND, sounds, tmp_path, tls=True)
    check_whole(performance)


def test_a_spoken_question_to_the_embedded_engines_over_tls(sounds: Path, embedded_tls: House) -> None:
    check_spoken(spoken(COMMAND, sounds, embedded_tls))
