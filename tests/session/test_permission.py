"""Nothing that has to be allowed runs before the person has said yes, in words or by hand, and in time."""

from __future__ import annotations

import json

import pytest
from story import Story

from antiphon.errors import Bug
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.consent import consent_in
from antiphon.session.items import FunctionOutput, Item, Message, Role, Text
from antiphon.session.permission import Consent, Permissions
from antiphon.session.settings import FunctionTool, ResponseOptions

WIPE = FunctionTool("wipe", "Deletes all files.")


@pytest.mark.parametrize(
    ("words", "language", "consent"),
    [
        ("Yes.", "en", True), ("yeah, please do", "en-US", True), ("OK", None, True), ("Sure!", "xx", True),
        ("no", "xx", False),
        ("No.", "en", False), ("no, yes, no", "en", False), ("yes but not now", "en", False),
        ("please don’t", "en", False), ("Stop", "en", False), ("what would that do", "en", None), ("", "en", None),
        ("yes and by the way tell me what the weather is like", "en", None),
        ("Ja, bitte", "de-DE", True), ("nein danke", "de", False), ("ja", "en", None), ("ja", None, True),
        ("ja nein", None, False), ("oui", "fr", True),
        ("sí", "es", True), ("sì", "it", True), ("não", "pt", False), ("jazeker", "nl", True),
    ],
)  # fmt: skip
def test_yes_and_no(words: str, language: str | None, consent: bool | None) -> None:
    assert consent_in(words, language) is consent


def test_a_question_is_answered_once_or_its_time_is_over() -> None:
    questions = Permissions(30.0)
    questions.ask("a", 100.0, aloud=True)
    questions.ask("b", 110.0, aloud=False)
    assert questions.asked_aloud() == ("a",)
    assert questions.deadline == 130.0
    assert questions.overdue(129.9) == ()
    assert questions.overdue(130.0) == ("a",)
    questions.settle("a", "expire")
    assert questions.state("a") is Consent.EXPIRED
    with pytest.raises(Bug):
        questions.settle("a", "allow")
    questions.forget("b")
    assert questions.state("b") is None


def asked(language: str = "en") -> Story:
    """The model wants to wipe, and has asked aloud."""
    story = Story(server_tools=(WIPE,), asks_before=("wipe",), approval_s=30.0)
    story.say_turn("wipe everything")
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "c1", "wipe", '{"all":true}'))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    assert not story.all(o.RunTool)
    assert story.last(o.ApprovalAsked) == o.ApprovalAsked("c1", "wipe", '{"all":true}', 30.0)
    (question,) = outputs_in(story.last(o.Generate).context)
    assert json.loads(question[1])["question"] == "Deletes all files: shall I do that?"
    story.answer("Shall I delete all files?", 1.0)
    story.wait(1.5)
    return story


def outputs_in(context: tuple[Item, ...]) -> list[tuple[str, str]]:
    return [(item.call_id, item.output) for item in context if isinstance(item, FunctionOutput)]


def test_a_spoken_yes_runs_it_and_the_answer_tells_what_came_of_it() -> None:
    story = asked()
    generated = len(story.all(o.Generate))
    story.say_turn("yes please")
    assert story.last(o.ApprovalSettled).outcome == "allowed"
    run = story.last(o.RunTool)
    assert (run.name, run.arguments, run.call_id) == ("wipe", '{"all":true}', "c1_later")
    assert len([each for each in story.all(o.Generate) if each.response_id]) == generated, "the model waits for it"
    story.give(i.ToolReturned(run.work, "all gone"))
    assert outputs_in(story.last(o.Generate).context)[-1] == ("c1_later", "all gone")
    story.answer("It is done.", 0.5)
    story.wait(1.0)
    assert story.last(o.ResponseEnded).response.status == "completed"
    story.say_turn("yes")
    assert len(story.all(o.RunTool)) == 1, "a second yes allows nothing"


@pytest.mark.parametrize(("words", "why"), [("no thanks", "did not allow it"), ("what is that", "neither yes nor no")])
def test_anything_but_yes_does_not_run_it(words: str, why: str) -> None:
    story = asked()
    story.say_turn(words)
    assert story.last(o.ApprovalSettled).outcome == "refused"
    assert not story.all(o.RunTool)
    assert why in outputs_in(story.last(o.Generate).context)[-1][1]


def test_a_written_yes_is_one_too() -> None:
    story = asked()
    story.give(i.CreateItem("browser", None, Message("", Role.USER, (Text("yes"),)), consent=True))
    assert not story.all(o.RunTool)
    story.respond()
    assert story.last(o.RunTool).name == "wipe"
    assert not story.all(o.Refused)


def test_after_a_written_yes_nobody_has_to_ask_for_the_answer() -> None:
    story = asked()
    story.give(i.CreateItem("browser", None, Message("", Role.USER, (Text("yes"),)), consent=True))
    story.wait(1.1)
    assert story.last(o.RunTool).name == "wipe"


def test_by_hand_it_is_allowed_without_a_word() -> None:
    story = asked()
    story.give(i.AnswerApproval("browser", None, "c1", approve=True))
    run = story.last(o.RunTool)
    story.give(i.AnswerApproval("browser", "again", "c1", approve=True))
    assert story.last(o.Refused).code == "approval_not_found"
    story.give(i.ToolReturned(run.work, "all gone"))
    assert outputs_in(story.last(o.Generate).context)[-1] == ("c1_later", "all gone")
    story.give(i.AnswerApproval("browser", None, "c9", approve=True))
    assert len(story.all(o.RunTool)) == 1


def test_no_answer_is_no() -> None:
    story = asked()
    story.wait(31.0)
    assert story.last(o.ApprovalSettled).outcome == "expired"
    story.say_turn("yes")
    assert not story.all(o.RunTool)
    assert "in time" in outputs_in(story.last(o.Generate).context)[-1][1]


def test_out_of_band_nobody_can_be_asked() -> None:
    story = Story(server_tools=(WIPE,), asks_before=("wipe",))
    story.give(i.CreateResponse("browser", None, ResponseOptions(detached=True, speaks=False, input=())))
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "c1", "wipe", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    assert not story.all(o.ApprovalAsked)
    assert not story.all(o.RunTool)
    assert "nobody can be asked" in outputs_in(story.last(o.Generate).context)[-1][1]
