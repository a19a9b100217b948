"""What cannot have been said."""

from __future__ import annotations

import pytest

from antiphon.engines.stt.checks import Heard, doubt, repeats, without_outro

LONG = "The quick brown fox jumps over the lazy dog while the band plays on and nobody in the house is asleep."


@pytest.mark.parametrize(
    "heard",
    [
        Heard("", 1.0),
        Heard("Yes.", 0.3),
        Heard(LONG, 5.0),
        Heard("No no no no no no.", 2.0),
        Heard("Thank you.", 1.0, -0.2, 0.1),
        Heard("I said it again and again and again.", 3.0),
        Heard("faint", 1.0, -0.3, 0.9),
    ],
)
def test_what_people_say_is_believed(heard: Heard) -> None:
    assert doubt(heard) is None
    assert without_outro(heard) == heard.text


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        (Heard("Thank you for watching.", 1.0, -1.5, 0.9), "silence"),
        (Heard(LONG, 1.0), "fast"),
        (Heard(" I'm sorry." * 12, 10.0), "repeats"),
        (Heard("the end of " * 5, 10.0), "repeats"),
    ],
)
def test_what_nobody_said_is_doubted(heard: Heard, why: str) -> None:
    assert why in str(doubt(heard))


def test_an_outro_goes_only_from_the_end_and_only_when_in_doubt() -> None:
    unsure = Heard("The meeting is at noon. Thanks for watching!", 5.0, -0.9, 0.1)
    assert without_outro(unsure) == "The meeting is at noon."
    assert without_outro(Heard(unsure.text, 5.0, -0.1, 0.01)) == unsure.text
    middle = Heard("Thanks for watching! The meeting is at noon.", 5.0, -0.9, 0.5)
    assert without_outro(middle) == middle.text
    assert without_outro(Heard("Vielen Dank. Untertitelung des ZDF", 0.8)) == "Vielen Dank."


def test_repeats() -> None:
    assert not repeats("one two three four five six")
    assert not repeats("")
    assert repeats("so it goes so it goes so it goes so it goes so it goes")
