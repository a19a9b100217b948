"""Coming back to a session after its connection broke, as a client of an Antiphon may.

What it has to remember, what it asks for, and what it learns when it is back. Sockets and clocks are not known here,
nor what is done with the messages.
"""

from __future__ import annotations

from msgspec import Struct

from antiphon.desktop.dialogue import Message


class Back(Struct, frozen=True):
    """What a client is told that is back."""

    missed: int
    """Messages that follow from while it was away."""
    is_complete: bool
    """False: there were more."""
    heard_ms: int
    """How much of its sound has come."""


class Return:
    """One client's way back. Servers that are no Antiphon offer none."""

    def __init__(self) -> None:
        self._token = ""
        self._last = ""
        """The last message that came."""

    @property
    def is_possible(self) -> bool:
        """There is a session to come back to, as far as is known here."""
        return bool(self._token)

    def parameters(self) -> str:
        """What is added to the address, of our additions and of the way back."""
        if self._token:
            return f"antiphon=1&resume={self._token}&after={self._last}"
        return "antiphon=1&resumable=1"

    def hear(self, message: Message) -> Back | None:
        """Take note of a message that came; returns what it tells of a return."""
        self._last = str(message.get("event_id", self._last))
        match message:
            case {"type": "antiphon.session.resumable", "token": str(token)}:
                self._token = token
            case {
                "type": "antiphon.session.resumed",
                "missed": int(missed),
                "is_complete": bool(is_complete),
                "heard_ms": int(heard_ms),
            }:
                return Back(missed, is_complete, heard_ms)
            case _:
                pass
        return None

    def forget(self) -> None:
        """The session is over."""
        self._token = self._last = ""
