"""While tools take their time, the person is told so, once; and a greeting comes before anybody asked."""

from __future__ import annotations

from story import Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.settings import Fillers, FunctionTool, Settings, TurnDetection

FILLERS = Fillers(2.0, {"en": "One moment."})


def asking(language: str = "en", settings: Settings | None = None) -> Story:
    """A session whose tool has been at work since now."""
    story = Story(settings, server_tools=(FunctionTool("weather"),), fillers=FILLERS)
    story.talk(1.0)
    story.pause(0.6)
    story.give(i.TranscriptReady(story.last(o.Transcribe).work, "What is the weather", language, 1.0))
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "call_1", "weather", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.give(i.SpeakingEnded(work))
    return story


def returned(story: Story) -> None:
    story.give(i.ToolReturned(story.last(o.RunTool).work, '{"sky": "blue"}'))


def test_a_slow_tool_is_excused_once_and_then_answered_in_the_same_response() -> None:
    story = asking()
    story.wait(1.9)
    assert not story.all(o.Say)
    story.wait(0.2)
    filler = story.last(o.Say)
    assert (filler.text, filler.is_fixed) == ("One moment.", True)
    story.give(i.WritingEnded(filler.work, "stop"))
    story.voice("One moment.", 0.8, filler.work)
    story.voice_ends(filler.work)
    story.wait(10.0)
    assert len(story.all(o.Say)) == 1
    returned(story)
    story.answer("The sky is blue.", 1.0)
    story.wait(3.0)
    done = story.last(o.ResponseEnded).response
    assert done.status == "completed"
    assert story.remembered()[-2:] == ["One moment.", "The sky is blue."]
    assert len(done.output) == 2


def test_a_filler_that_is_due_while_somebody_speaks_waits_and_does_not_keep_the_session_awake() -> None:
    story = asking(settings=Settings(turn_detection=TurnDetection(interrupt_response=False)))
    story.talk(3.0)  # a story fails where time does not go on
    assert not story.all(o.Say)
    story.pause(0.6)
    story.recognise("And tomorrow")
    story.wait(0.1)
    assert story.last(o.Say).text == "One moment."


def test_an_answer_that_comes_while_the_filler_is_made_is_spoken_after_it() -> None:
    story = asking()
    story.wait(2.1)
    filler = story.last(o.Say).work
    story.give(i.WritingEnded(filler, "stop"))
    story.give(i.ClauseBegan(filler, "One moment."))
    returned(story)
    answer = story.last(o.Generate).work
    story.voice("Blue.", 1.0)
    assert not story.all(o.AudioSent)
    story.give(i.AudioMade(filler, 19_200))
    story.voice_ends(filler)
    story.wait(2.0)
    works = list(dict.fromkeys(sent.work for sent in story.all(o.AudioSent)))
    assert works == [filler, answer]


def test_a_fast_tool_needs_no_excuse() -> None:
    story = asking()
    story.wait(1.0)
    returned(story)
    story.wait(5.0)
    assert not story.all(o.Say)


def test_nothing_is_said_in_a_language_without_a_phrase_nor_in_writing() -> None:
    for story in (asking("ja"), asking(settings=Settings(speaks=False))):
        story.wait(10.0)
        assert not story.all(o.Say)


def test_nothing_is_said_while_the_person_speaks() -> None:
    story = asking()
    story.talk(3.0)
    assert not story.all(o.Say)


def test_the_first_connection_is_greeted() -> None:
    story = Story(greeting="Hello, how can I help?")
    assert (story.last(o.Say).text, story.last(o.Say).is_fixed) == ("Hello, how can I help?", True)
    story.give(i.Attach("another"))
    assert len(story.all(o.Say)) == 1


def test_who_spoke_hears_that_it_failed_and_an_apology_that_fails_is_the_last() -> None:
    story = Story(apologies={"en": "Sorry."})
    story.say_turn("what is the weather")
    story.give(i.WorkFailed(story.last(o.Generate).work, "upstream_reset", "gone"))
    assert story.last(o.ResponseEnded).response.error_code == "upstream_reset"
    assert (story.last(o.Say).text, story.last(o.Say).is_fixed) == ("Sorry.", True)
    story.give(i.WorkFailed(story.last(o.Say).work, "no_voice", "gone"))
    story.wait(60)
    assert len(story.all(o.Say)) == 1


def test_who_spoke_hears_that_it_was_another_server() -> None:
    story = Story(apologies={"en": "Sorry.", "de": "Tut mir leid."}, unreachable={"en": "I cannot reach it."})
    story.say_turn("what is the weather")
    story.give(i.WorkFailed(story.last(o.Generate).work, "upstream_reset", "gone"))
    assert story.last(o.Say).text == "I cannot reach it."


def test_an_apology_gives_way_to_a_client_that_asks_again() -> None:
    story = Story(apologies={"en": "Sorry."})
    story.say_turn("what is the weather")
    story.give(i.WorkFailed(story.last(o.Generate).work, "upstream_reset", "gone"))
    assert story.last(o.Say).text == "Sorry."
    story.respond()
    ended = story.last(o.ResponseEnded).response
    assert (ended.id, ended.status, ended.reason) == (story.last(o.Say).response_id, "cancelled", "client_cancelled")
    assert len(story.all(o.Generate)) == 2
    assert not story.all(o.Refused)


def test_what_has_gone_out_of_an_apology_that_gave_way_is_heard_for_nobody_has_stopped_the_player() -> None:
    story = Story(apologies={"en": "Sorry, that went wrong."}, lead_ms=1000)
    story.say_turn("what is the weather")
    story.give(i.WorkFailed(story.last(o.Generate).work, "upstream_reset", "gone"))
    work = story.last(o.Say).work
    story.voice("Sorry, ", 0.8, work)
    story.voice("that went wrong.", 2.0, work)
    story.wait(0.3)
    story.respond()
    assert story.remembered() == ["what is the weather", "Sorry, that"]
    assert story.last(o.AudioSent).stop > 1.2 * WIRE_RATE, "half of it was still to be played"


def test_an_apology_that_waits_for_its_turn_is_not_said_when_a_client_has_asked_again() -> None:
    story = Story(apologies={"en": "Sorry."})
    story.say_turn("what is the weather")
    story.write("It is", end="stop")
    story.voice("It is", 2.0)
    story.give(i.WorkFailed(story.last(o.Generate).work, "upstream_reset", "gone"))
    assert not story.all(o.Say), "what was sent is still being played"
    story.respond()
    story.answer("It is sunny.", 1.0)
    story.wait(10)
    assert not story.all(o.Say)


def test_who_typed_is_told_of_it_by_their_client() -> None:
    story = Story(apologies={"en": "Sorry."})
    story.respond()
    story.give(i.WorkFailed(story.last(o.Generate).work, "upstream_reset", "gone"))
    assert not story.all(o.Say)
