"""A client that plays says how far it has got, and the session believes it rather than its clock."""

from __future__ import annotations

import pytest
from story import Story

from antiphon.audio.units import WIRE_RATE, samples_from_ms
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.playout import Playout
from antiphon.session.settings import Settings, TurnDetection

WORDS = "one two three four five six seven eight nine ten."


def test_the_clock_runs_on_from_what_the_player_says() -> None:
    playout = Playout(lead_ms=500, delta_ms=100)
    playout.send(2 * WIRE_RATE, 10.0)
    playout.report(WIRE_RATE // 4, 11.0)
    assert playout.played(11.5) == WIRE_RATE * 3 // 4
    assert playout.ends_at() == pytest.approx(12.75)
    playout.report(10 * WIRE_RATE, 12.0)
    assert playout.played(12.0) == 2 * WIRE_RATE, "nobody has heard more than was sent"


def speaking(story: Story) -> str:
    """The answer is being spoken; the id of its item."""
    story.say_turn("count")
    story.answer(WORDS, 3.0)
    return story.last(o.OutputBegan).item.id


def test_an_interrupted_answer_is_remembered_as_far_as_it_was_heard() -> None:
    story = Story()
    item_id = speaking(story)
    story.wait(2.0)
    story.give(i.AudioPlayed(item_id, samples_from_ms(600)))
    story.say_turn("stop")
    (answer,) = (item for item in story.last(o.Generate).context if item.id == item_id)
    words = answer.content[0].transcript  # type: ignore[union-attr]
    assert words == "one two", "600 ms and one window of 32 out of 3 s, in whole words"


def test_a_player_that_lags_is_not_sent_more_than_its_lead() -> None:
    story = Story(lead_ms=500)
    item_id = speaking(story)
    for _ in range(10):
        story.wait(0.1)
        story.give(i.AudioPlayed(item_id, 0))
    sent = sum(piece.stop - piece.start for piece in story.all(o.AudioSent))
    assert sent <= samples_from_ms(500 + 100)


def test_the_wait_for_a_silent_person_begins_when_the_player_is_done() -> None:
    story = Story(Settings(turn_detection=TurnDetection(idle_timeout_ms=5000)))
    item_id = speaking(story)
    story.wait(2.9)
    assert story.all(o.ResponseEnded)
    story.give(i.AudioPlayed(item_id, samples_from_ms(1000)))
    story.wait(6.9)
    assert not story.all(o.TimedOut)
    story.wait(0.2)
    assert story.all(o.TimedOut)


def test_a_report_about_nothing_is_only_noted() -> None:
    story = Story()
    assert [type(output) for output in story.give(i.AudioPlayed("item_of_somebody_else", 100))] == [o.Remark]
