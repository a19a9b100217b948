"""While nobody is there to hear, nothing is said; what was begun is said when somebody is back."""

from __future__ import annotations

from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import FunctionCall, Message, Role, Text
from antiphon.session.settings import Fillers, FunctionTool, Settings, TurnDetection

LOST, BACK = i.LineLost("browser"), i.LineRestored("browser")


def sent_s(story: Story) -> float:
    return sum(one.stop - one.start for one in story.all(o.AudioSent)) / 24_000


def test_an_answer_is_held_back_and_then_goes_on() -> None:
    story = Story()
    story.say_turn("tell me")
    story.answer("A long answer that goes on for a while.", 6.0)
    story.wait(1.0)
    story.give(LOST)
    before = sent_s(story)
    assert 0.9 < before < 2.0
    story.wait(10.0)
    assert sent_s(story) == before
    assert not story.all(o.ResponseEnded)
    story.give(BACK)
    story.wait(8.0)
    assert sent_s(story) == 6.0
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_who_comes_instead_of_one_who_does_not_come_back_is_heard_and_answered() -> None:
    story = Story()
    story.give(LOST)
    story.give(i.Detach("browser"))
    story.give(i.Attach("another"))
    story.say_turn("is anybody there")
    story.answer("Yes.", 1.0)
    story.wait(2.0)
    assert sent_s(story) == 1.0
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_one_of_two_that_were_lost_is_not_enough() -> None:
    story = Story()
    story.give(LOST)
    story.give(i.LineLost("another"))
    story.say_turn("tell me")
    story.answer("Yes.", 1.0)
    story.give(BACK)
    story.wait(2.0)
    assert sent_s(story) == 0.0
    story.give(i.Detach("another"))
    story.wait(2.0)
    assert sent_s(story) == 1.0


def test_who_does_not_come_back_has_heard_what_was_sent() -> None:
    story = Story()
    story.say_turn("tell me")
    story.answer("One two three four five six seven eight nine ten.", 6.0)
    story.wait(2.0)
    story.give(LOST)
    story.wait(30.0)
    story.give(i.Finish("lost"))
    heard = story.remembered()[-1]
    assert "One two".startswith(heard[:7])
    assert len(heard) < 30


def test_a_turn_that_is_recognised_meanwhile_is_answered_afterwards() -> None:
    story = Story()
    story.talk(1.0)
    story.pause(0.6)
    story.give(LOST)
    story.recognise("what time is it")
    story.answer("It is noon.", 1.0)
    story.wait(5.0)
    assert not story.all(o.AudioSent)
    story.give(BACK)
    story.wait(2.0)
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_nobody_is_asked_whether_they_are_still_there() -> None:
    story = Story(Settings(turn_detection=TurnDetection(idle_timeout_ms=5_000)))
    story.say_turn("hello")
    story.answer("Hello.", 0.5)
    story.wait(1.0)
    story.give(LOST)
    story.wait(60.0)
    assert not story.all(o.TimedOut)
    story.give(BACK)
    story.wait(4.0)
    assert not story.all(o.TimedOut)
    story.wait(2.0)
    assert len(story.all(o.TimedOut)) == 1


def test_what_is_to_be_announced_and_excused_waits() -> None:
    story = Story(server_tools=(FunctionTool("weather"),), fillers=Fillers(2.0, {"en": "One moment."}))
    story.give(LOST)
    story.give(i.Announce("Your timer is done."))
    story.wait(5.0)
    assert not story.all(o.Say)
    story.give(BACK)
    assert story.last(o.Say).text == "Your timer is done."


def test_what_was_said_before_is_told_and_known_to_the_model() -> None:
    earlier = (
        Message("item_1", Role.USER, (Text("I am Ada."),)),
        FunctionCall("item_2", "call_1", "note", "{}"),
        Message("item_3", Role.ASSISTANT, (Text("Noted."),)),
    )
    story = Story(earlier=earlier)
    told = story.all(o.ItemAdded)
    assert [(one.item.id, one.previous) for one in told] == [("item_1", None), ("item_3", "item_1")]
    story.give(i.Attach("another"))
    assert len(story.all(o.ItemAdded)) == 2
    story.say_turn("who am I")
    assert story.last(o.Generate).context[:3] == earlier
