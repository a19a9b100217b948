"""How many minutes each API key may have, over all that it has at a time: of sessions, and of sound beside them.

The time of a session is taken ahead in small slices out of its key's bucket, which refills evenly; when there is no
next one, the session has to end. Sound that is transcribed or spoken without a session is charged as it goes by. What
a session is, and how it is ended, is not known here, nor where the minutes are kept: see `bookkeeping`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.errors import PeerError
from antiphon.server.limits import Bucket, Buckets
from antiphon.server.refusals import Refusal

SLICE_S: Seconds = 15.0
CODE = "minutes_used_up"

Spent = defaultdict[str, Seconds]
"""Seconds by owner, which nobody has written down yet. Owners are the configured keys."""


class Account:
    """The minutes of one key."""

    def __init__(self, owner: str, bucket: Bucket, spent: Spent) -> None:
        self._owner = owner
        self._bucket = bucket
        self._spent = spent

    def take(self, amount: Seconds) -> bool:
        """So much of them; False, and nothing taken, if there are not so many."""
        is_there = self._bucket.take(amount)
        if is_there:
            self._spent[self._owner] += amount
        return is_there

    def give_back(self, amount: Seconds) -> None:
        """So much of what was taken was not needed."""
        self._bucket.give_back(amount)
        self._spent[self._owner] -= amount

    def charge(self, amount: Seconds) -> bool:
        """So much was used, whether it was there or not; False if there is nothing left now."""
        self._bucket.charge(amount)
        self._spent[self._owner] += amount
        return self._bucket.left > 0


class Stay:
    """The time of one session, which begins now."""

    def __init__(self, account: Account, now: Callable[[], Seconds]) -> None:
        """A slice of it has been taken."""
        self._account = account
        self._now = now
        self._paid_until = now() + SLICE_S

    def goes_on(self, for_s: Seconds) -> bool:
        """Take what is needed for so long from now; False if there is no more."""
        while self._paid_until < self._now() + for_s:
            if not self._account.take(SLICE_S):
                return False
            self._paid_until += SLICE_S
        return True

    def end(self) -> None:
        """What was taken for it and not used is given back."""
        self._account.give_back(max(0.0, self._paid_until - self._now()))


class Tab:
    """What is used without a session: sound that is transcribed or made."""

    def __init__(self, account: Account | None) -> None:
        """Without an account nobody counts."""
        self._account = account

    def charge(self, seconds: Seconds) -> bool:
        """So much more sound; False if the key has no minutes left now. Never waits."""
        return self._account is None or self._account.charge(seconds)


class Minutes:
    """Of all keys."""

    def __init__(self, buckets: Buckets, now: Callable[[], Seconds], spent: Spent | None = None) -> None:
        """The buckets hold seconds. What is used is added to `spent`."""
        self.size = buckets.size
        self.spent: Spent = defaultdict(float) if spent is None else spent
        self._buckets = buckets
        self._now = now

    @property
    def words(self) -> str:
        """What is said to whoever has had all."""
        minutes, hours = self.size.full / 60, self.size.period_s / 3600
        return (
            f"This key has used up its minutes: server.max_minutes_per_key allows {minutes:g} in "
            f"{hours:g} hours. They come back evenly: try again later."
        )

    def _account(self, owner: str) -> Account:
        return Account(owner, self._buckets.of(owner), self.spent)

    def left(self, owner: str) -> Seconds:
        """What this key has now; less than nothing if something took longer than that."""
        return self._buckets.of(owner).left

    def begin(self, owner: str) -> Stay | Refusal:
        """The time of a session that this key begins now; or why it may not."""
        account = self._account(owner)
        return Stay(account, self._now) if account.take(SLICE_S) else Refusal(429, CODE, self.words)

    def tab(self, owner: str) -> Tab:
        """For something without a session that this key begins now. Raises `PeerError` if it has no minutes left."""
        if self.left(owner) <= 0:
            raise PeerError(self.words, "Each second of sound is one, in sessions and beside them.", code=CODE)
        return Tab(self._account(owner))

    def correct(self, used: dict[str, Seconds]) -> None:
        """So much has been used by each that has used any, here and elsewhere, but for what is in `spent`."""
        for owner, amount in used.items():
            self._buckets.of(owner).correct(self.size.full - amount - self.spent.get(owner, 0.0))
