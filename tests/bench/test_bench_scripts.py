"""What `make bench` runs still fits the code that it measures."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.units import WIRE_RATE
from antiphon.engines.vad.silero import SileroVad
from experiment_row import Row
from experiments import figure, page
from gate import judged, listen
from webrtc import MOST_WAY_MS, timed


@pytest.mark.real
def test_the_gates_bench_sees_every_window_that_is_scored() -> None:
    room = np.random.default_rng(0).normal(scale=100, size=3 * WIRE_RATE).astype(np.int16)
    every, gated = (listen(room, SileroVad(), gates=gates) for gates in (False, True))
    assert len(every) == 3 * WIRE_RATE // 768
    assert 0 < len(gated) < len(every), "the gate shuts in a room where nobody speaks"
    assert gated.keys() < every.keys()
    assert judged(every, []) == (0, 0.0)


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (0.02171, "0.0217"), (9518.0, "9518")])
def test_figures_are_short(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_the_page_of_claims_has_a_row_for_each_and_a_note_once() -> None:
    rows = [
        Row("E9", f"a question {away} ms away", "ms", 30.0, None, 1.5, float(away), "warm at start-up")
        for away in (0, 20)
    ]
    text = page(rows)
    assert "| E9 | a question 20 ms away | 30 | – | **1.5** | 20 | ms |" in text
    assert text.count("warm at start-up") == 1


@pytest.mark.parametrize(
    ("values_ms", "holds"), [([2.0] * 19 + [400.0], True), ([2.0] * 18 + [400.0] * 2, False), ([], False)]
)
def test_a_figure_that_is_above_its_limit_or_missing_does_not_hold(values_ms: list[float], holds: bool) -> None:
    figure = timed("packet to ear", values_ms, MOST_WAY_MS)
    assert figure.holds is holds
    assert "of at most  25 ms" in str(figure)
    assert ("TOO MUCH" in str(figure)) is not holds
