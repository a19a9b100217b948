"""Whole conversations, told to the core as stories."""

from __future__ import annotations

import pytest
from story import Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import FunctionCall, FunctionOutput, Message, Role, Speech, Status, Text, text_of
from antiphon.session.settings import FunctionTool, Settings, Transcription, TurnDetection


def user(text: str, id: str = "") -> Message:
    return Message(id, Role.USER, (Text(text),))


def test_a_spoken_turn_is_answered_aloud() -> None:
    story = Story(Settings(transcription=Transcription(model="whisper-1")))
    story.names()
    story.talk(1.0)
    assert story.names() == ["SpeechStarted"]
    story.pause(0.6)
    assert story.names() == [
        "SpeechStopped",
        "AudioCommitted",
        "ItemAdded",
        "Transcribe",
        "ResponseBegan",
    ]
    story.recognise("hello there")
    assert story.names() == ["TranscriptionDone", "Generate"]
    story.answer("Good morning.", 0.3)
    story.wait(1.0)
    assert story.names() == [
        "OutputBegan",
        "TextSent",
        "AudioSent",
        "AudioSent",
        "AudioSent",
        "OutputEnded",
        "ResponseEnded",
    ]
    done = story.last(o.ResponseEnded).response
    assert done.status == "completed"
    assert [text_of(item) for item in done.output if isinstance(item, Message)] == ["Good morning."]
    assert (done.input_tokens, done.output_tokens) == (10, 5)


def test_a_turn_is_one_item_from_announcement_to_transcript() -> None:
    story = Story()
    story.say_turn("hi")
    item_id = story.last(o.SpeechStarted).item_id
    assert story.last(o.SpeechStopped).item_id == item_id
    assert story.last(o.AudioCommitted) == o.AudioCommitted(item_id, None)
    assert story.last(o.Transcribe).item_id == item_id
    assert [text_of(item) for item in story.last(o.Generate).context if isinstance(item, Message)] == ["hi"]


def test_padding_reaches_back_but_not_into_the_last_turn() -> None:
    story = Story(Settings(turn_detection=TurnDetection(prefix_padding_ms=300)))
    story.heard = WIRE_RATE
    story.talk(0.5)
    assert story.last(o.SpeechStarted).at == WIRE_RATE - WIRE_RATE * 3 // 10
    story.pause(0.6)
    first_end = story.last(o.SpeechStopped).at
    story.talk(0.5)
    assert story.last(o.SpeechStarted).at == first_end


def test_a_short_pause_does_not_end_the_turn() -> None:
    story = Story()
    story.talk(0.5)
    story.pause(0.4)
    story.talk(0.5)
    assert not story.all(o.SpeechStopped)
    assert len(story.all(o.SpeechStarted)) == 1


def test_a_turn_without_a_pause_is_bounded() -> None:
    story = Story(max_turn_s=2.0)
    story.talk(1.0)
    story.heard += 2 * WIRE_RATE
    story.give(i.VoiceTick(story.heard, story.now))
    assert len(story.all(o.AudioCommitted)) == 1


def test_nothing_is_sent_further_ahead_than_the_lead() -> None:
    story = Story(lead_ms=500)
    story.say_turn("tell me")
    story.answer("A long story indeed.", 3.0)
    began = story.now
    assert sum(sent.stop - sent.start for sent in story.all(o.AudioSent)) == WIRE_RATE // 2
    story.wait(5.0)
    total = 0
    for at, output in story.everything:
        if isinstance(output, o.AudioSent):
            total += output.stop - output.start
            assert total / WIRE_RATE <= (at - began) + 0.5 + 0.002
    assert total == 3 * WIRE_RATE
    ended = next(at for at, output in story.everything if isinstance(output, o.ResponseEnded))
    assert ended - began == pytest.approx(2.5, abs=0.01)


