"""Every dictation that was made: its sound on disk from the first block on, its text searchable, none ever lost.

A recording is written while it is spoken, so that a crash costs the last fraction of a second. SQLite and files; it
does not know recognisers, and its methods block: they are for a thread.
"""

from __future__ import annotations

import sqlite3
import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.audio.wav import HEADER_BYTES, read_wav, wav_from_mono
from antiphon.errors import ConfigError

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE dictation (
    id INTEGER PRIMARY KEY, began_at TEXT NOT NULL, seconds REAL NOT NULL DEFAULT 0, sound TEXT NOT NULL,
    raw TEXT NOT NULL DEFAULT '', text TEXT NOT NULL DEFAULT '', model TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT 'recording', wait_ms REAL
);
CREATE VIRTUAL TABLE words USING fts5(text, raw, content='dictation', content_rowid='id');
CREATE TRIGGER dictation_changed AFTER UPDATE OF text, raw ON dictation BEGIN
    INSERT INTO words(words, rowid, text, raw) VALUES ('delete', old.id, old.text, old.raw);
    INSERT INTO words(rowid, text, raw) VALUES (new.id, new.text, new.raw);
END;
CREATE TRIGGER dictation_made AFTER INSERT ON dictation BEGIN
    INSERT INTO words(rowid, text, raw) VALUES (new.id, new.text, new.raw);
END;
CREATE TRIGGER dictation_gone AFTER DELETE ON dictation BEGIN
    INSERT INTO words(words, rowid, text, raw) VALUES ('delete', old.id, old.text, old.raw);
END;
"""


class Entry(Struct, frozen=True):
    """One dictation."""

    id: int
    began_at: str
    """ISO 8601, UTC."""
    seconds: float
    sound: str
    """Its file's name."""
    raw: str
    text: str
    model: str
    outcome: str
    """"recording", "typed", "pasted", "copied", "cancelled", "nothing", "failed" or "recovered"."""
    wait_ms: float | None
    """From the release of the key to the text."""


COLUMNS = ", ".join(Entry.__struct_fields__)


class History:
    """The dictations of one person, in one folder that only they can read."""

    def __init__(self, folder: Path) -> None:
        """Raises `ConfigError` if the folder cannot be used. Recordings that a crash left open are closed."""
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = sqlite3.connect(folder / "history.sqlite3", isolation_level=None, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"the history in {folder} cannot be used: {error}", "Choose another folder with --history."
            ) from error
        self.recovered = self._recover()
        """How many recordings a crash had left open."""

    def begin(self, now: datetime) -> Recording:
        """A new dictation, which is on disk from its first sample on."""
        moment = now.astimezone(UTC)
        (entry_id,) = self._db.execute(  # which two threads may do at once: the last row may be the other's
            "INSERT INTO dictation (began_at, sound) VALUES (?, '') RETURNING id", (moment.isoformat(),)
        ).fetchone()
        # The number makes it the only one of its name, whatever the clock says.
        name = f"{moment:%Y%m%d-%H%M%S}-{entry_id}.wav"
        recording = Recording(entry_id, self.folder / name)
        self.note(entry_id, sound=name)
        return recording

    def note(self, entry_id: int, **changes: str | float | None) -> None:
        """Set columns of an entry."""
        unknown = changes.keys() - set(Entry.__struct_fields__)
        if unknown:
            raise TypeError(f"a dictation has no {', '.join(unknown)}")
        names = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE dictation SET {names} WHERE id = ?", (*changes.values(), entry_id))

    def find(self, words: str = "", *, limit: int = 20) -> list[Entry]:
        """The newest that have all these words, or beginnings of words; the newest of all without any."""
        if not words.strip():
            rows = self._db.execute(f"SELECT {COLUMNS} FROM dictation ORDER BY id DESC LIMIT ?", (limit,))
        else:
            quoted = " ".join('"' + word.replace('"', '""') + '"*' for word in words.split())
            rows = self._db.execute(
                f"SELECT {COLUMNS} FROM dictation WHERE id IN (SELECT rowid FROM words WHERE words MATCH ?) "
                "ORDER BY id DESC LIMIT ?",
                (quoted, limit),
            )
        return [Entry(*row) for row in rows]

    def entry(self, entry_id: int) -> Entry:
        """Raises `ConfigError` if there is none of this number."""
        row = self._db.execute(f"SELECT {COLUMNS} FROM dictation WHERE id = ?", (entry_id,)).fetchone()
        if row is None:
            raise ConfigError(f"there is no dictation {entry_id}", "List them with: antiphon dictate history")
        return Entry(*row)

    def last(self) -> Entry | None:
        """The newest that has a text."""
        row = self._db.execute(f"SELECT {COLUMNS} FROM dictation WHERE text != '' ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else Entry(*row)

    def sound(self, entry: Entry) -> Pcm:
        """What was said, at 16 kHz. Raises `ConfigError` if the file is gone."""
        try:
            return read_wav((self.folder / entry.sound).read_bytes()).pcm
        except OSError as error:
            raise ConfigError(
                f"the sound of dictation {entry.id} is gone: {error}", "Its text is still in the history."
            ) from error

    def keep(self, newest: int) -> None:
        """Forget all but the newest, with their sound."""
        old = self._db.execute(
            "SELECT id, sound FROM dictation ORDER BY id DESC LIMIT -1 OFFSET ?", (newest,)
        ).fetchall()
        for entry_id, name in old:
            (self.folder / name).unlink(missing_ok=True)
            self._db.execute("DELETE FROM dictation WHERE id = ?", (entry_id,))

    def close(self) -> None:
        self._db.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"the history in {self.folder} was written by a newer Antiphon", "Update, or use another --history."
            )
        if version == 0:
            self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def _recover(self) -> int:
        open_ones = self._db.execute("SELECT id, sound FROM dictation WHERE outcome = 'recording'").fetchall()
        for entry_id, name in open_ones:
            seconds = _closed(self.folder / name)
            self.note(entry_id, outcome="recovered", seconds=seconds)
        return len(open_ones)


class Recording:
    """The sound of one dictation on its way to disk: a WAV file that can be read at any moment, however it ends."""

    def __init__(self, entry_id: int, path: Path) -> None:
        self.entry_id = entry_id
        self.samples = 0
        self._path = path
        self._file = path.open("xb", buffering=0)
        path.chmod(0o600)
        # A length of nothing stands for "to the end of the file": what a crash leaves is a whole WAV file.
        self._file.write(wav_from_mono(np.zeros(0, np.int16), HEARING_RATE))

    def append(self, pcm: Pcm) -> None:
        """Take in the next sound at 16 kHz. In the kernel's hands when it returns: only a power cut loses it."""
        self._file.write(int16_from_float(pcm).tobytes())
        self.samples += pcm.size

    def close(self) -> float:
        """Complete the file; returns how many seconds there are."""
        if not self._file.closed:
            self._file.close()
        return _closed(self._path)


def _closed(path: Path) -> float:
    """Write the true length into the file's head; returns the seconds in it."""
    try:
        size = max(0, path.stat().st_size - HEADER_BYTES) // 2 * 2
        with path.open("r+b") as file:
            file.seek(4)
            file.write(struct.pack("<I", HEADER_BYTES - 8 + size))
            file.seek(HEADER_BYTES - 4)
            file.write(struct.pack("<I", size))
    except OSError:
        return 0.0
    return size / 2 / HEARING_RATE
