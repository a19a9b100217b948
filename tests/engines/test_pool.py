"""Heavy work: whole utterances first, what is stale never, and what hangs is given up."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

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
    shares = [Pool(cores).share(threads) for cores, threads in ((8, 2), (4, 8), (3, 2), (1, 1), (2, 8))]
    assert [(share.workers, share.threads_each) for share in shares] == [(4, 2), (1, 4), (1, 2), (1, 1), (1, 2)]


def test_what_comes_at_once_is_done_at_once_also_when_one_worker_is_idle() -> None:
    async def work() -> None:
        pool, both = Pool(cores=2), threading.Barrier(2)
        await pool.run(int)
        await asyncio.gather(*(pool.run(lambda: both.wait(30)) for _ in range(2)))
        pool.close()

    asyncio.run(work())


def test_engines_with_different_threads_stay_within_the_cores_together() -> None:
    async def work() -> tuple[int, set[tuple[int, ...]]]:
        pool, running, lock = Pool(cores=3), list[int](), threading.Lock()
        most, together = 0, set[tuple[int, ...]]()

        def busy(threads: int) -> None:
            nonlocal most
            with lock:
                running.append(threads)
                most = max(most, sum(running))
                together.add(tuple(sorted(running)))
            threading.Event().wait(0.01)
            with lock:
                running.remove(threads)

        shares = [pool.share(1), pool.share(2)]
        calls = [(share, number) for _ in range(6) for number, share in enumerate(shares, 1)]
        await asyncio.gather(*(share.run(partial(busy, number)) for share, number in calls))
        pool.close()
        return most, together

    most, together = asyncio.run(work())
    assert most == 3
    assert (1, 2) in together


def test_who_computes_beside_the_pool_takes_its_cores_from_it_and_leaves_one() -> None:
    pool = Pool(cores=4)
    share = pool.share(4)
    pool.reserve(1)
    assert (share.threads_each, share.workers) == (3, 1)
    pool.reserve(7)
    assert (share.threads_each, share.workers) == (1, 1)


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
