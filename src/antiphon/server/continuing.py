"""Going on with a conversation that was kept: what was said in it, as words that a new session begins with.

The sound is gone, so what was spoken is told in writing. What became of MCP servers and of approvals is not taken over:
the new session asks them itself. How a session uses what it begins with is not known here.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
from msgspec import Struct

from antiphon.errors import EngineError
from antiphon.server.history import NOT_KEPT, History
from antiphon.server.refusals import Refusal
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message, Part, Speech, Status, Text

MOST_ITEMS = 400  # that a session begins with: its client is told of each of them


class Earlier(Struct, frozen=True):
    """A session that is gone on with, and what was said in it."""

    session_id: str
    items: tuple[Item, ...]


async def earlier_items(history: History | None, session_id: str, principal: str) -> tuple[Item, ...] | Refusal:
    """What was said in this session and those before it, if it was this principal's; or why it cannot be gone on
    with."""
    if history is None:
        return NOT_KEPT
    await history.settle()
    try:
        return await asyncio.to_thread(_read, history, session_id, history.owner_of(principal))
    except EngineError as error:
        return Refusal(503, error.code, error.told)


def _read(history: History, session_id: str, owner: str) -> tuple[Item, ...] | Refusal:
    if history.reader.session(owner, session_id, time.time()) is None:
        return Refusal(404, "session_not_found", f"No session {session_id[:64]!r} is kept.")
    items = history.reader.conversation(session_id, MOST_ITEMS)
    return tuple(told for item in items if (told := in_writing(item)) is not None)


def in_writing(item: Item) -> Item | None:
    """The item as a new session may begin with it; None if it is nothing without its old one."""
    match item:
        case Message():
            content = tuple(part for part in map(_written, item.content) if part is not None)
            return msgspec.structs.replace(item, content=content, status=Status.COMPLETED) if content else None
        case FunctionCall() | FunctionOutput():
            return item
        case _:
            return None


def _written(part: Part) -> Part | None:
    if not isinstance(part, Speech):
        return part
    return Text(part.transcript) if part.transcript else None
