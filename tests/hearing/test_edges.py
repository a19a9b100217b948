"""Scores become edges, and every edge is at the right sample."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import Bug
from antiphon.hearing.edges import (
    ONSET_WINDOWS,
    RESET_WINDOWS,
    VOICE_TICK_WINDOWS,
    WINDOW,
    Edges,
    HearingEvent,
    Voice,
)
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoiceDismissed, VoicePaused, VoiceSuspected, VoiceTick

SCORES = {"#": 0.9, "+": 0.4, ".": 0.1}


class Listener:
    """Feeds scores, written as a line: `#` is a voice, `+` is between the thresholds, `.` is quiet."""

    def __init__(self, threshold: float = 0.5) -> None:
        self.edges = Edges(threshold)
        self.windows = 0
        self.suspicions: list[VoiceSuspected | VoiceDismissed] = []

    def hear(self, line: str) -> list[HearingEvent]:
        return self.hear_scores(SCORES[mark] for mark in line)

    def hear_scores(self, scores: Iterable[float]) -> list[HearingEvent]:
        events: list[HearingEvent] = []
        for score in scores:
            self.windows += 1
            event = self.edges.hear(score, self.windows * WINDOW, self.windows / 10)
            if isinstance(event, VoiceSuspected | VoiceDismissed):
                self.suspicions.append(event)
            elif event is not None:
                events.append(event)
        return events


def test_a_voice_begins_at_its_first_window_and_is_told_at_the_second() -> None:
    assert Listener().hear("...##") == [VoiceBegan(3 * WINDOW, 5 * WINDOW, 0.5)]


def test_a_hole_in_the_onset_does_not_move_it() -> None:
    assert Listener().hear("..#.#") == [VoiceBegan(2 * WINDOW, 5 * WINDOW, 0.5)]


@pytest.mark.parametrize("line", ["#...#...#", "+++++++++", ".........", "#..#..#"])
def test_clicks_and_murmurs_are_no_voice(line: str) -> None:
    assert Listener().hear(line) == []


def test_one_voiced_window_is_a_suspicion_until_it_is_too_old_to_be_an_onset() -> None:
    listener = Listener()
    listener.hear("..#..")
    assert listener.suspicions == [VoiceSuspected(2 * WINDOW, 3 * WINDOW, 0.3)]
    listener.hear(".....")
    assert listener.suspicions[1:] == [VoiceDismissed(6 * WINDOW, 0.6)]


def test_a_suspicion_that_becomes_a_voice_is_not_dismissed() -> None:
    listener = Listener()
    listener.hear("#.#....")
    assert listener.suspicions == [VoiceSuspected(0, WINDOW, 0.1)]


def test_a_suspicion_in_a_pause_is_told_and_its_end_is_the_next_silence() -> None:
    listener = Listener()
    listener.hear("##.#......")
    assert listener.suspicions == [VoiceSuspected(0, WINDOW, 0.1), VoiceSuspected(3 * WINDOW, 4 * WINDOW, 0.4)]


def test_a_pause_is_told_at_its_first_window_and_every_window_after() -> None:
    listener = Listener()
    listener.hear("###")
    assert listener.hear("..") == [
        VoicePaused(3 * WINDOW, 4 * WINDOW, 0.4),
        SilenceTick(5 * WINDOW, 0.5),
    ]


def test_a_fading_voice_goes_on_down_to_the_lower_threshold() -> None:
    listener = Listener()
    listener.hear("##")
    assert listener.hear("++++") == []
    assert listener.hear(".") == [VoicePaused(6 * WINDOW, 7 * WINDOW, 0.7)]


def test_a_voice_that_resumes_begins_again_in_the_same_turn() -> None:
    listener = Listener()
    listener.hear("##..")
    assert listener.hear("##") == [VoiceBegan(4 * WINDOW, 6 * WINDOW, 0.6)]


def test_one_voiced_window_in_a_pause_is_neither_voice_nor_silence() -> None:
    listener = Listener()
    listener.hear("##..")
    assert listener.hear("#.") == [SilenceTick(6 * WINDOW, 0.6)]


def test_a_long_voice_ticks_about_once_a_second() -> None:
    listener = Listener()
    events = listener.hear("#" * (ONSET_WINDOWS + 3 * VOICE_TICK_WINDOWS))
    assert [type(event) for event in events] == [VoiceBegan, VoiceTick, VoiceTick, VoiceTick]
    assert events[1].heard == (ONSET_WINDOWS + VOICE_TICK_WINDOWS) * WINDOW


def test_after_the_turn_is_closed_silence_is_not_told() -> None:
    listener = Listener()
    listener.hear("##..")
    listener.edges.turn_closed()
    assert listener.hear("....") == []
    assert listener.hear("##") == [VoiceBegan(8 * WINDOW, 10 * WINDOW, 1.0)]


def test_a_voice_that_goes_on_over_the_close_begins_another_turn_at_once() -> None:
    listener = Listener()
    listener.hear("####")
    listener.edges.turn_closed()
    assert listener.hear("#.") == [
        VoiceBegan(4 * WINDOW, 5 * WINDOW, 0.5),
        VoicePaused(5 * WINDOW, 6 * WINDOW, 0.6),
    ]


def test_a_voice_that_ends_with_the_turn_is_over() -> None:
    listener = Listener()
    listener.hear("####")
    listener.edges.turn_closed()
    assert listener.hear("...") == []
    assert listener.edges.voice is Voice.QUIET


def test_closing_what_is_not_open_changes_nothing() -> None:
    listener = Listener()
    listener.edges.turn_closed()
    assert listener.hear("##") == [VoiceBegan(0, 2 * WINDOW, 0.2)]


def test_a_voice_that_the_session_had_not_heard_of_outlives_the_close() -> None:
    listener = Listener()
    listener.hear("##..")
    acted_on = 4 * WINDOW
    listener.hear("##")
    listener.edges.turn_closed(acted_on)
    assert listener.hear(".") == [VoicePaused(6 * WINDOW, 7 * WINDOW, 0.7)]
    listener.edges.turn_closed(7 * WINDOW)
    assert listener.hear("..") == []


def test_a_gap_breaks_an_onset() -> None:
    listener = Listener()
    listener.hear("#")
    listener.edges.skip()
    assert listener.hear("#") == []


def test_the_threshold_moves_both_limits() -> None:
    assert Listener(0.95).hear("####") == []
    listener = Listener(0.1)
    assert isinstance(listener.hear_scores([0.1, 0.1])[0], VoiceBegan)
    assert listener.hear_scores([0.06]) == []
    assert isinstance(listener.hear_scores([0.04])[0], VoicePaused)


def test_with_no_threshold_everything_is_a_voice() -> None:
    listener = Listener(0.0)
    assert [type(event) for event in listener.hear_scores([0.0] * 5)] == [VoiceBegan]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(Bug):
        Edges(threshold)


def test_two_seconds_without_a_voice_make_the_memory_stale() -> None:
    listener = Listener()
    listener.hear("." * (RESET_WINDOWS - 1))
    assert not listener.edges.memory_went_stale()
    listener.hear(".")
    assert listener.edges.memory_went_stale()
    listener.hear("#" + "." * (RESET_WINDOWS - 1))
    assert not listener.edges.memory_went_stale()


def test_a_voice_keeps_the_memory() -> None:
    listener = Listener()
    listener.hear("#" * 3 * RESET_WINDOWS)
    assert not listener.edges.memory_went_stale()


@given(st.lists(st.one_of(st.floats(0, 1), st.just("close")), max_size=60))
def test_whatever_is_heard_the_events_tell_one_story(story: list[float | str]) -> None:
    """Began and paused alternate; silence ticks only in a pause, voice ticks only in a voice; `heard` only
    grows.
    """
    listener, state, last = Listener(), "quiet", 0
    for step in story:
        if isinstance(step, str):
            listener.edges.turn_closed()
            state = "quiet"
            continue
        for event in listener.hear_scores([step]):
            assert event.heard == listener.windows * WINDOW > last
            last = event.heard
            match event:
                case VoiceBegan(at=at):
                    assert state in ("quiet", "paused")
                    assert event.heard - 3 * WINDOW <= at < event.heard
                    state = "speaking"
                case VoicePaused(at=at):
                    assert state == "speaking"
                    assert at == event.heard - WINDOW
                    state = "paused"
                case SilenceTick():
                    assert state == "paused"
                case VoiceTick():
                    assert state == "speaking"
