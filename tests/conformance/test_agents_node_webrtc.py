"""@openai/agents-realtime in Node, unchanged, over its own WebRTC transport and a WebRTC that is not Chromium's."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import LINES, SUM, House, check_whole, node, spoken, whole
from test_agents_node import ROLES

from antiphon.transport.webrtc.opus import FRAME, OpusEncoder

pytestmark = [pytest.mark.real, pytest.mark.slow]
COMMAND = node("talk_agents_webrtc.mjs")


def encode(folder: Path, name: str) -> None:
    """Beside the sound, its packets, each behind its length."""
    encoder = OpusEncoder(bitrate=40_000, complexity=5, loss_percent=0)
    pcm = (folder / f"{name}.pcm").read_bytes()
    size = 2 * FRAME
    packets = [encoder.encode(pcm[start : start + size]) for start in range(0, len(pcm) - size + 1, size)]
    (folder / f"{name}.opus").write_bytes(b"".join(len(one).to_bytes(2, "little") + one for one in packets))


def test_a_spoken_question_by_webrtc(sounds: Path, embedded: House) -> None:
    for name in ("room", "sum"):
        encode(sounds, name)
    performance = spoken(COMMAND, sounds, embedded)
    assert [note["text"] for note in performance.shown("heard")] == [LINES["sum"]]
    assert performance.shown("answered")[-1]["text"] == SUM
    assert len(performance.shown("audio")) > 25, "half a second that is no silence"


def test_a_whole_conversation_by_webrtc(sounds: Path, tmp_path: Path) -> None:
    """A typed turn, a spoken one with a function, an answer that is spoken over, one that is stopped, and a goodbye."""
    for name in ("room", "weather", "story", "stop"):
        encode(sounds, name)
    performance = whole(COMMAND, sounds, tmp_path)
    check_whole(performance, truncated_by="server")
    assert performance.shown("history")[-1]["roles"] == ROLES
    assert [finish["reason"] for finish in performance.asked("finish")] == ["hung up on request"]
