"""A voice that is heard while we speak: held against us for a moment, until it is known whether it is meant for us.

The answer's pacing is held from the first voiced window on, and nobody is told. Where a voice alone counts, the second
window decides. Where words count, they have 300 ms: a backchannel ("mm-hm"), our own words coming back, or a mere sound
lets the answer go on, and is listened to further, for it may become more. It knows neither pacing nor turns; what its
verdicts mean is the session's.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from antiphon.audio.units import Seconds, samples_from_ms
from antiphon.session.inputs import Reading
from antiphon.session.machine import Table, step

SUSPICION_S = 0.2  # that one voiced window holds an answer back; the detector says more within 0.1
WORDS_AFTER_S = 0.14  # of a voice they are asked for: what a short word takes
VERDICT_AFTER_S = 0.3  # from the first window on
WORDS_AGAIN_S = 0.6  # later, while a voice goes on that was not for us; each time twice as long
ATTEMPTS = 6  # after which a voice that never stops is what it was last taken for
LISTENED = samples_from_ms(3000)  # of a voice that does not stop: its end tells what it is
SILENCE = samples_from_ms(400)  # after which a voice that was not for us is forgotten
LONGEST_SILENCE = samples_from_ms(1500)  # likewise, if its words are still being recognised
ECHO = 0.6  # share of the words that are our own

Verdict = Literal["confirmed", "backchannel", "echo", "brief"]


class BargeInState(Enum):
    CLEAR = "clear"
    SUSPECTED = "suspected"
    """One voiced window."""
    WEIGHED = "weighed"
    """A voice; the answer is held back."""
    PASSED = "passed"
    """It is not for us so far; the answer goes on."""


MOVES: Table[BargeInState] = {
    BargeInState.CLEAR: {"suspect": BargeInState.SUSPECTED, "weigh": BargeInState.WEIGHED},
    BargeInState.SUSPECTED: {
        "suspect": BargeInState.SUSPECTED,
        "weigh": BargeInState.WEIGHED,
        "clear": BargeInState.CLEAR,
    },
    BargeInState.WEIGHED: {"pass": BargeInState.PASSED, "clear": BargeInState.CLEAR},
    BargeInState.PASSED: {"pass": BargeInState.PASSED, "clear": BargeInState.CLEAR},
}


class BargeIn:
    """The voice over our answer, if there is one."""

    def __init__(self) -> None:
        self.state = BargeInState.CLEAR
        self.work: int | None = None
        """Of the recognition that is to tell what it says."""
        self.began: Seconds = 0.0
        self._words_due: Seconds | None = None
        self._verdict_due: Seconds | None = None
        self._attempts = 0

    @property
    def is_open(self) -> bool:
        """Whether a voice is being listened to of which nobody was told."""
        return self.state in (BargeInState.WEIGHED, BargeInState.PASSED)

    @property
    def holds(self) -> bool:
        return self.state in (BargeInState.SUSPECTED, BargeInState.WEIGHED)

    @property
    def deadline(self) -> Seconds | None:
        words_due = self._words_due if self.work is None else None
        if words_due is None or self._verdict_due is None:
            return self._verdict_due if words_due is None else words_due
        return min(words_due, self._verdict_due)

    def suspect(self, now: Seconds) -> None:
        """One window had a voice."""
        if self.state is BargeInState.CLEAR:
            self.began = now
        self.state = step(MOVES, self.state, "suspect")
        self._verdict_due = now + SUSPICION_S

    def weigh(self, now: Seconds) -> None:
        """It is a voice."""
        if self.state is BargeInState.CLEAR:
            self.began = now
        self.state = step(MOVES, self.state, "weigh")
        self._attempts = 0
        self._words_due = self.began + WORDS_AFTER_S
        self._verdict_due = self.began + VERDICT_AFTER_S

    def clear(self) -> None:
        """It was decided, or it is over."""
        if self.state is not BargeInState.CLEAR:
            self.state = step(MOVES, self.state, "clear")
        self.work = self._words_due = self._verdict_due = None

    def let_pass(self, now: Seconds, *, goes_on: bool) -> None:
        """Not for us, so far. While the voice goes on, its words are asked for again."""
        self.state = step(MOVES, self.state, "pass")
        self._verdict_due = None
        self._words_due = now + WORDS_AGAIN_S * 2**self._attempts if goes_on and self._attempts < ATTEMPTS else None

    def went_on(self, now: Seconds) -> None:
        """The voice that had passed is there again after a pause."""
        if self.state is BargeInState.PASSED and self._words_due is None and self._attempts < ATTEMPTS:
            self._words_due = now + WORDS_AFTER_S

    def wants_words(self, now: Seconds) -> bool:
        return self._words_due is not None and self._words_due <= now and self.work is None

    def ask_words(self, work: int) -> None:
        """They are being recognised."""
        self.work, self._words_due = work, None
        self._attempts += 1

    def wants_verdict(self, now: Seconds) -> bool:
        return self._verdict_due is not None and self._verdict_due <= now


def judged(reading: Reading, *, goes_on: bool, knows_echo: bool) -> Verdict:
    """What a voice with these words is. Without a word it is a sound, unless it goes on."""
    if not reading.words:
        return "confirmed" if goes_on else "brief"
    if knows_echo and reading.echoed >= ECHO:
        return "echo"
    return "backchannel" if reading.is_backchannel else "confirmed"
