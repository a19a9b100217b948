"""How much each key and each client secret may have: bytes by the minute, and places at a time."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.server.admission import OwnRoom, Room

MOST_BUCKETS = 4096  # client secrets come and go; each bucket is small, and they must not gather for ever

SMALLEST_BYTES = 256  # that a message counts as: to act on a tiny one costs as much as on a few milliseconds of sound


class ByteBudget:
    """One key's bucket: full at first, refilled evenly, never more than a minute's worth."""

    def __init__(self, bytes_per_minute: int, now: Callable[[], Seconds]) -> None:
        self._rate = bytes_per_minute / 60
        self._full = float(bytes_per_minute)
        self._left = self._full
        self._now = now
        self._since = now()

    def allow(self, size_bytes: int) -> bool:
        """Take a message of this size out of the bucket; False, and nothing taken, if there is not enough in it."""
        size_bytes = max(size_bytes, SMALLEST_BYTES)
        now = self._now()
        self._left = min(self._full, self._left + (now - self._since) * self._rate)
        self._since = now
        if size_bytes > self._left:
            return False
        self._left -= size_bytes
        return True


class ByteBudgets:
    """A bucket for each key and client secret, and one for everybody without. The longest unused are given up."""

    def __init__(self, bytes_per_minute: int, now: Callable[[], Seconds]) -> None:
        self.bytes_per_minute = bytes_per_minute
        self._now = now
        self._budgets: OrderedDict[str, ByteBudget] = OrderedDict()

    def of(self, name: str) -> ByteBudget:
        """The bucket of a visitor with this name. Connections keep theirs, also when it is given up here."""
        if name not in self._budgets:
            self._budgets[name] = self._make(name)
            if len(self._budgets) > MOST_BUCKETS:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(name)
        return self._budgets[name]

    def _make(self, name: str) -> ByteBudget:
        return ByteBudget(self.bytes_per_minute, self._now)


class Places:
    """How many connections each client secret has: it lies in a web page, and whoever holds it is not to take all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    def take(self, name: str) -> bool:
        """One more; False, and nothing taken, if this visitor has as many as it may. Each is to be given back."""
        if self._taken[name] >= self.most:
            return False
        self._taken[name] += 1
        return True

    def give_back(self, name: str) -> None:
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]

    def __len__(self) -> int:
        """Visitors who have any."""
        return len(self._taken)


class OwnLimits:
    """Where the limits of a process are kept that shares its port with no other: in itself."""

    def room(self, most: int) -> Room:
        return OwnRoom(most)

    def places(self, most: int) -> Places:
        return Places(most)

    def budgets(self, bytes_per_minute: int, now: Callable[[], Seconds]) -> ByteBudgets:
        return ByteBudgets(bytes_per_minute, now)
