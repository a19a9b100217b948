"""One caller's side of a conversation, by the clock of the test: what counts as answered, missed, early, late."""

from __future__ import annotations

import pytest

from antiphon.bench.talker import Doing, Heard, Plan, Sentence, Sound, Talker

TICK = 0.02
SOUND = Sound(room=["room"], sentences=[Sentence(["speech"] * 50, rest_s=0.005)])  # one second


class Story:
    """A talker whose frames are asked for every 20 ms."""

    def __init__(self, **plan: float) -> None:
        settings = {"interrupt_share": 0.0, "interrupt_after_s": 0.5, "patience_s": 3.0} | plan
        self.talker = Talker(SOUND, Plan(pause_s=(1.0, 1.0), **settings), seed=1, begin=1.0)
        self.now = 0.0
        self.sent: list[str] = []

    def go(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.sent.append(self.talker.next_frame(self.now))
            self.now += TICK

    @property
    def heard(self) -> Heard:
        return self.talker.heard


def test_an_answer_is_timed_from_the_last_sample_of_speech_and_the_next_sentence_comes_after_it() -> None:
    story = Story()
    story.go(2.0)
    assert story.sent == ["room"] * 50 + ["speech"] * 50
    assert story.talker.doing is Doing.WAITING
    story.go(0.4)
    story.talker.sound_came(0.5, story.now)
    assert story.heard.voice_to_voice_ms == [pytest.approx(400 + 20 + 5)]  # its last frame was begun 20 ms earlier
    story.talker.sound_came(0.5, story.now)
    story.talker.answer_ended(story.now)
    story.go(1.9)
    assert "speech" not in story.sent[100:], "a second of the answer is still to be heard, and then a pause"
    story.go(0.2)
    assert story.sent[-1] == "speech"


def test_no_answer_is_a_missed_turn_and_the_caller_goes_on() -> None:
    story = Story()
    story.go(2.0 + 3.1)
    assert (story.heard.missed, story.heard.voice_to_voice_ms) == (1, [])
    story.go(1.1)
    assert story.sent[-1] == "speech"


def test_sound_that_comes_after_the_last_was_heard_leaves_a_gap() -> None:
    story = Story()
    story.go(2.4)
    story.talker.sound_came(0.2, story.now)
    story.go(0.2)
    story.talker.sound_came(0.2, story.now)  # just in time
    story.go(0.3)
    story.talker.sound_came(0.2, story.now)
    assert story.heard.gaps_ms == [pytest.approx(100)]


def test_an_answer_into_the_sentence_is_early_once() -> None:
    story = Story()
    story.go(1.9)
    story.talker.sound_came(0.1, story.now)
    story.talker.sound_came(0.1, story.now)
    story.go(0.1)
    assert (story.heard.early, story.heard.voice_to_voice_ms) == (1, [])
    assert story.talker.doing is Doing.LISTENING
    story.talker.answer_ended(story.now)
    story.go(1.4)
    assert story.sent[-1] == "speech"


def test_an_interruption_is_timed_until_the_server_notices_it() -> None:
    story = Story(interrupt_share=1.0)
    story.go(2.4)
    story.talker.sound_came(5.0, story.now)
    story.go(0.6)
    assert story.sent[-1] == "speech"
    story.talker.sound_came(0.1, story.now)  # was under way
    story.go(0.1)
    story.talker.voice_noticed(story.now)
    assert 100 < story.heard.stopped_ms[0] < 220
    assert (story.heard.early, story.heard.deaf) == (0, 0)
    story.talker.answer_ended(story.now)  # of the one that was interrupted
    story.go(1.5)
    story.talker.sound_came(0.1, story.now)
    assert len(story.heard.voice_to_voice_ms) == 2


def test_an_interruption_that_nobody_notices_is_counted() -> None:
    story = Story(interrupt_share=1.0)
    story.go(2.4)
    story.talker.sound_came(9.0, story.now)
    story.go(1.8)
    assert (story.heard.deaf, story.heard.stopped_ms) == (1, [])


def test_who_is_stopping_ends_the_sentence_and_begins_no_other() -> None:
    story = Story()
    story.go(1.5)
    story.talker.is_stopping = True
    story.go(6.0)
    assert story.sent.count("speech") == 50
