"""Whatever comes in, reading it ends soon, and with a message or with an error that can be told."""

from __future__ import annotations

import random

import pytest
from fuzz import LIMIT_S, LONGEST, MUTILATIONS, SAMPLES, check, frame, try_out

from antiphon.protocol import additions, client, codec

FRAMES = 6_000


@pytest.mark.slow
def test_mutilated_messages_are_answered() -> None:
    understood = sum(check(seed) for seed in range(FRAMES))
    # Otherwise they would be too broken to get far, or not broken at all.
    assert 0.1 < understood / FRAMES < 0.9


def test_a_frame_is_known_by_its_seed() -> None:
    assert [frame(seed) for seed in range(50)] == [frame(seed) for seed in range(50)]
    assert len({str(frame(seed)) for seed in range(50)}) > 40
    assert {type(frame(seed)) for seed in range(50)} == {str, bytes}


def test_every_message_and_every_mutilation_is_tried() -> None:
    assert {sample["type"] for sample in SAMPLES} == set(client.TYPES) | set(additions.REQUESTS)
    whole = b'{"type":"response.create","n":12}'
    for mutilate in MUTILATIONS:
        assert any(mutilate(whole, random.Random(seed)) != whole for seed in range(20)), mutilate


HUGE = [
    '{"type":"' + "x" * LONGEST + '"}',
    '{"type":"' + "` - at `$." * (LONGEST // 10) + '"}',
    '{"type":"session.update","session":{"tool_choice":"' + " - at `$" * (LONGEST // 10) + '"}}',
    '{"type":"session.update","session":{"tools":[' + '{"type":"function","name":"f"},' * 5_000 + "7]}}",
    '{"type":"session.update","session":{"max_output_tokens":' + "9" * LONGEST + "}}",
    '{"type":"session.update","session":{"audio":{"input":{"turn_detection":{"type":"server_vad",'
    '"silence_duration_ms":500.0}}},"instructions":"' + "y" * LONGEST + '"}}',
    "[" * LONGEST,
    '{"a":' * LONGEST,
    '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":['
    + '{"type":"input_text","text":"a"},' * 5_000
    + "7]}}",
]


@pytest.mark.parametrize("text", HUGE, ids=range(len(HUGE)))
def test_what_is_huge_is_read_in_time(text: str) -> None:
    try_out(text)


def test_a_reader_that_raises_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_FAULTS", ())
    with pytest.raises(AssertionError, match=r"frame \d+: "):
        [check(seed) for seed in range(FRAMES)]


def test_a_reader_that_takes_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((0.0, 2 * LIMIT_S))
    monkeypatch.setattr("time.thread_time", lambda: next(moments))
    with pytest.raises(AssertionError, match="s for 26 bytes"):
        try_out('{"type":"response.create"}')
