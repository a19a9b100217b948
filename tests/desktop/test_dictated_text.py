"""What was said, as it would have been typed."""

from __future__ import annotations

import time

import pytest

from antiphon.desktop.dictation.text import RAW, Writing, Written, written


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("hello comma world full stop how are you question mark", "Hello, world. How are you?"),
        ("Dear Anna, comma, new paragraph, thanks.", "Dear Anna,\n\nThanks."),
        ("um so I think uh twenty one people came", "So I think 21 people came"),
        ("the nineteen ninety nine report", "The 1999 report"),
        ("fifty percent of five apples and two point five pears", "50% of five apples and 2.5 pears"),
        ("this is wrong full stop scratch that this is right", "This is right"),
        ("a period of time period", "A period of time."),
        ("literal comma is a word", "Comma is a word"),
        ("open quote yes close quote he said", "“Yes” he said"),
        ("well hyphen known", "Well-known"),
        ("Das ist schön, ja.", "Das ist schön, ja."),
        ("", ""),
        ("um uh", ""),
        ("scratch that", ""),
    ],
)
def test_prose(said: str, typed: str) -> None:
    assert written(said, Writing()).text == typed


def test_code() -> None:
    how = Writing(code=True)
    said = "snake case my variable name equals camel case get user name open paren close paren"
    assert written(said, how).text == "my_variable_name = getUserName()"
    assert written("os dot path", how).text == "os.path"


@pytest.mark.parametrize(
    ("before", "typed"),
    [(None, "And more"), ("", "And more"), ("Hello", " and more"), ("Hello. ", "And more"), ("(", "and more")],
)
def test_what_stands_left_of_the_cursor(before: str | None, typed: str) -> None:
    assert written("and more", Writing(), before).text == typed


def test_replacements_snippets_and_enter() -> None:
    how = Writing(
        replacements={"cooper netties": "Kubernetes", "my mail": "a@b.org"}, snippets={"sign off": "Best,\nAnna"}
    )
    assert written("I like Cooper Netties, a lot", how).text == "I like Kubernetes, a lot"
    assert written("Sign off.", how) == Written("Best,\nAnna")
    assert written("send it to my mail press enter", how) == Written("Send it to a@b.org", presses_enter=True)


def test_raw_is_what_was_recognised() -> None:
    assert written("um hello comma twenty one", RAW).text == "um hello comma twenty one"


def test_a_long_count_costs_no_more_than_its_words() -> None:
    words = "one two three " * 400
    before = time.process_time()
    assert written(words, Writing()).text.casefold().split() == words.split()
    assert time.process_time() - before < 5.0, "it took half a minute when all lengths were tried"
