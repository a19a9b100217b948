"""Keeps what read-only tools found, for as long as it may be used again.

A result is kept as text, so no reader can change it for the next, and under everything that it depends on: who asked,
where, what, and the generation of what it read, which every change raises. Equal questions that come while the first
is being answered wait for its answer. Failures are not kept. Which tools may be kept is not known here.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from antiphon.audio.units import Seconds

MOST_RESOURCES = 10_000  # whose changes are counted apart; then all are taken for changed
ENTRY_BYTES = 200  # of our own for each result: its key, its place, its moment


class Question(NamedTuple):
    """What a result depends on."""

    tool: str
    principal: str
    folder: str
    arguments: bytes
    """As JSON in one form: sorted keys, no spaces."""


class Kept(NamedTuple):
    text: str
    until: Seconds
    generation: tuple[int, int]
    size_bytes: int


class ResultCache:
    """See the module. One for the process; everything is called on the event loop."""

    def __init__(self, now: Callable[[], Seconds], max_entries: int, max_bytes: int) -> None:
        """`now` is a clock that never goes back. With no entries or no bytes nothing is kept."""
        self._now = now
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Question, Kept] = OrderedDict()
        self._flights: dict[tuple[Question, tuple[int, int]], asyncio.Future[str]] = {}
        self._changes: dict[str, int] = {}
        self._wide_changes = 0
        self._all_changes = 0
        self.size_bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: Question, resource: str) -> str | None:
        """What was found, if it may still be used."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept.until <= self._now() or kept.generation != self._generation(resource):
            self._drop(question)
            return None
        self._kept.move_to_end(question)
        self.hits += 1
        return kept.text

    async def found(self, question: Question, resource: str, ttl_s: Seconds, find: Callable[[], Awaitable[str]]) -> str:
        """What was found, or what `find` finds now. Raises what `find` raises, to everybody who waits for it.

        Who is cancelled leaves alone: the others ask again.
        """
        while True:
            text = self.get(question, resource)
            if text is not None:
                return text
            generation = self._generation(resource)
            flight = self._flights.get((question, generation))
            if flight is None:
                break
            await asyncio.wait([flight])
            if not flight.cancelled():
                self.hits += 1
                return flight.result()
        return await self._find(question, resource, ttl_s, find)

    async def _find(self, question: Question, resource: str, ttl_s: Seconds, find: Callable[[], Awaitable[str]]) -> str:
        self.misses += 1
        generation = self._generation(resource)
        flight: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._flights[question, generation] = flight
        try:
            text = await find()
            flight.set_result(text)
        except Exception as error:
            flight.set_exception(error)
            flight.exception()  # with nobody waiting it is not forgotten: it is raised right here
            raise
        finally:
            flight.cancel()
            del self._flights[question, generation]
        if generation == self._generation(resource):
            self._keep(question, Kept(text, self._now() + ttl_s, generation, self._size(question, text)))
        return text

    def changed(self, resource: str) -> None:
        """Something was changed, or is about to be: what was read of it before is not used again. With an empty
        resource it may have been anything."""
        self._all_changes += 1
        if resource and len(self._changes) < MOST_RESOURCES:
            self._changes[resource] = self._changes.get(resource, 0) + 1
        else:
            self._wide_changes += 1
            self._changes.clear()

    def _generation(self, resource: str) -> tuple[int, int]:
        """How often this resource was changed, alone and with all others. What may have read anything follows every
        change."""
        if not resource:
            return self._all_changes, 0
        return self._changes.get(resource, 0), self._wide_changes

    def _keep(self, question: Question, kept: Kept) -> None:
        self._drop(question)
        if kept.size_bytes > self._max_bytes or not self._max_entries:
            return
        self._kept[question] = kept
        self.size_bytes += kept.size_bytes
        while len(self._kept) > self._max_entries or self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, question: Question) -> None:
        kept = self._kept.pop(question, None)
        if kept is not None:
            self.size_bytes -= kept.size_bytes

    @staticmethod
    def _size(question: Question, text: str) -> int:
        """What the text takes in memory at most, and its key."""
        width = 1 if text.isascii() else 4
        return len(text) * width + len(question.arguments) + ENTRY_BYTES
