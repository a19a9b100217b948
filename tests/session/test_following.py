"""Words are told while they are spoken, under the id of the item to come."""

from __future__ import annotations

import pytest
from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.settings import Settings, SettingsPatch, Speculating, Transcription, TurnDetection

WISH = Transcription(language="en", prompt="names")


def dictation(detection: TurnDetection | None, *, follows: bool = True) -> Story:
    return Story(Settings(kind="transcription", transcription=WISH, turn_detection=detection), follows=follows)


def told(story: Story) -> str:
    return "".join(grew.text for grew in story.all(o.TranscriptionGrew))


def test_a_turn_is_followed_from_its_beginning_and_its_item_has_the_words_id() -> None:
    story = dictation(TurnDetection())
    assert not story.all(o.Follow), "nobody speaks"
    story.talk(1.0)
    (follow,) = story.all(o.Follow)
    assert follow.is_turn
    assert (follow.item_id, follow.language, follow.prompt) == (story.last(o.SpeechStarted).item_id, "en", "names")
    assert follow.start == story.last(o.KeepAudio).start
    story.give(i.TranscriptGrew(follow.work, "good", tail=" morning"))
    assert story.last(o.TranscriptionGrew) == o.TranscriptionGrew(follow.item_id, "good", (), " morning")
    story.pause(0.6)
    followed = story.last(o.Followed)
    assert followed.work == follow.work
    assert follow.start < followed.voiced_to < followed.stop
    assert story.last(o.AudioCommitted).item_id == follow.item_id
    assert not story.all(o.Transcribe), "its words are not asked for twice"
    story.give(i.TranscriptGrew(follow.work, " morning", tail=""))
    story.give(i.TranscriptReady(follow.work, "good morning", seconds=1.0))
    assert told(story) == "good morning"
    done = story.last(o.TranscriptionDone)
    assert (done.item_id, done.text) == (follow.item_id, "good morning")
    story.talk(1.0)
    assert len(story.all(o.Follow)) == 2


def test_what_the_client_sends_is_followed_until_it_says_that_it_is_an_item() -> None:
    story = dictation(None)
    (first,) = story.all(o.Follow)
    assert not first.is_turn
    assert first.start == 0
    story.give(i.TranscriptGrew(first.work, "one", tail=""))
    story.give(i.CommitAudio("browser", None, 24_000))
    assert story.last(o.Followed) == o.Followed(first.work, 24_000, 24_000)
    assert story.last(o.AudioCommitted).item_id == first.item_id == story.last(o.TranscriptionGrew).item_id
    second = story.last(o.Follow)
    assert (second.start, second.item_id != first.item_id) == (24_000, True)
    story.give(i.TranscriptReady(first.work, "one", seconds=1.0))
    assert story.last(o.TranscriptionDone).item_id == first.item_id
    story.give(i.ClearAudio("browser", None, 48_000))
    assert story.last(o.StopWork).work == second.work
    assert story.last(o.Follow).start == 48_000


@pytest.mark.parametrize("detection", [TurnDetection(), None])
def test_words_that_fail_while_they_are_spoken_are_asked_for_once_more_as_an_item(
    detection: TurnDetection | None,
) -> None:
    story = dictation(detection)
    story.talk(1.0)
    follow = story.last(o.Follow)
    story.give(i.TranscriptGrew(follow.work, "so", tail=""))
    story.give(i.WorkFailed(follow.work, "gone", "it is gone"))
    story.talk(0.5)
    assert len(story.all(o.Follow)) == 1, "nobody is asked again for the same words"
    if detection is None:
        story.give(i.CommitAudio("browser", None, story.heard))
    else:
        story.pause(0.6)
    task = story.last(o.Transcribe)
    assert task.item_id == follow.item_id, "under which words were told already"
    assert not story.all(o.TranscriptionFailed)
    story.give(i.TranscriptReady(task.work, "so it is"))
    assert story.last(o.TranscriptionDone).text == "so it is"
    if detection is not None:
        story.talk(1.0)
    assert len(story.all(o.Follow)) == 2, "the next words are followed again"


