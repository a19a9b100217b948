"""What a client is told when another process of the port should answer, and does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from calling import refusal, server, web

from antiphon.server.siblings import Siblings

pytestmark = pytest.mark.real


def test_a_sibling_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with server() as made, web(made) as http:
            made.state.siblings = Siblings(tmp_path, 0, 2, 1 << 20)
            status, error = await refusal(made, "?call_id=rtc_abc_1")
            assert (status, error["code"]) == (503, "worker_unreachable")
            answer = await http.post("/v1/realtime/calls/rtc_abc_1/hangup")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "worker_unreachable")
            assert answer.headers["retry-after"]
            assert (await refusal(made, "?call_id=rtc_abd_1"))[0] == 404, "there is no such process"
            page = (await http.get("/metrics")).text
            assert 'voice_worker_up{worker="0"} 1\nvoice_worker_up{worker="1"} 0\n' in page

    (tmp_path / "1.abc.sock").touch()
    asyncio.run(story())
