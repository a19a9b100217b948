"""Who gets a place: a hard cap, and a signal of how busy this process is, decided together and at once.

One conversation too many is told to come back later, rather than all of them made slow. The decision is one call on
the event loop with nothing awaited in it, so two that come together cannot both have the last place. It does not know
what a place is used for, nor how a refusal travels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from antiphon.audio.units import Seconds
from antiphon.hearing.hub import HearingHub
from antiphon.observe.looplag import LoopLag
from antiphon.server.refusals import Refusal

FULL = Refusal(503, "server_full", "All sessions are taken. Try again in a few seconds.")
BUSY = Refusal(503, "server_busy", "The server is as busy as it can be without delays. Try again in a few seconds.")
KEY_FULL = Refusal(
    429, "too_many_sessions", "This key has as many sessions as server.max_sessions_per_key allows. Close one first."
)
DRAINING = Refusal(503, "server_draining", "The server is stopping. Connect again, to another one if there is one.")

HUB_SHARE = 3.0  # the voice detector waits 10 ms for company and works for 5: it may be late by more than the loop
STALE_S: Seconds = 1.0  # without a batch, what the last one was like says nothing


class Room(Protocol):
    """How many there may be."""

    most: int

    def take(self) -> bool:
        """One place; False, and nothing taken, if there is none. Each is to be given back."""
        ...

    def give_back(self) -> None: ...

    @property
    def taken(self) -> int: ...


class Seats(Protocol):
    """How many of those places each may have, by name."""

    most: int

    def take(self, name: str) -> bool:
        """One more for this name; False, and nothing taken, if it has as many as it may. Each is to be given back."""
        ...

    def give_back(self, name: str) -> None: ...


class OwnRoom:
    """The places of a process that shares its port with no other."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    def take(self) -> bool:
        if self.taken >= self.most:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        self.taken -= 1


class Lateness:
    """How late this process is: its event loop, or its voice detector by its own measure, whichever is worse."""

    def __init__(self, lag: LoopLag, hub: HearingHub) -> None:
        self._lag = lag
        self._hub = hub
        self._batches = 0
        self._changed: Seconds = 0.0

    def __call__(self) -> float:
        """Milliseconds."""
        return max(self._lag.usual_s * 1000, self._hub_lateness_ms() / HUB_SHARE)

    def _hub_lateness_ms(self) -> float:
        now = asyncio.get_running_loop().time()
        if self._hub.batches != self._batches:
            self._batches, self._changed = self._hub.batches, now
        return self._hub.lateness_ms if now - self._changed < STALE_S else 0.0


class Admission:
    """Lets in and counts. Everything is called on the event loop."""

    def __init__(
        self,
        room: Room,
        lateness_ms: Callable[[], float] = lambda: 0.0,
        most_lag_ms: float = 0.0,
        keys: Seats | None = None,
    ) -> None:
        """Nobody more is let in while the lateness is at least `most_lag_ms`; with 0, that is never. `keys` holds how
        many places each API key has."""
        self.room = room
        self.keys = keys
        self.lateness_ms = lateness_ms
        self.most_lag_ms = most_lag_ms
        self.here = 0
        """Of this process."""
        self.let_in = 0
        """Since the start, as is `turned_away`."""
        self.turned_away = 0
        self.is_draining = False

    @property
    def load(self) -> float:
        """How busy it is; 1 is where conversations begin to suffer."""
        return self.lateness_ms() / self.most_lag_ms if self.most_lag_ms else 0.0

    def enter(self, owner: str = "") -> Refusal | None:
        """A place, to be left with `leave`; or why there is none. `owner` names the key whose it is, if it has one."""
        refusal = self._refusal(owner)
        if refusal is None:
            self.here += 1
            self.let_in += 1
        else:
            self.turned_away += 1
        return refusal

    def leave(self, owner: str = "") -> None:
        self.here -= 1
        self.room.give_back()
        if self.keys is not None and owner:
            self.keys.give_back(owner)

    def _refusal(self, owner: str) -> Refusal | None:
        if self.is_draining:
            return DRAINING
        # With nobody here it is not sessions that make it late, and the first one is not to pay for what did.
        if self.here and self.load >= 1:
            return BUSY
        if not self.room.take():
            return FULL
        if self.keys is not None and owner and not self.keys.take(owner):
            self.room.give_back()
            return KEY_FULL
        return None


class Turnstile:
    """Lets one in at a time, with everybody else's messages in between.

    Two hundred who connect in one instant would otherwise be looked at in one go, a tenth of a second in which nobody
    who has a place is heard.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def enter(self) -> None:
        """Wait for those who came before, and for the event loop to look at its sockets again."""
        async with self._lock:
            await asyncio.sleep(0)
