"""The clock that jumps."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.errors import Bug
from antiphon.testing.virtual_time import run


def test_an_hour_passes_at_once_and_in_order() -> None:
    async def story() -> list[float]:
        loop = asyncio.get_running_loop()
        moments: list[float] = []
        loop.call_later(1800, lambda: moments.append(loop.time()))
        await asyncio.sleep(3600)
        moments.append(loop.time())
        return moments

    assert run(story()) == [1800, 3600]


def test_waiting_for_nothing_is_found_out() -> None:
    async def story() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Bug, match="everything waits"):
        run(story())


def test_threads_are_refused() -> None:
    async def story() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(Bug, match="thread"):
        run(story())


def test_a_clock_that_stands_still_is_found_out() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_at(loop.time(), again)

        again()
        await asyncio.sleep(1)

    with pytest.raises(Bug, match="time stands still"):
        run(story())
