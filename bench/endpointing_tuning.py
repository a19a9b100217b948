"""Chooses the endpointer's weights on the development part of the labelled set.

The wait changes only when something becomes known, so a pause needs to be looked at twice and not at each of its
windows: the whole part is a few arrays, judged in milliseconds. A random search then walks downhill. What it prints is
put into `antiphon.session.endpoint` by hand; the report is made by the real `Endpoint`, never by this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE
from antiphon.hearing.edges import WINDOW
from antiphon.session import endpoint
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoicePaused
from endpointing import FIXED_MS, Told

STEPS = 600
NEVER = 1e9
WINDOW_MS = WINDOW * 1000 / WIRE_RATE
LIMITS = endpoint.EAGERNESS["medium"]


class Weights(Struct, frozen=True):
    """The constants of `antiphon.session.endpoint` that are chosen here. Its `PATIENCE` only scales the first four."""

    words: float
    pitch: float
    energy: float
    most_by_prosody: float
    habit: float


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
    habit: NDArray[np.float64]
    """As `Endpoint` has it, before its power."""


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
        melody.pitch_fall if melody.pitch_fall is not None else endpoint.USUAL_PITCH_FALL,
        melody.energy_fall_db,
        (words.at - paused) * to_ms if words is not None and is_known else NEVER,
        endpoint._log_odds(words.over) if words is not None and words.over is not None else 0.0,
        _habit(habit),
    )


def _habit(pauses_ms: list[float]) -> float:
    counted = [ms for ms in pauses_ms if ms >= endpoint.SHORTEST_PAUSE_MS][-endpoint.PAUSES :]
    beside_usual = sum(math.log(ms / endpoint.USUAL_PAUSE_MS) for ms in counted)
    return beside_usual / (len(counted) + endpoint.DOUBTED_PAUSES)


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
        odds = np.zeros(known.turn.size)
        if self._with_prosody:
            odds = weights.energy * (known.energy_fall_db - endpoint.USUAL_ENERGY_FALL_DB)
            odds = odds + weights.pitch * (known.pitch_fall - endpoint.USUAL_PITCH_FALL)
            odds = np.clip(odds, -weights.most_by_prosody, weights.most_by_prosody)
        first = self._wait(weights, odds, scale)
        if not self._with_words:
            return first
        after = self._wait(weights, odds + weights.words * known.words_odds, scale)
        return np.where(first <= known.words_ms, first, np.maximum(known.words_ms, after))

    def _wait(self, weights: Weights, odds: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        wait = LIMITS.usual_ms * np.exp(weights.habit * self._pauses.habit - endpoint.PATIENCE * odds)
        return np.asarray(scale * np.clip(wait, LIMITS.floor_ms, LIMITS.ceiling_ms))

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
            share * judge.cut_at(weights, mean_ms) / cut for judge, share in judges.values() for cut, mean_ms in windows
        )

    weights = present()
    least = loss(weights)
    _show("now", weights, judges, windows)
    chance = np.random.default_rng(5)
    for step in range(STEPS):
        spread = 0.3 * (1 - step / STEPS) + 0.03
        values = np.array(structs.astuple(weights))
        factors = np.exp(chance.normal(0, spread, values.size) * (chance.random(values.size) < 0.5))
        tried = Weights(*(float(value) for value in values * factors))
        found = loss(tried)
        if found < least:
            weights, least = tried, found
    _show("best", weights, judges, windows)


def present() -> Weights:
    return Weights(
        words=endpoint.WORDS_WEIGHT,
        pitch=endpoint.PITCH_WEIGHT,
        energy=endpoint.ENERGY_WEIGHT,
        most_by_prosody=endpoint.MOST_BY_PROSODY,
        habit=endpoint.HABIT,
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
