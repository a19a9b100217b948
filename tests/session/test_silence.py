"""When the person's silence counts as a turn."""

from __future__ import annotations

import pytest

from antiphon.session.settings import TurnDetection
from antiphon.session.silence import Silence

PATIENT = TurnDetection(idle_timeout_ms=5000)


def test_it_is_due_when_it_has_lasted_and_never_before_an_answer_was_played() -> None:
    silence = Silence()
    assert silence.due(PATIENT) is None
    silence.begin(10.0)
    assert silence.due(PATIENT) == 15.0
    silence.end()
    assert silence.due(PATIENT) is None


@pytest.mark.parametrize("detection", [None, TurnDetection(), TurnDetection(kind="semantic_vad", idle_timeout_ms=5000)])
def test_it_is_no_turn_unless_the_client_wants_that(detection: TurnDetection | None) -> None:
    silence = Silence()
    silence.begin(10.0)
    assert silence.due(detection) is None


def test_it_can_be_put_off_but_is_not_begun_by_that() -> None:
    silence = Silence()
    silence.put_off(20.0)
    silence.wait_for(20.0)
    assert silence.due(PATIENT) is None
    silence.begin(10.0)
    silence.wait_for(8.0)
    assert silence.due(PATIENT) == 15.0
    silence.wait_for(12.0)
    assert silence.due(PATIENT) == 17.0
    silence.put_off(11.0)
    assert silence.due(PATIENT) == 16.0
