"""What a response is made of: its rounds, and the items and calls of each while they are made.

It holds where each of them stands; what is done with them is the `response`'s.
"""

from __future__ import annotations

from antiphon.session.hidden_calls import HiddenCall
from antiphon.session.items import FunctionCall, McpApprovalRequest, McpCall, Message, Status
from antiphon.session.ledger import Ledger
from antiphon.session.mcp import RemoteTool
from antiphon.session.whole_json import WholeJson

Made = Message | FunctionCall | McpCall | McpApprovalRequest
"""What a response can make."""


class Piece:
    """One output item while it is made."""

    def __init__(self, index: int, item: Made, work: int, *, spoken: bool) -> None:
        self.index = index
        self.item = item
        self.work = work
        self.previous: str | None = None
        self.text = ""
        self.ledger = Ledger() if spoken else None
        self.offset = 0
        """Where its audio begins in the response's playout."""
        self.written = False
        """Nothing will be added to it."""
        self.awaits = False
        """It is a call that waits to be allowed, and no longer the response's."""

    @property
    def is_open(self) -> bool:
        return self.item.status is Status.IN_PROGRESS and not self.awaits

    @property
    def is_ready(self) -> bool:
        """Whether it is whole and has gone out."""
        return self.written and (self.ledger is None or self.ledger.exhausted)


class Round:
    """One run of the model, and the work that came of it."""

    def __init__(self, work: int) -> None:
        self.work = work
        self.message: Piece | None = None
        self.calls: dict[int, Piece | HiddenCall | ServedCall] = {}
        self.arguments: dict[int, WholeJson] = {}
        self.is_written = False
        self.is_spoken = False


class ServedCall:
    """A call of a tool of one of the client's MCP servers: an item, and we make it."""

    def __init__(self, piece: Piece, tool: RemoteTool) -> None:
        self.piece = piece
        self.tool = tool
        self.is_whole = False
        """The model has written all its arguments."""


def is_repeated(call: HiddenCall, round: Round) -> bool:
    """Whether the same call is at work already: models and their servers write one twice now and then."""
    return any(
        isinstance(other, HiddenCall)
        and other.started
        and (other.call_id, other.name, other.arguments) == (call.call_id, call.name, call.arguments)
        for other in round.calls.values()
        if other is not call
    )


def text_of(ledger: Ledger) -> str:
    """Its words: all of them, unless a client has said that it played less."""
    return ledger.text() if ledger.limit is None else ledger.text_until(ledger.limit)
