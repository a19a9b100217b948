"""An upstream, a worker and Redis are killed in turn while people talk: nothing that was acknowledged is missing then,
and each of them was served or told why."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from calling import KEY
from redis_process import free_port, needs_redis, running
from test_workers import together
from upstream_process import upstream

from survivors import Promised, crowd, missing, reasons, talking, until_served

pytestmark = [pytest.mark.real, pytest.mark.slow, needs_redis]

EXPECTED = {"session_not_resumable", "session_not_found", "history_unavailable", "resumed"}
"""Why somebody may not have been served for a moment."""


def test_what_was_acknowledged_outlives_an_upstream_a_worker_and_redis(tmp_path: Path) -> None:
    async def story(redis: ExitStack) -> None:
        port = free_port()
        redis.enter_context(running(tmp_path, port))
        async with upstream("first") as first, upstream("second") as second:
            configured = tmp_path / "antiphon.toml"
            configured.write_text(
                f"""[history]
redis_url = "redis://127.0.0.1:{port}/0"
[llm]
base_url = "{first.url}"
model = "m"
first_byte_timeout_s = 60.0
fallbacks = [{{ base_url = "{second.url}", model = "m" }}]
"""
            )
            async with together("--config", str(configured), engines=("--stt", "fake", "--tts", "fake")) as made:
                promised = Promised()
                people = crowd(made.url, KEY, promised)
                async with talking(people, promised):
                    await until_served(people)
                    promised.killing()
                    first.kill()
                    await until_served(people)
                    promised.killing()
                    os.kill((await made.workers())[0], signal.SIGKILL)
                    await until_served(people)
                    assert promised.lost, "the worker that was killed had some of them"
                    redis.close()
                    await until_served(people)
                    redis.enter_context(running(tmp_path, port))
                    await until_served(people)
                async with httpx.AsyncClient(base_url=made.http, headers={"Authorization": f"Bearer {KEY}"}) as http:
                    assert await missing(promised, http) == []
                told = reasons(people)
                assert told["session_not_resumable"] == len(promised.lost)
                assert set(told) <= EXPECTED

    with ExitStack() as redis:
        asyncio.run(story(redis))
