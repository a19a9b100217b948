"""Events are the same however their bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.sse import EventStream
from antiphon.errors import EngineError

WIRE = (
    "\ufeff: a comment\r\n"
    'data: {"a": 1}\r\n\r\n'
    "event: named\nid: 7\ndata:two\ndata: lines\n\n"
    "data: é and 漢字\r\r"
    "retry: 5\n\n"
    "data\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = ['{"a": 1}', "two\nlines", "é and 漢字", "", "[DONE]"]


@given(st.lists(st.integers(0, len(WIRE)), max_size=12))
def test_cuts_do_not_matter(cuts: list[int]) -> None:
    stream = EventStream()
    edges = [0, *sorted(cuts), len(WIRE)]
    events = [event for a, b in itertools.pairwise(edges) for event in stream.feed(WIRE[a:b])]
    assert events + stream.finish() == EVENTS


def test_one_byte_at_a_time() -> None:
    stream = EventStream()
    assert [e for i in range(len(WIRE)) for e in stream.feed(WIRE[i : i + 1])] == EVENTS


def test_a_last_event_without_its_empty_line_counts() -> None:
    stream = EventStream()
    assert stream.feed(b"data: whole") == []
    assert stream.finish() == ["whole"]
    assert stream.finish() == []


@pytest.mark.parametrize("wire", [b"x" * 101, b"data: " + b"x" * 101 + b"\n\n", b"data: 34567890\n" * 11])
def test_no_line_and_no_event_grows_without_bound(wire: bytes) -> None:
    stream = EventStream(longest_bytes=100)
    with pytest.raises(EngineError, match="100 bytes"):
        stream.feed(wire)


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(EngineError, match="UTF-8"):
        EventStream().feed(b"data: \xff\xfe\n\n")
