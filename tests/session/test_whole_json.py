"""A JSON object that comes in pieces is known to be whole at its last brace, and not before."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.whole_json import WholeJson

VALUES = st.recursive(
    st.none() | st.integers() | st.text('ab"\\{}[]\n é', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('k"\\}{', max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text('k"\\}', max_size=3), VALUES, max_size=4), st.integers(1, 7), st.booleans())
def test_it_is_whole_at_its_last_brace(value: dict[str, object], size: int, ascii_only: bool) -> None:
    text = " " + json.dumps(value, ensure_ascii=ascii_only)
    json_text = WholeJson()
    for start in range(0, len(text) - 1, size):
        json_text.feed(text[start : min(start + size, len(text) - 1)])
        json_text.feed("")
        assert not json_text.is_whole
    json_text.feed(text[-1])
    assert json_text.is_whole
    json_text.feed(' {"more": "')
    assert json_text.is_whole


@pytest.mark.parametrize("text", ["", "  ", "{", '{"a": "}', "nothing", '"{}"', "{]}" * 0, '{"a": [}'])
def test_what_is_not_closed_is_not_whole(text: str) -> None:
    json_text = WholeJson()
    json_text.feed(text)
    assert not json_text.is_whole
