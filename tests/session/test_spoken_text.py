"""What is left of a written text when it is spoken."""

from __future__ import annotations

import pytest

from antiphon.session.spoken_text import SpokenText, spoken


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Bold** and *slanted* and `code`.", "Bold and slanted and code."),
        ("See [the page](https://example.com/x).", "See the page."),
        ("![a cat](cat.png) sits", "a cat sits"),
        ("Look at https://example.com/a?b=1.", "Look at example.com."),
        ("# Title\nText", "Title Text"),
        ("- one\n- two", "one two"),
        ("> quoted", "quoted"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b 1, 2"),
        ("Great 🙂👍🏽!!!", "Great !"),
        ("🙂", ""),
        ("```python\nprint(1)\n```", ""),
        ("---", ""),
        ("", ""),
        ("zero\u200bwidth\x07", "zerowidth"),
    ],
)
def test_markup_is_not_said(written: str, said: str) -> None:
    assert spoken(written) == said


@pytest.mark.parametrize(
    "text",
    ["2 * 3 * 4", "5 > 3", "snake_case", "C# and C++", "it's 20 °C", "Dr. Smith's 3.50", "- 5 is negative", "你好。"],
)
def test_plain_text_stays(text: str) -> None:
    assert spoken(text) == text.removeprefix("- ")


def test_a_code_block_goes_on_over_clauses() -> None:
    text = SpokenText()
    assert text.feed("Run this: ```a = 1\n") == "Run this:"
    assert text.feed("b = 2. ") == ""
    assert text.feed("c``` and done.") == "and done."


def test_emphasis_that_was_cut_in_two() -> None:
    text = SpokenText()
    assert text.feed("This is **very ") == "This is very"
    assert text.feed("important**.") == "important."
