"""What the machines that watch a connection have in common.

They hold the protocol's rules of order, each those of one matter, so that a message that breaks one rule is named once.
None knows JSON, sockets or time. They are told only of messages that decode: what a malformed
one meant is anyone's guess. A connection that joins a session late (a sideband) is outside of what they know: it hears
of items that were announced before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from antiphon.protocol.client import ClientMessage
from antiphon.protocol.items import Item
from antiphon.protocol.server import ServerMessage

Complaint = tuple[str, str]
"""The name of the rule, and what breaks it, in a sentence."""
Complaints = Iterator[Complaint]
Transport = Literal["websocket", "webrtc"]


class Watcher:
    """Sees every message in order, and complains of what it should not have seen."""

    def sent(self, message: ClientMessage) -> Complaints:
        """The client sent this."""
        yield from ()

    def unreadable(self, event_id: str | None) -> None:
        """The client sent what is no message of the protocol, under this name."""

    def received(self, message: ServerMessage) -> Complaints:
        """The server sent this."""
        yield from ()

    def finished(self) -> Complaints:
        """Both sides have said all that they had to say."""
        yield from ()


def kind_of(message: Struct) -> str:
    """Its "type"."""
    return str(type(message).__struct_config__.tag)


def item_of(message: ServerMessage) -> str | None:
    """The item that the message is about."""
    item: Item | None = getattr(message, "item", None)
    return item.id if item is not None else getattr(message, "item_id", None)


def status_of(item: Item) -> str | None:
    """None for the kinds of items that have none."""
    return getattr(item, "status", None)
