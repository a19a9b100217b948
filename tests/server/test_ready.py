"""What a load balancer is told of a server with a model that cannot be loaded."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from calling import server

from antiphon.engines.fake import FakeStt
from antiphon.errors import EngineError

pytestmark = pytest.mark.real


class Failing(FakeStt):
    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    async def warm(self) -> None:
        raise EngineError("it lies in /home/somebody and is cut off", "Pull it again.", code=self.code)


@pytest.mark.parametrize(("code", "status"), [("model_broken", 503), ("upstream_unreachable", 200)])
def test_a_broken_model_is_never_ready_and_what_may_come_up_later_is(
    code: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> httpx.Response:
        async with server(stt=Failing(code)) as made, httpx.AsyncClient() as web:
            return await web.get(made.url.replace("ws", "http", 1).replace("/v1/realtime", "/ready"))

    with caplog.at_level("INFO"):
        answer = asyncio.run(ask())
    assert answer.status_code == status
    assert "/home" not in answer.text
    if status == 503:
        assert "stt" in answer.text
        assert "not ready: a model is broken (stt)" in caplog.text
    assert ("the engines are loaded: ready" in caplog.text) is (status == 200)
