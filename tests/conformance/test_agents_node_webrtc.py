"""@openai/agents-realtime in Node, unchanged, over its own WebRTC transport and a WebRTC that is not Chromium's."""

from __future__ import annotations

from pathlib import Path

import pytest
from stage import LINES, SUM, House, node, spoken

from antiphon.transport.webrtc.opus import FRAME, OpusEncoder

pytestmark = [pytest.mark.real, pytest.mark.slow]


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
    performance = spoken(node("talk_agents_webrtc.mjs"), sounds, embedded)
    assert [note["text"] for note in performance.shown("heard")] == [LINES["sum"]]
    assert performance.shown("answered")[-1]["text"] == SUM
    packets = [note["bytes"] for note in performance.shown("audio")]
    assert sum(size > 20 for size in packets) > 25, "half a second that is no silence"
