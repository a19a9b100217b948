"""How connections begin and end over real sockets: what is chosen, what is said, with which code it is closed."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence, Sized

import pytest
from calling import Client, client, server, tone, web
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close

from antiphon.engines.fake import FakeLlm, Hang
from antiphon.protocol.client import MAX_APPEND_BYTES

pytestmark = pytest.mark.real


async def farewell(call: Client) -> Close:
    """The server's closing frame."""
    with pytest.raises(ConnectionClosed) as closed:
        await call.receive_all()
    assert closed.value.rcvd is not None, "the connection was cut"
    assert closed.value.rcvd_then_sent, "the server closes first"
    return closed.value.rcvd


async def until_empty(running: Sized) -> None:
    async with asyncio.timeout(5):
        while running:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.mark.slow
def test_a_session_ends_when_its_time_is_over() -> None:
    async def story() -> None:
        async with server(FakeLlm([Hang()]), server__session_limit_s=0.5) as made, client(made) as call:
            session = (await call.receive("session.created"))["session"]
            assert abs(session["expires_at"] - time.time()) <= 2
            await call.send("response.create")
            await call.receive("response.created")
            close = await farewell(call)
            assert (close.code, close.reason) == (1000, "The session hit its maximum duration.")
            error, done = (event for event in call.events if event["type"] in ("error", "response.done"))
            assert error["error"]["code"] == "session_expired"
            assert error["error"]["message"] == "Your session hit the maximum duration of 0.5 seconds."
            assert done["response"]["status"] == "cancelled"
            await until_empty(made.state.sessions.running)

    asyncio.run(story())


def test_an_hour_is_the_default() -> None:
    async def story() -> None:
        async with server() as made, client(made) as call:
            session = (await call.receive("session.created"))["session"]
            assert abs(session["expires_at"] - time.time() - 3600) <= 2

    asyncio.run(story())


def test_a_client_may_ask_to_hang_up() -> None:
    async def story() -> None:
        async with server() as made, client(made) as call:
            await call.send("session.close")
            assert (await farewell(call)).code == 1000
            await until_empty(made.state.sessions.running)

    asyncio.run(story())


@pytest.mark.parametrize("politely", [True, False])
def test_a_client_that_leaves_takes_its_session_along(politely: bool) -> None:
    async def story() -> None:
        async with server(FakeLlm([Hang()])) as made, client(made) as call:
            await call.send("response.create")
            await call.receive("response.created")
            if politely:
                await call.socket.close()
                assert call.socket.close_code == 1000
            else:
                call.socket.transport.abort()
            await until_empty(made.state.sessions.running)
            assert not made.state.links

    asyncio.run(story())


@pytest.mark.slow
def test_who_says_nothing_for_too_long_is_told_so() -> None:
    async def story() -> None:
        async with server(server__idle_timeout_s=0.3) as made, client(made) as call, client(made) as other:
            await call.receive("session.created")
            await asyncio.sleep(0.35)
            await other.socket.send(tone(0.1))
            await other.send("input_audio_buffer.clear")
            await other.receive("input_audio_buffer.cleared")
            made.state.close_idle()
            close = await farewell(call)
            assert (close.code, close.reason) == (1000, "Nothing was sent for too long.")
            await other.send("session.update", session={"type": "realtime"})
            await other.receive("session.updated")

    asyncio.run(story())


def test_a_server_that_stops_says_that_it_is_going_away() -> None:
    async def story() -> None:
        made_server = server(server__drain_s=0.1)
        made = await made_server.__aenter__()
        async with client(made) as call:
            await call.receive("session.created")
            stopping = asyncio.create_task(made_server.__aexit__(None, None, None))
            assert (await farewell(call)).code == 1001
            await stopping

    asyncio.run(story())


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], None),
        (["realtime"], "realtime"),
        (["something", "realtime", "openai-agents-sdk.0.20.0"], "realtime"),
        (["something", "openai-insecure-api-key.none"], None),
        (["openai-insecure-api-key.none", "realtime"], "realtime"),
    ],
)
def test_the_subprotocol_is_ours_if_it_was_offered(offered: Sequence[str], chosen: str | None) -> None:
    async def story() -> None:
        async with server() as made, client(made, protocols=offered) as call:
            assert call.socket.subprotocol == chosen
            await call.receive("session.created")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("headers", "protocols"),
    [({"OpenAI_Beta": "realtime=v1"}, []), ({}, ["realtime", "openai-beta.realtime-v1"])],
    ids=["header", "subprotocol"],
)
def test_a_program_of_the_beta_is_told_what_to_change(headers: dict[str, str], protocols: list[str]) -> None:
    async def story() -> None:
        async with server() as made, client(made, protocols=protocols, **headers) as call:
            close = await farewell(call)
            assert (close.code, close.reason) == (4000, "invalid_request_error.beta_api_shape_disabled")
            (event,) = call.events
            assert event["error"]["code"] == "beta_api_shape_disabled"
            assert "leave out the header" in event["error"]["message"]
            assert not made.state.admission.let_in

    asyncio.run(story())


@pytest.mark.parametrize("path", ["/v1/realtime/sessions", "/v1/realtime/transcription_sessions"])
def test_routes_of_the_beta_name_what_took_their_place(path: str) -> None:
    async def story() -> None:
        async with server() as made, web(made) as program:
            answer = await program.post(path, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_url")
            assert "POST /v1/realtime/client_secrets" in answer.json()["error"]["message"]

    asyncio.run(story())


@pytest.mark.slow
def test_an_append_of_more_than_fifteen_mebibytes_is_refused_and_no_sound_of_it_heard() -> None:
    async def story() -> None:
        async with server() as made, client(made) as call:
            sound = bytes(MAX_APPEND_BYTES + 3)
            await call.send("input_audio_buffer.append", event_id="mine", audio=base64.b64encode(sound).decode())
            error = (await call.receive("error"))["error"]
            assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "audio", "mine")
            assert str(MAX_APPEND_BYTES) in error["message"]
            await call.socket.send(sound)
            assert (await call.receive("error"))["error"]["param"] == "audio"
            await call.send("input_audio_buffer.commit")
            assert "only has 0.00ms" in (await call.receive("error"))["error"]["message"]

    asyncio.run(story())
