"""Which sound the session has kept for its items, and items that bring a sound of their own."""

from __future__ import annotations

from story import Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import Message, Picture, Role, Speech, Text, text_of
from antiphon.session.settings import Settings, Transcription


def sound(seconds: float = 1.0, transcript: str | None = None, id: str = "", clip: int = 0) -> Message:
    return Message(id, Role.USER, (Speech(0, round(seconds * WIRE_RATE), transcript, clip),))


def test_what_the_person_said_is_kept_from_where_the_turn_began() -> None:
    story = Story()
    story.say_turn("hi")
    item = story.last(o.ItemAdded).item
    assert isinstance(item, Message)
    speech = item.content[0]
    assert isinstance(speech, Speech)
    assert story.last(o.RetainAudio) == o.RetainAudio(item.id, speech.start, speech.stop)


def test_an_answer_is_kept_as_far_as_it_was_sent_before_its_work_lets_go_of_it() -> None:
    story = Story(lead_ms=200)
    story.say_turn("go on")
    story.write("One two three four.")
    story.voice("One two three four.", 3.0)
    story.wait(1.0)
    story.talk(0.1)
    kept = story.last(o.RetainAudio)
    ended = story.last(o.OutputEnded).item
    assert isinstance(ended, Message)
    assert kept == o.RetainAudio(ended.id, 0, ended.content[0].stop, work=story.last(o.Generate).work)  # type: ignore[union-attr]
    kinds = [type(output) for _, output in story.everything]
    assert max(n for n, kind in enumerate(kinds) if kind is o.RetainAudio) < kinds.index(o.DropAudio)
    assert kinds.index(o.DropAudio) < kinds.index(o.StopWork)


def test_truncating_and_deleting_reach_the_sound() -> None:
    story = Story()
    story.say_turn("go on")
    story.answer("One two three.", 2.0)
    story.wait(3.0)
    item_id = story.last(o.OutputEnded).item.id
    story.give(i.TruncateItem("browser", "t", item_id, 0, 500))
    assert story.last(o.TrimAudio) == o.TrimAudio(item_id, WIRE_RATE // 2)
    story.give(i.TruncateItem("browser", "t", item_id, 0, 1500))
    assert "already shorter" in story.refused().message
    story.give(i.DeleteItem("browser", "d", item_id))
    assert story.last(o.ForgetAudio) == o.ForgetAudio(item_id)


def test_an_answer_truncated_while_it_is_spoken_ends_there() -> None:
    story = Story()
    story.say_turn("go on")
    story.write("One two three four five six.")
    story.voice("One two three four five six.", 3.0)
    story.wait(1.0)
    item_id = story.last(o.OutputBegan).item.id
    story.give(i.TruncateItem("browser", "t", item_id, 0, 600))
    story.give(i.CancelResponse("browser", "c"))
    item = story.last(o.OutputEnded).item
    assert isinstance(item, Message)
    assert item.content[0].stop == WIRE_RATE * 6 // 10  # type: ignore[union-attr]
    assert text_of(item) == "One"
    assert story.last(o.RetainAudio).stop == WIRE_RATE * 6 // 10


def test_an_item_with_a_sound_is_recognised_before_it_is_answered() -> None:
    story = Story(Settings(transcription=Transcription()))
    story.names()
    story.give(i.CreateItem("browser", "c", sound(2.0)))
    task = story.last(o.Transcribe)
    assert (task.clip, task.start, task.stop) == (0, 0, 2 * WIRE_RATE)
    item_id = story.last(o.ItemAdded).item.id
    assert story.last(o.RetainAudio) == o.RetainAudio(item_id, 0, 2 * WIRE_RATE, clip=0)
    story.respond()
    assert not story.all(o.Generate)
    story.recognise("what is two plus two")
    assert [text_of(item) for item in story.last(o.Generate).context if isinstance(item, Message)] == [
        "what is two plus two"
    ]
    assert not story.all(o.TranscriptionDone), "the client asked for the words of its buffer, not of its own items"


def test_a_sound_that_came_with_its_words_is_kept_and_not_recognised() -> None:
    story = Story()
    story.give(i.CreateItem("browser", "c", sound(1.0, "hello")))
    assert not story.all(o.Transcribe)
    assert story.last(o.RetainAudio).clip == 0


def test_a_response_beside_the_conversation_waits_for_the_words_of_its_own_input_only() -> None:
    story = Story()
    story.talk(1.0)
    story.pause(0.6)
    turn = story.last(o.Transcribe)
    story.respond(detached=True, speaks=False, input=(Message("", Role.USER, (Text("classify"),)), sound()))
    own = story.last(o.Transcribe)
    assert own.work != turn.work
    assert not story.all(o.Generate)
    story.give(i.TranscriptReady(own.work, "a cat", "en", 1.0))
    assert [text_of(item) for item in story.last(o.Generate).context if isinstance(item, Message)] == [
        "classify",
        "a cat",
    ]


def test_a_recogniser_that_fails_fails_only_the_response_that_needed_it() -> None:
    story = Story()
    story.talk(1.0)
    story.pause(0.6)
    story.respond(detached=True, speaks=False, input=(sound(),))
    own = story.last(o.Transcribe)
    story.give(i.WorkFailed(own.work, "stt_failed", "gone"))
    ended = story.all(o.ResponseEnded)
    assert [(done.response.status, done.response.conversation_id) for done in ended] == [("failed", None)]


def test_a_reference_to_a_deleted_item_is_left_out() -> None:
    story = Story()
    story.talk(1.0)
    story.pause(0.6)
    item_id = story.last(o.ItemAdded).item.id
    story.respond(detached=True, speaks=False, input=(Message("", Role.USER, (Text("and?"),)), item_id))
    assert not story.all(o.Generate), "the words of the item it names are not known yet"
    story.give(i.DeleteItem("browser", "d", item_id))
    assert [text_of(item) for item in story.last(o.Generate).context if isinstance(item, Message)] == ["and?"]


def test_a_picture_is_refused_where_the_model_cannot_see() -> None:
    picture = Message("", Role.USER, (Text("what is this"), Picture("data:image/png;base64,AAAA")))
    blind = Story(sees=False)
    blind.give(i.CreateItem("browser", "p", picture))
    assert "takes no images" in blind.refused().message
    assert not blind.all(o.ItemAdded)
    blind.respond(detached=True, input=(picture,))
    assert blind.refused().param == "response.input[0].content"
    seeing = Story()
    seeing.give(i.CreateItem("browser", "p", picture))
    assert seeing.last(o.ItemAdded).item.content == picture.content  # type: ignore[union-attr]
