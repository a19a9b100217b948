"""Limits that hold for all processes of a port together: sessions, places of a secret, bytes and minutes of a key.

They stand in one small file that every worker maps. It is changed under the file's lock, for a microsecond or two, and
the system frees the lock of a process that dies. What a worker holds is in a column of its own, so that whoever sees
it die can give all of it back. Who works beside whom, and why a limit is what it is, is not known here.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.audio.units import Seconds
from antiphon.server.limits import MOST_BUCKETS, Bucket, Buckets, ByteBudgets, Size

ROWS = MOST_BUCKETS
LEASES = 256  # into which a bucket is cut: of bytes some seconds of a microphone, so the lock is hardly ever asked for


class SharedTable:
    """The file, seen from one worker."""

    def __init__(self, path: Path, number: int, count: int) -> None:
        """Worker `number` of `count`, from 0. Whoever comes first makes the file."""
        here = [("sessions", "<i8"), ("here", "<u1")]
        places = np.dtype([("name", "<u8"), ("taken", "<u4", (count,))])
        budgets = np.dtype([("name", "<u8"), ("left", "<f8"), ("since", "<f8")])
        sizes = (np.dtype(here).itemsize * count, places.itemsize * ROWS, budgets.itemsize * ROWS)
        self._file = path.open("a+b")
        with self.locked():
            self._file.truncate(sum(sizes))
        self._map = mmap.mmap(self._file.fileno(), sum(sizes))
        self.number = number
        self.workers = np.frombuffer(self._map, here, count)
        self.places = np.frombuffer(self._map, places, ROWS, sizes[0])
        self.budgets = np.frombuffer(self._map, budgets, ROWS, sizes[0] + sizes[1])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes anything meanwhile."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def clear(self, number: int) -> None:
        """Give back all that a worker held, which is no more."""
        with self.locked():
            self.workers["sessions"][number] = 0
            self.places["taken"][:, number] = 0

    def close(self) -> None:
        del self.workers, self.places, self.budgets
        self._map.close()
        self._file.close()


class SharedRoom:
    """See `admission.Room`."""

    def __init__(self, table: SharedTable, most: int) -> None:
        self.most = most
        self._table = table

    @property
    def taken(self) -> int:
        """By all workers."""
        return int(self._table.workers["sessions"].sum())

    def take(self) -> bool:
        table = self._table
        with table.locked():
            if self.taken >= self.most:
                return False
            table.workers["sessions"][table.number] += 1
            return True

    def give_back(self) -> None:
        with self._table.locked():
            self._table.workers["sessions"][self._table.number] -= 1


class SharedPlaces:
    """See `limits.Places`."""

    def __init__(self, table: SharedTable, most: int) -> None:
        self.most = most
        self._table = table

    def take(self, name: str) -> bool:
        rows, key = self._table.places, _key(name)
        with self._table.locked():
            row = _row_of(rows, key)
            if row is None:
                row = self._free()
                if row is None:
                    return False
                rows["name"][row] = key
            if rows["taken"][row].sum() >= self.most:
                return False
            rows["taken"][row, self._table.number] += 1
            return True

    def give_back(self, name: str) -> None:
        rows = self._table.places
        with self._table.locked():
            row = _row_of(rows, _key(name))
            if row is not None:
                rows["taken"][row, self._table.number] -= 1

    def _free(self) -> int | None:
        free = np.flatnonzero(self._table.places["taken"].sum(axis=1) == 0)
        return int(free[0]) if free.size else None

    def __len__(self) -> int:
        """Visitors who have any, at whatever worker."""
        return int((self._table.places["taken"].sum(axis=1) > 0).sum())


class LeasedBucket(Bucket):
    """One name's bucket, of which this process holds a small part at a time."""

    def __init__(self, table: SharedTable, name: str, size: Size, now: Callable[[], Seconds]) -> None:
        super().__init__(size, now)
        self._table = table
        self._key = _key(name)
        self._left = 0.0

    @property
    def left(self) -> float:
        with self._table.locked():
            return self._left + self._there(self._row())

    def charge(self, amount: float) -> None:
        if self.take(amount):
            return
        rows = self._table.budgets
        with self._table.locked():
            row = self._row()
            rows["left"][row] = self._there(row) + self._left - amount
            rows["since"][row] = self._now()
        self._left = 0.0

    def correct(self, left: float) -> None:
        rows = self._table.budgets
        with self._table.locked():
            row = self._row()
            rows["left"][row], rows["since"][row] = min(self._full, left), self._now()
        self._left = 0.0

    def take(self, amount: float) -> bool:
        if amount > self._left and not self._lease(amount - self._left):
            return False
        self._left -= amount
        return True

    def _lease(self, least: float) -> bool:
        """At least so much more, out of what all share; False, and nothing taken, if there is not so much."""
        rows, now = self._table.budgets, self._now()
        with self._table.locked():
            row = self._row()
            there = self._there(row)
            taken = min(there, least + self._full / LEASES) if there >= least else 0.0
            rows["left"][row], rows["since"][row] = there - taken, now
        self._left += taken
        return taken > 0

    def _there(self, row: int) -> float:
        """What all share now. The table is locked."""
        rows = self._table.budgets
        return float(min(self._full, rows["left"][row] + (self._now() - rows["since"][row]) * self._rate))

    def _row(self) -> int:
        """Its own, or that of whoever has asked for nothing for longest, and is full again."""
        rows = self._table.budgets
        row = _row_of(rows, self._key)
        if row is None:
            row = int(np.argmin(rows["since"]))
            rows["name"][row], rows["left"][row], rows["since"][row] = self._key, self._full, self._now()
        return row


class SharedBuckets(Buckets):
    """See `limits.Buckets`."""

    def __init__(self, table: SharedTable, purpose: str, size: Size, now: Callable[[], Seconds]) -> None:
        """`now` is a clock that all workers read alike."""
        super().__init__(size, now)
        self._table = table
        self._purpose = purpose

    def _make(self, name: str) -> Bucket:
        return LeasedBucket(self._table, self._purpose + name, self.size, self._now)


class SharedLimits:
    """See `limits.OwnLimits`."""

    def __init__(self, table: SharedTable) -> None:
        self._table = table

    def room(self, most: int) -> SharedRoom:
        return SharedRoom(self._table, most)

    def places(self, most: int) -> SharedPlaces:
        return SharedPlaces(self._table, most)

    def buckets(self, purpose: str, size: Size, now: Callable[[], Seconds]) -> Buckets:
        return SharedBuckets(self._table, purpose, size, now)

    def budgets(self, bytes_per_minute: int, now: Callable[[], Seconds]) -> ByteBudgets:
        return ByteBudgets(self.buckets("", Size(bytes_per_minute, 60.0), now))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") or 1


def _row_of(rows: np.ndarray[Any, Any], key: int) -> int | None:
    found = np.flatnonzero(rows["name"] == np.uint64(key))
    return int(found[0]) if found.size else None
