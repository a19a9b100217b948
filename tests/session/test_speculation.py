"""An answer is prepared before its turn is over: there at once when it fits, and gone without a trace when not."""

from __future__ import annotations

import pytest
from story import WINDOW, Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import Message, Role, Text
from antiphon.session.settings import FunctionTool, Settings, Speculating, Transcription, TurnDetection

HELLO = i.Reading(words=1, over=0.9)


def eager(settings: Settings | None = None, **config: object) -> Story:
    return Story(settings or Settings(transcription=Transcription()), speculation=Speculating(answers=True), **config)


def hear(story: Story, text: str = "Hello there", reading: i.Reading = HELLO) -> None:
    """The recogniser has the words that it was asked for last."""
    story.give(i.TranscriptReady(story.last(o.Transcribe).work, text, "en", 1.0, reading=reading))


def prepare(story: Story) -> int:
    """The person pauses; the words are known and the answer begun. Returns the number of its work."""
    story.talk(1.0)
    story.pause(0.25)
    hear(story)
    work = story.last(o.Generate).work
    story.give(i.TextWritten(work, "Good day. "))
    story.give(i.ClauseBegan(work, "Good day. "))
    story.give(i.AudioMade(work, WIRE_RATE))
    return work


def notices(story: Story) -> list[str]:
    commands = {"Transcribe", "Generate", "Release", "StopWork", "SpeculationEnded", "ScoreTurn", "Remark"}
    return [name for name in story.names() if name not in commands]


def test_nothing_is_told_before_the_turn_is_over_and_all_of_it_then() -> None:
    story = eager()
    work = prepare(story)
    assert notices(story) == ["Welcomed", "SpeechStarted"]
    story.pause(0.3)
    assert notices(story) == [
        "SpeechStopped",
        "AudioCommitted",
        "ItemAdded",
        "ResponseBegan",
        "TranscriptionDone",
        "OutputBegan",
        "TextSent",
        *["AudioSent"] * 5,
    ]
    assert story.last(o.Release).work == work
    assert story.last(o.SpeculationEnded) == o.SpeculationEnded("hit", 1)
    assert len(story.all(o.Transcribe)) == len(story.all(o.Generate)) == 1


def test_the_first_sound_comes_in_the_step_that_ends_the_turn() -> None:
    story = eager()
    prepare(story)
    story.pause(0.3)
    moment = {type(output): now for now, output in reversed(story.everything)}
    assert moment[o.AudioCommitted] == moment[o.AudioSent]


def test_speech_that_resumes_discards_it_and_the_next_pause_begins_anew() -> None:
    story = eager()
    first = prepare(story)
    story.talk(0.5)
    assert {stop.work for stop in story.all(o.StopWork)} >= {first}
    assert story.last(o.SpeculationEnded) == o.SpeculationEnded("miss", 1)
    assert notices(story) == ["Welcomed", "SpeechStarted"]
    story.give(i.TextWritten(first, "Too late. "))
    story.pause(0.6)
    hear(story, "Hello there, who are you", i.Reading(words=2))
    assert story.told() == ["Hello there, who are you"]
    assert "TextSent" not in notices(story)


def test_words_that_come_after_the_turn_is_over_are_its_transcript() -> None:
    story = eager()
    story.talk(1.0)
    story.pause(0.6)
    assert len(story.all(o.Transcribe)) == 1
    hear(story)
    assert story.last(o.TranscriptionDone).text == "Hello there"
    assert story.last(o.Generate).response_id is not None
    assert story.all(o.Release) == []


def flicker(story: Story) -> None:
    """One window has a voice, and no more."""
    story.heard += WINDOW
    story.give(i.VoiceSuspected(story.heard - WINDOW, story.heard, story.now))


@pytest.mark.parametrize(("words", "outcome"), [(1, "hit"), (2, "miss")])
def test_after_a_doubt_the_words_are_asked_again_and_the_answer_stays_only_if_they_are_the_same(
    words: int, outcome: str
) -> None:
    story = eager()
    work = prepare(story)
    flicker(story)
    for _ in range(10):
        story.heard += WINDOW
        story.give(i.SilenceTick(story.heard, story.now))
    assert len(story.all(o.Transcribe)) == 2
    assert not story.all(o.TextSent)
    hear(story, "hello there!", i.Reading(words=words))
    assert story.last(o.SpeculationEnded).outcome == outcome
    assert (story.last(o.Generate).work == work) is (outcome == "hit")
    assert story.remembered()[0] == "hello there!"


