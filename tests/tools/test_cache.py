"""What was found is used again: only by those it was found for, only while it is true, and by nobody changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolError
from antiphon.tools.cache import Question, ResultCache

WHERE = Question("where", "anna", "/a", b"{}")


class Shelf:
    """A cache whose clock the test moves, and a count of what was really looked up."""

    def __init__(self, entries: int = 100, bytes: int = 1_000_000) -> None:
        self.now = 0.0
        self.cache = ResultCache(lambda: self.now, entries, bytes)
        self.looked_up = 0

    def finder(self, text: str = "here", takes_s: float = 0.0) -> Callable[[], Awaitable[str]]:
        async def find() -> str:
            self.looked_up += 1
            await asyncio.sleep(takes_s)
            return text

        return find

    async def found(self, question: Question = WHERE, text: str = "here", resource: str = "", ttl_s: float = 30) -> str:
        return await self.cache.found(question, resource, ttl_s, self.finder(text))


def test_a_result_is_used_again_until_its_time_is_over() -> None:
    async def story() -> None:
        shelf = Shelf()
        assert await shelf.found(text="first") == "first"
        shelf.now = 29.9
        assert await shelf.found(text="second") == "first"
        shelf.now = 30.0
        assert await shelf.found(text="third") == "third"
        assert (shelf.looked_up, shelf.cache.hits, shelf.cache.misses) == (2, 1, 2)

    run(story())


def test_b9_another_folder_person_or_argument_is_another_question() -> None:
    async def story() -> None:
        shelf = Shelf()
        others = [WHERE._replace(folder="/b"), WHERE._replace(principal="bert"), WHERE._replace(arguments=b'{"x":1}')]
        for number, question in enumerate([WHERE, *others]):
            assert await shelf.found(question, text=str(number)) == str(number)

    run(story())


def test_b9_two_misses_at_once_are_one_look_and_make_room_once() -> None:
    async def story() -> None:
        shelf = Shelf(entries=1)
        find = shelf.finder("same", takes_s=0.3)
        both = await asyncio.gather(*(shelf.cache.found(WHERE, "", 30, find) for _ in range(5)))
        assert both == ["same"] * 5
        assert shelf.looked_up == 1
        await shelf.found(WHERE._replace(folder="/b"))  # the seed's cache raised KeyError here
        assert len(shelf.cache) == 1

    run(story())


def test_b9_nothing_found_is_found_too() -> None:
    async def story() -> None:
        shelf = Shelf()
        assert [await shelf.found(text="null"), await shelf.found(text="null")] == ["null", "null"]
        assert shelf.looked_up == 1

    run(story())


def test_failures_are_told_to_all_who_wait_and_not_kept() -> None:
    async def story() -> None:
        shelf = Shelf()

        async def fail() -> str:
            shelf.looked_up += 1
            await asyncio.sleep(0.1)
            raise ToolError("nobody knows.")

        waiting = (shelf.cache.found(WHERE, "", 30, fail) for _ in range(3))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(result) for result in results] == ["nobody knows."] * 3
        assert shelf.looked_up == 1
        assert await shelf.found() == "here"

    run(story())


def test_who_is_cancelled_leaves_alone() -> None:
    async def story() -> None:
        shelf = Shelf()
        first = asyncio.create_task(shelf.cache.found(WHERE, "", 30, shelf.finder("slow", 1.0)))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(shelf.cache.found(WHERE, "", 30, shelf.finder("slow", 1.0)))
        third = asyncio.create_task(shelf.cache.found(WHERE, "", 30, shelf.finder("slow", 1.0)))
        await asyncio.sleep(0.1)
        first.cancel()
        third.cancel()
        assert await second == "slow"
        assert shelf.looked_up == 2

    run(story())


@pytest.mark.parametrize(
    ("read", "changed", "is_stale"),
    [("list", "list", True), ("list", "mail", False), ("list", "", True), ("", "list", True), ("", "", True)],
)
def test_a_change_ends_what_was_read_of_it(read: str, changed: str, is_stale: bool) -> None:
    async def story() -> None:
        shelf = Shelf()
        await shelf.found(resource=read)
        shelf.cache.changed(changed)
        await shelf.found(resource=read)
        assert shelf.looked_up == 1 + is_stale

    run(story())


def test_what_was_read_during_a_change_is_not_kept() -> None:
    async def story() -> None:
        shelf = Shelf()
        reading = asyncio.create_task(shelf.cache.found(WHERE, "list", 30, shelf.finder("old", 1.0)))
        await asyncio.sleep(0.5)
        shelf.cache.changed("list")
        # Whoever asks after the change does not wait for an answer from before it.
        assert await shelf.cache.found(WHERE, "list", 30, shelf.finder("new")) == "new"
        assert await reading == "old"
        assert await shelf.found(resource="list") == "new"

    run(story())


def test_many_resources_are_forgotten_together_and_nothing_stale_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.tools.cache.MOST_RESOURCES", 3)

    async def story() -> None:
        shelf = Shelf()
        shelf.cache.changed("list")
        await shelf.found(resource="list", text="old")
        for number in range(5):
            shelf.cache.changed(f"file {number}")
        shelf.cache.changed("list")
        assert await shelf.found(resource="list", text="new") == "new"

    run(story())


def test_entries_and_bytes_are_bounded_and_the_least_used_go_first() -> None:
    async def story() -> None:
        shelf = Shelf(entries=3, bytes=10_000)
        questions = [WHERE._replace(folder=str(number)) for number in range(4)]
        for question in questions[:3]:
            await shelf.found(question)
        await shelf.found(questions[0])
        await shelf.found(questions[3])
        assert shelf.cache.get(questions[0], "") == "here"
        assert shelf.cache.get(questions[1], "") is None
        await shelf.found(WHERE, text="x" * 9_000)
        assert shelf.cache.size_bytes <= 10_000
        await shelf.found(WHERE._replace(folder="huge"), text="x" * 10_001)
        assert shelf.cache.get(WHERE, "") is not None
        for question in (*questions, WHERE):
            shelf.cache._drop(question)
        assert (len(shelf.cache), shelf.cache.size_bytes) == (0, 0)

    run(story())


def test_without_room_nothing_is_kept() -> None:
    async def story() -> None:
        shelf = Shelf(entries=0)
        await shelf.found()
        await shelf.found()
        assert shelf.looked_up == 2

    run(story())
