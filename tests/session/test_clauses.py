"""Where a model's text is cut for the voice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.clauses import LONGEST, PATIENCE_S, ClauseSplitter

CASES = [
    ["Yes. ", "It ships on Friday."],
    ["Sure! ", "I can help."],
    ["Dr. Smith paid $3.50 at 5 p.m. ", "Then he left."],
    ["See example.com/a.b?c=1 for more. ", "Good."],
    ["Write to anna@example.com today. ", "Thanks."],
    ["Version 1.2.3 is out! ", "Get it."],
    ["It costs 1,000 dollars at 5:30, ", "or so. ", "J. K. Rowling wrote it."],
    ["Well, that depends on where you are, ", "because it is far, as they say. ", "Now."],
    ["你好。", "我很好。", "谢谢！"],
    ["यह ठीक है। ", "हाँ।"],
    ["1. Take the first thing.\n", "2. Take the second thing.\n"],
    ['He said "Stop!" ', "Then he left..."],
    ["I waited… ", "Nothing came."],
    ["We met e.g. in May at St. James. ", "Nice."],
    ["Run this: ```print('a. b')\nc. d``` and see. ", "Good."],
    ["- milk\n", "- eggs\n"],
]


def cut(text: str, size: int) -> list[str]:
    splitter = ClauseSplitter()
    clauses: list[str] = []
    for start in range(0, len(text), size):
        clauses += splitter.feed(text[start : start + size], 0.0)
    return clauses + splitter.finish()


@pytest.mark.parametrize("clauses", CASES)
def test_a_whole_text(clauses: list[str]) -> None:
    assert cut("".join(clauses), 10_000) == clauses


@pytest.mark.parametrize("clauses", CASES)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_text_in_pieces_is_cut_at_the_same_places(clauses: list[str], size: int) -> None:
    """Only white space may go to the other side: what is certain goes out before it comes."""
    assert [clause.strip() for clause in cut("".join(clauses), size)] == [clause.strip() for clause in clauses]


@given(st.text(alphabet='ab.!?, \n"`1(A。', max_size=80), st.integers(1, 9))
def test_the_clauses_are_the_text(text: str, size: int) -> None:
    clauses = cut(text, size)
    assert "".join(clauses) == text
    assert all(clause.strip() for clause in clauses[1:])


@pytest.mark.parametrize("text", ["Yes.", "Sure!", "Why?", "Okay."])
def test_a_short_opener_goes_out_at_once(text: str) -> None:
    assert ClauseSplitter().feed(text, 0.0) == [text]


@pytest.mark.parametrize("text", ["It is 3.", "Ask Dr.", "Go to example.", "At 5 p.m."])
def test_what_may_go_on_waits(text: str) -> None:
    assert ClauseSplitter().feed(text, 0.0) == []


def test_a_text_without_stops_is_cut_by_length() -> None:
    clauses = cut("word " * 300, 5)
    assert max(map(len, clauses)) <= LONGEST + 5
    assert all(clause.endswith(" ") for clause in clauses)


def test_a_model_that_pauses_is_not_waited_for() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("I am just looking into the", 10.0) == []
    assert splitter.deadline == 10.0 + PATIENCE_S
    assert splitter.handle_timeout(10.1) == []
    assert splitter.handle_timeout(10.0 + PATIENCE_S) == ["I am just looking into "]
    assert splitter.finish() == ["the"]


def test_a_little_rest_and_code_are_waited_for() -> None:
    splitter = ClauseSplitter()
    splitter.feed("Well", 0.0)
    assert splitter.deadline is None
    splitter.feed(" ```some long code that goes on", 0.0)
    assert splitter.deadline is None


def test_a_long_text_letter_by_letter_is_linear() -> None:
    text = "This is a sentence, and it has no end in sight. " * 400
    assert "".join(cut(text, 1)) == text