def test_words_go_out_with_their_audio_and_in_order() -> None:
    story = Story(lead_ms=200)
    story.say_turn("go on")
    story.write("One, ", "two, ", "three.")
    for clause in ("One, ", "two, ", "three."):
        story.voice(clause, 1.0)
    story.voice_ends()
    assert [sent.text for sent in story.all(o.TextSent)] == ["One, "]
    story.wait(1.0)
    assert [sent.text for sent in story.all(o.TextSent)] == ["One, ", "two, "]
    story.wait(5.0)
    assert "".join(sent.text for sent in story.all(o.TextSent)) == "One, two, three."


def test_a_clause_that_makes_no_sound_still_shows() -> None:
    story = Story()
    story.say_turn("smile")
    work = story.last(o.Generate).work
    story.write("Sure. ", "🙂")
    story.voice("Sure. ", 0.2)
    story.give(i.ClauseBegan(work, "🙂"))
    story.give(i.ClauseEnded(work))
    story.voice_ends()
    story.wait(1.0)
    assert "".join(sent.text for sent in story.all(o.TextSent)) == "Sure. 🙂"
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_interrupting_ends_the_answer_and_remembers_what_was_heard() -> None:
    story = Story()
    story.say_turn("count")
    story.answer("one two three four five six seven eight nine ten", 5.0)
    story.wait(2.0)
    story.names()
    story.talk(0.1)
    assert story.names() == ["SpeechStarted", "OutputEnded", "ResponseEnded"]
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.reason) == ("cancelled", "turn_detected")
    item = story.last(o.OutputEnded).item
    assert item.status is Status.INCOMPLETE
    assert isinstance(item, Message)
    sent = text_of(item)
    story.pause(0.6)
    story.recognise("stop")
    heard = text_of(story.last(o.Generate).context[1])  # type: ignore[arg-type]
    assert heard
    assert sent.startswith(heard)
    assert len(heard) < len(sent) < len("one two three four five six seven eight nine ten")


def test_interrupting_the_tail_of_a_finished_answer_is_remembered_too() -> None:
    story = Story(lead_ms=1000)
    story.say_turn("count")
    story.answer("one two three four five six seven eight nine ten", 2.0)
    story.wait(1.05)
    assert story.last(o.ResponseEnded).response.status == "completed"
    story.talk(0.2)
    story.pause(0.6)
    story.recognise("stop")
    heard = text_of(story.last(o.Generate).context[1])  # type: ignore[arg-type]
    assert heard.startswith("one two three four")
    assert "ten" not in heard


def test_interrupting_stops_the_work_and_its_late_results_are_dropped() -> None:
    story = Story()
    story.say_turn("count")
    work = story.last(o.Generate).work
    story.give(i.TextWritten(work, "one "))
    story.talk(0.1)
    assert o.StopWork(work) in story.said
    story.names()
    for late in (
        i.TextWritten(work, "two"),
        i.ClauseBegan(work, "one "),
        i.AudioMade(work, 100),
        i.WritingEnded(work, "stop"),
        i.WorkFailed(work, "x", "y"),
    ):
        story.give(late)
    assert story.names() == ["Remark"] * 5


def test_without_interruption_a_second_turn_waits_for_the_answer() -> None:
    story = Story(Settings(turn_detection=TurnDetection(interrupt_response=False)))
    story.say_turn("first")
    story.answer("A slow answer.", 3.0)
    story.say_turn("second")
    assert len(story.all(o.ResponseBegan)) == 1
    story.wait(4.0)
    assert len(story.all(o.ResponseBegan)) == 2
    assert story.all(o.ResponseEnded)[0].response.status == "completed"


def test_noise_that_holds_no_words_is_not_answered() -> None:
    story = Story()
    story.say_turn("  ")
    assert not story.all(o.Generate)
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.output) == ("completed", ())
    assert "no words" in story.last(o.Remark).text


