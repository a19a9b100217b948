"""How much time each key has used up, kept where conversations are: over restarts, and for all who share the place.

It adds up and lets what was used wear off evenly. What the time was used for, and how much a key may use, is not known
here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError
from antiphon.store.changes import UnixSeconds
from antiphon.store.database import connect

SCHEMA = "CREATE TABLE IF NOT EXISTS spending (owner TEXT PRIMARY KEY, used_s REAL, at REAL) WITHOUT ROWID"


class Used(Struct, frozen=True):
    """What an owner had used up at a moment."""

    used_s: Seconds
    at: UnixSeconds

    def by(self, now: UnixSeconds, wears_off: float) -> Seconds:
        """What is left of that now. A clock that was set back lets nothing wear off."""
        return max(0.0, self.used_s - max(0.0, now - self.at) * wears_off)


class Unsettled(EngineError):
    """The place did not answer. Nothing of it was written."""


class Spending(Protocol):
    """The place, for one thread at a time."""

    def settle(self, spent: Mapping[str, Seconds], wears_off: float, now: UnixSeconds) -> dict[str, Seconds]:
        """Add what was spent, and return what each owner has used up by now, whoever spent it: those that have any.

        `wears_off` is what goes off that in each second. Blocks; raises `Unsettled`.
        """
        ...

    def close(self) -> None: ...


def settled(
    known: Mapping[str, Used], spent: Mapping[str, Seconds], wears_off: float, now: UnixSeconds
) -> dict[str, Seconds]:
    """What each has used up: what was known, worn off, and what was spent. A negative amount is given back."""
    owners = {**known, **spent}
    used = {owner: known[owner].by(now, wears_off) if owner in known else 0.0 for owner in owners}
    used = {owner: before + spent.get(owner, 0.0) for owner, before in used.items()}
    return {owner: amount for owner, amount in used.items() if amount > 0}


class SqliteSpending:
    """In the file of the conversations, which the processes of one machine share."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigError`: see `database.connect`."""
        self._database = connect(path)
        self._database.execute(SCHEMA)

    def settle(self, spent: Mapping[str, Seconds], wears_off: float, now: UnixSeconds) -> dict[str, Seconds]:
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE" if spent else "BEGIN")
            known = {
                owner: Used(used_s, at)
                for owner, used_s, at in database.execute("SELECT owner, used_s, at FROM spending")
            }
            used = settled(known, spent, wears_off, now)
            if spent:
                database.execute("DELETE FROM spending")
                rows = [(owner, amount, now) for owner, amount in used.items()]
                database.executemany("INSERT INTO spending VALUES (?, ?, ?)", rows)
            database.execute("COMMIT")
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise Unsettled(f"minutes could not be kept: {error}", "Is the disk full, or the file in use?") from None
        return used

    def close(self) -> None:
        self._database.close()
