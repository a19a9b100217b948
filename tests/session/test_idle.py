"""A person who says nothing for long enough is spoken to."""

from __future__ import annotations

import pytest
from story import Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import Message, Speech
from antiphon.session.settings import Settings, Transcription, TurnDetection

FIVE = Settings(turn_detection=TurnDetection(idle_timeout_ms=5000), transcription=Transcription())


def answered(settings: Settings = FIVE) -> Story:
    story = Story(settings)
    story.say_turn("hello")
    story.answer("Good morning.", 2.0)
    story.wait(1.6)  # sent ahead by the lead: still half a second to be played
    assert story.last(o.ResponseEnded).response.status == "completed"
    story.names()
    return story


def test_silence_counts_from_the_end_of_what_was_played() -> None:
    story = answered()
    played = story.now
    story.pause(8.0)
    at = next(at for at, output in story.everything if isinstance(output, o.TimedOut))
    assert at == pytest.approx(played + 0.4 + 5.0, abs=0.1)
    assert story.names()[:6] == [
        "TimedOut",
        "AudioCommitted",
        "ItemAdded",
        "TranscriptionDone",
        "ResponseBegan",
        "Generate",
    ]


def test_the_silence_is_an_item_and_the_model_is_told() -> None:
    story = answered()
    story.wait(8.0)
    timed_out = story.last(o.TimedOut)
    item = story.last(o.ItemAdded).item
    assert isinstance(item, Message)
    assert item.id == timed_out.item_id == story.last(o.AudioCommitted).item_id
    assert item.content == (Speech(timed_out.start, timed_out.stop, ""),)
    assert "said nothing for 5 seconds" in story.last(o.Generate).instructions
    assert len(story.all(o.Transcribe)) == 1, "there is nothing to recognise in silence"


def test_it_happens_again_after_the_answer_but_not_while_somebody_speaks() -> None:
    story = answered()
    story.wait(8.0)
    story.answer("Are you there?", 1.0)
    story.wait(3.0)
    story.talk(10.0)
    assert len(story.all(o.TimedOut)) == 1
    story.pause(0.6)
    story.recognise("yes")
    story.answer("Good.", 0.5)
    story.wait(7.0)
    assert len(story.all(o.TimedOut)) == 2


@pytest.mark.parametrize("detection", [None, TurnDetection(), TurnDetection("semantic_vad", idle_timeout_ms=5000)])
def test_only_where_it_was_asked_for(detection: TurnDetection | None) -> None:
    story = answered()
    story.ask(turn_detection=detection)
    story.wait(30.0)
    assert not story.all(o.TimedOut)


def test_nobody_is_spoken_to_who_never_spoke() -> None:
    story = Story(FIVE)
    story.wait(60.0)
    assert not story.all(o.TimedOut)


def test_without_create_response_the_silence_is_only_told() -> None:
    story = answered()
    story.ask(turn_detection=TurnDetection(idle_timeout_ms=5000, create_response=False))
    story.names()
    story.give(i.TimePassed())
    story.wait(30.0)
    assert story.names() == ["TimedOut", "AudioCommitted", "ItemAdded", "TranscriptionDone"]


def test_the_position_in_the_stream_comes_with_the_time() -> None:
    story = answered()
    story.now += 10.0
    heard = story.heard + 20 * WIRE_RATE
    story.give(i.TimePassed(heard))
    timed_out = story.last(o.TimedOut)
    assert (timed_out.start, timed_out.stop) == (heard - 5 * WIRE_RATE, heard)
