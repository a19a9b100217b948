"""Writes down what keys have used of their minutes, and learns what they have used elsewhere.

Every few seconds and on a thread: whoever takes minutes never waits for it, and while the place does not answer
everything goes on with what is known here. What counts as a minute is `minutes`' to say.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.server.minutes import Minutes, Spent
from antiphon.store.spending import Spending, Unsettled

log = logging.getLogger("antiphon.minutes")

EVERY_S: Seconds = 5.0  # what a process that is killed forgets at most, and how late others know of it


class Bookkeeping:
    """For one process. Everything is called on the event loop; `close` it."""

    def __init__(self, spending: Spending, minutes: Callable[[], Minutes | None]) -> None:
        self._spending = spending
        self._minutes = minutes
        self._is_failing = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.settle()
            await asyncio.sleep(EVERY_S)

    async def settle(self) -> None:
        """Once."""
        minutes = self._minutes()
        if minutes is None:
            return
        spent = _take(minutes.spent)
        wears_off = minutes.size.full / minutes.size.period_s
        try:
            used = await asyncio.to_thread(self._spending.settle, spent, wears_off, time.time())
        except Unsettled as error:
            for owner, amount in spent.items():
                minutes.spent[owner] += amount
            if not self._is_failing:
                log.warning("%s: what keys have used is known to this process alone", error)
            self._is_failing = True
            return
        self._is_failing = False
        minutes.correct(used)

    async def close(self) -> None:
        """Write down what is left."""
        await self.settle()
        await asyncio.to_thread(self._spending.close)


def _take(spent: Spent) -> dict[str, Seconds]:
    taken = {owner: amount for owner, amount in spent.items() if amount}
    spent.clear()
    return taken
