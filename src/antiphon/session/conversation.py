"""The items of a conversation, in order, and how much of each answer the person has heard.

It does not know why an item comes or goes, nor what a front end calls it. Items that a server-side tool left behind are
hidden: the model sees them, no connection does, and none is told that it precedes another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from antiphon.session.items import Item, Message, Role, Speech, Status
from antiphon.session.ledger import Ledger
from antiphon.session.machine import Table, step

STATUS_MOVES: Table[Status] = {
    Status.IN_PROGRESS: {"complete": Status.COMPLETED, "cut": Status.INCOMPLETE},
    Status.COMPLETED: {"truncate": Status.COMPLETED},
    Status.INCOMPLETE: {"truncate": Status.INCOMPLETE},
}


class Entry:
    """One item in its place."""

    __slots__ = ("heard", "hidden", "is_left_behind", "item", "ledger", "size")

    def __init__(self, item: Item, *, hidden: bool = False, ledger: Ledger | None = None, size: int = 0) -> None:
        self.item = item
        self.hidden = hidden
        self.ledger = ledger
        """Of a spoken answer: which words belong to which samples."""
        self.heard: str | None = None
        """What the person heard of an answer that was cut short; None: all of it."""
        self.is_left_behind = False
        """The model is not told of it any more: see `truncation`."""
        self.size = size
        """Bytes in it, if it is a client's."""


class Conversation:
    """Items by id and in order. The order is a plain list; what the model is told, and so what is looked through for
    every answer, is its end, however long the conversation gets."""

    def __init__(self, id: str) -> None:
        self.id = id
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []
        self._gone = 0
        """How many at the front are left behind, all of them."""
        self.size = 0
        """Bytes in all that clients added and did not delete."""
        self._wordless: set[str] = set()
        """Items whose words were not known when they came: few, and looked at with every step of a session."""
        self._changes: dict[str, None] | None = None
        """See `watch`; None: nobody does."""

    def watch(self) -> dict[str, None]:
        """Ids of the items that come, change or go from now on, in that order, for whoever watches to take out."""
        self._changes = {}
        return self._changes

    def _note(self, item_id: str) -> None:
        if self._changes is not None:
            self._changes[item_id] = None

    @property
    def count(self) -> int:
        return len(self._entries)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._entries

    def visible(self, item_id: str) -> Entry | None:
        """The entry that a connection may name, or None."""
        entry = self._entries.get(item_id)
        return None if entry is None or entry.hidden else entry

    def entry(self, item_id: str) -> Entry | None:
        """The entry, whether connections know of it or not, or None."""
        return self._entries.get(item_id)

    def latest(self, count: int) -> list[Entry]:
        """The last entries, the very last one first, whether connections know of them or not."""
        entries = self._entries
        return [entries[id] for id in self._order[: -count - 1 : -1]]

    def neighbours(self, item_id: str) -> tuple[str | None, str | None]:
        """Ids of the items before and after it, whether connections know of them or not. Raises `ValueError` if it is
        not there."""
        order = self._order
        place = len(order) - 1 if order and order[-1] == item_id else order.index(item_id)
        return order[place - 1] if place else None, order[place + 1] if place + 1 < len(order) else None

    def last(self) -> str | None:
        """Id of the last item that connections know of."""
        return next((id for id in reversed(self._order) if not self._entries[id].hidden), None)

    def add(self, entry: Entry, after: str | None = None) -> str | None:
        """Put it after the item `after`, at the front for "root", at the end for None.

        Returns the id of the item before it that connections know of, or None if it is their first.
        """
        item_id = entry.item.id
        place = len(self._order)
        if after == "root":
            place = 0
        elif after is not None:
            place = self._order.index(after) + 1
        before = (self._order[index] for index in range(place - 1, -1, -1))
        previous = next((id for id in before if not self._entries[id].hidden), None)
        self._order.insert(place, item_id)
        self._gone = min(self._gone, place)
        self._entries[item_id] = entry
        if is_unrecognised(entry.item):
            self._wordless.add(item_id)
        self.size += entry.size
        self._note(item_id)
        return previous

    def weigh(self, item_id: str, size: int) -> None:
        """The item has become this many bytes."""
        entry = self._entries.get(item_id)
        if entry is not None:
            self.size += size - entry.size
            entry.size = size

    def replace(self, item: Item) -> None:
        """Put a newer version of an item in its place. A deleted item stays deleted."""
        entry = self._entries.get(item.id)
        if entry is not None:
            entry.item = item
            self._note(item.id)

    def hear_until(self, item_id: str, heard: str) -> None:
        """The person heard only this much of the answer."""
        entry = self._entries.get(item_id)
        if entry is not None and entry.heard != heard:
            entry.heard = heard
            self._note(item_id)

    def delete(self, item_id: str) -> None:
        self.size -= self._entries.pop(item_id).size
        place = self._order.index(item_id)
        del self._order[place]
        self._gone -= place < self._gone
        self._note(item_id)

    def awaits_words(self) -> bool:
        """Whether the words of a user item are not known yet. Of what was left behind, nobody waits for them."""
        for item_id in tuple(self._wordless):
            entry = self._entries.get(item_id)
            if entry is None or not is_unrecognised(entry.item):
                self._wordless.discard(item_id)  # it was deleted, or its words came, and they do not go again
            elif not entry.is_left_behind:
                return True
        return False

    def _told(self) -> Iterator[Entry]:
        """What the model is told of, in order."""
        for index in range(self._gone, len(self._order)):
            entry = self._entries[self._order[index]]
            if not entry.is_left_behind:
                yield entry

    def has_assistant_speech(self) -> bool:
        return any(
            isinstance(entry.item, Message)
            and entry.item.role is Role.ASSISTANT
            and any(isinstance(part, Speech) for part in entry.item.content)
            for entry in self._entries.values()
        )

    def as_heard(self) -> tuple[Item, ...]:
        """What the model is told: items in order, with interrupted answers ending where the person stopped hearing
        them, and without what was left behind."""
        return tuple(as_heard(entry) for entry in self._told())

    def leave_behind(self, items: Iterable[Item]) -> None:
        """Tell the model of these no more."""
        for item in items:
            self._entries[item.id].is_left_behind = True
        while self._gone < len(self._order) and self._entries[self._order[self._gone]].is_left_behind:
            self._gone += 1


def with_transcript(item: Message, transcript: str) -> Message:
    """The item with the words of its speech filled in."""
    content = tuple(
        msgspec.structs.replace(part, transcript=transcript) if isinstance(part, Speech) else part
        for part in item.content
    )
    return msgspec.structs.replace(item, content=content)


def finished(item: Item, move: str) -> Item:
    """The item with its status moved by "complete" or "cut"."""
    return msgspec.structs.replace(item, status=step(STATUS_MOVES, item.status, move))


def is_unrecognised(item: Item) -> bool:
    """Whether it is something a person said whose words are not known yet."""
    return (
        isinstance(item, Message)
        and item.role is Role.USER
        and any(isinstance(part, Speech) and part.transcript is None for part in item.content)
    )


def as_heard(entry: Entry) -> Item:
    if entry.heard is None or not isinstance(entry.item, Message):
        return entry.item
    return with_transcript(entry.item, entry.heard)
