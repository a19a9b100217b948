"""What the words of an utterance say about the turn."""

from __future__ import annotations

import pytest

from antiphon.hearing.phrases import PHRASES
from antiphon.hearing.words import HANGING, NUMBER, WHOLE, WordReader, words_of


@pytest.mark.parametrize(
    ("text", "language", "whole"),
    [
        ("What time is it?", "en", True),
        ("I would like to know how far it is to the", "en", False),
        ("set a timer for ten minutes and", "en", False),
        ("I was thinking, um", "en", False),
        ("Well...", "en", False),
        ("yes please", "en", True),
        ("Ich hätte gern gewusst, ob", "de", False),
        ("Wie spät ist es?", "de-AT", True),
        ("je voudrais savoir si", "fr", False),
        ("quiero saber por", "es", False),
    ],
)
def test_a_sentence_is_whole_or_hangs(text: str, language: str, whole: bool) -> None:
    over = WordReader().read(text, language).over
    assert over is not None
    assert (over >= WHOLE) if whole else (over <= HANGING)


def test_digits_may_go_on() -> None:
    assert WordReader().read("my number is five five two", "en").over == NUMBER
    assert WordReader().read("The answer is 42.", "en").over == WHOLE


def test_of_a_language_without_data_nothing_is_said() -> None:
    reading = WordReader().read("мне нужно", "ru")
    assert (reading.over, reading.is_backchannel) == (None, False)
    assert reading.words


@pytest.mark.parametrize("text", ["Mm-hm.", "Right", "yeah, okay", "Uh huh!", "I see."])
def test_backchannels(text: str) -> None:
    assert WordReader().read(text, "en").is_backchannel


@pytest.mark.parametrize("text", ["Right, but what about Monday?", "stop", "no"])
def test_what_is_more_than_a_backchannel(text: str) -> None:
    assert not WordReader().read(text, "en").is_backchannel


def test_equal_words_have_equal_numbers_whatever_their_dress() -> None:
    reader = WordReader()
    first = reader.read("Don't stop!", "en").words
    assert reader.read("don’t  STOP", "en").words == first
    assert reader.read("don't stop now", "en").words != first
    assert reader.read("… ?", "en").words == 0


def test_numbers_are_never_given_twice_though_few_texts_are_remembered() -> None:
    reader = WordReader()
    assert len({reader.read(f"word{n}", None).words for n in range(300)}) == 300


def test_our_own_words_are_an_echo_and_commands_are_not() -> None:
    reader = WordReader()
    reader.spoke("Once upon a time there was a fox, and it could not stop.")
    assert reader.read("a time there was", "en").echoed == 1.0
    assert reader.read("fox", "en").echoed == 1.0
    assert reader.read("tell me another one", "en").echoed == 0.0
    assert 0 < reader.read("there was once a wolf", "en").echoed < 0.6
    assert reader.read("stop", "en").echoed == 0.0


def test_words_of_other_scripts() -> None:
    assert words_of("Ｃａｆé 東京 l’été") == ["café", "東京", "l'été"]


def test_data_is_in_the_form_that_words_have() -> None:
    for phrases in PHRASES.values():
        for name in ("hanging", "hesitations", "commands", "numbers"):
            for phrase in getattr(phrases, name):
                assert phrase == phrase.casefold()
