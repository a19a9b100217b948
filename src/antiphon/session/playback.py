"""Where the server plays: which answers are with the speaker, and how far each has got.

It tells connections when an answer begins and ends to be heard. What a cut means for the conversation is the
session's; how sound is played, and where, is not known here.
"""

from __future__ import annotations

from msgspec import Struct

from antiphon.audio.units import Samples, Seconds
from antiphon.session import inputs
from antiphon.session.audible import Audible, Emit
from antiphon.session.items import Message
from antiphon.session.outputs import PlaybackBegan, PlaybackCleared, PlaybackEnded, PlaybackReached


class Unheard(Struct, frozen=True):
    """An item of which the person did not hear all that was sent."""

    item_id: str
    heard: Samples


class Playback:
    """The responses that are not played to their end, in the order in which they are played."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._responses: dict[str, Audible] = {}

    @property
    def is_busy(self) -> bool:
        """Whether something waits to be heard."""
        return any(response.playout.sent for response in self._responses.values())

    def add(self, response: Audible) -> None:
        """Its sound will go to the speaker."""
        self._responses[response.id] = response

    def report(self, played: inputs.Played, now: Seconds) -> Audible | None:
        """Take in what the speaker says. Returns the response if that was the last of it."""
        response = self._responses.get(played.response_id)
        if response is None:
            return None  # it was cleared while the report was on its way
        if response.playout.reported is None:
            self._emit(PlaybackBegan(response.id))
        before = response.playout.reported or 0
        response.playout.report(played.samples, now)
        for reached in _reached(response, before):
            self._emit(reached)
        if not response.is_over or response.playout.reported != response.playout.sent:
            return None
        del self._responses[response.id]
        self._emit(PlaybackEnded(response.id))
        return response

    def forget_silent(self) -> None:
        """Let go of responses that ended without a sound."""
        silent = [name for name, one in self._responses.items() if one.is_over and not one.playout.sent]
        for name in silent:
            del self._responses[name]

    def clear(self, now: Seconds, *, also_detached: bool) -> list[Unheard]:
        """Stop playing. Returns what of the conversation was not heard to its end; out-of-band responses go on unless
        `also_detached`. Of what has not begun to go out, nothing is there to be stopped."""
        sounding = [one for one in self._responses.values() if one.playout.sent]
        cleared = [one for one in sounding if also_detached or one.conversation is not None]
        unheard: list[Unheard] = []
        for response in cleared:
            del self._responses[response.id]
            self._emit(PlaybackCleared(response.id, response.playout.reported is not None))
            unheard += _unheard(response, now)
        return unheard


def _reached(response: Audible, before: Samples) -> list[PlaybackReached]:
    """How far each item is of which something was played since `before`."""
    now = response.playout.reported or 0
    found = []
    for piece in response.pieces:
        if piece.ledger is None or now <= piece.offset or before >= piece.offset + piece.ledger.sent:
            continue
        played = min(now - piece.offset, piece.ledger.sent)
        letters = len(piece.ledger.text_until(played))
        found.append(PlaybackReached(response.id, piece.item.id, played, letters))
    return found


def _unheard(response: Audible, now: Seconds) -> list[Unheard]:
    if response.conversation is None:
        return []
    played = response.playout.played(now)
    found = []
    for piece in response.pieces:
        if piece.ledger is None or not isinstance(piece.item, Message):
            continue
        heard = max(0, played - piece.offset)
        if heard < piece.ledger.kept:
            found.append(Unheard(piece.item.id, heard))
    return found