def test_a_failing_recogniser_fails_the_response_and_the_next_one_works() -> None:
    story = Story(Settings(transcription=Transcription()))
    story.talk(1.0)
    story.pause(0.6)
    story.give(i.WorkFailed(story.last(o.Transcribe).work, "stt_down", "the recogniser is away"))
    assert story.last(o.TranscriptionFailed).code == "stt_down"
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.error_code, done.error_message) == ("failed", "stt_down", "the recogniser is away")
    story.say_turn("again")
    story.answer("Yes.", 0.2)
    story.wait(1.0)
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_a_model_that_dies_in_mid_answer_closes_what_it_began() -> None:
    story = Story()
    story.say_turn("talk")
    work = story.last(o.Generate).work
    story.voice("Well, ", 1.0)
    story.give(i.WorkFailed(work, "reset", "the model hung up"))
    assert story.last(o.OutputEnded).item.status is Status.INCOMPLETE
    assert story.last(o.ResponseEnded).response.status == "failed"
    story.wait(3.0)
    assert type(story.everything[-1][1]) is not o.AudioSent


def test_what_went_out_of_an_answer_that_failed_is_heard_unless_the_person_interrupts_it() -> None:
    def fails() -> Story:
        story = Story()
        story.say_turn("talk")
        work = story.last(o.Generate).work
        story.voice("Well, this is it.", 0.4)
        story.give(i.WorkFailed(work, "reset", "the model hung up"))
        assert story.last(o.ResponseEnded).response.status == "failed"
        return story

    assert fails().remembered() == ["talk", "Well, this is it."]
    story = fails()
    story.wait(0.25)
    story.talk(0.1)
    assert story.remembered()[1] in ("Well, this", "Well, this is")


def test_a_typed_question_is_answered_in_text() -> None:
    story = Story(Settings(speaks=False, turn_detection=None))
    story.give(i.CreateItem("browser", "1", user("hi")))
    story.respond()
    story.write("Hel", "lo.")
    assert [sent.text for sent in story.all(o.TextSent)] == ["Hel", "lo."]
    done = story.last(o.ResponseEnded).response
    assert [text_of(item) for item in done.output if isinstance(item, Message)] == ["Hello."]


def test_a_client_function_is_announced_streamed_and_closed() -> None:
    tool = FunctionTool("lookup", "", {})
    story = Story(Settings(tools=(tool,), speaks=False))
    story.give(i.CreateItem("browser", "1", user("look")))
    story.respond()
    work = story.last(o.Generate).work
    assert story.last(o.Generate).tools == (tool,)
    story.give(i.CallWritten(work, 0, "call_1", "lookup", '{"q":'))
    story.give(i.CallWritten(work, 0, "", "", '"a"}'))  # only the first piece has to name the call
    assert {sent.call_id for sent in story.all(o.ArgumentsSent)} == {"call_1"}
    story.give(i.WritingEnded(work, "tool_calls"))
    began = story.last(o.OutputBegan).item
    assert isinstance(began, FunctionCall)
    assert (began.call_id, began.name, began.arguments) == ("call_1", "lookup", "")
    assert [sent.text for sent in story.all(o.ArgumentsSent)] == ['{"q":', '"a"}']
    ended = story.last(o.OutputEnded).item
    assert isinstance(ended, FunctionCall)
    assert ended.arguments == '{"q":"a"}'
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_functions_are_never_held_behind_audio() -> None:
    story = Story(Settings(tools=(FunctionTool("lookup"),)))
    story.say_turn("look")
    work = story.last(o.Generate).work
    story.voice("Let me look that up for you.", 5.0)
    story.give(i.CallWritten(work, 0, "call_1", "lookup", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    ended = [output.index for output in story.all(o.OutputEnded)]
    assert ended == [1]
    story.wait(6.0)
    assert [output.index for output in story.all(o.OutputEnded)] == [1, 0]


def test_a_server_tool_runs_unseen_and_the_model_goes_on() -> None:
    tool = FunctionTool("clock", "", {})
    story = Story(server_tools=(tool,))
    story.say_turn("what time is it")
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "call_1", "clock", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    run = story.last(o.RunTool)
    assert (run.name, run.arguments) == ("clock", "{}")
    story.give(i.ToolReturned(run.work, '{"time":"12:00"}'))
    again = story.last(o.Generate)
    assert again.work != work
    kinds = [type(item) for item in again.context]
    assert kinds == [Message, FunctionCall, FunctionOutput]
    story.answer("It is noon.", 0.5)
    story.wait(1.0)
    done = story.last(o.ResponseEnded).response
    assert done.status == "completed"
    assert len(done.output) == 1
    assert not [output for output in story.all(o.ItemAdded) if not isinstance(output.item, Message)]
    story.say_turn("thanks")
    shown = story.last(o.AudioCommitted).previous
    assert shown == done.output[0].id, "a hidden item was named"


def test_a_call_that_a_model_writes_twice_runs_once() -> None:
    story = Story(server_tools=(FunctionTool("clock"),))
    story.say_turn("what time is it")
    work = story.last(o.Generate).work
    for index, arguments in enumerate(("{}", "{}", '{"zone": "UTC"}')):
        story.give(i.CallWritten(work, index, "call_1", "clock", arguments))
    assert [tool.arguments for tool in story.all(o.RunTool)] == ["{}", '{"zone": "UTC"}']
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    for tool in story.all(o.RunTool):
        story.give(i.ToolReturned(tool.work, '{"time":"12:00"}'))
    story.answer("It is twelve.", 1.0)
    story.wait(2.0)
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_tools_in_a_circle_come_to_an_end() -> None:
    story = Story(server_tools=(FunctionTool("clock"),), max_tool_rounds=3)
    story.say_turn("loop")
    for _ in range(3):
        work = story.last(o.Generate).work
        story.give(i.CallWritten(work, 0, "c", "clock", "{}"))
        story.give(i.WritingEnded(work, "tool_calls"))
        story.voice_ends(work)
        story.give(i.ToolReturned(story.last(o.RunTool).work, "{}"))
    assert len(story.all(o.Generate)) == 4
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "c", "clock", "{}"))
    story.give(i.WritingEnded(work, "tool_calls"))
    story.voice_ends(work)
    story.give(i.ToolReturned(story.last(o.RunTool).work, "{}"))
    assert story.last(o.ResponseEnded).response.error_code == "tool_loop"


