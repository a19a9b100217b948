"""Pipecat, unchanged: its OpenAIRealtimeLLMService with a function that it runs, and its OpenAIRealtimeSTTService."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import LINES, House, check_spoken, check_whole, python, spoken, whole, with_turns_of_its_own

pytestmark = [pytest.mark.real, pytest.mark.slow]
TALKING = python("pipecat", "talk_pipecat.py")
WRITING = python("pipecat", "write_pipecat.py")


def test_a_whole_conversation(sounds: Path, tmp_path: Path) -> None:
    performance = whole(TALKING, sounds, tmp_path)
    check_whole(performance, stops=False)


def test_a_whole_conversation_with_turns_of_its_own(sounds: Path, tmp_path: Path) -> None:
    performance = with_turns_of_its_own(TALKING, sounds, tmp_path)
    check_whole(performance, cancelled_by="client_cancelled", stops=False)
    assert performance.told("speech_started") == []


def test_a_spoken_question_to_the_embedded_engines(sounds: Path, embedded: House) -> None:
    check_spoken(spoken(TALKING, sounds, embedded))


def test_only_writing_down_what_is_said(sounds: Path, tmp_path: Path) -> None:
    performance = whole(WRITING, sounds, tmp_path, partials="off")
    assert [note["text"] for note in performance.shown("heard")] == [LINES["weather"], LINES["story"]]
    assert len(performance.told("speech_stopped")) == 1, "the server's detector ends the first turn"
    assert len(performance.asked("commit_audio")) == 1, "Pipecat's own ends the second one"
    assert performance.told("response_began") == []
