"""Where the voice detector computes: what is short in place, the rest in a thread."""

from __future__ import annotations

import asyncio
import threading

import pytest

from antiphon.hearing.runners import OwnThread


def test_short_work_stays_here_and_long_work_leaves_the_loop_free() -> None:
    async def story() -> None:
        runner = OwnThread()
        here = threading.get_ident()
        short = runner.run(threading.get_ident, is_short=True)
        assert short.done()
        assert await short == here
        assert await runner.run(threading.get_ident, is_short=False) != here
        runner.close()

    asyncio.run(story())


def test_a_failure_in_place_comes_as_a_threads_would() -> None:
    async def story() -> None:
        runner = OwnThread()
        for is_short in (True, False):
            with pytest.raises(ZeroDivisionError):
                await runner.run(lambda: 1 // 0, is_short=is_short)
        runner.close()

    asyncio.run(story())