def test_words_that_fail_after_the_item_was_made_have_failed() -> None:
    story = dictation(TurnDetection())
    story.talk(1.0)
    story.pause(0.6)
    story.give(i.WorkFailed(story.last(o.Follow).work, "gone", "it is gone"))
    assert story.last(o.TranscriptionFailed).code == "gone"


@pytest.mark.parametrize("detection", [TurnDetection(), None])
def test_what_is_no_longer_wanted_stops(detection: TurnDetection | None) -> None:
    for change in (
        i.UpdateSettings("browser", None, SettingsPatch(transcription=None)),
        i.UpdateSettings("browser", None, SettingsPatch(turn_detection=TurnDetection(silence_duration_ms=900))),
        i.ClearAudio("browser", None, 48_000),
        i.Finish("over"),
    ):
        story = dictation(detection)
        story.talk(1.0)
        work = story.last(o.Follow).work
        story.give(change)
        assert work in [stopped.work for stopped in story.all(o.StopWork)], change


def test_a_client_that_begins_to_say_itself_what_an_item_is_is_followed_from_there() -> None:
    story = dictation(TurnDetection())
    story.give(i.UpdateSettings("browser", None, SettingsPatch(turn_detection=None)))
    assert not story.last(o.Follow).is_turn
    story.give(i.UpdateSettings("browser", None, SettingsPatch(transcription=None)))
    story.give(i.UpdateSettings("browser", None, SettingsPatch(transcription=WISH)))
    assert len(story.all(o.Follow)) == 2


def test_conversations_and_servers_that_do_not_want_it_are_not_followed() -> None:
    for story in (
        dictation(TurnDetection(), follows=False),
        dictation(None, follows=False),
        Story(Settings(transcription=WISH), follows=True),
        Story(Settings(transcription=None), follows=True, follows_conversation=True),
    ):
        story.talk(1.0)
        story.pause(0.6)
        assert not story.all(o.Follow)


# --- in a conversation -----------------------------------------------------------------------------------------------


def talk(detection: TurnDetection | None = TurnDetection()) -> Story:  # noqa: B008 - it is frozen
    return Story(
        Settings(transcription=WISH, turn_detection=detection),
        follows_conversation=True,
        speculation=Speculating(answers=True),
    )


def test_in_a_conversation_words_are_told_early_and_those_that_are_answered_are_recognised_as_ever() -> None:
    story = talk()
    story.talk(1.0)
    follow = story.last(o.Follow)
    story.give(i.TranscriptGrew(follow.work, "good", tail=" mourning"))
    grew = story.last(o.TranscriptionGrew)
    assert grew == o.TranscriptionGrew(story.last(o.SpeechStarted).item_id, "good", (), " mourning")
    story.pause(0.6)
    assert story.last(o.StopWork).work == follow.work
    assert not story.all(o.Followed)
    task = story.last(o.Transcribe)
    assert (task.item_id, task.answer) == (grew.item_id, True)
    story.give(i.TranscriptGrew(task.work, "good morning"))
    assert told(story) == "good", "nothing is told twice"
    story.give(i.TranscriptReady(task.work, "good morning", seconds=1.0, reading=i.Reading(1)))
    assert story.last(o.TranscriptionDone).text == "good morning"
    assert story.last(o.Generate)
    assert not story.session._room.told_early


def test_an_answer_is_prepared_although_somebody_follows() -> None:
    story = talk()
    story.talk(1.0)
    story.pause(0.3)
    assert story.last(o.Transcribe).is_provisional
    assert story.last(o.Follow).work not in [stopped.work for stopped in story.all(o.StopWork)]


def test_a_conversation_that_its_client_divides_is_followed_too() -> None:
    story = talk(None)
    first = story.last(o.Follow)
    story.give(i.TranscriptGrew(first.work, "one", tail=""))
    story.give(i.CommitAudio("browser", None, 24_000))
    assert story.last(o.StopWork).work == first.work
    assert story.last(o.Transcribe).item_id == first.item_id == story.last(o.AudioCommitted).item_id
    assert story.last(o.Follow).start == 24_000
    story.give(i.TranscriptGrew(story.last(o.Follow).work, "two", tail=""))
    story.give(i.ClearAudio("browser", None, 48_000))
    assert story.session._room.told_early == {first.item_id}
