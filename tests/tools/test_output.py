"""Long outputs are cut between characters, at both ends, and tell how much there was."""

from __future__ import annotations

import copy
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.tools.output import LARGEST_PARSED_BYTES, cut, fitted, fitted_value, head_of, size_of, tail_of

TEXTS = st.text(st.characters(codec=None), max_size=300)


@given(TEXTS, st.integers(0, 400))
def test_a_cut_text_holds_its_head_and_tail_and_the_sum_is_right(text: str, limit: int) -> None:
    found = cut(text, limit)
    assert found.total_bytes == len(text.encode("utf-8", "surrogatepass"))
    if found.total_bytes <= limit:
        assert found.text == text
        return
    head, _, rest = found.text.partition("\n[") if "\n[" in found.text else (found.text, "", "")
    assert f"{found.left_out_bytes:,} of {found.total_bytes:,} bytes" in found.text
    whole = text.encode("utf-8", "ignore").decode()  # a cut drops half a surrogate pair, which is no character
    assert whole.startswith(head[: whole.find("\n[") if "\n[" in whole else None])
    assert rest


@given(st.text(max_size=300), st.integers(0, 400))
def test_ends_are_cut_between_characters(text: str, limit: int) -> None:
    head, tail = head_of(text, limit), tail_of(text, limit)
    assert text.startswith(head)
    assert text.endswith(tail)
    assert size_of(head) <= limit
    assert size_of(tail) <= limit
    assert size_of(head) >= min(limit, size_of(text)) - 3


@given(TEXTS, st.integers(0, 400))
def test_lone_surrogates_break_nothing(text: str, limit: int) -> None:
    assert size_of(head_of(text, limit)) <= limit
    assert size_of(tail_of(text, limit)) <= limit


def test_b12_bytes_are_counted_and_not_characters() -> None:
    found = cut("ü" * 50_000, 50_000)
    assert found.total_bytes == 100_000
    assert size_of(found.text) - 50_000 < 100
    assert found.left_out_bytes == 50_000


def test_b12_totals_are_those_of_the_whole() -> None:
    value = {"matches": [{"line": number} for number in range(5_000)]}
    found = json.loads(fitted(json.dumps(value), 2_000).text)
    assert any("of 5,000 items" in str(each) for each in found["matches"])
    assert found["matches"][0] == {"line": 0}
    assert found["matches"][-1] == {"line": 4_999}


def test_b12_nested_texts_are_cut_and_what_was_given_stays() -> None:
    value = {"result": {"stdout": "x" * 1_000_000, "code": 0}, "lines": ["y" * 500_000] * 3}
    before = copy.deepcopy(value)
    text = fitted_value(value, 20_000)
    assert text is not None
    assert len(text) <= 20_000
    assert value == before
    found = json.loads(text)
    assert found["result"]["code"] == 0
    assert found["result"]["stdout"].startswith("xxx")
    assert "of 1,000,000 bytes" in found["result"]["stdout"]


def test_json_stays_json_and_says_how_to_read_on() -> None:
    for value in ({"a": "x" * 9_000}, ["x" * 9_000, "y" * 9_000], {"": [[["deep" * 4_000]]]}):
        found = fitted(json.dumps(value), 3_000, "; read on")
        note = json.loads(found.text)
        note = note if isinstance(note, dict) else note[-1]
        assert note["left_out"].endswith("bytes; read on")
        assert size_of(found.text) < 3_200


@pytest.mark.parametrize(
    "text",
    [
        "{" + "x" * 9_000,
        "[" * 100_000,
        json.dumps({f"key {number}": 0 for number in range(5_000)}),
        '["' + "x" * LARGEST_PARSED_BYTES + '"]',
    ],
    ids=["no JSON", "a tower", "many keys", "too large"],
)
def test_what_cannot_be_taken_apart_is_cut_as_text(text: str) -> None:
    found = fitted(text, 3_000)
    assert size_of(found.text) < 3_100
    assert "bytes are left out here]" in found.text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=60,
)


@given(VALUES, st.integers(200, 2_000))
def test_a_fitted_value_fits(value: object, limit: int) -> None:
    text = fitted_value(value, limit)
    if text is not None:
        assert len(text.encode()) <= limit
        msgspec.json.decode(text)
    if len(msgspec.json.encode(value)) <= limit:
        assert text is not None
        assert json.loads(text) == value
