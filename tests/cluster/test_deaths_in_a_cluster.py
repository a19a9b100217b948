"""A cluster in which an upstream, a process with conversations, a machine and Redis are killed in turn while people
talk: nothing that was acknowledged is missing then, and each of them was served or told why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import ray
from machines import KEY, ONE_EACH, PORT, Two, deployed_anew, replicas
from perishable import perishable
from redis_process import needs_redis
from survivors import Promised, asking, crowd, missing, reasons, talking, until_served

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600), needs_redis]

EXPECTED = {
    "session_not_resumable", "session_not_found", "history_unavailable", "server_busy", "worker_unreachable", "resumed",
}  # fmt: skip
"""Why somebody may not have been served for a moment."""
FROM_THE_PROXY = {"status 502", "status 503", "status 404", "status 500"}
"""Likewise, where the server behind it is just dying, and nobody there has words."""


def test_what_was_acknowledged_outlives_an_upstream_a_process_redis_and_a_machine(two: Two, tmp_path: Path) -> None:
    async def story(deaths: list[Callable[[], object]], away: Callable[[], AbstractContextManager[None]]) -> None:
        promised = Promised()
        people = crowd(f"ws://127.0.0.1:{PORT}/v1/realtime", KEY, promised)
        async with (
            asking(f"http://127.0.0.1:{PORT}", KEY) as http,
            talking(people, promised),
        ):
            for death in deaths:
                await until_served(people)
                promised.killing()
                await asyncio.to_thread(death)
                await until_served(people)
                assert await missing(promised, http) == []
            with away():
                await until_served(people)
            assert await missing(promised, http) == []
        assert len(promised.lost) >= 2, "the process and the machine had some of them"
        told = reasons(people)
        print(
            "FIGURES", len(promised.items), len(promised.owed()), len(promised.lost), [p.served for p in people], told
        )
        assert set(told) <= EXPECTED | FROM_THE_PROXY

    with perishable(tmp_path) as beneath:
        deployed_anew(**ONE_EACH, config=str(beneath.config))
        deaths = [beneath.upstream.kill, lambda: ray.kill(replicas("Sessions")[0]), two.lose_the_second]
        asyncio.run(story(deaths, beneath.without_redis))
