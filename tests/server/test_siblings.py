"""What a client gets when another process should answer: its answer, wherever it is, or a word that none comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from calling import KEY, client, refusal, server, web
from phone import phone

from antiphon.server.handing_on import Unreached, Way
from antiphon.server.siblings import Siblings

pytestmark = pytest.mark.real


class Elsewhere:
    """Everybody else is there."""

    def __init__(self, way: Way | None) -> None:
        self._way = way

    async def find(self, number: int) -> Way | None:
        if self._way is None:
            raise Unreached
        return self._way


def test_a_sibling_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with server() as made, web(made) as http:
            made.state.siblings = made.state.others = Siblings(tmp_path, 0, 2)
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


def test_who_cannot_be_asked_where_a_call_is_is_no_reason_to_say_that_there_is_none() -> None:
    async def story() -> None:
        async with server() as made, web(made) as http:
            made.state.others = Elsewhere(None)
            for query in ("?call_id=rtc_abc_1", "?antiphon=1&resume=resume_abc_" + 32 * "x"):
                status, error = await refusal(made, query)
                assert (status, error["code"]) == (503, "worker_unreachable")
            answer = await http.post("/v1/realtime/calls/rtc_abc_1/hangup")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "worker_unreachable")

    asyncio.run(story())


@pytest.mark.slow
def test_a_call_on_another_machine_is_joined_and_ended_with_the_callers_own_key() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY]) as there, server(server__keys=[KEY]) as here:
            port = int(there.url.split(":")[2].split("/")[0])
            here.state.others = Elsewhere(Way(host="127.0.0.1", port=port))
            async with phone(there, KEY) as call:
                async with client(here, f"?call_id={call.call_id}", KEY) as beside:
                    created = await beside.receive("session.created")
                    assert created["session"]["id"] in there.state.sessions.running
                assert (await refusal(here, f"?call_id={call.call_id}", "a-guess"))[0] == 401
                assert (await refusal(here, "?call_id=rtc_1_nobody", KEY))[0] == 404
                async with web(here, KEY) as http:
                    answer = await http.post(f"/v1/realtime/calls/{call.call_id}/hangup")
                assert answer.status_code == 200
                async with asyncio.timeout(20):
                    while there.state.sessions.running:  # noqa: ASYNC110 - the state of the server, without an event
                        await asyncio.sleep(0.02)
            assert not here.state.sessions.running

    asyncio.run(story())
