"""What is left of a written text when it is spoken."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.clauses import ClauseSplitter
from antiphon.session.spoken_text import SpokenText, spoken


@pytest.mark.parametrize(
    ("written", "said"),
    [
        # emphasis and code
        ("**Bold** and *slanted* and `code`.", "Bold and slanted and code."),
        ("__Bold__, _slanted_, ***both***, ~~gone~~.", "Bold, slanted, both, gone."),
        ("**A *nested* one.** (*Yes*)", "A nested one. (Yes)"),
        ("Call `a * b * c` or ``x ` y`` or `__init__`.", "Call a * b * c or x ` y or __init__."),
        ("A stray ` tick", "A stray tick"),
        (r"\*not bold\* and \# no", "*not bold* and # no"),
        ("```python\nprint(1)\n```", ""),
        ("Run:\n```\nx = 1\n```\nDone.", "Run: Done."),
        # links and addresses
        ("See [the page](https://example.com/x).", "See the page."),
        ('See [the page](https://e.com/a_(b) "A title") and [that][1].', "See the page and that."),
        ("![a cat](cat.png) sits", "a cat sits"),
        ("It is so.[^1]", "It is so."),
        ("Look at https://example.com/a?b=1.", "Look at example.com."),
        ("Look (http://www.example.com:8080/a), or <https://b.org>!", "Look (example.com), or b.org!"),
        ("Go to www.example.com or example.org/a.b?c=1, now", "Go to example.com or example.org, now"),
        ("**https://example.com/a** it is", "example.com it is"),
        # blocks
        ("# Title\nText", "Title. Text"),
        ("## Title ##", "Title."),
        ("- one\n- two\n* three!", "one. two. three!"),
        ("1. First\n2. Second", "1. First 2. Second"),
        ("- [ ] to do\n- [x] done", "to do. done."),
        ("> quoted\n> words", "quoted words"),
        ("> - **item**", "item"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. 1, 2."),
        ("---", ""),
        ("Above\n* * *\nBelow", "Above Below"),
        ("Title\n=====\nText", "Title Text"),
        ("One<br>two <b>three</b> &amp; four&nbsp;five", "One two three & four five"),
        # what cannot be said
        ("Great 🙂👍🏽!!!", "Great!"),
        ("🎉 Hooray 🎉 and 👨‍👩‍👧 on", "Hooray and on"),
        ("Press 1️⃣ for 🇩🇪.", "Press 1 for."),
        ("I ❤️ it ✅", "I it"),
        ("🙂", ""),
        ("?!", ""),
        ("What?? No!!! Really?!?! Well,,, so.....", "What? No! Really?! Well, so..."),
        ("Name: ______ ok", "Name: ok"),
        ("zero\u200bwidth\x07 so\u00adft \u202eright", "zerowidth soft right"),
        ("tab\there\x00", "tab here"),
        ("a\x1bb", "ab"),
        ("! Yes.", "Yes."),
        ("” he said.", "he said."),
        ("」他说。", "他说。"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_markup_is_not_said(written: str, said: str) -> None:
    assert spoken(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 * 4 = 24", "2*3*4", "2**3", "5 > 3 and 3 < 5", "a_b snake_case_name", "C# and C++",
        "it's 20 °C, isn't it?", "Dr. Smith's 3.50", "你好。他说：「好」。", "f(x) = [1, 2]", "std::vector<int> a || b",
        "10 - 5 = 5", "50% & more @ 3 / hour", "and/or TCP/IP 1/2", "anna@example.com", "example.com", "~5 and -5",
        "#1 and #hashtag", "He said \"no\" — twice…", "5–6 km", "می\u200cخواهم", "क्\u200dष", "Ärger über Ñandú",
        "...and then", ".NET", "€5 £6 $7 ½", "Wait... what?", "C:\\temp\\new", "x^2 + y^2", "Note: yes; no",
        "The * is a star", "one_ two", "™ and ©",
    ],
)  # fmt: skip
def test_plain_text_stays(text: str) -> None:
    assert spoken(text) == text


@pytest.mark.parametrize(
    ("clauses", "said"),
    [
        (["Run this: ```a = 1\n", "b = 2. ", "c``` and done."], ["Run this:", "", "and done."]),
        (["This is **very ", "important**."], ["This is very", "important."]),
        (["*One, ", "two, ", "three.* ", "4 * 5"], ["One,", "two,", "three.", "4 * 5"]),
        (["_So, ", "it is._ "], ["So,", "it is."]),
        (["**Stop!", "** Then go."], ["Stop!", "Then go."]),
        (["See [the page, ", "as such](https://e.com/a) now."], ["See [the page,", "as such now."]),
        (["Well, ", "- 5 is less.\n", "- item"], ["Well,", "- 5 is less.", "item."]),
        (["| a. ", "b | c |\n", "| d |"], ["a.", "b, c.", "d."]),
        (["# Title\n", "\n", "# Another"], ["Title.", "", "Another."]),
        (["Yes.", "\n# Title\n"], ["Yes.", "Title."]),
    ],
)
def test_what_is_open_goes_on_in_the_next_clause(clauses: list[str], said: list[str]) -> None:
    text = SpokenText()
    assert [text.feed(clause) for clause in clauses] == said


def test_an_answer_as_a_model_writes_it() -> None:
    written = (
        "Sure! Here's **how** it works:\n\n1. Open `app.py`.\n2. Run it:\n\n```bash\npython app.py --x=1. 2\n```\n\n"
        "| Step | Time |\n|------|------|\n| One | 3.5 s |\n\nSee [the docs](https://docs.example.com/a_b) 🎉. *Enjoy!*"
    )
    splitter, voice = ClauseSplitter(), SpokenText()
    clauses = [clause for letter in written for clause in splitter.feed(letter, 0.0)] + splitter.finish()
    assert [words for clause in clauses if (words := voice.feed(clause))] == [
        "Sure!", "Here's how it works:", "1. Open app.py.", "2. Run it:", "Step, Time.", "One, 3.5 s.",
        "See the docs.", "Enjoy!",
    ]  # fmt: skip


@given(st.text(alphabet="ab *_~`#>|-[]()!.\n1🙂\\<\x00", max_size=60))
def test_nothing_breaks_it_and_the_rest_is_said(text: str) -> None:
    said = spoken(text)
    assert "\n" not in said
    assert "🙂" not in said
    assert said == said.strip()
    assert not said or any(map(str.isalnum, said))


@given(
    st.lists(st.sampled_from(["word", "a_b", "it's", "5", "3.50", "C#", "(so)", "well-known", "and/or"]), max_size=12)
)
def test_words_stay_words(words: list[str]) -> None:
    assert spoken(" ".join(words)) == " ".join(words)


@pytest.mark.parametrize(
    "text", ["*a ", "[a](", "`a", "**", "_a_", "| a ", "<b ", "https://a.b/", "a.b/c.", "[[", "[^", "🙂 ", " \t", "- "]
)
def test_no_text_takes_long(text: str) -> None:
    """Patterns that try every place to its end take seconds for some of these."""
    start = time.process_time()
    spoken(text * 4_000)
    assert time.process_time() - start < 0.5
