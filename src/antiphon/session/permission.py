"""What a person is asked to allow, and what they say: yes, no, or nothing until the time is over, which is no.

One machine for calls of the server's tools, which are asked about aloud and by event, and for those of MCP servers,
whose client asks first. It does not know what is allowed, nor what follows from it: questions are ids here.
"""

from __future__ import annotations

from enum import Enum

from antiphon.audio.units import Seconds
from antiphon.session.machine import Table, step

MOST_ANSWERED = 1_000  # ids that are remembered, so that a second answer is told apart from one to nothing


class Consent(Enum):
    ASKED = "asked"
    ALLOWED = "allowed"
    REFUSED = "refused"
    EXPIRED = "expired"


MOVES: Table[Consent] = {
    Consent.ASKED: {"allow": Consent.ALLOWED, "refuse": Consent.REFUSED, "expire": Consent.EXPIRED},
    Consent.ALLOWED: {},
    Consent.REFUSED: {},
    Consent.EXPIRED: {},
}


class Permissions:
    """The questions of a session, in the order in which they were asked."""

    def __init__(self, patience_s: Seconds) -> None:
        self._patience_s = patience_s
        self._until: dict[str, Seconds] = {}
        self._aloud: set[str] = set()
        self._states: dict[str, Consent] = {}

    def ask(self, id: str, now: Seconds, *, aloud: bool) -> None:
        """A question is open from now on. What is asked `aloud` can be answered so."""
        self._states[id] = Consent.ASKED
        self._until[id] = now + self._patience_s
        if aloud:
            self._aloud.add(id)
        while len(self._states) > MOST_ANSWERED:
            oldest = next(iter(self._states))
            self._close(oldest)
            del self._states[oldest]

    def raise_voice(self, id: str) -> None:
        """What was asked by hand is from now on asked aloud as well."""
        self._aloud.add(id)

    def state(self, id: str) -> Consent | None:
        return self._states.get(id)

    def settle(self, id: str, move: str) -> None:
        """An open question has its answer: "allow", "refuse" or "expire"."""
        self._states[id] = step(MOVES, self._states[id], move)
        self._close(id)

    def forget(self, id: str) -> None:
        """Nobody needs the answer any more."""
        self._close(id)
        self._states.pop(id, None)

    def _close(self, id: str) -> None:
        self._until.pop(id, None)
        self._aloud.discard(id)

    def asked_aloud(self) -> tuple[str, ...]:
        """The open questions that a spoken answer is for."""
        return tuple(id for id in self._until if id in self._aloud)

    def overdue(self, now: Seconds) -> tuple[str, ...]:
        """The open questions that nobody has answered in time."""
        return tuple(id for id, until in self._until.items() if until <= now)

    @property
    def deadline(self) -> Seconds | None:
        return min(self._until.values()) if self._until else None
