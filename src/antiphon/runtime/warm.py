"""Connections to another Realtime server that are open before anybody needs them.

Taking one never waits, and starts the opening of the next at once: no lock is held over the network, failures rest for
longer and longer, by chance so that many servers do not come back in one instant, and what gets old is let go. A
connection has not been told anything, so it fits every session of its address. What a session says on it is not known
here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError
from antiphon.runtime.upstream import Address, Connection, Counts, Upstream, open_upstream

log = logging.getLogger("antiphon.upstream")

LONGEST_WARM_S: Seconds = 300.0  # some servers, and proxies before them, close what is silent for longer
SHORTEST_LEFT_S: Seconds = 600.0  # of a session's life, that one who takes it should still have
WARM_SHARE = 0.2  # of a short life that may pass before it is taken: else it would never be fresh, and always replaced
LASTING_S: Seconds = 10.0  # a connection that is there for so long shows that the server is well
SHORTEST_REST_S: Seconds = 0.5
LONGEST_REST_S: Seconds = 30.0

Open = Callable[[Address], Awaitable[Upstream]]


class WarmPool:
    """Those of one address. Everything is called on the event loop; `close` it."""

    def __init__(
        self, address: Address, size: int, counts: Counts, *, chance: Random | None = None, opener: Open = open_upstream
    ) -> None:
        """Keeps `size` open, from the first `take` or `start` on."""
        self.address = address
        self.counts = counts
        self._size = size
        self._open = opener
        self._chance = chance or Random()
        self._ready: deque[Upstream] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._failures = 0
        """In a row."""
        self._wake: asyncio.TimerHandle | None = None
        self._rests_until: Seconds = 0.0
        self._is_closed = False

    @property
    def ready(self) -> int:
        """How many are open and wait."""
        return len(self._ready)

    def start(self) -> None:
        """Open what is missing, beside everything else."""
        self._keep_up()

    def take(self) -> Upstream | None:
        """An open connection, which is the caller's now, or None if there is none. Never waits."""
        found = None
        while self._ready and found is None:
            one = self._ready.popleft()
            if self._is_fresh(one):
                found = one
            else:
                self._let_go(one)
        if found is not None:
            self.counts.warm += 1
        else:
            self.counts.cold += 1
        self._keep_up()
        return found

    async def open(self) -> Upstream:
        """A new connection, for whoever cannot have a warm one. Raises `EngineError`."""
        try:
            made = await self._open(self.address)
        except EngineError as error:
            self.counts.errors[error.code] += 1
            raise
        self.counts.opened += 1
        return made

    async def close(self) -> None:
        """Let all go, and wait until they are gone."""
        self._is_closed = True
        if self._wake is not None:
            self._wake.cancel()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        while self._ready:
            self._let_go(self._ready.popleft())
        await asyncio.gather(*self._leaving, return_exceptions=True)

    # --- beside everything else

    def _is_fresh(self, one: Upstream) -> bool:
        return one.is_open and _now() < _fresh_until(one)

    def _keep_up(self) -> None:
        """Open as many as are missing, and come back when one gets too old or a rest is over."""
        if self._is_closed or not self._size:
            return
        for one in [one for one in self._ready if not self._is_fresh(one)]:
            self._ready.remove(one)
            self._let_go(one)
        now = _now()
        if any(now - one.opened >= LASTING_S for one in self._ready):
            self._failures = 0
        if now >= self._rests_until:
            missing = self._size - len(self._ready)
            # After a failure they are opened one by one.
            for _ in range((min(1, missing) if self._failures else missing) - len(self._opening)):
                task = asyncio.create_task(self._add(), name="warming an upstream connection")
                self._opening.add(task)
        self._wake_at(self._next_look(now))

    def _next_look(self, now: Seconds) -> Seconds:
        moments = [_fresh_until(one) for one in self._ready]
        if self._rests_until > now:
            moments.append(self._rests_until)
        return min(moments, default=now + LONGEST_WARM_S)

    def _wake_at(self, moment: Seconds) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake = asyncio.get_running_loop().call_at(max(moment, _now() + SHORTEST_REST_S), self._keep_up)

    async def _add(self) -> None:
        try:
            await asyncio.sleep(0)  # whoever has just taken one says their first words before that
            one = await self.open()
        except EngineError as error:
            if not self._failures:
                log.warning("no warm connection: %s", error)
            self._rest()
        else:
            self._ready.append(one)
            one.listen(_Idle(self))
        finally:
            self._opening.discard(_this_task())
        self._keep_up()

    def _rest(self) -> None:
        """Leave the server alone for a while: by chance up to a time that doubles with each failure in a row."""
        self._failures += 1
        longest = min(LONGEST_REST_S, SHORTEST_REST_S * 2**self._failures)
        self._rests_until = _now() + self._chance.uniform(SHORTEST_REST_S, longest)

    def lost(self, one: Connection) -> None:
        """One that waited was closed by its server. That is as good as a failure to open it: a server that hangs up at
        once would otherwise be called all the time."""
        known = next((ready for ready in self._ready if ready is one), None)
        if known is not None:
            self._ready.remove(known)
            self._let_go(known)
            self._rest()
            self._keep_up()

    def _let_go(self, one: Upstream) -> None:
        task = asyncio.create_task(one.gone(), name="leaving an upstream connection")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


class _Idle:
    """Listens to a connection that nobody has taken."""

    def __init__(self, pool: WarmPool) -> None:
        self._pool = pool

    def take_frame(self, frame: str | bytes) -> None:
        """Nothing that is said to nobody matters."""

    def upstream_gone(self, upstream: Connection, error: EngineError) -> None:
        self._pool.lost(upstream)


class Pools:
    """One pool for each address that is in use. A configuration that is read anew may bring another address: sessions
    that run keep theirs, and what waited for the old one is let go."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._pools: dict[Address, WarmPool] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, address: Address, size: int) -> WarmPool:
        """The pool of this address; all others are closed."""
        for other in [key for key in self._pools if key != address]:
            task = asyncio.create_task(self._pools.pop(other).close(), name="closing a pool")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if address not in self._pools:
            self._pools[address] = WarmPool(address, size, self.counts)
        return self._pools[address]

    def start(self) -> None:
        """Open what is missing, beside everything else."""
        for pool in self._pools.values():
            pool.start()

    @property
    def ready(self) -> int:
        """How many connections are open and wait."""
        return sum(pool.ready for pool in self._pools.values())

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()), *self._closing)
        self._pools.clear()


def _fresh_until(one: Upstream) -> Seconds:
    fresh_s = max(one.expires - one.opened - SHORTEST_LEFT_S, WARM_SHARE * (one.expires - one.opened))
    return one.opened + min(LONGEST_WARM_S, fresh_s)


def _now() -> Seconds:
    return asyncio.get_running_loop().time()


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task
