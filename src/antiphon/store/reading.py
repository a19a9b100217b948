"""Kept conversations, read: lists of sessions, one session, its items and its turns, and searching among words.

Nobody is shown what another owner's sessions were. Each question has a connection of its own, for it is asked rarely
and in a thread of its own. How it is shown is not known here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from antiphon.session.items import Item
from antiphon.store import database
from antiphon.store.changes import UnixSeconds
from antiphon.store.shelf import Found, KeptItem, KeptSession, status_of, unreadable

FIRST = (
    "(SELECT text FROM item WHERE item.session = session.id AND kind = 'user' AND text <> '' ORDER BY place LIMIT 1)"
)
SESSION = f"""
SELECT session.id, began, ended, reason, session.kind, model, continues, lost, seen,
    (SELECT count(*) FROM item WHERE item.session = session.id) AS items,
    (SELECT count(*) FROM turn WHERE turn.session = session.id) AS turns,
    {FIRST} AS first_words
FROM session LEFT JOIN worker ON worker.id = session.worker
"""
SEARCH = """
SELECT item.session, item.id, item.kind, item.start_s, snippet(word, 0, '', '', '…', 12)
FROM word JOIN item ON item.number = word.rowid JOIN session ON session.id = item.session
WHERE word MATCH ? AND session.owner = ? ORDER BY rank LIMIT ?
"""


CONVERSATION = """
WITH RECURSIVE line (id, age) AS (
    VALUES (?1, 0)
    UNION SELECT session.continues, line.age + 1 FROM session JOIN line ON session.id = line.id
    WHERE session.continues IS NOT NULL AND line.age < 100
)
SELECT item.data FROM line JOIN item ON item.session = line.id
ORDER BY line.age, item.place DESC, item.number DESC LIMIT ?2
"""


class SqliteReader:
    """Reads one file: see `Reader`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sessions(self, owner: str, now: UnixSeconds, limit: int, before: str | None = None) -> list[KeptSession]:
        query = f"{SESSION} WHERE owner = ?1 AND (?2 IS NULL OR (began, session.id) < "
        query += "(SELECT began, id FROM session WHERE id = ?2)) ORDER BY began DESC, session.id DESC LIMIT ?3"
        with self._open() as opened:
            return [_session(row, now) for row in opened.execute(query, (owner, before, limit))]

    def session(self, owner: str, session_id: str, now: UnixSeconds) -> KeptSession | None:
        with self._open() as opened:
            row = opened.execute(f"{SESSION} WHERE owner = ? AND session.id = ?", (owner, session_id)).fetchone()
        return None if row is None else _session(row, now)

    def items(self, session_id: str) -> list[KeptItem]:
        query = "SELECT id, kind, at, start_s, end_s, text, said FROM item WHERE session = ? ORDER BY place, number"
        with self._open() as opened:
            return [KeptItem(*row) for row in opened.execute(query, (session_id,))]

    def conversation(self, session_id: str, most: int) -> list[Item]:
        with self._open() as opened:
            found = opened.execute(CONVERSATION, (session_id, most)).fetchall()
        return [_items.decode(data) for (data,) in reversed(found)]

    def turns(self, session_id: str) -> list[dict[str, Any]]:
        query = "SELECT data FROM turn WHERE session = ? ORDER BY number"
        with self._open() as opened:
            return [_turns.decode(data) for (data,) in opened.execute(query, (session_id,))]

    def search(self, owner: str, words: str, limit: int) -> list[Found]:
        """The best first."""
        wanted = " ".join('"' + word.replace('"', '""') + '"*' for word in words.split())
        if not wanted:
            return []
        with self._open() as opened:
            return [Found(*row) for row in opened.execute(SEARCH, (wanted, owner, limit))]

    def delete(self, session_id: str) -> None:
        with self._open() as opened:
            database.delete(opened, session_id)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(database.connect(self._path)) as opened:
                yield opened
        except sqlite3.Error as error:
            raise unreadable(error) from None


_items: msgspec.json.Decoder[Item] = msgspec.json.Decoder(Item)
_turns: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def _session(row: tuple[Any, ...], now: UnixSeconds) -> KeptSession:
    id, began, ended, reason, kind, model, continues, lost, seen, items, turns, first = row
    return KeptSession(
        id, began, ended, status_of(ended, seen, now), reason, kind, model, continues, items, turns, first, lost
    )
