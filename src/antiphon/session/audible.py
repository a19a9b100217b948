"""A response as far as it is heard: its items in the order in which they sound, and how much of each was played.

It does not know who makes it, a model and a voice of ours or another server, nor when it may be sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from antiphon.audio.units import Samples, Seconds
from antiphon.session.conversation import Conversation
from antiphon.session.items import Item
from antiphon.session.ledger import Ledger
from antiphon.session.manner import Manner
from antiphon.session.outputs import Output, ResponseBegan, ResponseInfo
from antiphon.session.playout import Playout

Emit = Callable[[Output], None]


class Ending(Struct, frozen=True):
    """How and why a response ended."""

    status: str
    """"completed", "cancelled", "failed" or "incomplete"."""
    reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    plays_on: bool = False
    """Whether the player goes on with what it has: nobody has told it to stop. So it does if this is a failure."""


class Sounding(Protocol):
    """One item of a response."""

    ledger: Ledger | None
    """Of a spoken one."""
    offset: Samples
    """Where its sound begins in that of the response."""

    @property
    def item(self) -> Item: ...

    @property
    def is_open(self) -> bool:
        """Whether something may still come of it."""
        ...


class Audible(ABC):
    """See the module. Whoever makes it adds to `pieces`."""

    pieces: Sequence[Sounding]

    def __init__(
        self, id: str, manner: Manner, playout: Playout, conversation: Conversation | None, emit: Emit
    ) -> None:
        self.id = id
        self.manner = manner
        self.playout = playout
        self.conversation = conversation
        """None for an out-of-band response."""
        self._emit = emit
        self._usage = [0, 0, 0]

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether nothing of it goes out any more."""

    def announce(self) -> None:
        """It exists; nothing has come of it yet."""
        self._emit(ResponseBegan(self._info("in_progress")))

    def spend(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> None:
        """Making it has taken these too."""
        for place, tokens in enumerate((input_tokens, output_tokens, cached_tokens)):
            self._usage[place] += tokens

    def _info(self, status: str, ending: Ending | None = None, output: tuple[Item, ...] = ()) -> ResponseInfo:
        """The response as it stands."""
        return ResponseInfo(
            id=self.id,
            conversation_id=None if self.conversation is None else self.conversation.id,
            status=status,
            speaks=self.manner.speaks,
            voice=self.manner.voice,
            output_format=self.manner.output_format,
            max_output_tokens=self.manner.max_tokens,
            metadata=self.manner.metadata,
            reason=ending.reason if ending else None,
            error_code=ending.error_code if ending else None,
            error_message=ending.error_message if ending else None,
            output=output,
            input_tokens=self._usage[0],
            output_tokens=self._usage[1],
            cached_tokens=self._usage[2],
        )

    # --- what was heard of it

    def is_speaking(self, item_id: str) -> bool:
        """Whether sound of this item may still go out."""
        return any(piece.is_open and piece.ledger is not None and piece.item.id == item_id for piece in self.pieces)

    def heard(self, now: Seconds) -> dict[str, str]:
        """For each spoken item that is not played to its end: the words that were."""
        played = self.playout.played(now)
        return {
            piece.item.id: piece.ledger.text_until(played - piece.offset)
            for piece in self.pieces
            if piece.ledger is not None and played - piece.offset < piece.ledger.made
        }

    def spoken(self) -> dict[str, str]:
        """For each spoken item of the conversation: the words of all that was sent."""
        return {
            piece.item.id: piece.ledger.text_until(piece.ledger.kept)
            for piece in self.pieces
            if piece.ledger is not None and self.conversation is not None
        }

    def confirm(self, item_id: str, played: Samples, now: Seconds) -> bool:
        """A player says how much of this item was heard. False if no sound of it was sent."""
        for piece in self.pieces:
            if piece.item.id == item_id and piece.ledger is not None and piece.ledger.sent:
                self.playout.report(piece.offset + min(played, piece.ledger.sent), now)
                return True
        return False
