"""How much time each key has used up, in Redis: for the processes of several machines.

One hash holds a field for each key that has used any. See `spending`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec
from redis.client import Pipeline
from redis.exceptions import RedisError

from antiphon.audio.units import Seconds
from antiphon.store.changes import UnixSeconds
from antiphon.store.redis import Server
from antiphon.store.spending import Unsettled, Used, settled

HASH = "antiphon:spending"

_used = msgspec.json.Decoder(Used)


class RedisSpending:
    """See `Spending`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def settle(self, spent: Mapping[str, Seconds], wears_off: float, now: UnixSeconds) -> dict[str, Seconds]:
        used: dict[str, Seconds] = {}

        def change(together: Pipeline) -> None:
            nonlocal used
            kept = cast("Mapping[bytes, bytes]", together.hgetall(HASH))  # it is watched, and answers at once
            known = {name.decode(): _used.decode(told) for name, told in kept.items()}
            used = settled(known, spent, wears_off, now)
            together.multi()
            gone = known.keys() - used.keys()
            if spent and gone:
                together.hdel(HASH, *gone)
            if spent and used:
                for owner, amount in used.items():
                    together.hset(HASH, owner, msgspec.json.encode(Used(amount, now)))

        try:
            self._server.transaction(change, HASH)
        except (RedisError, msgspec.DecodeError, UnicodeError) as error:
            raise Unsettled(f"minutes could not be kept: {error}", "Is Redis up? Check history.redis_url.") from None
        return used

    def close(self) -> None:
        self._server.close()