def test_a_client_that_names_the_same_tool_takes_it_over() -> None:
    tool = FunctionTool("clock")
    story = Story(Settings(tools=(tool,)), server_tools=(FunctionTool("clock", "ours"),))
    story.say_turn("time")
    work = story.last(o.Generate).work
    assert story.last(o.Generate).tools == (tool,)
    story.give(i.CallWritten(work, 0, "c", "clock", "{}"))
    assert isinstance(story.last(o.OutputBegan).item, FunctionCall)


def test_out_of_band_leaves_no_trace_in_the_conversation() -> None:
    story = Story(Settings(turn_detection=None))
    story.respond(detached=True, speaks=False, input=(user("classify"),), metadata={"topic": "x"})
    began = story.last(o.ResponseBegan).response
    assert (began.conversation_id, began.metadata) == (None, {"topic": "x"})
    story.respond(speaks=False)
    assert len(story.all(o.ResponseBegan)) == 2
    first, second = story.all(o.Generate)
    assert (len(first.context), len(second.context)) == (1, 0)
    story.give(i.TextWritten(first.work, "spam"))
    story.give(i.WritingEnded(first.work, "stop"))
    assert story.last(o.OutputBegan).detached
    assert story.session.conversation.last() is None


def test_only_one_response_at_a_time_in_the_conversation() -> None:
    story = Story()
    story.respond()
    story.respond()
    refused = story.refused()
    assert refused.code == "conversation_already_has_active_response"
    assert (refused.to, refused.request) == ("browser", "respond")
    assert len(story.all(o.ResponseBegan)) == 1


def test_cancelling() -> None:
    story = Story()
    story.give(i.CancelResponse("browser", "no"))
    assert story.refused().message.startswith("Cancellation failed")
    story.respond()
    story.give(i.CancelResponse("browser", "yes"))
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.reason) == ("cancelled", "client_cancelled")


