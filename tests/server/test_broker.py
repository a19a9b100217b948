"""A call that another server is to take: placed once there is a place for it here; told of in words if it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
from calling import server, web
from webrtc_samples import CHROMIUM

from antiphon.errors import EngineError
from antiphon.runtime.upstream import Address
from antiphon.server.broker import FAREWELL_S, LATE_S, LONGEST_ANSWER_BYTES, PATIENCE_S, Broker, refusal_of_call
from antiphon.testing.virtual_time import run

ADDRESS = Address("wss://voice.example.com/v1/realtime", key="sk-operator")
SECRET = httpx.Response(200, json={"value": "ek_1"})
TAKEN = httpx.Response(201, text="v=0\r\n", headers={"Location": "/v1/realtime/calls/rtc_1"})

Answer = httpx.Response | Exception | Callable[[], Awaitable[httpx.Response]]


class Elsewhere(httpx.AsyncBaseTransport):
    """The other server, which answers each path as it is told to."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = {"client_secrets": SECRET, "calls": TAKEN, **answers}
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/realtime/")
        self.asked.append(path)
        answer = self.answers.get(path, httpx.Response(200))
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, httpx.Response):
            return await answer()
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)


class Seat:
    """The session beside a call, of which only its end matters."""

    def __init__(self) -> None:
        self.link: Any = None
        self.ended: list[str] = []

    def attach(self, link: Any) -> None:
        self.link = link

    def detach(self, link: Any) -> None:
        self.link = None


class Seats:
    """All sessions."""

    async def end(self, seat: Seat, reason: str) -> None:
        seat.ended.append(reason)


def broker_to(there: Elsewhere) -> Broker:
    made = Broker(cast("Any", Seats()))
    made._http = httpx.AsyncClient(transport=there)
    return made


async def place(broker: Broker, seat: Seat | None = None) -> str:
    """Returns the call's id there."""
    begun = await broker.begin(ADDRESS, "v=0", {}, cast("Any", seat or Seat()), "ann")
    return begun[1].call_id if begun is not None else "never"


def failure(**answers: Answer) -> EngineError:
    """Why a call is not placed."""

    async def story() -> EngineError:
        broker = broker_to(Elsewhere(**answers))
        with pytest.raises(EngineError) as caught:
            await place(broker)
        assert not broker.placing("ann")
        assert not broker.ongoing
        await broker.close()
        return caught.value

    return run(story())


def test_a_call_is_placed_under_a_secret_of_its_own() -> None:
    async def story() -> None:
        there = Elsewhere()
        broker = broker_to(there)
        assert await place(broker) == "rtc_1"
        assert there.asked == ["client_secrets", "calls"]
        await broker.close()
        assert there.asked[2:] == ["calls/rtc_1/hangup"]

    run(story())


@pytest.mark.parametrize("path", ["client_secrets", "calls"])
@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        (httpx.Response(200, text="<html>Welcome</html>"), "upstream_malformed", 502),
        (httpx.Response(200, text="[]"), "upstream_malformed", 502),
        (httpx.Response(200, json={"value": 7}), "upstream_malformed", 502),
        (httpx.Response(200, content=b"\xff\xfe"), "upstream_malformed", 502),
        (httpx.Response(200, content=bytes(LONGEST_ANSWER_BYTES + 1)), "upstream_malformed", 502),
        (httpx.Response(302, headers={"Location": "/elsewhere"}), "upstream_failed", 503),
        (httpx.Response(401), "upstream_auth", 502),
        (httpx.Response(404), "upstream_not_found", 502),
        (httpx.Response(429), "upstream_rate_limited", 503),
        (httpx.Response(500), "upstream_failed", 503),
        (httpx.ConnectError("refused"), "upstream_unreachable", 503),
        (httpx.ReadTimeout("silent"), "upstream_unreachable", 503),
        (httpx.RemoteProtocolError("garbage"), "upstream_unreachable", 503),
    ],
)
def test_what_goes_wrong_there_is_told_in_words_with_what_to_do(
    path: str, answer: Answer, code: str, status: int
) -> None:
    error = failure(**{path: answer})
    refusal = refusal_of_call(error)
    assert (refusal.code, refusal.status) == (code, status)
    assert error.hint in refusal.message
    assert "sk-operator" not in refusal.message
    assert ("Retry-After" in refusal.response.headers) == (status == 503)


def test_a_server_that_says_when_to_come_back_is_not_asked_before() -> None:
    async def story() -> None:
        there = Elsewhere(calls=httpx.Response(429, headers={"Retry-After": "60"}))
        broker = broker_to(there)
        for waits_s in (60, 40):
            with pytest.raises(EngineError) as caught:
                await place(broker)
            assert refusal_of_call(caught.value).response.headers["Retry-After"] == str(waits_s)
            await asyncio.sleep(20)
        assert there.asked == ["client_secrets", "calls"]
        there.answers["calls"] = TAKEN
        await asyncio.sleep(21)
        assert await place(broker) == "rtc_1"
        await broker.close()

    run(story())


async def late() -> httpx.Response:
    await asyncio.sleep(PATIENCE_S + 5)
    return httpx.Response(201, text="v=0\r\n", headers={"Location": "/v1/realtime/calls/rtc_late"})


