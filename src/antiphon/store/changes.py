"""What may be written about a conversation, as values: each says one row's whole new state, so that the last one wins.

They hold no sound and no pictures. Who makes them and who writes them down is not known here.
"""

from __future__ import annotations

from msgspec import Struct

DAY_S = 86_400.0
UnixSeconds = float
"""Wall time: seconds since 1970, UTC."""


class SessionBegan(Struct, frozen=True):
    session_id: str
    owner: str
    """Who may read it: the name of an API key; empty where the server asks for none."""
    at: UnixSeconds
    kind: str
    """"realtime" or "transcription"."""
    model: str
    continues: str | None = None
    """Id of the session whose conversation this one goes on with."""


class SessionEnded(Struct, frozen=True):
    session_id: str
    at: UnixSeconds
    reason: str


class ItemKept(Struct, frozen=True):
    """An item that is final, or its newest version."""

    session_id: str
    item_id: str
    place: float
    """Items of a session are in the order of it."""
    at: UnixSeconds
    """When it entered the conversation."""
    kind: str
    """"user", "assistant" or "system" for a message; else the kind of item, such as "function_call"."""
    text: str
    """Its words. Of an answer that was interrupted, those that were heard."""
    said: str | None
    """All that was said, where that is more than what was heard."""
    start_s: float
    """When its sound began, in seconds of the session; when it was added if it has none."""
    end_s: float
    data: bytes
    """The item as JSON, as the model knows it, without pictures."""


class ItemGone(Struct, frozen=True):
    """A client deleted it."""

    session_id: str
    item_id: str


class TurnKept(Struct, frozen=True):
    session_id: str
    number: int
    """From 0, in the order in which they ended."""
    data: bytes
    """What `observe.timeline` knows of it, as JSON."""


Change = SessionBegan | SessionEnded | ItemKept | ItemGone | TurnKept


def weight(change: Change) -> int:
    """Bytes that it holds, roughly."""
    match change:
        case ItemKept(text=text, said=said, data=data):
            return 400 + len(text) + len(said or "") + len(data)
        case TurnKept(data=data):
            return 200 + len(data)
        case _:
            return 400