@pytest.mark.parametrize(("reason", "name"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_a_model_that_stopped_early_leaves_an_incomplete_response(reason: str, name: str) -> None:
    story = Story(Settings(speaks=False))
    story.respond()
    story.write("and so", end=reason)
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.reason) == ("incomplete", name)


def test_committing_by_hand() -> None:
    story = Story(Settings(turn_detection=None))
    story.commit(50)
    assert story.refused().code == "input_audio_buffer_commit_empty"
    assert "50.00ms" in story.refused().message
    story.commit(200)
    assert (story.last(o.Transcribe).start, story.last(o.Transcribe).stop) == (0, 6000)
    assert not story.all(o.ResponseBegan)
    story.commit(200)
    assert (story.last(o.Transcribe).start, story.last(o.Transcribe).stop) == (6000, 10800)


def test_committing_an_open_turn_uses_its_item() -> None:
    story = Story()
    story.talk(0.5)
    story.give(i.CommitAudio("browser", None, story.heard))
    assert story.last(o.AudioCommitted).item_id == story.last(o.SpeechStarted).item_id
    assert not story.all(o.SpeechStopped)
    assert not story.all(o.ResponseBegan)


def test_clearing_forgets_the_open_turn() -> None:
    story = Story()
    story.talk(0.5)
    story.give(i.ClearAudio("browser", None, story.heard))
    story.pause(1.0)
    assert story.all(o.AudioCleared)
    assert not story.all(o.AudioCommitted)
    story.talk(0.3)
    assert len(story.all(o.SpeechStarted)) == 2


def test_items_are_placed_named_and_removed() -> None:
    story = Story()
    story.give(i.CreateItem("browser", "1", user("b", "b")))
    story.give(i.CreateItem("browser", "2", user("a", "a"), "root"))
    story.give(i.CreateItem("browser", "3", user("c", "c"), "b"))
    assert [added.previous for added in story.all(o.ItemAdded)] == [None, None, "b"]
    story.give(i.CreateItem("browser", "4", user("d", "a")))
    assert story.refused().code == "item_create_duplicate_item_id"
    story.give(i.CreateItem("browser", "5", user("d", "d"), "nobody"))
    assert story.refused().code == "item_create_invalid_previous_item_id"
    story.give(i.DeleteItem("browser", "6", "b"))
    story.give(i.DeleteItem("browser", "7", "b"))
    assert (story.refused().code, story.refused().request) == ("item_delete_invalid_item_id", "7")
    story.give(i.RetrieveItem("browser", "8", "c"))
    assert story.last(o.ItemRetrieved).item.id == "c"
    story.respond(speaks=False)
    assert [item.id for item in story.last(o.Generate).context] == ["a", "c"]


def test_truncation_cuts_what_the_model_remembers() -> None:
    story = Story()
    story.say_turn("count")
    story.answer("one two three four", 2.0)
    story.wait(3.0)
    item_id = story.last(o.OutputEnded).item.id
    story.give(i.TruncateItem("browser", None, item_id, 0, 9100))
    assert story.refused().message == "Audio content of 2000ms is already shorter than 9100ms"
    story.give(i.TruncateItem("browser", None, item_id, 0, 1000))
    assert story.last(o.ItemTruncated).audio_end_ms == 1000
    story.give(i.RetrieveItem("browser", None, item_id))
    item = story.last(o.ItemRetrieved).item
    assert isinstance(item, Message)
    assert item.content == (Speech(0, WIRE_RATE, "one two"),)
    story.give(i.TruncateItem("browser", None, story.last(o.AudioCommitted).item_id, 0, 10))
    assert story.refused().message == "Only model output audio messages can be truncated"


def test_a_refused_update_changes_nothing() -> None:
    story = Story(Settings(voice="ash"))
    story.say_turn("hi")
    story.answer("Hello.", 0.2)
    story.wait(1.0)
    before = story.session.settings
    story.ask(voice="alloy", instructions="new")
    assert story.refused().code == "cannot_update_voice"
    assert story.session.settings == before
    story.ask(voice="ash", instructions="new")
    assert story.last(o.SettingsChanged).settings.instructions == "new"
    story.ask(kind="transcription")
    assert story.refused().param == "session.type"


def test_switching_turn_detection_off_keeps_what_was_said() -> None:
    story = Story()
    story.talk(1.0)
    story.ask(turn_detection=None)
    assert story.last(o.Listen) == o.Listen(None)
    assert story.last(o.KeepAudio).start == story.last(o.SpeechStarted).at
    story.commit(100)
    assert story.last(o.Transcribe).start == 0


def test_a_transcription_session_never_answers() -> None:
    story = Story(Settings(kind="transcription", transcription=Transcription(language="en")))
    story.say_turn("just the words")
    task = story.last(o.Transcribe)
    assert (task.answer, task.language) == (False, "en")
    assert story.last(o.TranscriptionDone).text == "just the words"
    story.respond()
    assert story.refused().code == "invalid_value"
    assert not story.all(o.ResponseBegan)


def test_an_announcement_waits_until_nobody_speaks() -> None:
    story = Story()
    story.talk(0.5)
    story.give(i.Announce("The tea is ready."))
    assert not story.all(o.Say)
    story.pause(0.6)
    story.recognise("hello")
    story.answer("Hi.", 1.0)
    assert not story.all(o.Say)
    story.wait(0.6)
    assert story.last(o.ResponseEnded)
    assert not story.all(o.Say), "the answer is still being played"
    story.wait(0.6)
    say = story.last(o.Say)
    assert say.text == "The tea is ready."
    story.voice(say.text, 0.5, say.work)
    story.voice_ends(say.work)
    story.wait(1.0)
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_the_answer_is_in_the_language_that_was_heard_unless_the_client_said_which() -> None:
    story = Story()
    story.respond()
    assert story.last(o.Generate).language is None, "nobody has said anything yet"
    story.give(i.CancelResponse("browser", None))
    story.say_turn("hello")
    assert story.last(o.Generate).language == "en"
    story.answer("Hi.", 0.5)
    story.wait(2.0)
    story.give(i.Announce("Tea."))
    assert story.last(o.Say).language == "en"
    story.give(i.CancelResponse("browser", None))
    story.ask(transcription=Transcription(language="de"))
    story.say_turn("hallo")
    assert story.last(o.Generate).language == "de", "the recogniser said en"
    story.ask(transcription=None)
    story.talk(1.0)
    story.pause(0.6)
    story.give(i.TranscriptReady(story.last(o.Transcribe).work, "well", None, 1.0))
    assert story.last(o.Generate).language is None, "it did not say for this turn"


def test_a_session_does_not_live_for_ever() -> None:
    story = Story(lifetime_s=60.0)
    story.wait(61.0)
    assert story.refused().code == "session_expired"
    assert story.last(o.Close).reason == "session_expired"
    assert story.session.deadline is None
    story.give(i.Announce("x"))
    assert isinstance(story.said[-1], o.Remark)


def test_finishing_stops_all_work() -> None:
    story = Story()
    story.talk(1.0)
    story.pause(0.6)
    task = story.last(o.Transcribe)
    story.respond(detached=True, speaks=False, input=())
    story.give(i.Finish("gone"))
    assert o.StopWork(task.work) in story.said
    assert {done.response.status for done in story.all(o.ResponseEnded)} == {"cancelled"}


def test_each_connection_is_welcomed_and_refused_on_its_own() -> None:
    story = Story()
    story.give(i.Attach("sideband"))
    assert [welcome.to for welcome in story.all(o.Welcomed)] == ["browser", "sideband"]
    story.give(i.Malformed("sideband", "e1", "what?", "invalid_json"))
    assert story.refused() == o.Refused("sideband", "e1", "what?", "invalid_json")
    story.give(i.Detach("browser"))
    story.say_turn("still here")
    assert story.all(o.Generate)


def test_a_conversation_holds_so_much_and_no_more() -> None:
    story = Story(max_items=3, max_item_bytes=3000)

    def add(name: str, size: int) -> list[o.Output]:
        return story.give(i.CreateItem("browser", None, Message(name, Role.USER, (Text("x" * size),))))

    add("a", 1000)
    add("b", 1000)
    add("c", 1000)
    assert story.refused().code == "conversation_full", "too many bytes"
    story.give(i.DeleteItem("browser", None, "b"))
    add("c", 1000)
    add("d", 1)
    assert story.last(o.ItemAdded).item.id == "d"
    add("e", 1)
    assert story.refused().code == "conversation_full", "too many items"
    story.give(i.DeleteItem("browser", None, "d"))
    add("e", 1)
    assert story.last(o.ItemAdded).item.id == "e"


def test_the_first_answer_of_an_empty_conversation_is_part_of_it() -> None:
    story = Story()
    story.respond()
    assert story.last(o.ResponseBegan).response.conversation_id == story.session.conversation.id


def test_without_turn_detection_all_sound_from_the_first_on_may_become_an_item() -> None:
    story = Story(Settings(turn_detection=None))
    assert story.last(o.KeepAudio).start == 0


def test_truncating_what_is_still_being_spoken_ends_it_at_what_was_heard() -> None:
    story = Story()
    story.say_turn("Tell me a story")
    story.write("One two three four. ")
    story.voice("One two three four. ", 4.0)
    story.wait(2.0)
    item_id = story.last(o.AudioSent).item_id
    story.names()
    story.give(i.TruncateItem("browser", "t", item_id, 0, 1000))
    assert story.names()[:2] == ["ItemTruncated", "OutputEnded"]
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.reason) == ("cancelled", "client_cancelled")
    assert story.remembered()[-1] == "One"
    story.wait(5.0)
    assert not {"AudioSent", "TextSent"} & set(story.names())


