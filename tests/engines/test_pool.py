"""Heavy work: whole utterances first, what is stale never, and what hangs is given up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from antiphon.engines.pool import MOST_WAITING, Pool
from antiphon.errors import EngineError

pytestmark = pytest.mark.real


def test_whole_utterances_come_before_looks_and_stale_looks_never() -> None:
    async def work() -> list[str]:
        pool, gate, order = Pool(cores=1), threading.Event(), []
        first = asyncio.ensure_future(pool.run(gate.wait))
        await asyncio.sleep(0.05)
        looks = [asyncio.ensure_future(pool.run(lambda: order.append("look"), is_partial=True)) for _ in range(3)]
        finals = [asyncio.ensure_future(pool.run(lambda: order.append("whole"))) for _ in range(2)]
        await asyncio.sleep(0)
        looks[0].cancel()
        looks[1].cancel()
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, looks[2], *finals)
        assert pool.dropped == 2
        pool.close()
        return order

    assert asyncio.run(work()) == ["whole", "whole", "look"]


def test_workers_times_threads_stay_within_the_cores() -> None:
    assert [Pool(cores, threads).workers for cores, threads in ((8, 2), (4, 8), (3, 2), (1, 1))] == [4, 1, 1, 1]
    assert Pool(cores=2, threads_each=8).threads_each == 2

    async def work() -> int:
        pool, running, most = Pool(cores=3), 0, 0
        lock = threading.Lock()

        def busy() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.01)
            with lock:
                running -= 1

        await asyncio.gather(*(pool.run(busy) for _ in range(12)))
        pool.close()
        return most

    assert asyncio.run(work()) == 3


def test_what_hangs_is_told_and_the_next_is_done_by_another() -> None:
    async def work() -> None:
        pool, gate = Pool(cores=1), threading.Event()
        with pytest.raises(EngineError) as failure:
            await pool.run(gate.wait, limit_s=0.05)
        assert failure.value.code == "engine_hangs"
        assert pool.hung == 1
        assert await pool.run(lambda: "done") == "done"
        gate.set()
        while pool.hung:  # noqa: ASYNC110 - a thread tells nobody that it ended
            await asyncio.sleep(0.01)
        pool.close()

    asyncio.run(work())


def test_an_error_is_who_asked_for_its_and_a_jam_is_refused() -> None:
    async def work() -> None:
        pool, gate = Pool(cores=1), threading.Event()
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 / 0)
        first = asyncio.ensure_future(pool.run(gate.wait))
        await asyncio.sleep(0.05)
        waiting = [asyncio.ensure_future(pool.run(int)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(EngineError, match="too much waits"):
            await pool.run(int)
        for task in waiting:
            task.cancel()
        gate.set()
        await asyncio.gather(first, *waiting, return_exceptions=True)
        pool.close()

    asyncio.run(work())
