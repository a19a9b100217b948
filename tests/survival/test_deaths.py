"""An upstream, a worker and Redis are killed in turn while people talk: nothing that was acknowledged is missing then,
and each of them was served or told why. A machine of a cluster as well: cluster/test_deaths_in_a_cluster.py."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from calling import KEY
from perishable import Perishable, perishable
from redis_process import needs_redis
from survivors import Promised, asking, crowd, missing, reasons, talking, until_served
from test_workers import together

pytestmark = [pytest.mark.real, pytest.mark.slow, needs_redis]

EXPECTED = {
    "session_not_resumable", "session_not_found", "history_unavailable", "resumed", "server_busy", "worker_unreachable",
}  # fmt: skip
"""Why somebody may not have been served for a moment."""


def test_what_was_acknowledged_outlives_an_upstream_a_worker_and_redis(tmp_path: Path) -> None:
    async def story(beneath: Perishable) -> None:
        async with together("--config", str(beneath.config), engines=()) as made:
            promised = Promised()
            people = crowd(made.url, KEY, promised)
            async with (
                asking(made.http, KEY) as http,
                talking(people, promised),
            ):
                await until_served(people)
                promised.killing()
                beneath.upstream.kill()
                await until_served(people)
                promised.killing()
                os.kill((await made.workers())[0], signal.SIGKILL)
                await until_served(people)
                assert promised.lost, "the worker that was killed had some of them"
                assert await missing(promised, http) == []
                with beneath.without_redis():
                    await until_served(people)
                await until_served(people)
                assert await missing(promised, http) == []
            told = reasons(people)
            assert told["session_not_resumable"] == len(promised.lost)
            assert set(told) <= EXPECTED

    with perishable(tmp_path) as beneath:
        asyncio.run(story(beneath))
