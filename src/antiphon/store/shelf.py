"""What a place must be able to do in which conversations are kept, and what is told of them.

Everything blocks and belongs into threads. There are two: an SQLite file for the processes of one machine, and Redis
for those of several. Nobody is shown what another owner's sessions were.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from antiphon.errors import EngineError
from antiphon.session.items import Item
from antiphon.store.changes import Change, UnixSeconds

BEAT_S = 10.0
"""How often a process says that it is there."""
SILENT_S = 3 * BEAT_S
"""One that has not said so for so long is gone, and its sessions with it."""


class Unwritten(EngineError):
    """Changes could not be written, and none of them was."""

    def __init__(self, message: str, *, may_pass: bool) -> None:
        hint = "Look at the disk, or the Redis server, on which conversations are kept."
        super().__init__(message, hint, code="history_unavailable")
        self.may_pass = may_pass
        """Trying again may help: it is full, or busy, or gone."""


class KeptSession(Struct, frozen=True):
    """What is known of a session besides its words."""

    id: str
    began_at: UnixSeconds
    ended_at: UnixSeconds | None
    status: str
    """"in_progress", "ended", or "lost" if its server died before it was over."""
    reason: str | None
    """Why it ended."""
    kind: str
    model: str
    continues: str | None
    items: int
    turns: int
    first_words: str | None
    """What the person said first."""
    changes_lost: int
    """Changes that could not be written, so that its transcript may have gaps."""


class KeptItem(Struct, frozen=True):
    """See `ItemKept`."""

    id: str
    kind: str
    at: UnixSeconds
    start_s: float
    end_s: float
    text: str
    said: str | None = None


class Found(Struct, frozen=True):
    """An item that holds the words that were looked for."""

    session_id: str
    item_id: str
    kind: str
    start_s: float
    excerpt: str


class Shelf(Protocol):
    """Where changes are put, by one thread."""

    name: str
    """For people; no secret is in it."""

    def write(self, worker: str, changes: Iterable[Change], lost: Iterable[tuple[str, int]]) -> int:
        """Write all of these, or none: then it raises `Unwritten`. `lost` says of which sessions how many changes were
        given up before. Returns how many items and turns were left out: their session was deleted, or never begun."""
        ...

    def note_alive(self, worker: str, now: UnixSeconds) -> None:
        """This process is there, and with it the sessions that it has not ended. Raises `Unwritten`."""
        ...

    def prune(self, before: UnixSeconds) -> int:
        """Forget sessions that were over before, or that were begun and never ended; returns how many. Raises
        `Unwritten`."""
        ...

    def close(self) -> None: ...


class Reader(Protocol):
    """Tells what is kept, to any thread. Raises `EngineError` where it cannot be read."""

    def sessions(self, owner: str, now: UnixSeconds, limit: int, before: str | None = None) -> list[KeptSession]:
        """The newest first; `before` is the id of one after which they go on."""
        ...

    def session(self, owner: str, session_id: str, now: UnixSeconds) -> KeptSession | None: ...

    def items(self, session_id: str) -> list[KeptItem]:
        """In the order of the conversation. Whose session it is, is for `session` to say."""
        ...

    def conversation(self, session_id: str, most: int) -> list[Item]:
        """Its items as the model knew them, in order, after those of the sessions that it goes on with: at most so
        many, the last ones."""
        ...

    def turns(self, session_id: str) -> list[dict[str, Any]]: ...

    def search(self, owner: str, words: str, limit: int) -> list[Found]:
        """Items that hold all of the words, or beginnings of them."""
        ...

    def delete(self, session_id: str) -> None: ...


def status_of(ended: UnixSeconds | None, seen: UnixSeconds | None, now: UnixSeconds) -> str:
    """A session's, from when it ended and when its process was last heard of."""
    if ended is not None:
        return "ended"
    return "in_progress" if seen is not None and now - seen < SILENT_S else "lost"


def unreadable(error: Exception) -> EngineError:
    return EngineError(
        f"the kept conversations cannot be read: {error}", "Try again; the server's log may say more.",
        code="history_unavailable",
    )  # fmt: skip
