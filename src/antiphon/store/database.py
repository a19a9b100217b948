"""Conversations in one SQLite file: its tables, writing changes into them, and forgetting what is old.

All of it blocks and belongs into threads. Several processes of one machine may use the file at a time. Who may read
what is the reader's question, not this module's.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from antiphon.errors import ConfigError
from antiphon.store.changes import DAY_S, Change, ItemGone, ItemKept, SessionBegan, SessionEnded, TurnKept, UnixSeconds
from antiphon.store.shelf import Unwritten

BUSY_S = 5.0  # to wait for another process that writes
VERSION = 1  # of the tables; raised with every change that older programs could not read
PRUNED_AT_ONCE = 50  # sessions in one transaction: others want to write, too

SCHEMA = """
CREATE TABLE IF NOT EXISTS worker (id TEXT PRIMARY KEY, seen REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, worker TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL,
    continues TEXT, began REAL NOT NULL, ended REAL, reason TEXT, lost INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS session_by_time ON session (began);
CREATE TABLE IF NOT EXISTS item (
    number INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES session ON DELETE CASCADE, id TEXT NOT NULL,
    place REAL NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, said TEXT,
    start_s REAL NOT NULL, end_s REAL NOT NULL, data BLOB NOT NULL, UNIQUE (session, id)
) STRICT;
CREATE TABLE IF NOT EXISTS turn (
    session TEXT NOT NULL REFERENCES session ON DELETE CASCADE, number INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (session, number)
) STRICT;
CREATE VIRTUAL TABLE IF NOT EXISTS word USING fts5 (
    text, content = 'item', content_rowid = 'number', tokenize = "unicode61 remove_diacritics 2"
);
CREATE TRIGGER IF NOT EXISTS item_added AFTER INSERT ON item BEGIN
    INSERT INTO word (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER IF NOT EXISTS item_gone AFTER DELETE ON item BEGIN
    INSERT INTO word (word, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE TRIGGER IF NOT EXISTS item_changed AFTER UPDATE OF text ON item BEGIN
    INSERT INTO word (word, rowid, text) VALUES ('delete', old.number, old.text);
    INSERT INTO word (rowid, text) VALUES (new.number, new.text);
END;
"""

ITEM = """
INSERT INTO item (session, id, place, at, kind, text, said, start_s, end_s, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session, id) DO UPDATE SET place = excluded.place, at = excluded.at, kind = excluded.kind,
    text = excluded.text, said = excluded.said, start_s = excluded.start_s, end_s = excluded.end_s, data = excluded.data
"""


def default_path() -> Path:
    """Where conversations are kept if nobody says otherwise: where this person's data are."""
    folder = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(folder).expanduser() / "antiphon" / "conversations.sqlite3"


def connect(path: Path, *, survives_power_loss: bool = False) -> sqlite3.Connection:
    """The file, for one thread at a time; made if it is not there, and readable by its owner alone.

    Raises `ConfigError` where there can be no such file, or where a newer version of Antiphon wrote it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from None
    try:
        _prepare(database, survives_power_loss=survives_power_loss)
    except sqlite3.Error as error:
        database.close()
        raise _unusable(path, error) from None
    except ConfigError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, *, survives_power_loss: bool) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    # In WAL, NORMAL loses nothing when a process dies, for the system has it; FULL waits for the disk as well.
    database.execute(f"PRAGMA synchronous = {'FULL' if survives_power_loss else 'NORMAL'}")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA secure_delete = ON")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ConfigError(
            f"the kept conversations have version {version}, this program reads {VERSION}",
            "Use the version of Antiphon that wrote them, or set history.path to another file.",
        )
    if version < VERSION:
        database.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")


def _unusable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"conversations cannot be kept in {path}: {error}",
        "Set history.path to a file that can be written, or history.keep = false.",
    )


class SqliteShelf:
    """One file, as the one thread that writes sees it: see `Shelf`."""

    def __init__(self, path: Path, *, survives_power_loss: bool = False) -> None:
        """Raises `ConfigError`: see `connect`."""
        self.path = path
        self.name = str(path)
        self._database = connect(path, survives_power_loss=survives_power_loss)

    def write(self, worker: str, changes: Iterable[Change], lost: Iterable[tuple[str, int]]) -> int:
        with _told():
            return apply(self._database, worker, changes, lost)

    def note_alive(self, worker: str, now: UnixSeconds) -> None:
        with _told():
            note_alive(self._database, worker, now)

    def prune(self, before: UnixSeconds) -> int:
        with _told():
            return prune(self._database, before)

    def close(self) -> None:
        self._database.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:  # full, locked, gone
        raise Unwritten(str(error), may_pass=True) from error
    except (sqlite3.Error, ValueError, OverflowError) as error:  # or what has no form in the file
        raise Unwritten(str(error), may_pass=False) from error


def apply(database: sqlite3.Connection, worker: str, changes: Iterable[Change], lost: Iterable[tuple[str, int]]) -> int:
    """Write all of these, or none; see `Shelf.write`. Raises `sqlite3.Error`, or `ValueError` and `OverflowError` for
    what SQLite has no form for; then nothing of it was written."""
    database.execute("BEGIN IMMEDIATE")
    try:
        left_out = sum(not _write(database, worker, change) for change in changes)
        database.executemany("UPDATE session SET lost = lost + ? WHERE id = ?", [(count, id) for id, count in lost])
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return left_out


def _write(database: sqlite3.Connection, worker: str, change: Change) -> bool:
    """False if there is no session that it could belong to."""
    match change:
        case SessionBegan():
            database.execute(
                "INSERT INTO session (id, owner, worker, kind, model, continues, began) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (change.session_id, change.owner, worker, change.kind, change.model, change.continues, change.at),
            )
        case SessionEnded():
            database.execute(
                "UPDATE session SET ended = ?, reason = ? WHERE id = ?", (change.at, change.reason, change.session_id)
            )
        case ItemKept() if _is_known(database, change.session_id):
            database.execute(
                ITEM,
                (
                    change.session_id, change.item_id, change.place, change.at, change.kind, change.text, change.said,
                    change.start_s, change.end_s, change.data,
                ),
            )  # fmt: skip
        case ItemGone():
            database.execute("DELETE FROM item WHERE session = ? AND id = ?", (change.session_id, change.item_id))
        case TurnKept() if _is_known(database, change.session_id):
            values = (change.session_id, change.number, change.data)
            database.execute("INSERT OR REPLACE INTO turn (session, number, data) VALUES (?, ?, ?)", values)
        case _:
            return False
    return True


def _is_known(database: sqlite3.Connection, session_id: str) -> bool:
    return database.execute("SELECT 1 FROM session WHERE id = ?", (session_id,)).fetchone() is not None


def delete(database: sqlite3.Connection, session_id: str) -> None:
    """Forget a session and all that was said in it."""
    if database.execute("DELETE FROM session WHERE id = ?", (session_id,)).rowcount:
        scrub(database)


def note_alive(database: sqlite3.Connection, worker: str, now: UnixSeconds) -> None:
    """This process is there, and with it the sessions that it has not ended."""
    database.execute("INSERT OR REPLACE INTO worker (id, seen) VALUES (?, ?)", (worker, now))


def prune(database: sqlite3.Connection, before: UnixSeconds) -> int:
    """Forget sessions that were over before, or that were begun and never ended; returns how many.

    Some at a time, so that nobody waits long for the file."""
    query = f"SELECT id FROM session WHERE coalesce(ended, began) < ? LIMIT {PRUNED_AT_ONCE}"
    forgotten = 0
    while found := database.execute(query, (before,)).fetchall():
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany("DELETE FROM session WHERE id = ?", found)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        forgotten += len(found)
    database.execute("DELETE FROM worker WHERE seen < ? - ?", (before, DAY_S))
    if forgotten:
        scrub(database)
    return forgotten


def scrub(database: sqlite3.Connection) -> None:
    """Deleted words are overwritten; take them out of the index and out of the log as well, as far as others let us."""
    try:
        database.execute("INSERT INTO word (word) VALUES ('optimize')")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        pass  # somebody writes; the next checkpoint does it
