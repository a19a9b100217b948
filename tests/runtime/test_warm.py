"""Connections that are open before anybody needs them: how many, how fast again, and what a dead server costs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any, cast

import pytest
from voice import Voice

from antiphon.errors import EngineError
from antiphon.runtime import warm
from antiphon.runtime.upstream import Address, Counts, Upstream
from antiphon.runtime.warm import LONGEST_WARM_S, Pools, WarmPool
from antiphon.testing import virtual_time

ADDRESS = Address("ws://127.0.0.1:1/v1/realtime", "m", "swordfish")
OPENING_S = 0.3  # what the server takes for a connection


class Line(Voice):
    """A connection that nobody has told anything."""

    def __init__(self, life_s: float = 3600.0) -> None:
        super().__init__()
        self.expires = self.opened + life_s

    @property
    def is_open(self) -> bool:
        return not self.is_left


class Server:
    """Opens connections, if it feels like it."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        """When it was asked for one."""
        self.made: list[Line] = []
        self.is_down = False
        self.life_s = 3600.0

    async def open(self, address: Address) -> Upstream:
        self.asked.append(asyncio.get_running_loop().time())
        await asyncio.sleep(OPENING_S)
        if self.is_down:
            raise EngineError("nobody listens", "Start it.", code="upstream_unreachable")
        self.made.append(Line(self.life_s))
        return cast("Upstream", self.made[-1])

    def pool(self, size: int) -> WarmPool:
        return WarmPool(ADDRESS, size, Counts(), chance=Random(1), opener=self.open)


def play(story: Coroutine[Any, Any, None]) -> None:
    virtual_time.run(story)


def test_taking_one_never_waits_and_starts_the_next_at_once() -> None:
    async def story() -> None:
        server = Server()
        pool = server.pool(3)
        pool.start()
        assert pool.take() is None  # the first ones are on their way
        await asyncio.sleep(OPENING_S)
        await asyncio.sleep(0)
        assert pool.ready == 3
        now = asyncio.get_running_loop().time()
        taken = [pool.take() for _ in range(3)]
        assert all(taken)
        await asyncio.sleep(OPENING_S)
        await asyncio.sleep(0)
        assert server.asked[-3:] == [now] * 3
        assert pool.ready == 3
        assert (pool.counts.warm, pool.counts.cold, pool.counts.opened) == (3, 1, 6)
        await pool.close()
        assert [line.is_left for line in server.made] == [False] * 3 + [True] * 3  # what was taken is its taker's

    play(story())


def test_who_has_taken_one_speaks_before_the_next_is_opened() -> None:
    async def story() -> None:
        server = Server()
        pool = server.pool(1)
        pool.start()
        await asyncio.sleep(1)
        assert pool.take() is not None
        asked_by_then: list[int] = []
        asyncio.get_running_loop().call_soon(lambda: asked_by_then.append(len(server.asked)))
        await asyncio.sleep(OPENING_S)
        assert (asked_by_then, len(server.asked)) == ([1], 2)
        await pool.close()

    play(story())


def test_a_burst_waits_for_no_more_than_its_own_connections() -> None:
    async def story() -> None:
        server = Server()
        pool = server.pool(2)
        pool.start()
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        taken = [pool.take() for _ in range(4)]
        assert [one is not None for one in taken] == [True, True, False, False]
        await asyncio.gather(pool.open(), pool.open())
        assert asyncio.get_running_loop().time() - began == pytest.approx(OPENING_S)
        await pool.close()

    play(story())


def test_a_server_that_is_down_is_asked_ever_more_seldom_and_by_chance() -> None:
    async def story() -> None:
        server = Server()
        server.is_down = True
        pool = server.pool(3)
        pool.start()
        await asyncio.sleep(600)
        assert 15 < len(server.asked) < 80  # without a rest it would have been thousands
        gaps = [after - before for before, after in zip(server.asked[3:], server.asked[4:], strict=False)]
        assert max(gaps) <= warm.LONGEST_REST_S + OPENING_S
        assert len({round(gap, 3) for gap in gaps}) > len(gaps) // 2
        before = len(server.asked)
        for _ in range(1000):
            assert pool.take() is None  # whoever asks does not make it worse
        await asyncio.sleep(0)
        assert len(server.asked) <= before + 1
        server.is_down = False
        await asyncio.sleep(warm.LONGEST_REST_S + 1)
        assert pool.ready == 3
        assert pool.counts.errors["upstream_unreachable"] > 10
        await pool.close()

    play(story())


def test_what_is_old_dead_or_about_to_expire_is_not_given_away() -> None:
    async def story() -> None:
        server = Server()
        pool = server.pool(1)
        pool.start()
        await asyncio.sleep(1)
        server.made[0].hang_up()
        await asyncio.sleep(warm.LONGEST_REST_S + 1)
        assert len(server.made) == 2
        await asyncio.sleep(LONGEST_WARM_S + 1)
        assert server.made[1].is_left
        assert len(server.made) == 3
        server.life_s = warm.SHORTEST_LEFT_S + 100
        assert pool.take() is not None
        await asyncio.sleep(1)
        short = server.made[-1]
        await asyncio.sleep(warm.WARM_SHARE * server.life_s + 1)
        assert short.is_left
        await pool.close()

    play(story())


def test_a_server_whose_sessions_are_short_is_not_called_all_the_time_either() -> None:
    async def story() -> None:
        server = Server()
        server.life_s = 300.0
        pool = server.pool(1)
        pool.start()
        await asyncio.sleep(600)
        assert pool.take() is not None
        assert len(server.asked) < 15
        await pool.close()

    play(story())


def test_a_server_that_hangs_up_at_once_is_not_called_all_the_time() -> None:
    async def story() -> None:
        server = Server()
        pool = server.pool(2)
        pool.start()
        for _ in range(600):
            await asyncio.sleep(1)
            for line in server.made:
                line.hang_up()
        assert len(server.asked) < 200
        await pool.close()

    play(story())


def test_another_address_is_another_pool_and_the_old_one_is_let_go() -> None:
    async def story() -> None:
        pools = Pools()
        server = Server()
        first = pools.of(ADDRESS, 0)
        assert pools.of(ADDRESS, 0) is first
        other = pools.of(Address(ADDRESS.url, "m", "another key"), 0)
        assert other is not first
        first._ready.append(cast("Upstream", Line()))
        left = first._ready[0]
        await first.close()
        assert not left.is_open
        await pools.close()
        assert server.made == []

    play(story())


def test_no_key_is_in_what_an_address_says_of_itself() -> None:
    assert "swordfish" not in repr(ADDRESS)
    assert Address("wss://user:pass@host/v1/realtime").origin == "wss://host"
    assert ADDRESS.headers == {"Authorization": "Bearer swordfish"}
    assert Address("wss://x.openai.azure.com/", key="k", key_header="api-key").headers == {"api-key": "k"}
    assert ADDRESS.session_url == "ws://127.0.0.1:1/v1/realtime?model=m"
