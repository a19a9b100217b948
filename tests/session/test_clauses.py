"""Where a model's text is cut for the voice."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.clauses import (
    LONGEST,
    LONGEST_CODE,
    LONGEST_HURRIED,
    LONGEST_WORD,
    PATIENCE_S,
    VOICE_LEAD_S,
    ClauseSplitter,
)

NEVER_DRY = "This first sentence keeps the voice busy for quite a long time.\n"
"""Begins a text whose commas are to be left alone: while this is said, nobody is in a hurry."""

SENTENCES = [
    # seed's first-punctuation trigger cut each of these
    ["Dr. Smith paid $3.50 at 5 p.m. ", "Then he left."],
    ["See example.com/a.b?c=1 for more. ", "Good."],
    # titles, abbreviations, initials
    ["Mr. and Mrs. Jones met Prof. Li. ", "They talked."],
    ["We met e.g. in May at St. James. ", "Nice."],
    ["It opens at 9 a.m. on Monday. ", "Come."],
    ["It opens at 9 a.m. Monday, as ever. ", "Come."],
    ["He moved to the U.S. in 1999. ", "He stayed."],
    ["The U.S. Senate voted. ", "It passed."],
    ["He lives in the U.S. ", "She lives in Peru."],
    ["Apple Inc. was founded long ago. ", "It grew."],
    ["Ask Acme Inc. ", "They know."],
    ["Bring apples, pears, etc. ", "Then we bake."],
    ["It was Ali vs. Frazier. ", "Everyone saw it."],
    ["J. K. Rowling and J. R. R. Tolkien wrote. ", "We read."],
    ["Take vitamin C. ", "It helps."],
    ["So do I. ", "And you?"],
    ["Ask J. I. Smith at 5 p.m. — or later. ", "Go."],
    ["See Fig. 3 and No. 5 here. ", "Good."],
    ["I say no. ", "I do not want to."],
    ["It weighs approx. 3.5 kg. ", "Heavy."],
    # numbers
    ["That is 3.50 or 1,000.75 in all. ", "Fine."],
    ["It is 5:30 and 12:00:01 now. ", "Late."],
    ["Version 1.2.3 is out! ", "Get it."],
    ["The answer is 42. ", "Really."],
    ["It was in 1999. ", "Then came 2000."],
    ["Ping 127.0.0.1 now. ", "It works."],
    # addresses and names of files
    ["Write to anna.b@example.com today. ", "Thanks."],
    ["Open https://example.com/a?b=1,2;c#d!e. ", "Good."],
    ["Edit README.md and main.py first. ", "Then run it."],
    ["Node.js and ASP.NET are old. ", "Still."],
    # stops in company
    ["Really?! ", "You did it!!! ", "Wow."],
    ["Wait... ", "What is that?"],
    ["I waited… ", "Nothing came."],
    ['He said "Stop!" ', "Then he left..."],
    ['"Stop!" he said. ', 'The saying "Never again." is old. ', 'He asked "Why?" ', "I know."],
    ["(It is late.) ", "“Go home.” ", "He went."],
    ["**Stop!** ", "_Now._ ", "Please."],
    ["She said 'yes.' ", "He didn't."],
    ["Great! ", "🎉 Next one. ", "Done."],
    ["Nice!", "🎉 More."],
    # lists, lines, tables
    ["1. Take the first thing.\n", "2. Take the second thing.\n"],
    ["a. The one.\n", "b. The other.\n"],
    ["Here they are:\n", "1. **One**. ", "It is.\n   ", "2. Two.\n"],
    ["- milk\n", "- eggs, and e.g. flour\n", "* salt\n"],
    ["# Title\n\n", "Text here.\n\n", "More."],
    ["> Quoted words. ", "More of them.\n"],
    ["| Dr. X. Y | b! No. |\n", "|---|---|\n| 1, 2. 3 | c |\n", "End."],
    # code
    ["Run this: ", "```print('a. b')\nc. d``` ", "and see. ", "Good."],
    ["So:\n", "```python\nx = 1. \n\ny = 2! z\n```\n", "Done."],
    ["Call `a. b! c` now. ", "Good."],
    ["A ` alone. ", "Fine."],
    # other scripts and languages
    ["你好。", "我很好！", "谢谢？", "「好。」", "他说。"],
    ["Version 2。", "好的!", "我们走吧。"],
    ["यह ठीक है। ", "हाँ।"],
    ["هل أنت بخير؟ ", "نعم."],
    ["Das kostet z. B. 3 Euro. ", "Gut."],
    ["Das ist z.B. so, d.h. gut. ", "Ja."],
    ["Bonjour M. Dupont ! ", "Ça va ?"],
    ["La Sra. López vive aquí. ", "¿Y usted? ", "¡Hola!"],
]

CLAUSES = [
    ["Yes. ", "It ships on Friday."],
    ["Sure! ", "I can help."],
    ["Okay, ", "let me see."],
    ["No. ", "I do not think so."],
    ["Of course. ", "Got it. ", "Thank you."],
    ["It depends on you, ", "mostly."],
    ["It costs 1,000 dollars at 5:30, ", "or so. ", "J. K. Rowling wrote it."],
    ["Here is what I found: ", "nothing at all."],
    ["It is a good plan — ", "I think."],
    ["It is a good plan—", "I think."],
    ["A well-known fact – ", "and pages 5–6 say so."],
    ["He left, too."],
    ["The thing is well-known, ", "and good."],
    ["I thought... ", "maybe not."],
    ["今天天气很好，", "我们走吧。"],
]


def cut(text: str, size: int = 10_000, language: str | None = None) -> list[str]:
    splitter = ClauseSplitter(language)
    clauses: list[str] = []
    for start in range(0, len(text), size):
        clauses += splitter.feed(text[start : start + size], 0.0)
    return clauses + splitter.finish()


def words_of(clauses: list[str]) -> list[str]:
    """What is said, without the marks that may stand on either side of a cut."""
    return [clause.strip(" \n?!\"'”’)*_。！」") for clause in clauses]


@pytest.mark.parametrize("sentences", SENTENCES)
def test_sentences(sentences: list[str]) -> None:
    assert cut(NEVER_DRY + "".join(sentences)) == [NEVER_DRY, *sentences]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("sentences", SENTENCES)
def test_sentences_that_come_in_pieces_are_cut_at_the_same_words(sentences: list[str], size: int) -> None:
    """What is certain goes out before the marks and blanks behind it have come: those begin the next clause."""
    assert words_of(cut(NEVER_DRY + "".join(sentences), size)) == words_of([NEVER_DRY, *sentences])


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("clauses", CLAUSES)
def test_the_first_clause_is_short(clauses: list[str], size: int) -> None:
    assert words_of(cut("".join(clauses), size)) == words_of(clauses)


def test_a_mark_within_a_word_ends_nothing() -> None:
    assert cut(NEVER_DRY + "Try Yahoo!Mail, or a?b:c in it. No?")[1:] == ["Try Yahoo!Mail, or a?b:c in it. ", "No?"]


def test_words_are_data_of_a_language() -> None:
    assert cut(NEVER_DRY + "Am 3. Mai kam er. Gut.", language="de-AT")[1:] == ["Am 3. Mai kam er. ", "Gut."]
    assert cut(NEVER_DRY + "In 3. Mai kam er.", language="en")[1:] == ["In 3. ", "Mai kam er."]
    assert cut(NEVER_DRY + "Usw. Dr. Li. I. je.", language="xx")[1:] == ["Usw. ", "Dr. ", "Li. ", "I. je."]


@given(
    st.text(alphabet='abIDr.!?,;:-… \n"`1(*|A。，好🎉', max_size=120),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.floats(0.0, 0.4),
)
def test_the_clauses_are_the_text(text: str, sizes: list[int], pause_s: float) -> None:
    splitter, clauses, now, place, turn = ClauseSplitter(), [], 0.0, 0, 0
    while place < len(text):
        size = sizes[turn % len(sizes)]
        clauses += splitter.feed(text[place : place + size], now)
        clauses += splitter.handle_timeout(now)
        now, place, turn = now + pause_s, place + size, turn + 1
    rest = splitter.finish()
    assert "".join(clauses + rest) == text
    assert all(any(map(str.isalnum, clause)) for clause in clauses)
    assert all(rest)
    assert splitter.deadline is None


# --- what is decided at once, and what waits ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["Yes.", "No.", "Sure!", "Why?", "Okay.", "Okay,", "Got it.", "Of course,", "OK!", "Oui.", "你好。", "Is it so?"],
)
def test_what_is_certain_goes_out_at_once(text: str) -> None:
    assert ClauseSplitter().feed(text, 0.0) == [text]


@pytest.mark.parametrize(
    "text",
    ["It is 3.", "Ask Dr.", "Go to example.", "At 5 p.m.", "Ask J.", 'He said "Stop!', "(Really?", "**Go!", "It is 1,",
     "example.com/a?", "「你好。", "Call `a.", "Wait…", "There we go..."],
)  # fmt: skip
def test_what_may_go_on_waits(text: str) -> None:
    assert ClauseSplitter().feed(text, 0.0) == []


def test_the_next_character_settles_it() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("It costs 3.", 0.0) == []
    assert splitter.feed("5", 0.0) == []
    assert splitter.feed(" euros.", 0.0) == []
    assert splitter.feed(" ", 0.0) == ["It costs 3.5 euros. "]


def test_a_fence_lets_go_what_stands_before_it() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("Here is the code ``", 0.0) == []
    assert splitter.feed("`python\n", 0.0) == ["Here is the code "]


# --- hurry, length and time ------------------------------------------------------------------------------------------


def test_a_comma_counts_only_while_the_voice_is_silent() -> None:
    splitter = ClauseSplitter()
    first = "It is quite a long way from here, "
    assert splitter.feed(first + "to the sea, and to the hills", 0.0) == [first]
    said_s = len(first) / 15
    assert splitter.feed(", my dear friend", 0.1) == []
    assert splitter.feed(", as you know", said_s - VOICE_LEAD_S - 0.1) == []
    assert splitter.feed(", and ", said_s) == ["to the sea, and to the hills, my dear friend, as you know, "]


def test_without_any_mark_the_first_clause_ends_before_a_linking_word() -> None:
    splitter, clauses = ClauseSplitter(), list[str]()
    for letter in "The museum that you mean is open from nine in the morning and closes at six or seven":
        clauses += splitter.feed(letter, 0.0)
    assert clauses == ["The museum that you mean is open from nine in the morning "]
    assert len(clauses[0]) <= LONGEST_HURRIED


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_a_text_without_stops_is_cut_by_length(size: int) -> None:
    clauses = cut("word " * 300 + ".", size)
    assert max(map(len, clauses)) <= LONGEST
    assert all(clause.endswith("word ") for clause in clauses[:-1])


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_long_sentence_is_cut_at_a_comma(size: int) -> None:
    clauses = cut(NEVER_DRY + "one two three four five six seven eight, " * 12 + "nine.", size)
    assert all(clause.endswith("eight, ") for clause in clauses[1:-1])
    assert LONGEST // 2 < max(map(len, clauses)) <= LONGEST


def test_scripts_without_blanks_are_cut_by_length_too() -> None:
    clauses = cut("天地玄黄宇宙洪荒" * 60, 3)
    assert "".join(clauses) == "天地玄黄宇宙洪荒" * 60
    assert max(map(len, clauses)) <= LONGEST // 3


def test_a_word_without_end_has_one() -> None:
    assert len(cut("https://example.com/" + "x" * 3_000, 100)[0]) == LONGEST_WORD


def test_a_model_that_pauses_is_not_waited_for() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("I am just looking into the", 10.0) == []
    assert splitter.deadline == 10.0 + PATIENCE_S
    assert splitter.handle_timeout(10.1) == []
    assert splitter.handle_timeout(10.0 + PATIENCE_S) == ["I am just looking into "]
    assert splitter.finish() == ["the"]


def test_while_the_voice_is_busy_there_is_time() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed(NEVER_DRY, 0.0) == [NEVER_DRY]
    assert splitter.deadline is None
    splitter.feed("And this is the next", 0.0)
    assert splitter.deadline == pytest.approx(len(NEVER_DRY) / 15 - VOICE_LEAD_S)


@pytest.mark.parametrize(
    ("held", "late"), [("We close at 5 p.m.", "We close at 5 p.m."), ("The price is now 3.", "The price is now "),
                       ("Then go and ask Dr.", "Then go and ask ")]
)  # fmt: skip
def test_a_mark_at_the_end_is_believed_when_time_is_up(held: str, late: str) -> None:
    splitter = ClauseSplitter()
    assert splitter.feed(held, 0.0) == []
    assert splitter.handle_timeout(PATIENCE_S) == [late]
    assert "".join([late, *splitter.finish()]) == held


@pytest.mark.parametrize("held", ["Well", " ```some long code that goes on"])
def test_a_little_rest_and_code_are_waited_for(held: str) -> None:
    splitter = ClauseSplitter()
    splitter.feed(held, 0.0)
    assert splitter.deadline is None


def test_a_time_out_that_finds_nothing_comes_again_later() -> None:
    splitter = ClauseSplitter()
    splitter.feed("Donaudampfschifffahrt", 0.0)
    assert splitter.handle_timeout(PATIENCE_S) == []
    assert splitter.deadline == 2 * PATIENCE_S


def test_long_code_is_cut_between_lines_and_never_in_a_fence() -> None:
    code = "```\n" + "a = b. c! d\n" * 500 + "```"
    clauses = cut(code + " Done.", 1)
    assert "".join(clauses) == code + " Done."
    assert max(map(len, clauses)) <= LONGEST_CODE + 1
    assert clauses[-1].strip() == "Done."
    assert "".join(clauses[:-1]).strip() == code


def test_the_end_settles_everything() -> None:
    assert cut("It is a good 1,") == ["It is a good 1,"]
    assert cut("It is a `b. Cat. 🎉") == ["It is a `b. ", "Cat. 🎉"]
    assert cut("x" * 300 + " and more.") == ["x" * 300 + " ", "and more."]
    assert cut("👍") == ["👍"]
    assert cut("") == []


def test_a_splitter_can_be_used_again() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("```code", 0.0) + splitter.finish() == ["```code"]
    assert splitter.feed("Yes. And", 9.0) + splitter.finish() == ["Yes. ", "And"]


@pytest.mark.parametrize(
    "text",
    ["This is a sentence, and it has no end in sight. ", "word ", "x", "```code. ", "`a ", "天地", "\n", "! ", '"A'],
)
def test_the_work_is_linear(text: str) -> None:
    """Four times the text takes about four times as long, letter by letter; quadratic work would take sixteen."""

    def seconds(length: int) -> float:
        whole = (text * length)[:length]
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            cut(whole, 1)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(8_000) < 9 * seconds(2_000) + 0.02
