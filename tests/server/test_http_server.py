"""What is ours of the HTTP server: how it waits, how it is ended, and that signals are not its business."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
import uvicorn

from antiphon.server.http import DATE_S, PORT_CHECK_S, HttpServer
from antiphon.testing.virtual_time import run


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never asked."""


class Watched(HttpServer):
    """Counts how often it wakes."""

    def __init__(self) -> None:
        config = uvicorn.Config(nothing)
        config.load()
        super().__init__(config)
        self.wakings = 0

    async def on_tick(self, counter: int) -> bool:
        self.wakings += 1
        return await super().on_tick(counter)


def test_an_idle_one_wakes_for_the_date_alone() -> None:
    async def story() -> None:
        server = Watched()
        idling = asyncio.create_task(server.main_loop())
        await asyncio.sleep(10.5 * DATE_S)
        assert server.wakings == 11
        server.end()
        await idling

    run(story())


def test_the_date_is_set_at_each_waking() -> None:
    async def story() -> None:
        server = Watched()
        idling = asyncio.create_task(server.main_loop())
        for _ in range(2):
            server.server_state.default_headers = []
            await asyncio.sleep(1.5 * DATE_S)
            assert b"date" in dict(server.server_state.default_headers)
        server.end()
        await idling

    run(story())


@pytest.mark.parametrize("is_early", [False, True], ids=["while it waits", "before it waits"])
def test_it_ends_at_once(is_early: bool) -> None:
    async def story() -> None:
        server, loop = Watched(), asyncio.get_running_loop()
        if is_early:
            server.end()
        idling = asyncio.create_task(server.main_loop())
        await asyncio.sleep(DATE_S / 2)
        told = loop.time()
        assert idling.done() == is_early
        server.end()
        await idling
        assert loop.time() == told

    run(story())


def test_who_waits_until_it_listens_is_told_soon() -> None:
    async def story() -> None:
        server, loop = Watched(), asyncio.get_running_loop()
        loop.call_later(0.5, setattr, server, "started", True)
        await server.until_listening()
        assert 0.5 <= loop.time() < 0.5 + 2 * PORT_CHECK_S

    run(story())


def test_signals_are_left_to_whoever_has_it() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Watched().capture_signals():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