@pytest.mark.parametrize("end", ["nobody waits", "the client leaves", "the session ends"])
def test_a_call_that_is_taken_when_nobody_wants_it_any_more_is_hung_up(end: str) -> None:
    async def story() -> None:
        there, seat = Elsewhere(calls=late), Seat()
        broker = broker_to(there)
        placing = asyncio.create_task(place(broker, seat))
        await asyncio.sleep(1)
        assert broker.placing("ann") == 1
        if end == "the client leaves":
            placing.cancel()
        elif end == "the session ends":
            seat.link.close("minutes_used_up")
        (result,) = await asyncio.gather(placing, return_exceptions=True)
        if end == "the session ends":
            assert result == "never"
        else:
            assert isinstance(result, EngineError if end == "nobody waits" else asyncio.CancelledError)
        assert asyncio.get_running_loop().time() == (PATIENCE_S if end == "nobody waits" else 1)
        assert broker.placing("ann") == 0
        await asyncio.sleep(LATE_S)
        assert there.asked == ["client_secrets", "calls", "calls/rtc_late/hangup"]
        assert (broker.ongoing, seat.link) == ({}, None)
        await broker.close()

    run(story())


def test_a_session_that_ends_before_there_is_a_secret_makes_no_call() -> None:
    async def story() -> None:
        async def slowly() -> httpx.Response:
            await asyncio.sleep(3)
            return httpx.Response(200, json={"value": "ek_1"})

        there, seat = Elsewhere(client_secrets=slowly), Seat()
        broker = broker_to(there)
        placing = asyncio.create_task(place(broker, seat))
        await asyncio.sleep(1)
        seat.link.close("lost")
        assert await placing == "never"
        await asyncio.sleep(LATE_S)
        assert there.asked == ["client_secrets"]
        assert not broker.ongoing
        await broker.close()

    run(story())


@pytest.mark.parametrize("answers_after_s", [2.0, 30.0])
def test_a_server_that_ends_while_it_places_a_call_hangs_it_up_unless_that_would_take_long(
    answers_after_s: float,
) -> None:
    async def story() -> None:
        async def slowly() -> httpx.Response:
            await asyncio.sleep(answers_after_s)
            return TAKEN

        there, seat = Elsewhere(calls=slowly), Seat()
        broker = broker_to(there)
        placing = asyncio.create_task(place(broker, seat))
        await asyncio.sleep(1)
        await broker.close()
        assert await placing == "never"
        is_hung_up = there.asked == ["client_secrets", "calls", "calls/rtc_1/hangup"]
        assert is_hung_up == (answers_after_s < FAREWELL_S)
        assert asyncio.get_running_loop().time() == min(answers_after_s, 1 + FAREWELL_S)
        assert (broker.ongoing, seat.ended) == ({}, ["drain"])
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(story())


@pytest.mark.real
def test_who_finds_no_place_here_makes_no_call_there() -> None:
    async def story() -> None:
        is_asked, may_answer = asyncio.Event(), asyncio.Event()

        async def slowly() -> httpx.Response:
            is_asked.set()
            await may_answer.wait()
            return httpx.Response(429, headers={"Retry-After": "7"})

        there = Elsewhere(calls=slowly)
        relay: dict[str, Any] = {"relay__url": ADDRESS.url, "relay__calls": "there", "relay__warm": 0}
        limits: dict[str, Any] = {"server__max_sessions": 1, "webrtc__max_connecting": 1, "history__keep": False}
        async with server(None, None, (), **limits, **relay) as here, web(here) as http:
            here.state.broker._http = httpx.AsyncClient(transport=there)
            here.state.admission.enter()
            full = await http.post("/v1/realtime/calls", content=CHROMIUM)
            assert (full.status_code, full.json()["error"]["code"]) == (503, "server_full")
            assert there.asked == []
            here.state.admission.leave()
            first = asyncio.create_task(http.post("/v1/realtime/calls", content=CHROMIUM))
            await is_asked.wait()
            crowded = await http.post("/v1/realtime/calls", content=CHROMIUM)
            assert (crowded.status_code, crowded.json()["error"]["code"]) == (429, "too_many_calls")
            may_answer.set()
            refused = await first
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "7")
            assert "Raise the limit" in refused.json()["error"]["message"]
            assert (here.state.admission.here, here.state.sessions.running) == (0, {})
            assert there.asked == ["client_secrets", "calls"]

    asyncio.run(story())


@pytest.mark.real
def test_who_leaves_before_their_call_is_taken_gives_their_place_back_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.server.broker.PATIENCE_S", 600.0)

    async def story() -> None:
        is_asked, may_answer = asyncio.Event(), asyncio.Event()

        async def slowly() -> httpx.Response:
            is_asked.set()
            await may_answer.wait()
            return TAKEN

        there = Elsewhere(calls=slowly)
        relay: dict[str, Any] = {"relay__url": ADDRESS.url, "relay__calls": "there", "relay__warm": 0}
        async with server(None, None, (), history__keep=False, **relay) as here, web(here) as http:
            here.state.broker._http = httpx.AsyncClient(transport=there)
            calling = asyncio.create_task(http.post("/v1/realtime/calls", content=CHROMIUM))
            await is_asked.wait()
            assert here.state.admission.here == 1
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
            async with asyncio.timeout(20):
                while here.state.admission.here:  # noqa: ASYNC110 - the state of the server, without an event
                    await asyncio.sleep(0.01)
            assert (there.asked, here.state.sessions.running) == (["client_secrets", "calls"], {})
            may_answer.set()
            async with asyncio.timeout(20):
                while here.state.broker.ongoing or len(there.asked) < 3:  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.01)
            assert there.asked[2:] == ["calls/rtc_1/hangup"]

    asyncio.run(story())