def test_another_question_is_asked_anew() -> None:
    story = eager()
    prepare(story)
    story.ask(instructions="Be brief.")
    story.pause(0.3)
    assert story.last(o.SpeculationEnded).outcome == "miss"
    assert story.last(o.Generate).instructions == "Be brief."
    assert not story.all(o.TextSent)


def test_an_item_that_was_added_meanwhile_makes_it_another_question() -> None:
    story = eager()
    prepare(story)
    story.give(i.CreateItem("browser", None, Message("", Role.SYSTEM, (Text("The door is open."),))))
    story.pause(0.3)
    assert story.last(o.SpeculationEnded).outcome == "miss"
    assert len(story.last(o.Generate).context) == 2


def test_no_tool_runs_before_the_turn_is_over() -> None:
    story = eager(server_tools=(FunctionTool("clock"),))
    story.talk(1.0)
    story.pause(0.25)
    hear(story)
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "call_1", "clock", "{}"))
    story.give(i.WritingEnded(work, "tool_calls", 20, 9))
    assert not story.all(o.RunTool)
    story.pause(0.3)
    assert story.last(o.RunTool).name == "clock"
    assert story.last(o.SpeculationEnded) == o.SpeculationEnded("hit", 9)


@pytest.mark.parametrize("failing", ["words", "answer"])
def test_a_speculation_that_fails_is_forgotten_and_the_turn_is_answered_all_the_same(failing: str) -> None:
    story = eager()
    story.talk(1.0)
    story.pause(0.2)
    if failing == "answer":
        hear(story)
        story.give(i.WorkFailed(story.last(o.Generate).work, "llm_down", "no"))
    else:
        story.give(i.WorkFailed(story.last(o.Transcribe).work, "stt_down", "no"))
    story.pause(0.4)
    assert "TranscriptionFailed" not in notices(story)
    if failing == "words":
        assert len(story.all(o.Transcribe)) == 2
        hear(story)
    assert story.last(o.Generate).response_id is not None
    story.answer("Good day.", 1.0)
    story.wait(3.0)
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_an_empty_transcript_prepares_nothing_and_answers_nothing() -> None:
    story = eager()
    story.talk(0.3)
    story.pause(0.25)
    hear(story, "", i.Reading())
    story.pause(0.3)
    assert not story.all(o.Generate)
    assert story.last(o.ResponseEnded).response.output == ()


def test_clearing_the_buffer_leaves_nothing_behind() -> None:
    story = eager()
    work = prepare(story)
    story.give(i.ClearAudio("browser", None, story.heard))
    assert {stop.work for stop in story.all(o.StopWork)} >= {work}
    story.pause(1.0)
    assert not story.all(o.ItemAdded)
    assert not story.all(o.ResponseBegan)


def test_attempts_are_bounded_in_a_turn_and_waste_in_a_session() -> None:
    wish = Speculating(answers=True, attempts=2, most_wasted=1)
    story = Story(Settings(transcription=Transcription()), speculation=wish)
    for _ in range(4):
        story.talk(0.3)
        story.pause(0.25)
    assert len(story.all(o.Transcribe)) == 2
    story.pause(0.4)
    hear(story)
    story.answer("Good day.", 0.1)
    story.wait(3.0)
    prepare(story)
    story.talk(0.3)
    assert story.last(o.SpeculationEnded) == o.SpeculationEnded("miss", 1)
    before = len(story.all(o.Transcribe))
    story.pause(0.25)
    assert len(story.all(o.Transcribe)) == before, "it goes on though too much was wasted"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(turn_detection=TurnDetection(create_response=False)),
        Settings(kind="transcription", transcription=Transcription()),
    ],
)
def test_where_nobody_is_answered_only_the_words_are_prepared(settings: Settings) -> None:
    story = eager(settings)
    story.talk(1.0)
    story.pause(0.25)
    hear(story)
    assert not story.all(o.Generate)
    story.pause(0.3)
    assert len(story.all(o.Transcribe)) == 1


def test_it_is_off_unless_it_is_wanted() -> None:
    story = Story()
    story.talk(1.0)
    story.pause(0.4)
    assert not story.all(o.Transcribe)
