"""Limits in a file that processes share: here two views of it stand for two of them."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.server.shared import SharedLimits, SharedPlaces, SharedRoom, SharedTable


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[tuple[SharedTable, SharedTable]]:
    made = (SharedTable(tmp_path / "limits", 0, 2), SharedTable(tmp_path / "limits", 1, 2))
    yield made
    for table in made:
        table.close()


def test_rooms_are_counted_together(tables: tuple[SharedTable, SharedTable]) -> None:
    one, other = (SharedRoom(table, 3) for table in tables)
    assert [one.take(), other.take(), one.take(), other.take(), one.take()] == [True, True, True, False, False]
    assert (one.taken, other.taken) == (3, 3)
    one.give_back()
    assert other.take()


def test_what_a_dead_worker_held_is_given_back_and_nothing_else(tables: tuple[SharedTable, SharedTable]) -> None:
    rooms = [SharedRoom(table, 4) for table in tables]
    places = [SharedPlaces(table, 4) for table in tables]
    for room, place in zip(rooms, places, strict=True):
        assert room.take()
        assert room.take()
        assert place.take("secret")
        assert place.take("secret")
    tables[1].clear(0)
    assert rooms[1].taken == 2
    assert [places[1].take("secret") for _ in range(3)] == [True, True, False]


def test_places_belong_to_a_secret(tables: tuple[SharedTable, SharedTable]) -> None:
    one, other = (SharedPlaces(table, 2) for table in tables)
    assert [one.take("a"), other.take("a"), one.take("a"), other.take("b")] == [True, True, False, True]
    assert len(one) == 2
    one.give_back("a")
    other.give_back("a")
    assert len(one) == 1


def test_rows_of_secrets_that_have_left_are_used_again(tables: tuple[SharedTable, SharedTable]) -> None:
    places = SharedPlaces(tables[0], 1)
    for number in range(5000):
        assert places.take(f"secret {number}")
        places.give_back(f"secret {number}")
    assert len(places) == 0


def test_a_minutes_bytes_are_shared_out_and_refilled(tables: tuple[SharedTable, SharedTable]) -> None:
    now = 1000.0
    one, other = (SharedLimits(table).budgets(600_000, lambda: now) for table in tables)
    budgets = one.of("key"), other.of("key")
    sent = 0
    while any(budget.allow(5_000) and (sent := sent + 5_000) for budget in budgets):
        pass
    assert sent == pytest.approx(600_000, abs=2 * 5_000)
    assert one.of("another key").allow(500_000)
    now += 10.0  # a sixth of a minute
    assert budgets[0].allow(95_000)
    assert not budgets[1].allow(20_000)


def test_more_than_there_is_takes_nothing(tables: tuple[SharedTable, SharedTable]) -> None:
    budget = SharedLimits(tables[0]).budgets(60_000, lambda: 5.0).of("key")
    assert not budget.allow(60_001)
    assert budget.allow(60_000)


def _grab(path: Path, number: int, most: int, told: multiprocessing.Queue[int]) -> None:
    table = SharedTable(path, number, 4)
    room = SharedRoom(table, most)
    told.put(sum(room.take() for _ in range(most)))


@pytest.mark.real
@pytest.mark.slow
def test_processes_that_come_together_do_not_get_one_place_twice(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    told: multiprocessing.Queue[int] = context.Queue()
    crew = [context.Process(target=_grab, args=(tmp_path / "limits", number, 2000, told)) for number in range(4)]
    for process in crew:
        process.start()
    assert sum(told.get(timeout=30) for _ in crew) == 2000
    for process in crew:
        process.join()


def test_nothing_of_it_waits_for_long(tables: tuple[SharedTable, SharedTable]) -> None:
    """It is called on the event loop: the guard against blocking would raise."""

    async def story() -> None:
        assert SharedRoom(tables[0], 1).take()
        assert SharedPlaces(tables[0], 1).take("secret")
        assert SharedLimits(tables[0]).budgets(1000, lambda: 0.0).of("key").allow(500)

    asyncio.run(story())
