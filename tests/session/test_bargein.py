"""A voice over an answer: held against us for a moment, and then nobody's business or an interruption."""

from __future__ import annotations

import pytest
from story import WINDOW, Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.settings import Settings, TurnDetection

STOP = i.Reading(words=1, over=0.9)
MM_HM = i.Reading(words=2, is_backchannel=True)
ECHO = i.Reading(words=3, echoed=1.0)


def answering(kind: str = "semantic_vad", **config: object) -> Story:
    """A session in the middle of a long answer, all of whose sound is made."""
    detection = TurnDetection(kind=kind, eagerness="high")  # type: ignore[arg-type]
    story = Story(Settings(turn_detection=detection), **config)
    story.talk(1.0)
    story.pause(2.1)
    story.recognise("Tell me a story")
    story.write("Once upon a time there was a fox. ")
    story.voice("Once upon a time there was a fox. ", 8.0)
    story.voice_ends()
    story.wait(1.0)
    story.names()
    return story


def sent(story: Story) -> int:
    return story.all(o.AudioSent)[-1].stop


def suspect(story: Story) -> None:
    story.heard += WINDOW
    story.give(i.VoiceSuspected(story.heard - WINDOW, story.heard, story.now))


def overhear(story: Story, reading: i.Reading, text: str = "words") -> None:
    """The words of the voice, as soon as they are asked for."""
    story.give(i.TranscriptReady(story.last(o.Transcribe).work, text, "en", 0.3, reading=reading))


def test_one_window_holds_the_answer_and_nothing_is_told() -> None:
    story = answering()
    suspect(story)
    before = sent(story)
    story.wait(0.15)
    assert sent(story) == before
    assert story.names() == []


@pytest.mark.parametrize("dismissed", [True, False], ids=["dismissed", "never heard of again"])
def test_a_suspicion_of_which_nothing_comes_lets_the_answer_go_on(dismissed: bool) -> None:
    story = answering()
    suspect(story)
    before = sent(story)
    if dismissed:
        story.give(i.VoiceDismissed(story.heard + WINDOW, story.now))
    story.wait(0.5)
    assert sent(story) > before
    assert story.last(o.BargeInJudged).outcome == "dismissed"
    assert not {"SpeechStarted", "ResponseEnded"} & set(story.names())


def test_a_voice_alone_interrupts_under_server_vad() -> None:
    story = answering("server_vad")
    suspect(story)
    story.talk(0.1)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"
    assert story.last(o.BargeInJudged).outcome == "confirmed"


def test_words_that_are_meant_for_us_interrupt_from_where_they_began() -> None:
    story = answering()
    began = story.heard
    story.talk(0.25)
    assert "SpeechStarted" not in story.names()
    overhear(story, STOP)
    assert story.last(o.SpeechStarted).at == began - round(0.3 * WIRE_RATE)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"
    story.talk(0.5)
    story.pause(2.1)
    assert story.last(o.AudioCommitted).item_id == story.last(o.SpeechStarted).item_id


@pytest.mark.parametrize(("reading", "outcome"), [(MM_HM, "backchannel"), (ECHO, "echo")])
def test_what_is_not_meant_for_us_is_never_told(reading: i.Reading, outcome: str) -> None:
    story = answering()
    items = len(story.all(o.ItemAdded))
    story.talk(0.25)
    before = sent(story)
    overhear(story, reading)
    assert story.last(o.BargeInJudged).outcome == outcome
    story.pause(1.0)
    story.wait(8.0)
    assert sent(story) > before
    assert story.last(o.ResponseEnded).response.status == "completed"
    assert "SpeechStarted" not in story.names()
    assert len(story.all(o.ItemAdded)) == items


def test_a_voice_without_words_interrupts_when_it_goes_on() -> None:
    story = answering()
    story.talk(0.4)
    assert story.last(o.BargeInJudged).outcome == "confirmed"
    assert story.last(o.BargeInJudged).held_ms <= 300


def test_a_short_sound_lets_the_answer_go_on_until_its_words_say_otherwise() -> None:
    story = answering()
    story.talk(0.15)
    story.pause(0.3)
    assert story.last(o.BargeInJudged).outcome == "brief"
    assert not story.all(o.SpeechStarted)[1:]
    overhear(story, STOP, "stop")
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"


def test_a_backchannel_that_goes_on_is_listened_to_and_may_become_an_interruption() -> None:
    story = answering()
    story.talk(0.25)
    overhear(story, MM_HM)
    first = story.last(o.Transcribe)
    story.talk(1.5)
    again = story.last(o.Transcribe)
    assert again.work != first.work
    assert again.start == first.start
    overhear(story, STOP)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"


def test_our_own_echo_is_asked_about_ever_more_rarely() -> None:
    story = answering()
    asked = len(story.all(o.Transcribe))
    for _ in range(20):
        story.talk(0.3)
        if story.last(o.Transcribe).work > asked:
            overhear(story, ECHO)
    assert len(story.all(o.Transcribe)) - asked <= 4
    assert not story.all(o.SpeechStarted)[1:]


def test_where_clients_cancel_the_echo_our_own_words_are_the_persons() -> None:
    story = answering(knows_echo=False)
    story.talk(0.25)
    overhear(story, ECHO)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"


def test_a_voice_that_outlasts_the_answer_is_a_turn() -> None:
    story = answering()
    story.talk(0.25)
    overhear(story, MM_HM)
    story.wait(9.0)
    assert story.last(o.ResponseEnded).response.status == "completed"
    story.heard += WINDOW
    story.give(i.VoiceTick(story.heard, story.now))
    assert story.last(o.SpeechStarted).at < story.heard - round(0.25 * WIRE_RATE)


def test_after_the_answer_was_played_any_voice_is_a_turn() -> None:
    story = answering()
    story.wait(12.0)
    story.talk(0.1)
    assert len(story.all(o.SpeechStarted)) == 2


def test_words_may_be_wanted_under_server_vad_too() -> None:
    story = answering("server_vad", barge_in="words")
    story.talk(0.25)
    overhear(story, MM_HM)
    story.pause(1.0)
    assert len(story.all(o.SpeechStarted)) == 1


def test_with_interrupt_response_off_nothing_is_held_and_the_turn_is_told_at_once() -> None:
    story = answering()
    story.ask(turn_detection=TurnDetection(kind="semantic_vad", interrupt_response=False))
    suspect(story)
    before = sent(story)
    story.talk(0.1)
    story.wait(0.5)
    assert len(story.all(o.SpeechStarted)) == 2
    assert sent(story) > before


def test_what_was_heard_is_what_had_been_played_when_it_was_confirmed() -> None:
    story = answering()
    story.wait(3.0)
    story.talk(0.25)
    overhear(story, STOP)
    assert story.remembered()[-1] == "Once upon a time"  # 4.2 of 8 seconds: 18 of 34 letters


def test_a_client_that_commits_means_what_it_said() -> None:
    story = answering()
    story.talk(0.2)
    story.give(i.CommitAudio("browser", None, story.heard))
    assert story.last(o.AudioCommitted).item_id == story.last(o.SpeechStarted).item_id
