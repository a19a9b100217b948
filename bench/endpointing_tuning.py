"""Chooses the endpointer's weights on the development part of the labelled set.

The wait changes only when something becomes known, so a pause needs to be looked at twice and not at each of its
windows: the whole part is a few arrays, judged in milliseconds. A random search then walks downhill. What it prints is
put into `antiphon.session.endpoint` by hand; the report is made by the real `Endpoint`, never by this.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from endpointing import FIXED_MS, Told
from msgspec import Struct, structs
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE
from antiphon.hearing.edges import WINDOW
from antiphon.session import endpoint
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoicePaused

STEPS = 4000
NEVER = 1e9
WINDOW_MS = WINDOW * 1000 / WIRE_RATE
FLOOR_MS, CEILING_MS = endpoint.EAGERNESS["medium"].floor_ms, endpoint.EAGERNESS["medium"].ceiling_ms


class Weights(Struct, frozen=True):
    """The constants of `antiphon.session.endpoint`."""

    prior: float
    words: float
    pitch: float
    energy: float
    usual_fall_db: float
    most_by_prosody: float
    patience: float
    habit_margin: float


class Pauses(Struct, frozen=True):
    """All pauses of a part, an array of each figure, [pauses]; milliseconds are of silence in the pause."""

    turn: NDArray[np.int64]
    ends_turn: NDArray[np.bool_]
    length_ms: NDArray[np.float64]
    late_ms: NDArray[np.float64]
    """From the last word to where the pause was found."""
    pitch_fall: NDArray[np.float64]
    energy_fall_db: NDArray[np.float64]
    words_ms: NDArray[np.float64]
    words_odds: NDArray[np.float64]
    habit_ms: NDArray[np.float64]


def pauses_of(told_turns: Sequence[Sequence[Told]]) -> Pauses:
    rows = []
    for number, turns in enumerate(told_turns):
        habit: list[float] = []
        for place, turn in enumerate(turns):
            for row in _pauses_of(turn, habit):
                rows.append((number * len(turns) + place, *row))
                if not row[0]:
                    habit.append(row[1])
    return Pauses(*(np.array(column) for column in zip(*rows, strict=True)))


def _pauses_of(turn: Told, habit: list[float]) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    is_open, paused, heard = False, -1, 0
    for event in turn.events:
        if isinstance(event, VoiceBegan):
            if is_open and paused >= 0:
                rows.append(_row(turn, paused, heard - paused, habit))
            is_open, paused = True, -1
        elif isinstance(event, VoicePaused) and is_open:
            paused = event.at
        if isinstance(event, VoicePaused | SilenceTick):
            heard = event.heard
    if paused >= 0:
        rows.append(_row(turn, paused, NEVER, habit))
    return rows


def _row(turn: Told, paused: int, length: float, habit: list[float]) -> tuple[float, ...]:
    to_ms = 1000 / WIRE_RATE
    melody, words = turn.melodies[paused], turn.words.get(paused)
    is_known = words is not None and words.over is not None
    return (
        length == NEVER,
        length if length == NEVER else length * to_ms,
        (paused - turn.end) * to_ms,
        melody.pitch_fall if melody.pitch_fall is not None else 0.0,
        melody.energy_fall_db,
        (words.at - paused) * to_ms if words is not None and is_known else NEVER,
        endpoint._log_odds(words.over) if words is not None and words.over is not None else 0.0,
        median(habit[-endpoint.PAUSES :]) if habit else 0.0,
    )


class Judge:
    """Judges all pauses of a part by any weights."""

    def __init__(self, pauses: Pauses, with_words: bool = True, with_prosody: bool = True) -> None:
        self._pauses = pauses
        self._with_words = with_words
        self._with_prosody = with_prosody
        self._turns = int(pauses.turn.max()) + 1

    def fixed(self, silence_ms: float) -> tuple[float, float]:
        """Share of turns that are cut, and mean delay, with a window."""
        return self._outcome(np.full(self._pauses.turn.size, silence_ms))

    def cut_at(self, weights: Weights, mean_ms: float) -> float:
        """Share of turns that are cut when the mean delay is this."""
        low, high = 0.005, 8.0
        cut = 1.0
        for _ in range(11):
            middle = (low * high) ** 0.5
            share, delay_ms = self._outcome(self._silence(weights, middle))
            if delay_ms > mean_ms:
                high = middle
            else:
                low, cut = middle, share
        return cut

    def _silence(self, weights: Weights, scale: float) -> NDArray[np.float64]:
        """How long each pause would have to last."""
        known = self._pauses
        before = np.full(known.turn.size, weights.prior)
        if self._with_prosody:
            odds = weights.energy * (known.energy_fall_db - weights.usual_fall_db) + weights.pitch * known.pitch_fall
            before = before + np.clip(odds, -weights.most_by_prosody, weights.most_by_prosody)
        first = self._wait(weights, before, scale)
        if not self._with_words:
            return first
        after = self._wait(weights, before + weights.words * known.words_odds, scale)
        return np.where(first <= known.words_ms, first, np.maximum(known.words_ms, after))

    def _wait(self, weights: Weights, odds: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        doubt = 1 / (1 + np.exp(odds))
        wait = scale * (FLOOR_MS + (CEILING_MS - FLOOR_MS) * doubt**weights.patience)
        habit = weights.habit_margin * self._pauses.habit_ms * np.minimum(1, 2 * doubt)
        return np.asarray(np.maximum(wait, np.minimum(habit, scale * CEILING_MS)))

    def _outcome(self, silence_ms: NDArray[np.float64]) -> tuple[float, float]:
        known = self._pauses
        silence_ms = np.ceil(silence_ms / WINDOW_MS) * WINDOW_MS
        decided = (silence_ms <= known.length_ms) & (known.late_ms + silence_ms < 0)
        cut = np.zeros(self._turns, bool)
        cut[known.turn[decided]] = True
        delay = (known.late_ms + silence_ms)[known.ends_turn.astype(bool)]
        return float(cut.mean()), float(delay.mean())


def tune(told_turns: Sequence[Sequence[Told]]) -> None:
    """Print the best weights that were found, and how they compare with the present ones."""
    pauses = pauses_of(told_turns)
    judges = {
        "words and prosody": (Judge(pauses), 2.0),
        "words alone": (Judge(pauses, with_prosody=False), 1.0),
        "prosody alone": (Judge(pauses, with_words=False), 1.0),
    }
    windows = [judges["words and prosody"][0].fixed(ms) for ms in FIXED_MS]

    def loss(weights: Weights) -> float:
        return sum(
            share * judge.cut_at(weights, mean_ms) / cut
            for judge, share in judges.values()
            for cut, mean_ms in windows
        )

    weights = present()
    least = loss(weights)
    _show("now", weights, judges, windows)
    chance = np.random.default_rng(5)
    for step in range(STEPS):
        spread = 0.3 * (1 - step / STEPS) + 0.03
        factors = np.exp(chance.normal(0, spread, len(structs.astuple(weights))) * (chance.random(8) < 0.4))
        values = [value * factor for value, factor in zip(structs.astuple(weights), factors, strict=True)]
        values[0] += chance.normal(0, spread)
        tried = Weights(*values)
        found = loss(tried)
        if found < least:
            weights, least = tried, found
    _show("best", weights, judges, windows)


def present() -> Weights:
    return Weights(
        endpoint.PRIOR,
        endpoint.WORDS_WEIGHT,
        endpoint.PITCH_WEIGHT,
        endpoint.ENERGY_WEIGHT,
        endpoint.USUAL_FALL_DB,
        endpoint.MOST_BY_PROSODY,
        endpoint.PATIENCE,
        endpoint.HABIT_MARGIN,
    )


def _show(
    name: str, weights: Weights, judges: dict[str, tuple[Judge, float]], windows: list[tuple[float, float]]
) -> None:
    print(name, {key: round(value, 3) for key, value in structs.asdict(weights).items()})
    for who, (judge, _) in judges.items():
        cuts = [100 * judge.cut_at(weights, mean_ms) for _, mean_ms in windows]
        print(f"  {who:20}", "  ".join(
            f"{cut:5.1f} % against {100 * window[0]:5.1f} % at {window[1]:4.0f} ms"
            for cut, window in zip(cuts, windows, strict=True)
        ))  # fmt: skip
