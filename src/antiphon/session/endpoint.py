"""How long a pause must last before the turn is over, judged again whenever more is known about it.

Four witnesses speak: the words so far, the pitch and loudness of the last half second, an audio turn model if there is
one, and the person's own habit of pausing. What the first three say is added up as log odds, P(the turn is over); where
nobody knows anything P is a half. Pauses that are none die out about exponentially as they get longer, so the best wait
falls steadily with the log odds: it is the usual one, divided by a power of the odds, between a floor and a ceiling. It
reads no words and hears no sound: both come as figures. The weights were chosen by `bench/endpointing.py --tune`, all
but that of the model.
"""

from __future__ import annotations

import math
from collections import deque

from msgspec import Struct

from antiphon.audio.units import Samples, samples_from_ms
from antiphon.session.inputs import Prosody
from antiphon.session.settings import TurnDetection

PAUSES = 8  # of the person's own that are remembered
SHORTEST_PAUSE_MS = 160  # of those: in a shorter silence a plosive is being held, and nobody pauses
USUAL_PAUSE_MS = 400  # of people of whom nothing is known
DOUBTED_PAUSES = 2  # as many of one's own make half of what is believed of a person
HABIT = 0.5  # a person whose pauses are four times as long is waited for twice as long
SURE = 0.02  # no witness is believed beyond this much of certainty
WORDS_WEIGHT = 0.6
MODEL_WEIGHT = 0.6  # as the words': it is a plug-in, and not known here
PITCH_WEIGHT = 5.0  # log odds for each octave of fall beyond the usual
USUAL_PITCH_FALL = 0.1
ENERGY_WEIGHT = 0.04  # log odds for each decibel of fall beyond the usual
USUAL_ENERGY_FALL_DB = 10.0
MOST_BY_PROSODY = 0.5
PATIENCE = 0.5  # the power of the odds


class Limits(Struct, frozen=True):
    """The wait where nothing is known of pause and person, and the bounds of what knowledge can make of it."""

    floor_ms: int
    usual_ms: int
    ceiling_ms: int


EAGERNESS = {
    "high": Limits(240, 500, 2000),
    "medium": Limits(320, 800, 4000),
    "auto": Limits(320, 800, 4000),
    "low": Limits(500, 1400, 8000),
}
"""Ceilings are the protocol's."""


def limits_of(detection: TurnDetection) -> Limits:
    """Those of the eagerness that was asked for. A fixed silence is the usual wait; half of it and four times as much
    are its bounds."""
    if detection.kind == "semantic_vad":
        return EAGERNESS[detection.eagerness]
    usual_ms = detection.silence_duration_ms
    return Limits(usual_ms // 2, usual_ms, usual_ms * 4)


class Endpoint:
    """What is known about the pause that the person makes now."""

    def __init__(self) -> None:
        self._pauses: deque[float] = deque(maxlen=PAUSES)
        """Logarithms of their lengths beside the usual one."""
        self.begin()

    def begin(self) -> None:
        """Another pause began: nothing is known about it."""
        self._over_by_words: float | None = None
        self._over_by_model: float | None = None
        self._prosody: Prosody | None = None

    def went_on(self, pause: Samples) -> None:
        """The pause was none: the person speaks on after this long."""
        if pause >= samples_from_ms(SHORTEST_PAUSE_MS):
            self._pauses.append(math.log(pause / samples_from_ms(USUAL_PAUSE_MS)))

    def hear_words(self, over: float | None) -> None:
        """P(the sentence is whole), or None if the words' language is not known well enough."""
        self._over_by_words = over

    def hear_model(self, over: float) -> None:
        """P(the turn is over), from the sound alone."""
        self._over_by_model = over

    def hear_prosody(self, prosody: Prosody) -> None:
        self._prosody = prosody

    def probability(self) -> float:
        """P(the turn is over) by all that is known of this pause."""
        return 1 / (1 + math.exp(-self._odds()))

    def wait(self, limits: Limits) -> Samples:
        """How much silence ends the turn, as things stand."""
        wait_ms = limits.usual_ms * math.exp(HABIT * self._habit() - PATIENCE * self._odds())
        return samples_from_ms(min(limits.ceiling_ms, max(limits.floor_ms, wait_ms)))

    def _odds(self) -> float:
        """Logarithm of the odds that the turn is over."""
        odds = 0.0
        if self._over_by_words is not None:
            odds += WORDS_WEIGHT * _log_odds(self._over_by_words)
        if self._over_by_model is not None:
            odds += MODEL_WEIGHT * _log_odds(self._over_by_model)
        if self._prosody is not None:
            odds += _odds_by_prosody(self._prosody)
        return odds

    def _habit(self) -> float:
        """Logarithm of the person's mean pause beside the usual one, as far as it is to be believed."""
        return sum(self._pauses) / (len(self._pauses) + DOUBTED_PAUSES)


def _log_odds(probability: float) -> float:
    bounded = min(1 - SURE, max(SURE, probability))
    return math.log(bounded / (1 - bounded))


def _odds_by_prosody(prosody: Prosody) -> float:
    odds = ENERGY_WEIGHT * (prosody.energy_fall_db - USUAL_ENERGY_FALL_DB)
    if prosody.pitch_fall is not None:
        odds += PITCH_WEIGHT * (prosody.pitch_fall - USUAL_PITCH_FALL)
    return min(MOST_BY_PROSODY, max(-MOST_BY_PROSODY, odds))
