"""A connection to another Realtime server over a real socket: how it opens and ends, and what each failure means."""

from __future__ import annotations

import asyncio
import http
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from antiphon.errors import EngineError
from antiphon.runtime import upstream
from antiphon.runtime.upstream import Address, Connection, Upstream, open_upstream
from antiphon.runtime.upstream_failures import HOPELESS, complained

pytestmark = pytest.mark.real

Script = Callable[[ServerConnection], Awaitable[None]]
GREETING = json.dumps({"type": "session.created", "session": {"id": "sess_1", "expires_at": 1}})


@asynccontextmanager
async def other(script: Script, status: int | None = None, **headers: str) -> AsyncIterator[Address]:
    def refuse(connection: ServerConnection, request: Request) -> Response | None:
        assert request.headers["Authorization"] == "Bearer swordfish"
        assert request.path == "/v1/realtime?model=gpt%2Fx"
        assert "OpenAI-Beta" not in request.headers
        if status is None:
            return None
        answer = connection.respond(http.HTTPStatus(status), "no swordfish\n")
        for name, value in headers.items():
            answer.headers[name] = value
        return answer

    async with serve(script, "127.0.0.1", 0, process_request=refuse, close_timeout=0.1) as made:
        port = next(iter(made.sockets)).getsockname()[1]
        yield Address(f"ws://127.0.0.1:{port}/v1/realtime", "gpt/x", "swordfish", connect_timeout_s=0.5)


class Listening:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.frames: list[str | bytes] = []
        self.error: EngineError | None = None
        self.is_over = asyncio.Event()

    def take_frame(self, frame: str | bytes) -> None:
        self.frames.append(frame)

    def upstream_gone(self, upstream: Connection, error: EngineError) -> None:
        self.error = error
        self.is_over.set()


async def greet(connection: ServerConnection) -> None:
    await connection.send(GREETING)


async def echo(connection: ServerConnection) -> None:
    await connection.send(GREETING)
    async for message in connection:
        await connection.send(message)


async def failure(script: Script, status: int | None = None, **headers: str) -> EngineError:
    async with other(script, status, **headers) as address:
        with pytest.raises(EngineError) as caught:
            await open_upstream(address)
    assert "swordfish" not in str(caught.value)
    return caught.value


def test_messages_go_both_ways_in_order_and_hanging_up_tells_nobody() -> None:
    async def story() -> None:
        async with other(echo) as address:
            line, ear = await open_upstream(address), Listening()
            line.listen(ear)
            sent = [{"type": "x", "number": number, "audio": b"\0\1"} for number in range(100)]
            for event in sent:
                line.send(event)
            while len(ear.frames) < 100:  # noqa: ASYNC110 - whatever it takes
                await asyncio.sleep(0.005)
            assert [json.loads(frame)["number"] for frame in ear.frames] == list(range(100))
            assert json.loads(ear.frames[0])["audio"] == "AAE="
            before = line.is_open
            await line.gone()
            assert (before, line.is_open, ear.error) == (True, False, None)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "upstream_auth"),
        (404, "upstream_not_found"),
        (429, "upstream_rate_limited"),
        (400, "upstream_rejected"),
        (503, "upstream_failed"),
    ],
)
def test_a_refusal_says_who_has_to_act(status: int, code: str) -> None:
    assert asyncio.run(failure(greet, status)).code == code
    assert (code in HOPELESS) == (status in (400, 401, 404))


@pytest.mark.parametrize(
    ("said", "reason", "code"),
    [
        ("invalid_api_key", "invalid_request_error.invalid_api_key", "upstream_auth"),
        ("model_not_found", "", "upstream_not_found"),
        ("beta_api_shape_disabled", "invalid_request_error.beta_api_shape_disabled", "upstream_rejected"),
        ("", "insufficient_quota.insufficient_quota", "upstream_rejected"),
        ("", "invalid_request_error.session_expired", "upstream_closed"),
        ("", "server_error.server_error", "upstream_failed"),
    ],
)
def test_a_server_that_takes_the_connection_and_then_refuses_says_who_has_to_act(
    said: str, reason: str, code: str
) -> None:
    """OpenAI accepts a wrong key, and says so in a message, in the reason of closing, or in both."""

    async def refuse(connection: ServerConnection) -> None:
        if said:
            error = {"type": "invalid_request_error", "code": said, "message": "Incorrect key swordfish."}
            await connection.send(json.dumps({"type": "error", "error": error}))
        await connection.close(3000, reason)

    assert asyncio.run(failure(refuse)).code == code


