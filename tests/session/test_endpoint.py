"""How long a pause has to be, by what is known of it."""

from __future__ import annotations

import pytest
from story import Story

from antiphon.audio.units import WIRE_RATE, samples_from_ms
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.endpoint import EAGERNESS, Endpoint, Limits, limits_of
from antiphon.session.settings import Settings, TurnDetection

LIMITS = Limits(300, 800, 4000)


def wait_ms(endpoint: Endpoint, limits: Limits = LIMITS) -> float:
    return endpoint.wait(limits) * 1000 / WIRE_RATE


def test_a_whole_sentence_is_answered_soon_and_a_hanging_one_late() -> None:
    waits = []
    for over in (0.95, 0.5, 0.05):
        endpoint = Endpoint()
        endpoint.hear_words(over)
        waits.append(wait_ms(endpoint))
    assert waits == sorted(waits)
    assert waits[0] < 400
    assert waits[1] == 800
    assert waits[2] > 1800


@pytest.mark.parametrize("over", [0.0, 1.0])
def test_it_stays_between_floor_and_ceiling_whatever_is_said(over: float) -> None:
    endpoint = Endpoint()
    endpoint.hear_words(over)
    endpoint.hear_model(over)
    endpoint.hear_prosody(i.Prosody(0, 4.0 if over else -4.0, 40.0 * over))
    for _ in range(8):
        endpoint.went_on(samples_from_ms(200 if over else 60_000))
    assert wait_ms(endpoint) == (300 if over else 4000)


def test_a_voice_that_falls_ends_sooner_than_one_that_rises() -> None:
    falling, rising = Endpoint(), Endpoint()
    falling.hear_prosody(i.Prosody(0, 0.4, 12.0))
    rising.hear_prosody(i.Prosody(0, -0.4, 1.0))
    assert wait_ms(falling) < wait_ms(Endpoint()) < wait_ms(rising)


def test_who_pauses_long_is_waited_for_longer_and_who_is_quick_less() -> None:
    waits = []
    for pause_ms in (200, 400, 1600):
        endpoint = Endpoint()
        for _ in range(20):
            endpoint.went_on(samples_from_ms(pause_ms))
        waits.append(wait_ms(endpoint))
    assert waits == sorted(waits)
    assert waits[1] == 800
    assert 1200 < waits[2] < 1600


def test_one_long_pause_is_no_habit_and_a_plosive_is_no_pause() -> None:
    endpoint = Endpoint()
    for _ in range(8):
        endpoint.went_on(samples_from_ms(64))
    assert wait_ms(endpoint) == 800
    endpoint.went_on(samples_from_ms(1600))
    assert 900 < wait_ms(endpoint) < 1050


def test_a_new_pause_begins_without_prejudice_but_the_habit_stays() -> None:
    endpoint = Endpoint()
    endpoint.hear_words(0.02)
    endpoint.hear_model(0.02)
    endpoint.begin()
    assert wait_ms(endpoint) == wait_ms(Endpoint())


def test_the_ceilings_are_the_protocols() -> None:
    assert [EAGERNESS[name].ceiling_ms for name in ("high", "medium", "auto", "low")] == [2000, 4000, 4000, 8000]
    assert limits_of(TurnDetection(silence_duration_ms=600)) == Limits(300, 600, 2400)


def turn_length_ms(reading: i.Reading | None, **config: object) -> float:
    """Silence until the turn is over, when the words come 100 ms after they were asked for."""
    detection = TurnDetection(kind="semantic_vad")
    story = Story(Settings(turn_detection=detection), **config)
    story.talk(1.0)
    start = story.heard
    while not story.all(o.SpeechStopped):
        story.pause(0.032)
        asked = story.all(o.Transcribe)
        if reading is not None and len(asked) == 1 and story.heard - asked[0].stop == samples_from_ms(96):
            story.give(i.TranscriptReady(asked[0].work, "words", "en", 1.0, reading=reading))
    return (story.heard - start) * 1000 / WIRE_RATE


def test_semantic_vad_waits_by_the_words() -> None:
    whole, unknown, hanging = (turn_length_ms(reading) for reading in (i.Reading(1, 0.95), None, i.Reading(1, 0.05)))
    assert whole < 420
    assert 700 < unknown < 900
    assert hanging > 1800


def test_semantic_vad_asks_for_words_even_when_no_answer_is_prepared() -> None:
    story = Story(Settings(turn_detection=TurnDetection(kind="semantic_vad")))
    story.talk(1.0)
    story.pause(0.25)
    assert story.last(o.Transcribe).is_provisional
    assert not story.all(o.Generate)


def test_a_turn_model_is_asked_where_there_is_one_and_believed() -> None:
    story = Story(Settings(turn_detection=TurnDetection(kind="semantic_vad")), scores_turns=True)
    story.talk(1.0)
    story.pause(0.25)
    story.give(i.TurnScored(story.last(o.ScoreTurn).work, 0.98))
    story.pause(0.2)
    assert story.all(o.SpeechStopped)


def test_a_score_that_comes_after_speech_resumed_is_late() -> None:
    story = Story(Settings(turn_detection=TurnDetection(kind="semantic_vad")), scores_turns=True)
    story.talk(1.0)
    story.pause(0.25)
    work = story.last(o.ScoreTurn).work
    story.talk(0.3)
    out = story.give(i.TurnScored(work, 0.98))
    assert [type(output) for output in out] == [o.Remark]


def test_server_vad_waits_for_its_silence_and_nothing_else_unless_it_is_told_to_judge() -> None:
    for judges, expected in ((False, True), (True, False)):
        story = Story(Settings(), continuous_endpoint=judges)
        story.talk(1.0)
        story.pause(0.04)
        story.give(i.Prosody(story.heard, -0.5, 0.0))
        story.pause(0.5)
        assert bool(story.all(o.SpeechStopped)) is expected


def test_a_detector_that_toggles_every_window_makes_one_turn_and_no_storm_of_work() -> None:
    story = Story(Settings(turn_detection=TurnDetection(kind="semantic_vad")))
    for _ in range(60):
        story.talk(0.033)
        story.pause(0.033)
    assert len(story.all(o.SpeechStarted)) == 1
    assert not story.all(o.Transcribe)
    story.pause(2.0)
    assert len(story.all(o.SpeechStopped)) == 1


def test_a_transcript_that_never_comes_is_no_reason_to_wait_forever() -> None:
    assert turn_length_ms(None) < 1000
