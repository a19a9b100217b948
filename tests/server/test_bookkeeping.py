"""What keys have used of their minutes, written down and shared: with SQLite, and with Redis as its double does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from antiphon.server.bookkeeping import Bookkeeping
from antiphon.server.limits import OwnLimits, Size
from antiphon.server.minutes import Minutes, Stay
from antiphon.store.spending import Spending, SqliteSpending, Unsettled
from antiphon.store.spending_redis import HASH, RedisSpending

TWO_MINUTES_AN_HOUR = Size(120.0, 3600.0)
WEARS_OFF = 120.0 / 3600.0

Open = Callable[[], Spending]


@pytest.fixture(params=["sqlite", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Another way to the same place."""
    if request.param == "sqlite":
        return lambda: SqliteSpending(tmp_path / "kept.sqlite3")
    house = fakeredis.FakeServer()
    return lambda: RedisSpending(fakeredis.FakeRedis(server=house))


def test_what_is_spent_anywhere_adds_up_and_wears_off(opened: Open) -> None:
    one, other = opened(), opened()
    assert one.settle({"ann": 60.0}, WEARS_OFF, 1000.0) == {"ann": 60.0}
    assert other.settle({"ann": 30.0, "ben": 5.0}, WEARS_OFF, 1000.0) == {"ann": 90.0, "ben": 5.0}
    assert one.settle({}, WEARS_OFF, 1300.0) == {"ann": 80.0}  # ten seconds have come back
    assert one.settle({"ann": -20.0}, WEARS_OFF, 1300.0) == {"ann": 60.0}
    assert other.settle({}, WEARS_OFF, 500.0) == {"ann": 60.0}  # a clock that was set back gives nothing
    one.close()
    other.close()
    again = opened()
    assert again.settle({}, WEARS_OFF, 1300.0) == {"ann": 60.0}
    assert again.settle({"cid": 1.0}, WEARS_OFF, 99_000.0) == {"cid": 1.0}
    again.close()


def minutes_of_a_process() -> Minutes:
    clock = asyncio.get_running_loop().time
    return Minutes(OwnLimits().buckets("", TWO_MINUTES_AN_HOUR, clock), clock)


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_a_key_that_is_used_on_two_machines_has_its_minutes_once(opened: Open) -> None:
    async def story(one: Spending, other: Spending) -> None:
        here, there = minutes_of_a_process(), minutes_of_a_process()
        books = [Bookkeeping(one, lambda: here), Bookkeeping(other, lambda: there)]
        assert isinstance(here.begin("ann"), Stay)
        here.tab("ann").charge(75.0)
        there.tab("ann").charge(40.0)
        for book in (*books, *books):
            await book.settle()
        assert here.left("ann") == pytest.approx(120 - 15 - 75 - 40, abs=1)
        assert there.left("ann") == pytest.approx(here.left("ann"), abs=1)
        for book in books:
            await book.close()

    play(story(opened(), opened()))


class Down:
    """Does not answer, for as long as that is so."""

    def __init__(self, place: Spending) -> None:
        self.is_down = True
        self._place = place

    def settle(self, spent: Mapping[str, float], wears_off: float, now: float) -> dict[str, float]:
        if self.is_down:
            raise Unsettled("nobody is there", "Start it.")
        return self._place.settle(spent, wears_off, now)

    def close(self) -> None:
        self._place.close()


def test_a_place_that_does_not_answer_costs_nobody_a_minute_and_is_told_later(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(place: Down) -> None:
        minutes = minutes_of_a_process()
        books = Bookkeeping(place, lambda: minutes)
        minutes.tab("ann").charge(50.0)
        await books.settle()
        minutes.tab("ann").charge(20.0)
        await books.settle()
        assert minutes.left("ann") == pytest.approx(50, abs=1)
        assert [record.name for record in caplog.records].count("antiphon.minutes") == 1
        place.is_down = False
        await books.settle()
        assert minutes.left("ann") == pytest.approx(50, abs=1)
        assert (await asyncio.to_thread(place.settle, {}, 0.0, 0.0)) == {"ann": 70.0}
        await books.close()

    play(story(Down(opened())))


def test_what_was_spent_while_it_was_written_is_not_forgotten() -> None:
    async def story() -> None:
        minutes = minutes_of_a_process()

        class Slow:
            def settle(self, spent: Mapping[str, float], wears_off: float, now: float) -> dict[str, float]:
                loop.call_soon_threadsafe(minutes.tab("ann").charge, 10.0)
                return dict(spent)

            def close(self) -> None:
                pass

        loop = asyncio.get_running_loop()
        minutes.tab("ann").charge(50.0)
        await Bookkeeping(Slow(), lambda: minutes).settle()
        await asyncio.sleep(0)
        assert minutes.left("ann") == pytest.approx(60, abs=1)
        assert dict(minutes.spent) == {"ann": 10.0}

    play(story())


def test_garbage_in_redis_is_an_error_of_redis() -> None:
    server = fakeredis.FakeRedis()
    server.hset(HASH, "ann", "many")
    with pytest.raises(Unsettled):
        RedisSpending(server).settle({}, WEARS_OFF, 1.0)