@pytest.mark.parametrize("is_named", [False, True])
def test_the_cancel_that_a_client_sends_with_its_truncation_is_no_mistake_once(is_named: bool) -> None:
    story = Story()
    story.say_turn("Tell me a story")
    story.write("One two three four. ")
    story.voice("One two three four. ", 4.0)
    story.wait(2.0)
    story.give(i.TruncateItem("browser", "t", story.last(o.AudioSent).item_id, 0, 1000))
    cancel = i.CancelResponse("browser", "c", story.last(o.ResponseEnded).response.id if is_named else None)
    story.names()
    story.give(cancel)
    assert story.names() == []
    story.give(cancel)
    assert story.last(o.Refused).code == "response_cancel_not_active"


def test_a_cancel_after_a_truncation_ends_the_answer_that_has_begun_since() -> None:
    story = Story()
    story.say_turn("Tell me a story")
    story.write("One two three four. ")
    story.voice("One two three four. ", 4.0)
    story.wait(2.0)
    story.give(i.TruncateItem("browser", "t", story.last(o.AudioSent).item_id, 0, 1000))
    story.say_turn("Another one")
    story.give(i.CancelResponse("browser", "c", None))
    assert len(story.all(o.ResponseEnded)) == 2
    story.give(i.CancelResponse("browser", "d", None))
    assert story.last(o.Refused).code == "response_cancel_not_active"


def test_truncating_an_earlier_answer_leaves_the_one_that_is_spoken() -> None:
    story = Story()
    story.say_turn("Hello")
    story.answer("Good day to you. ", 2.0)
    story.wait(4.0)
    first = story.last(o.AudioSent).item_id
    story.say_turn("Tell me a story")
    story.write("One two three four. ")
    story.voice("One two three four. ", 4.0)
    story.wait(0.5)
    story.give(i.TruncateItem("browser", "t", first, 0, 500))
    assert len(story.all(o.ResponseEnded)) == 1


def test_where_the_voice_marks_its_words_an_interruption_cuts_at_the_word_that_was_heard() -> None:
    story = Story()
    story.say_turn("Count slowly")
    work = story.last(o.Generate).work
    story.write("One two three four. ")
    story.give(i.ClauseBegan(work, "One two three four. "))
    # By proportion, three of four seconds are three words; but the voice took its time over the first.
    story.give(i.WordsMarked(work, ((0, 0), (4, 60_000), (8, 66_000), (14, 84_000))))
    story.give(i.AudioMade(work, 96_000))
    story.wait(2.6)
    story.talk(0.1)
    assert story.remembered()[-1] == "One"
