"""The labelled set is what it says it is, and its rules are the session's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.units import Samples
from antiphon.session import inputs, outputs
from antiphon.session.endpoint import Endpoint
from antiphon.session.ids import Ids
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig, Settings, TurnDetection
from endpointing import Outcomes, Told, Witnesses, commits, compared, difference, ours, prepared, wilson, with_silence
from endpointing_set import (
    LONGEST_PAUSE_MS,
    SHORTEST_PAUSE_MS,
    Conversation,
    Heard,
    Written,
    conversations,
    written,
)
from endpointing_texts import DEVELOPMENT, REPORT


def test_the_two_parts_share_no_line_no_filling_and_no_voice() -> None:
    assert not set(DEVELOPMENT.lines) & set(REPORT.lines)
    assert not set(DEVELOPMENT.voices) & set(REPORT.voices)
    fillings = [{each for words in part.fillings.values() for each in words} for part in (DEVELOPMENT, REPORT)]
    assert not fillings[0] & fillings[1]
    assert min(len(DEVELOPMENT.lines), len(REPORT.lines)) > 60


def test_the_set_is_the_same_each_time_and_has_pauses_of_all_kinds() -> None:
    found = conversations("development", 200)
    assert found == conversations("development", 200)
    clauses = [clause for each in found for turn in each.turns for clause in turn.clauses]
    pauses = [clause.pause_ms for clause in clauses if clause.kind != "end"]
    assert SHORTEST_PAUSE_MS <= min(pauses) < 150
    assert 1300 < max(pauses) <= LONGEST_PAUSE_MS
    assert {clause.kind for clause in clauses} == {"hanging", "whole", "end"}
    # Neither the melody nor the pause tells for certain which of them it is.
    assert {clause.mark for clause in clauses if clause.kind == "whole"} == {",", "."}
    assert {clause.mark for clause in clauses if clause.kind == "end"} == {",", ".", "?"}


def test_transcripts_come_late_with_errors_and_sometimes_not_at_all() -> None:
    found = [(each, number) for each in conversations("development", 200) for number in range(4)]
    answers = [(each, number, _written_whole(each, number)) for each, number in found]
    delays = [answer.delay_ms for *_, answer in answers if answer.delay_ms is not None]
    assert 0 < len(answers) - len(delays) < 0.06 * len(answers)
    assert min(delays) < 60
    assert max(delays) > 600
    wrong = [
        answer.text.casefold().rstrip(".?,")
        != " ".join(clause.words for clause in each.turns[number].clauses).casefold()
        for each, number, answer in answers
        if not each.punctuates
    ]
    assert 0.2 < np.mean(wrong) < 0.7


def _written_whole(each: Conversation, number: int) -> Written:
    ends = tuple(range(24_000, 24_000 * (len(each.turns[number].clauses) + 1), 24_000))
    starts = tuple(end - 20_000 for end in ends)
    return written(each, number, Heard(ends[-1], ends, starts, (), ()), ends[-1])


def test_intervals() -> None:
    low, high = wilson(np.zeros((5, 2), bool))
    assert low == pytest.approx(0, abs=1e-9)
    assert high == pytest.approx(0.2775, abs=1e-3)
    some = np.zeros((400, 4), bool)
    some[::4, 0] = True
    delay_ms = np.zeros(some.shape)
    low, high = difference(Outcomes(some, delay_ms), Outcomes(np.zeros_like(some), delay_ms))
    assert 0.04 < low < 0.0625 < high < 0.09


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[list[Told]]:
    cache: Path = tmp_path_factory.mktemp("heard")
    turns = prepared("development", 48, cache)
    assert prepared("development", 48, cache) == turns, "what was kept is not what was heard"
    return turns


@pytest.mark.real
@pytest.mark.slow
def test_the_bench_ends_turns_exactly_when_a_session_does(few: list[list[Told]]) -> None:
    for first, *_ in few:
        assert commits(first, Endpoint(), ours(1.0), Witnesses())[0] == _ended_by_a_session(first)


def _ended_by_a_session(turn: Told) -> Samples:
    """Where a session with semantic_vad ends this turn, which is its first."""
    session = Session(SessionConfig(Settings(turn_detection=TurnDetection(kind="semantic_vad"))), Ids(1))
    session.handle(inputs.Attach("ear"), 0.0)
    paused: Samples = -1
    asked: outputs.Transcribe | None = None
    for event in with_silence(turn.events):
        known = turn.words.get(paused)
        if asked is not None and known is not None and known.at <= event.heard:
            reading = inputs.Reading(words=1, over=known.over)
            session.handle(inputs.TranscriptReady(asked.work, "words", "en", 1.0, reading=reading), 0.0)
            asked = None
        out = session.handle(event, 0.0)
        if isinstance(event, inputs.VoicePaused):
            paused, asked = event.at, None
            session.handle(turn.melodies[paused], 0.0)
        for output in out:
            if isinstance(output, outputs.SpeechStopped):
                return event.heard
            if isinstance(output, outputs.Transcribe):
                asked = output
    raise AssertionError("the turn never ended")


@pytest.mark.real
@pytest.mark.slow
def test_fewer_people_are_cut_short_than_by_a_fixed_window_with_the_same_delay(few: list[list[Told]]) -> None:
    lines = {line.who: line for line in compared(few, (500,))}
    best = lines["words and prosody"]
    assert best.cut < best.fixed_cut
    assert 500 < best.mean_ms < 800
    assert best.cut_between[0] < best.cut < best.cut_between[1]
    assert lines["the habit alone"].cut >= best.cut
