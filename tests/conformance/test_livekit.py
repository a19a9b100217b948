"""LiveKit Agents, unchanged: an AgentSession with OpenAI's RealtimeModel and a function that it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import STORY, House, check_spoken, check_whole, python, spoken, whole, with_turns_of_its_own

pytestmark = [pytest.mark.real, pytest.mark.slow]
COMMAND = python("livekit", "talk_livekit.py")


def test_a_whole_conversation(sounds: Path, tmp_path: Path) -> None:
    # It cancels what the server has cancelled already, and knows OpenAI's refusal of that by the words it begins with.
    performance = whole(COMMAND, sounds, tmp_path, refused=["response_cancel_not_active"])
    check_whole(performance)
    cut = [note["text"].strip() for note in performance.shown("cut")]
    assert len(cut) == 2
    assert all(text and STORY.startswith(text) for text in cut)
    assert all(told["message"].startswith("Cancellation failed") for told in performance.told("refused"))
    added = {told["item"]["id"] for kind in ("item_added", "output_began") for told in performance.told(kind)}
    deleted = {told["item_id"] for told in performance.told("item_deleted")}
    (kept,) = performance.shown("kept")
    assert added - deleted == set(kept["items"])
    assert len(kept["items"]) == 2


def test_a_whole_conversation_with_turns_of_its_own(sounds: Path, tmp_path: Path) -> None:
    performance = with_turns_of_its_own(COMMAND, sounds, tmp_path)
    check_whole(performance, cancelled_by="client_cancelled")
    assert performance.told("speech_started") == []


def test_a_spoken_question_to_the_embedded_engines(sounds: Path, embedded: House) -> None:
    check_spoken(spoken(COMMAND, sounds, embedded))
