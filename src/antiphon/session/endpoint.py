"""How long a pause must last before the turn is over, judged again whenever more is known about it.

Four witnesses speak: the words so far, the pitch and loudness of the last half second, an audio turn model if there is
one, and the person's own habit of pausing. What they say is added up as log odds, P(the turn is over); the wait is a
function of that between a floor and a ceiling. Where nobody knows anything P is a half. It reads no words and hears no
sound: both come as figures. The weights were chosen on synthetic dialogue: see `bench/endpointing.py`.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from msgspec import Struct

from antiphon.audio.units import Samples, samples_from_ms
from antiphon.session.inputs import Prosody
from antiphon.session.settings import TurnDetection

PAUSES = 8  # of the person's own that are remembered
SURE = 0.02  # no witness is believed beyond this much of certainty
PRIOR = 0.0  # log odds that a pause ends the turn, before anybody has spoken
WORDS_WEIGHT = 1.0
MODEL_WEIGHT = 1.2
PITCH_WEIGHT = 1.5  # log odds for each octave of fall
ENERGY_WEIGHT = 0.08  # log odds for each decibel of fall beyond the usual
USUAL_FALL_DB = 6.0
MOST_BY_PROSODY = 1.0
PATIENCE = 3.0  # how steeply doubt becomes waiting
HABIT_MARGIN = 1.25  # a pause is not the end until it is this much longer than the person's usual one


class Limits(Struct, frozen=True):
    """The shortest and the longest wait."""

    floor_ms: int
    ceiling_ms: int


EAGERNESS = {
    "high": Limits(240, 2000),
    "medium": Limits(320, 4000),
    "auto": Limits(320, 4000),
    "low": Limits(500, 8000),
}
"""Ceilings are the protocol's."""


def limits_of(detection: TurnDetection) -> Limits:
    """The eagerness that was asked for; for a fixed silence, half of it and four times as much."""
    if detection.kind == "semantic_vad":
        return EAGERNESS[detection.eagerness]
    return Limits(detection.silence_duration_ms // 2, detection.silence_duration_ms * 4)


class Endpoint:
    """What is known about the pause that the person makes now."""

    def __init__(self) -> None:
        self._pauses: deque[Samples] = deque(maxlen=PAUSES)
        self.begin()

    def begin(self) -> None:
        """Another pause began: nothing is known about it."""
        self._over_by_words: float | None = None
        self._over_by_model: float | None = None
        self._prosody: Prosody | None = None

    def went_on(self, pause: Samples) -> None:
        """The pause was none: the person speaks on after this long."""
        self._pauses.append(pause)

    def hear_words(self, over: float | None) -> None:
        """P(the sentence is whole), or None if the words' language is not known well enough."""
        self._over_by_words = over

    def hear_model(self, over: float) -> None:
        """P(the turn is over), from the sound alone."""
        self._over_by_model = over

    def hear_prosody(self, prosody: Prosody) -> None:
        self._prosody = prosody

    def probability(self) -> float:
        """P(the turn is over) by all that is known."""
        odds = PRIOR
        if self._over_by_words is not None:
            odds += WORDS_WEIGHT * _log_odds(self._over_by_words)
        if self._over_by_model is not None:
            odds += MODEL_WEIGHT * _log_odds(self._over_by_model)
        if self._prosody is not None:
            odds += _odds_by_prosody(self._prosody)
        return 1 / (1 + math.exp(-odds))

    def wait(self, limits: Limits) -> Samples:
        """How much silence ends the turn, as things stand."""
        doubt = 1 - self.probability()
        wait_ms = limits.floor_ms + (limits.ceiling_ms - limits.floor_ms) * doubt**PATIENCE
        return max(samples_from_ms(wait_ms), min(self._habit(doubt), samples_from_ms(limits.ceiling_ms)))

    def _habit(self, doubt: float) -> Samples:
        """What the person's own pauses demand: much while there is doubt, nothing without."""
        if not self._pauses:
            return 0
        return round(HABIT_MARGIN * median(self._pauses) * min(1.0, 2 * doubt))


def _log_odds(probability: float) -> float:
    bounded = min(1 - SURE, max(SURE, probability))
    return math.log(bounded / (1 - bounded))


def _odds_by_prosody(prosody: Prosody) -> float:
    odds = ENERGY_WEIGHT * (prosody.energy_fall_db - USUAL_FALL_DB)
    if prosody.pitch_fall is not None:
        odds += PITCH_WEIGHT * prosody.pitch_fall
    return min(MOST_BY_PROSODY, max(-MOST_BY_PROSODY, odds))
