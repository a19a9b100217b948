"""Client secrets over real sockets, and with the official client."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from calling import KEY, TOKEN_SECRET, Client, client, refusal, server, web
from openai import AsyncOpenAI

from antiphon.server import client_secrets

pytestmark = pytest.mark.real
PATH = "/v1/realtime/client_secrets"
LOCKED: dict[str, Any] = {"server__keys": [KEY], "server__token_secret": TOKEN_SECRET}
PIRATE = {"type": "realtime", "instructions": "Answer like a pirate.", "audio": {"output": {"voice": "cedar"}}}


async def secret(browser: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await browser.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_secret_opens_many_sessions_that_begin_as_its_maker_said() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made, web(made, KEY) as backend:
            answer = await backend.post(PATH, json={"session": PIRATE})
            assert answer.headers["Cache-Control"] == "no-store"
            token = answer.json()["value"]
            ways: list[dict[str, Any]] = [
                {"key": token},
                {"key": token, "query": "?model=gpt-realtime"},
                {"protocols": ["realtime", f"openai-insecure-api-key.{token}", "openai-agents-sdk.0.20.0"]},
            ]
            for way in ways:
                async with client(made, **way) as call:
                    session = (await call.receive("session.created"))["session"]
                    assert session["instructions"] == PIRATE["instructions"]
                    assert session["audio"]["output"]["voice"] == "cedar"
                    assert call.socket.subprotocol == ("realtime" if "protocols" in way else None)
                    await call.send("session.update", session={"type": "realtime", "instructions": "Be plain."})
                    assert (await call.receive("session.updated"))["session"]["instructions"] == "Be plain."

    asyncio.run(story())


def test_a_secret_takes_only_so_many_places_at_a_time() -> None:
    async def story() -> None:
        async with server(**LOCKED, server__max_sessions_per_secret=1) as made, web(made, KEY) as backend:
            token, other = (await secret(backend))["value"], (await secret(backend))["value"]
            async with client(made, key=token) as call:
                await call.receive("session.created")
                status, error = await refusal(made, key=token)
                assert (status, error["code"]) == (429, "too_many_sessions")
                for key in (other, KEY):
                    async with client(made, key=key) as another:
                        await another.receive("session.created")
            async with asyncio.timeout(5):
                while len(made.state.places):  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.01)
            async with client(made, key=token) as call:
                await call.receive("session.created")

    asyncio.run(story())


def test_a_key_and_its_secrets_share_their_sessions() -> None:
    async def story() -> None:
        async with server(**LOCKED, server__max_sessions_per_key=2) as made, web(made, KEY) as backend:
            token = (await secret(backend))["value"]
            async with client(made, key=token) as mine, client(made, key=KEY) as yours:
                await mine.receive("session.created")
                await yours.receive("session.created")
                for key in (token, KEY):
                    status, error = await refusal(made, key=key)
                    assert (status, error["code"]) == (429, "too_many_sessions")
            async with asyncio.timeout(20):
                while made.state.sessions.running:  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.01)
            async with client(made, key=KEY) as call:
                await call.receive("session.created")

    asyncio.run(story())


def test_the_answer_is_the_whole_session() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made, web(made, KEY) as backend:
            plain = await secret(backend)
            assert plain["value"].startswith("ek_")
            assert plain["session"]["type"] == "realtime"
            assert plain["session"]["object"] == "realtime.session"
            assert plain["session"]["expires_at"] == 0
            assert plain["session"]["id"].startswith("sess_")
            assert plain["session"]["instructions"] == made.state.config.session.instructions
            other = await secret(backend, session={"type": "transcription"}, expires_after={"seconds": 7200})
            assert other["session"]["type"] == "transcription"
            assert 6590 <= other["expires_at"] - plain["expires_at"] <= 6610
            empty = await backend.post(PATH)
            assert empty.status_code == 200

    asyncio.run(story())


WRONG: list[tuple[Any, str, str | None]] = [
    ({"expires_after": {"seconds": 9}}, "invalid_value", "expires_after.seconds"),
    ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
    ({"session": {"type": "other"}}, "invalid_value", "session.type"),
    ({"session": {"output_modalities": ["text", "audio"]}}, "invalid_value", "session.output_modalities"),
    ({"session": {"model": "gpt-4o-transcribe"}}, "invalid_model", "session.model"),
    ({"session": {"type": "transcription", "model": "x"}}, "invalid_value", "session.model"),
    ({"session": {"audio": {"output": {"speed": 7}}}}, "invalid_value", "session.audio.output.speed"),
    ([], "invalid_type", None),
]


def test_a_wrong_session_is_refused_when_the_secret_is_made() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made, web(made, KEY) as backend:
            for body, code, param in WRONG:
                answer = await backend.post(PATH, json=body)
                error = answer.json()["error"]
                assert answer.status_code == 400
                assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)

    asyncio.run(story())


def test_who_may_make_one_and_how_much_it_may_say() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made, web(made, KEY) as backend:
            token = (await secret(backend))["value"]
            async with web(made) as nobody, web(made, token) as browser:
                assert (await nobody.post(PATH)).json()["error"]["code"] == "missing_api_key"
                assert (await browser.post(PATH)).status_code == 403
                assert (await browser.get("/v1/models")).json()["error"]["code"] == "insufficient_permissions"
            huge = await backend.post(PATH, content=b"{" + b" " * 300_000)
            assert (huge.status_code, huge.json()["error"]["code"]) == (413, "request_too_large")
            noise = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(20_000))
            wide = await backend.post(PATH, json={"session": {"instructions": noise}})
            assert (wide.status_code, wide.json()["error"]["param"]) == (400, "session")
            assert (await backend.get(PATH)).status_code == 405

    asyncio.run(story())


def test_a_body_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_secrets, "BODY_TIMEOUT_S", 0.1)

    async def story() -> None:
        async with server(**LOCKED) as made:
            address = urlsplit(made.url)
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            head = (
                f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 9\r\n\r\n{{"
            )
            writer.write(head.encode())
            assert (await reader.readline()).split()[1] == b"408"
            assert b'"request_timeout"' in await reader.read(2000)
            writer.close()

    asyncio.run(story())


@pytest.mark.slow
def test_the_longest_secret_gets_through_every_door() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made, web(made, KEY) as backend:
            noise, token = "", ""
            for length in range(2500, 4000, 20):
                noise = "".join(chr(0x4E00 + n * n * 7919 % 20_000) for n in range(length))
                answer = await backend.post(PATH, json={"session": {"instructions": noise}})
                if answer.status_code != 200:
                    break
                token = answer.json()["value"]
            assert len(token) > 7400
            async with client(made, key=token) as call:
                assert noise.startswith((await call.receive("session.created"))["session"]["instructions"])
            offered = ["realtime", f"openai-insecure-api-key.{token}", "openai-organization.o", "openai-project.p"]
            async with client(made, protocols=offered) as call:
                await call.receive("session.created")

    asyncio.run(story())


def test_a_key_that_is_taken_away_takes_its_secrets_along() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY, "another"]) as made, web(made, "another") as backend:
            token = (await secret(backend))["value"]
            async with client(made, key=token) as call:
                await call.receive("session.created")
            from antiphon.config import load

            made.state.apply(load(None, {}, {"server.keys": [KEY]}))
            status, error = await refusal(made, key=token)
            assert (status, error["code"]) == (401, "invalid_client_secret")

    asyncio.run(story())


def test_without_any_key_a_secret_still_says_what_its_sessions_are() -> None:
    async def story() -> None:
        async with server() as made, web(made) as backend:
            token = (await secret(backend, session=PIRATE))["value"]
            made.state.apply(made.state.config)  # reading the configuration again changes nothing
            async with client(made, key=token) as call:
                assert (await call.receive("session.created"))["session"]["instructions"] == PIRATE["instructions"]
            assert (await refusal(made, key=token[:-9]))[1]["code"] == "invalid_client_secret"

    asyncio.run(story())


@pytest.mark.slow
def test_the_official_client_makes_one_and_uses_it() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made:
            base_url = made.url.replace("ws:", "http:").removesuffix("/realtime")
            async with AsyncOpenAI(api_key=KEY, base_url=base_url) as backend:
                answer = await backend.realtime.client_secrets.create(
                    expires_after={"anchor": "created_at", "seconds": 30},
                    session={"type": "realtime", "instructions": "Answer like a pirate.", "model": "gpt-realtime"},
                )
            assert answer.session.type == "realtime"
            async with AsyncOpenAI(api_key=answer.value, base_url=base_url) as browser:
                async with browser.realtime.connect(model="gpt-realtime") as connection:
                    event: Any = await connection.recv()
                    assert event.session.instructions == "Answer like a pirate."

    asyncio.run(story())


def test_keys_secrets_and_words_are_in_no_log_and_secrets_in_no_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mcp = {"type": "mcp", "server_label": "crm", "server_url": "https://crm.example", "authorization": "Bearer hush"}

    async def story() -> list[str]:
        async with server(trace__folder=str(tmp_path), **LOCKED) as made, web(made, KEY) as backend:
            answer = await secret(backend, session={**PIRATE, "tools": [mcp]})
            assert "hush" not in str(answer["session"])
            token = answer["value"]
            async with client(made, key=token) as call:
                assert (await call.receive("error"))["error"]["code"] == "mcp_list_tools_failed"  # nor is it allowed
                await talk(call)
            await refusal(made, key=token[:-9])
            await refusal(made, key="Sesame")
            await refusal(made, "?intent=transcription&model=x", key=token)
            return [KEY, TOKEN_SECRET, token, token[:-9], "Sesame", "hush"]

    with caplog.at_level(logging.DEBUG, "antiphon"), caplog.at_level(logging.INFO):
        secrets = asyncio.run(story())
    assert "turned away: invalid_client_secret" in caplog.text
    (trace,) = (path.read_text() for path in tmp_path.glob("*.jsonl"))
    assert "pirate" in trace
    for word in secrets:
        assert word not in caplog.text
        assert word not in trace
    assert "pirate" not in caplog.text
    assert "Hello there." not in caplog.text


async def talk(call: Client) -> None:
    """One turn, whatever becomes of the MCP server, which is not there."""
    await call.speak()
    async with asyncio.timeout(10):
        while json.loads(await call.socket.recv())["type"] != "response.done":
            pass


def test_a_secret_for_transcription() -> None:
    async def story() -> None:
        async with server(**LOCKED) as made, web(made, KEY) as backend:
            wish = {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}}}}
            token = (await secret(backend, session=wish))["value"]
            for query in ("", "?intent=transcription", "?model=gpt-realtime"):
                async with client(made, query, token) as call:
                    session = (await call.receive("session.created"))["session"]
                    assert session["type"] == "transcription"
                    assert session["audio"]["input"]["transcription"] == {"language": "de"}
            status, error = await refusal(made, "?intent=conversation", key=token)
            assert (status, error["code"], error["param"]) == (400, "invalid_value", "intent")

    asyncio.run(story())
