"""How much each key and each client secret may have: bytes by the minute, places at a time, minutes by the day."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.server.admission import OwnRoom, Room

MOST_BUCKETS = 4096  # client secrets come and go; each bucket is small, and they must not gather for ever

SMALLEST_BYTES = 256  # that a message counts as: to act on a tiny one costs as much as on a few milliseconds of sound


class Size(Struct, frozen=True):
    """Of a bucket."""

    full: float
    period_s: Seconds
    """In which an empty one is full again."""


class Bucket:
    """What one name may have: full at first, refilled evenly, never more than full."""

    def __init__(self, size: Size, now: Callable[[], Seconds]) -> None:
        self._rate = size.full / size.period_s
        self._full = size.full
        self._left = size.full
        self._now = now
        self._since = now()

    @property
    def left(self) -> float:
        """What is in it; less than nothing if more was charged."""
        now = self._now()
        self._left = min(self._full, self._left + (now - self._since) * self._rate)
        self._since = now
        return self._left

    def take(self, amount: float) -> bool:
        """Take so much out of it; False, and nothing taken, if there is not enough in it."""
        if amount > self.left:
            return False
        self._left -= amount
        return True

    def charge(self, amount: float) -> None:
        """Take so much out of it, whether it is there or not."""
        self._left = self.left - amount

    def correct(self, left: float) -> None:
        """So much is in it, as somebody knows better."""
        self._left, self._since = min(self._full, left), self._now()

    def give_back(self, amount: float) -> None:
        """So much of what was taken was not needed."""
        self._left += amount


class Buckets:
    """One for each name. The longest unused are given up; whoever has one keeps it then."""

    def __init__(self, size: Size, now: Callable[[], Seconds]) -> None:
        self.size = size
        self._now = now
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, name: str) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = self._make(name)
            if len(self._buckets) > MOST_BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(name)
        return self._buckets[name]

    def _make(self, name: str) -> Bucket:
        return Bucket(self.size, self._now)


class ByteBudget:
    """What one visitor may send."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def allow(self, size_bytes: int) -> bool:
        """Take a message of this size out of it; False, and nothing taken, if there is not enough in it."""
        return self._bucket.take(max(size_bytes, SMALLEST_BYTES))


class ByteBudgets:
    """A budget for each key and client secret, and one for everybody without."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    @property
    def bytes_per_minute(self) -> float:
        return self._buckets.size.full

    def of(self, name: str) -> ByteBudget:
        """Of the visitor with this name. Connections keep theirs."""
        return ByteBudget(self._buckets.of(name))


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

    def buckets(self, purpose: str, size: Size, now: Callable[[], Seconds]) -> Buckets:
        """Those for one purpose: a name has another one for each."""
        return Buckets(size, now)

    def budgets(self, bytes_per_minute: int, now: Callable[[], Seconds]) -> ByteBudgets:
        return ByteBudgets(self.buckets("", Size(bytes_per_minute, 60.0), now))
