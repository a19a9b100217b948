"""Calls start when their own arguments are whole, and what they did is remembered also when nobody waits for it."""

from __future__ import annotations

import json

from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message
from antiphon.session.settings import Fillers, FunctionTool, Settings

CLOCK = FunctionTool("clock")
LIGHT = FunctionTool("light")


def asked(story: Story) -> int:
    story.say_turn("do it")
    return story.last(o.Generate).work


def told(context: tuple[Item, ...]) -> list[tuple[str, str]]:
    return [(item.call_id, item.output) for item in context if isinstance(item, FunctionOutput)]


def test_a_call_starts_at_its_own_last_brace() -> None:
    story = Story(server_tools=(CLOCK, LIGHT))
    work = asked(story)
    story.give(i.CallWritten(work, 0, "c0", "clock", '{"zone": "a}'))
    assert not story.all(o.RunTool)
    story.give(i.CallWritten(work, 0, "c0", "clock", '"}'))
    assert [(run.call_id, run.arguments) for run in story.all(o.RunTool)] == [("c0", '{"zone": "a}"}')]
    story.give(i.CallWritten(work, 1, "c1", "light", "{"))
    assert len(story.all(o.RunTool)) == 1
    story.give(i.ToolReturned(story.last(o.RunTool).work, "noon"))
    story.give(i.CallWritten(work, 1, "c1", "light", "}"))
    story.give(i.CallWritten(work, 1, "c1", "light", "  and more"))
    assert story.last(o.RunTool).arguments == "{}"
    story.give(i.ToolReturned(story.last(o.RunTool).work, "on"))
    assert len(story.all(o.Generate)) == 1, "the model may still call more"
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    assert len(story.all(o.Generate)) == 2
    assert told(story.last(o.Generate).context) == [("c0", "noon"), ("c1", "on")]


def test_arguments_that_never_close_are_whole_when_the_model_ends() -> None:
    story = Story(server_tools=(CLOCK,))
    work = asked(story)
    story.give(i.CallWritten(work, 0, "c0", "clock", ""))
    story.give(i.WritingEnded(work, "tool_calls"))
    assert story.last(o.RunTool).arguments == ""


def test_a_clients_call_is_done_at_its_last_brace() -> None:
    story = Story(Settings(tools=(FunctionTool("lamp"),)))
    work = asked(story)
    story.give(i.CallWritten(work, 0, "c0", "lamp", '{"on": true}'))
    item = story.last(o.OutputEnded).item
    assert isinstance(item, FunctionCall)
    assert item.arguments == '{"on": true}'
    story.give(i.CallWritten(work, 0, "c0", "lamp", "garbage"))
    assert len(story.all(o.ArgumentsSent)) == 1


def test_an_interrupted_answer_remembers_what_its_tools_did() -> None:
    story = Story(server_tools=(CLOCK, LIGHT))
    work = asked(story)
    story.give(i.CallWritten(work, 0, "c0", "clock", "{}"))
    story.give(i.CallWritten(work, 1, "c1", "light", "{}"))
    first, second = story.all(o.RunTool)
    story.give(i.ToolReturned(first.work, "noon"))
    story.talk(0.5)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"
    assert second.work in [stop.work for stop in story.all(o.StopWork)]
    story.pause(0.6)
    story.recognise("what did you do")
    context = story.last(o.Generate).context
    kinds = [type(item) for item in context]
    assert kinds == [Message, FunctionCall, FunctionCall, FunctionOutput, FunctionOutput, Message]
    (done, was), (cut, why) = told(context)
    assert (done, was, cut) == ("c0", "noon", "c1")
    assert "may have been done, or not" in json.loads(why)["error"]
    assert not [output for output in story.all(o.ItemAdded) if not isinstance(output.item, Message)]


def test_in_the_last_round_the_model_has_to_answer() -> None:
    story = Story(server_tools=(CLOCK,), max_tool_rounds=2)
    asked(story)
    for choice in ("auto", "auto", "none"):
        task = story.last(o.Generate)
        assert task.tool_choice == choice
        if choice == "none":
            break
        story.give(i.CallWritten(task.work, 0, "c", "clock", "{}"))
        story.give(i.WritingEnded(task.work, "tool_calls"))
        story.voice_ends(task.work)
        story.give(i.ToolReturned(story.last(o.RunTool).work, "noon"))
    story.answer("It is noon.", 0.5)
    story.wait(1.0)
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_a_tool_that_nobody_has_is_told_to_the_model_and_not_to_the_client() -> None:
    story = Story(server_tools=(CLOCK,), withheld_tools=("light",))
    work = asked(story)
    story.give(i.CallWritten(work, 0, "c0", "clok", "{}"))
    story.give(i.CallWritten(work, 1, "c1", "light", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    assert not story.all(o.OutputBegan)
    unknown, withheld = (output for _, output in told(story.last(o.Generate).context))
    assert "There is no tool called 'clok'. Did you mean 'clock'?" in unknown
    assert "may not be used in this session" in withheld


def test_who_runs_the_server_hears_of_a_namesake() -> None:
    story = Story(Settings(tools=(CLOCK,)), server_tools=(CLOCK, LIGHT))
    assert story.last(o.Remark) == o.Remark("the client's own clock takes the place of the server's", warns=True)
    assert not [remark for remark in Story(Settings(tools=(CLOCK,))).all(o.Remark) if remark.warns]


def test_news_of_a_task_is_told_when_nobody_speaks() -> None:
    story = Story(server_tools=(CLOCK,))
    story.give(i.TaskEnded("c7", "clock", "{}", "five pages", ok=True))
    assert story.last(o.TaskDone).output == "five pages"
    context = story.last(o.Generate).context
    assert [type(item) for item in context] == [FunctionCall, FunctionOutput]
    assert told(context) == [("c7_later", "five pages")]
    story.answer("It is done.", 1.0)
    story.give(i.TaskEnded("c8", "clock", "{}", "six", ok=True))
    story.give(i.TaskEnded("c9", "clock", "{}", "seven", ok=True))
    assert len(story.all(o.Generate)) == 1, "the answer is still being heard"
    story.talk(0.3)
    assert len(story.all(o.Generate)) == 1, "the person speaks"
    story.pause(0.6)
    story.recognise("well")
    story.answer("Yes.", 0.5)
    story.wait(1.0)
    assert told(story.last(o.Generate).context)[-2:] == [("c8_later", "six"), ("c9_later", "seven")]
    assert not [output for output in story.all(o.ItemAdded) if not isinstance(output.item, Message)]


def test_how_far_a_tool_is_can_be_shown_and_is_said_when_it_takes_long() -> None:
    story = Story(server_tools=(CLOCK,), fillers=Fillers(2.0, {"en": "One moment."}))
    work = asked(story)
    story.give(i.CallWritten(work, 0, "c0", "clock", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    story.give(i.ToolProgressed("c0", "clock", "winding it up"))
    assert story.last(o.ToolReported) == o.ToolReported("c0", "clock", "winding it up")
    story.wait(2.1)
    assert story.last(o.Say).text == "winding it up"


def test_a_client_can_end_a_call() -> None:
    story = Story(server_tools=(CLOCK,))
    story.give(i.CancelTool("browser", "e1", "c0"))
    assert story.last(o.StopTool) == o.StopTool("c0", "browser", "e1")
