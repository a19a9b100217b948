"""Where the server plays the answers itself: what is told of it, and that only what was heard stays."""

from __future__ import annotations

from story import Story

from antiphon.audio.units import WIRE_RATE
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import Message, Speech
from antiphon.session.settings import Settings, TurnDetection

SECOND = WIRE_RATE


class Call(Story):
    """A story in which the server plays; `play` is its speaker."""

    def __init__(self, settings: Settings | None = None, **config: object) -> None:
        super().__init__(settings, plays=True, lead_ms=200, **config)

    def play(self, seconds: float, already: float = 0.0) -> None:
        """The speaker plays so much of the last response, and reports twice a second."""
        response_id = self.last(o.ResponseBegan).response.id
        end = already + seconds
        while already < end:
            self.give(i.Played(response_id, round(already * SECOND)))
            self.wait(min(0.5, end - already))
            already += min(0.5, end - already)
        self.give(i.Played(response_id, round(end * SECOND)))

    def sent(self) -> float:
        """Seconds of sound that went to the speaker."""
        return sum(piece.stop - piece.start for piece in self.all(o.AudioSent)) / SECOND


def item_of(call: Call, item_id: str) -> Message:
    call.give(i.RetrieveItem("browser", "look", item_id))
    item = call.last(o.ItemRetrieved).item
    assert isinstance(item, Message)
    return item


def test_sound_waits_for_the_speaker_and_its_end_is_told_after_the_response() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two three four.", 2.0)
    call.wait(5.0)
    assert call.sent() == 0.2, "nobody has said that anything is played"
    call.names()
    call.play(2.0)
    told = [name for name in call.names() if name not in ("AudioSent", "TextSent", "PlaybackReached")]
    assert told == ["PlaybackBegan", "OutputEnded", "ResponseEnded", "PlaybackEnded"]
    assert call.sent() == 2.0


def test_what_is_heard_is_told_in_words_while_the_server_plays() -> None:
    call = Call()
    call.say_turn("hello")
    words = "One two three four."
    call.answer(words, 2.0)
    call.wait(5.0)
    call.play(2.0)
    reached = call.all(o.PlaybackReached)
    assert [each.played / SECOND for each in reached] == [0.5, 1.0, 1.5, 2.0]
    assert [words[: each.letters] for each in reached] == ["One", "One two", "One two three", words]


def test_an_interruption_is_told_in_order_and_leaves_what_was_heard() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two three four five six seven eight.", 4.0)
    call.play(1.0)
    call.names()
    call.talk(0.1)
    told = [name for name in call.names() if name not in ("StopWork",)]
    assert told == [
        "SpeechStarted", "OutputEnded", "ResponseEnded", "PlaybackCleared", "ItemTruncated",
    ]  # fmt: skip
    assert call.last(o.PlaybackCleared).began
    truncated = call.last(o.ItemTruncated)
    assert abs(truncated.audio_end_ms - 1032) <= 2, "a second, and the window in which the voice was found"
    (part,) = item_of(call, truncated.item_id).content
    assert isinstance(part, Speech)
    assert part.transcript == "One two"
    assert part.transcript == call.session.conversation.as_heard()[-1].content[0].transcript  # type: ignore[union-attr]


