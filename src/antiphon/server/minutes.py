"""How many minutes of sessions each API key may have, over all that it has at a time.

The time of a session is taken ahead in small slices out of its key's bucket, which refills evenly; when there is no
next one, the session has to end. What a session is, and how it is ended, is not known here.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.server.limits import Bucket, Buckets
from antiphon.server.refusals import Refusal

SLICE_S: Seconds = 15.0
CODE = "minutes_used_up"


class Stay:
    """The time of one session, which begins now."""

    def __init__(self, bucket: Bucket, now: Callable[[], Seconds]) -> None:
        """A slice of it has been taken."""
        self._bucket = bucket
        self._now = now
        self._paid_until = now() + SLICE_S

    def goes_on(self, for_s: Seconds) -> bool:
        """Take what is needed for so long from now; False if there is no more."""
        while self._paid_until < self._now() + for_s:
            if not self._bucket.take(SLICE_S):
                return False
            self._paid_until += SLICE_S
        return True

    def end(self) -> None:
        """What was taken for it and not used is given back."""
        self._bucket.give_back(max(0.0, self._paid_until - self._now()))


class Minutes:
    """Of all keys."""

    def __init__(self, buckets: Buckets, now: Callable[[], Seconds]) -> None:
        """The buckets hold seconds."""
        self.size = buckets.size
        self._buckets = buckets
        self._now = now

    @property
    def words(self) -> str:
        """What is said to whoever has had all."""
        minutes, hours = self.size.full / 60, self.size.period_s / 3600
        return (
            f"This key has used up its minutes of sessions: server.max_minutes_per_key allows {minutes:g} in "
            f"{hours:g} hours. They come back evenly: try again later."
        )

    def begin(self, owner: str) -> Stay | Refusal:
        """The time of a session that this key begins now; or why it may not."""
        bucket = self._buckets.of(owner)
        return Stay(bucket, self._now) if bucket.take(SLICE_S) else Refusal(429, CODE, self.words)