def test_a_code_that_may_be_a_key_is_not_quoted() -> None:
    told = complained("sk-0123456789abcdef", "wss://there")
    assert (told.code, "0123" in str(told)) == ("upstream_rejected", False)


def test_what_is_said_before_the_greeting_is_passed_over_and_a_wrong_clock_does_no_harm() -> None:
    async def talk_first(connection: ServerConnection) -> None:
        await connection.send('{"type":"conversation.created","conversation":{"id":"conv_1"}}')
        await connection.send('{"type":"rate_limits.updated","rate_limits":[]}')
        await echo(connection)

    async def story() -> None:
        async with other(talk_first) as address:
            line = await open_upstream(address)
            # The greeting says that the session is over since 1970.
            assert line.expires - line.opened == pytest.approx(upstream.LONGEST_LIFE_S, abs=1.0)
            await line.gone()

    asyncio.run(story())


def test_the_operators_own_query_stays_in_every_address() -> None:
    azure = Address("wss://x.openai.azure.com/openai/v1/realtime?gateway=a%20b", "my deployment")
    place = "x.openai.azure.com/openai/v1/realtime"
    assert azure.session_url == f"wss://{place}?gateway=a%20b&model=my%20deployment"
    assert azure.to(call_id="rtc_1&x=y") == f"wss://{place}?gateway=a%20b&call_id=rtc_1%26x%3Dy"
    assert azure.over_http("calls") == f"https://{place}/calls?gateway=a%20b"
    assert Address("ws://a.example/v1/realtime").session_url == "ws://a.example/v1/realtime"


def test_nobody_takes_our_key_elsewhere() -> None:
    async def story() -> None:
        asked: list[ServerConnection] = []

        async def never(connection: ServerConnection) -> None:
            asked.append(connection)

        async with serve(never, "127.0.0.1", 0) as trap:
            port = next(iter(trap.sockets)).getsockname()[1]
            error = await failure(greet, 302, Location=f"ws://127.0.0.1:{port}/")
        assert error.code == "upstream_failed"
        assert asked == []

    asyncio.run(story())


def test_who_does_not_greet_is_no_realtime_server() -> None:
    async def other_words(connection: ServerConnection) -> None:
        await connection.send('{"type":"hello"}')

    async def silence(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async def hang_up(connection: ServerConnection) -> None:
        await connection.close(1011)

    async def cut(connection: ServerConnection) -> None:
        connection.transport.abort()

    async def story() -> None:
        assert (await failure(other_words)).code == "upstream_malformed"
        assert (await failure(silence)).code == "upstream_timeout"
        assert (await failure(hang_up)).code == "upstream_closed"
        assert (await failure(cut)).code == "upstream_reset"

    asyncio.run(story())


def test_what_is_no_server_at_all() -> None:
    async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing here\r\n\r\n")
        writer.close()

    async def story() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = Address(f"ws://127.0.0.1:{free.getsockname()[1]}/")
            with pytest.raises(EngineError) as caught:
                await open_upstream(address)
        assert caught.value.code == "upstream_unreachable"
        async with await asyncio.start_server(no_http, "127.0.0.1", 0) as made:
            port = made.sockets[0].getsockname()[1]
            with pytest.raises(EngineError) as caught:
                await open_upstream(Address(f"ws://127.0.0.1:{port}/"))
            assert caught.value.code == "upstream_malformed"
            with pytest.raises(EngineError) as caught:
                await open_upstream(Address(f"wss://127.0.0.1:{port}/"))
            assert caught.value.code == "upstream_tls"

    asyncio.run(story())


def test_a_server_that_closes_is_reported_once_and_so_is_one_that_does_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "OUTBOX_BYTES", 1000)
    monkeypatch.setattr(upstream, "LARGEST_REQUEST", 1000)

    async def stall(connection: ServerConnection) -> None:
        await connection.send(GREETING)
        connection.transport.pause_reading()
        await connection.wait_closed()

    async def lost(script: Script, said: int) -> str:
        async with other(script) as address:
            line: Upstream = await open_upstream(address)
            ear = Listening()
            line.listen(ear)
            for _ in range(said):
                line.send({"type": "x", "text": "y" * 1_000_000})
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await ear.is_over.wait()
            await line.gone()
            assert ear.error is not None
            return ear.error.code

    async def leave(connection: ServerConnection) -> None:
        await connection.send(GREETING)
        await connection.close(1001)

    assert asyncio.run(lost(leave, 0)) == "upstream_closed"
    assert asyncio.run(lost(stall, 50)) == "upstream_slow"