def test_what_still_plays_after_its_response_is_cut_too() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two three four.", 0.2)
    assert call.last(o.ResponseEnded).response.status == "completed", "all of it was sent at once"
    call.play(0.1)
    call.talk(0.1)
    assert call.last(o.PlaybackCleared).response_id == call.last(o.ResponseEnded).response.id
    assert abs(call.last(o.ItemTruncated).audio_end_ms - 132) <= 2
    call.give(i.Played(call.last(o.ResponseEnded).response.id, SECOND // 5))
    assert not call.all(o.PlaybackEnded), "a report that was on its way when the sound was cleared says nothing"


def test_an_answer_that_was_cut_before_it_was_heard_is_neither_begun_nor_cleared_on_the_wire() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two three four.", 2.0)
    call.talk(0.1)
    assert not call.last(o.PlaybackCleared).began
    assert call.last(o.ItemTruncated).audio_end_ms == 0


def test_a_cancelled_answer_plays_what_was_sent_and_a_cleared_one_does_not() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two three four five six seven eight.", 4.0)
    call.play(0.5)
    call.give(i.CancelResponse("browser", "stop"))
    assert call.last(o.ResponseEnded).response.status == "cancelled"
    assert not call.all(o.PlaybackEnded)
    call.play(0.1, already=0.5)
    call.give(i.ClearPlayback("browser", "clear"))
    assert call.last(o.PlaybackCleared).began
    assert call.last(o.ItemTruncated).audio_end_ms == 600
    call.names()
    call.give(i.ClearPlayback("browser", "again"))
    assert call.names() == [], "there is nothing to clear"


def test_clearing_ends_an_answer_that_is_being_spoken() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two three four five six seven eight.", 4.0)
    call.play(0.5)
    call.give(i.ClearPlayback("browser", "clear"))
    assert call.last(o.ResponseEnded).response.reason == "client_cancelled"
    assert [type(one).__name__ for _, one in call.everything][-2:] == ["TrimAudio", "ItemTruncated"]


def test_clearing_before_the_first_sound_leaves_the_answer_to_be_heard() -> None:
    call = Call()
    call.say_turn("hello")
    call.give(i.ClearPlayback("browser", "clear"))
    call.answer("One two three four.", 2.0)
    call.play(2.0)
    assert call.last(o.ResponseEnded).response.status == "completed"
    assert call.all(o.PlaybackEnded)


def test_clearing_ends_what_is_spoken_out_of_band_too() -> None:
    call = Call()
    call.respond(detached=True, input=())
    call.voice("A word from our sponsor.", 2.0)
    call.play(0.5)
    call.give(i.ClearPlayback("browser", "clear"))
    assert call.last(o.ResponseEnded).response.reason == "client_cancelled"


def test_out_of_band_sound_is_not_cut_by_a_voice_but_cleared_on_request() -> None:
    call = Call()
    call.respond(detached=True, input=())
    call.answer("A word from our sponsor.", 2.0)
    call.play(0.5)
    call.talk(0.1)
    assert not call.all(o.PlaybackCleared)
    call.give(i.ClearPlayback("browser", "clear"))
    assert call.last(o.PlaybackCleared).began
    assert not call.all(o.ItemTruncated), "it is no part of the conversation"


def test_silence_is_measured_from_the_end_of_what_is_heard() -> None:
    call = Call(Settings(turn_detection=TurnDetection(idle_timeout_ms=5000)))
    call.say_turn("hello")
    call.answer("One two.", 0.2)
    call.wait(20.0)
    assert not call.all(o.TimedOut), "the speaker has not played it yet"
    call.play(0.2)
    call.wait(4.9)
    assert not call.all(o.TimedOut)
    call.wait(0.2)
    assert call.all(o.TimedOut)


def test_an_announcement_waits_until_the_speaker_is_silent() -> None:
    call = Call()
    call.say_turn("hello")
    call.answer("One two.", 0.2)
    call.give(i.Announce("Your timer rings."))
    call.wait(3.0)
    assert not call.all(o.Say)
    call.play(0.2)
    assert call.last(o.Say).text == "Your timer rings."


def test_a_session_whose_client_plays_knows_no_playback() -> None:
    story = Story()
    story.say_turn("hello")
    story.answer("One two three four.", 2.0)
    story.give(i.ClearPlayback("browser", "clear"))
    assert story.refused().code == "invalid_value"
    story.give(i.Played(story.last(o.ResponseBegan).response.id, 100))
    assert not story.all(o.PlaybackBegan)


def test_functions_alone_are_not_played() -> None:
    call = Call()
    call.say_turn("hello")
    call.give(i.WritingEnded(call.last(o.Generate).work, "stop"))
    call.voice_ends()
    call.give(i.Announce("Your timer rings."))
    assert call.all(o.Say), "nothing is being played"
