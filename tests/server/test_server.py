"""The server over real sockets, on scripted engines: what goes wrong is answered clearly, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from antiphon.config import Config, load
from antiphon.engines.fake import Fail, FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.energy import EnergyVad
from antiphon.errors import ConfigError
from antiphon.server.run import Running, check, running
from antiphon.session import trace

pytestmark = [pytest.mark.real]


def config(**overrides: Any) -> Config:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(None, {}, {"server.port": 0, "server.drain_s": 0.5} | named)


@asynccontextmanager
async def server(llm: FakeLlm | None = None, **overrides: Any) -> AsyncIterator[Running]:
    engines = EngineSet(EnergyVad(), FakeStt("hello"), llm or FakeLlm("Hello there."), FakeTts(), ())
    async with running(config(**overrides), engines=engines, tools=()) as made:
        await made.state.warmed.wait()
        yield made


async def receive(client: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event: dict[str, Any] = json.loads(await client.recv())
            if event["type"] == kind:
                return event


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


BAD = [
    ("not json", "invalid_json", None),
    ("[1]", "invalid_event", None),
    ('{"event_id":"e"}', "invalid_event", None),
    ('{"type":"scooby.dooby.doo","event_id":"e"}', "invalid_value", "type"),
    ('{"type":"input_audio_buffer.append","audio":7,"event_id":"e"}', "invalid_type", "audio"),
    ('{"type":"input_audio_buffer.append","audio":"%%%%","event_id":"e"}', None, "audio"),
    ('{"type":"input_audio_buffer.append","audio":"AAAA","event_id":"e"}', None, "audio"),
    ('{"type":"input_audio_buffer.commit","event_id":"e"}', "input_audio_buffer_commit_empty", None),
    ('{"type":"response.cancel","event_id":"e"}', "response_cancel_not_active", None),
    (
        '{"type":"session.update","event_id":"e","session":{"audio":{"input":{"format":{"type":"audio/pcm","rate":16000}}}}}',
        "invalid_value",
        "session.audio.input.format.rate",
    ),
]


def test_bad_messages_are_answered_and_the_connection_lives() -> None:
    async def story() -> None:
        async with server() as made, connect(made.url) as client:
            await receive(client, "session.created")
            for text, code, param in BAD:
                await client.send(text)
                error = (await receive(client, "error"))["error"]
                assert code is None or error["code"] == code, (text, error)
                assert param is None or error["param"] == param, (text, error)
                assert error["event_id"] == ("e" if '"event_id"' in text else None)
            await client.send(b"\x00")
            assert (await receive(client, "error"))["error"]["param"] == "audio"
            await client.send('{"type":"session.update","session":{"type":"realtime","instructions":"still here"}}')
            assert (await receive(client, "session.updated"))["session"]["instructions"] == "still here"

    run(story)


def tone(seconds: float) -> bytes:
    wave = 9000 * np.sin(2 * np.pi * 300 / 24_000 * np.arange(round(24_000 * seconds)))
    return bytes(np.round(wave).astype("<i2").tobytes())


async def speak(client: ClientConnection) -> None:
    """A turn in binary frames, faster than real time."""
    for sound in (tone(1.0), bytes(48_000 * 2)):
        for start in range(0, len(sound), 9600):
            await client.send(sound[start : start + 9600])


def test_binary_frames_are_sound_and_an_engine_that_dies_is_survived() -> None:
    async def story() -> None:
        async with server(
            FakeLlm([Fail("upstream_reset", "gone"), "Here again."]), turns__prepare="never", session__say_errors=False
        ) as made:
            async with connect(made.url) as client:
                await speak(client)
                done = (await receive(client, "response.done"))["response"]
                assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "upstream_reset")
                await speak(client)
                done = (await receive(client, "response.done"))["response"]
                assert done["output"][0]["content"][0]["transcript"] == "Here again."

    run(story)


def test_the_door() -> None:
    async def story() -> None:
        async with server(server__keys=["sesame"]) as made:
            with pytest.raises(InvalidStatus) as refused:
                await connect(made.url)
            assert refused.value.response.status_code == 401
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    made.url,
                    origin=Origin("https://evil.example"),
                    additional_headers={"Authorization": "Bearer sesame"},
                )
            assert refused.value.response.status_code == 403
            protocols = ["realtime", "openai-insecure-api-key.sesame"]
            async with connect(made.url, subprotocols=protocols) as client:  # type: ignore[arg-type]
                assert client.subprotocol == "realtime"
                await receive(client, "session.created")
            http = made.url.replace("ws:", "http:").removesuffix("/v1/realtime")
            async with httpx.AsyncClient() as web:
                assert (await web.get(f"{http}/health")).text == "ok\n"
                assert (await web.get(f"{http}/ready")).status_code == 200
                assert (await web.get(f"{http}/v1/models")).status_code == 401
                assert (await web.get(f"{http}/health", headers={"Host": "evil.example"})).status_code == 421
                assert (await web.get(f"{http}/health", headers={"Origin": "https://evil.example"})).status_code == 403

    run(story)


def test_one_session_too_many_is_told_to_come_back() -> None:
    async def story() -> None:
        async with server(server__max_sessions=1) as made, connect(made.url) as client:
            await receive(client, "session.created")
            with pytest.raises(InvalidStatus) as refused:
                await connect(made.url)
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "5"
            await client.close()
            async with asyncio.timeout(5):
                while made.state.sessions.running:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            async with connect(made.url) as again:
                await receive(again, "session.created")

    run(story)


def test_limits_on_a_frame_and_on_a_key() -> None:
    async def story() -> None:
        async with server(server__max_message_bytes=10_000) as made, connect(made.url) as client:
            await client.send("x" * 20_000)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(client, "never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        async with server(server__max_bytes_per_minute=10_000) as made, connect(made.url) as client:
            await client.send(bytes(9_000))
            await client.send(bytes(9_000))
            assert (await receive(client, "error"))["error"]["code"] == "rate_limit_exceeded"

    run(story)


async def answer_times_ms(client: ClientConnection, seconds: float) -> list[float]:
    """How long the server takes to answer a small message, fifty times a second."""
    loop = asyncio.get_running_loop()
    took = []
    end = loop.time() + seconds
    while loop.time() < end:
        before = loop.time()
        await client.send('{"type":"response.cancel"}')
        await receive(client, "error")
        took.append((loop.time() - before) * 1000)
        await asyncio.sleep(0.02)
    return took


@pytest.mark.slow
def test_fifteen_mebibytes_at_once_delay_nobody_else() -> None:
    """The largest legal append, from one client, while another talks. The best of three: the machine is shared."""

    async def p95_ms() -> float:
        async with server() as made, connect(made.url) as heavy, connect(made.url) as light:
            frame = '{"type":"input_audio_buffer.append","audio":"' + "AAAA" * (5 * 1024 * 1024) + '"}'
            sending = asyncio.create_task(heavy.send(frame))
            took = await answer_times_ms(light, 2.0)
            await sending
            await heavy.send('{"type":"response.cancel"}')
            assert (await receive(heavy, "error"))["error"]["code"] == "response_cancel_not_active"
            return float(np.percentile(took, 95))

    async def story() -> None:
        assert min([await p95_ms() for _ in range(3)]) <= 50

    run(story)


def test_tls_that_signs_itself() -> None:
    async def story() -> None:
        async with server(server__tls_self_signed=True) as made:
            assert made.url.startswith("wss://")
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            async with connect(made.url, ssl=context) as client:
                await receive(client, "session.created")

    run(story)


def test_traces_are_written_and_replay(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(trace__folder=str(tmp_path)) as made, connect(made.url) as client:
            await speak(client)
            await receive(client, "response.done")

    run(story)
    (path,) = tmp_path.glob("*.jsonl")
    with path.open("rb") as lines:
        steps, difference = trace.replay(lines)
    assert difference is None
    assert steps > 20


def test_what_would_be_open_to_the_world_does_not_start() -> None:
    with pytest.raises(ConfigError, match="no key"):
        check(config(server__host="0.0.0.0"))
    check(config(server__host="0.0.0.0", server__keys=["k"]))
    with pytest.raises(ConfigError, match="belong together"):
        check(config(server__tls_cert="x.pem"))
    with pytest.raises(ConfigError, match="no file"):
        check(config(server__tls_cert="x.pem", server__tls_key="y.pem"))


def test_a_port_in_use_is_named() -> None:
    async def story() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
                async with server(server__port=port):
                    pass

    run(story)


def test_a_folder_for_traces_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def story() -> None:
        with pytest.raises(ConfigError, match="traces cannot be written in"):
            async with server(trace__folder=str(tmp_path / "file" / "traces")):
                pass

    run(story)


def test_a_trace_holds_the_detectors_scores_if_that_is_wanted(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(trace__folder=str(tmp_path), trace__scores=True) as made, connect(made.url) as client:
            await speak(client)
            await receive(client, "response.done")

    run(story)
    (path,) = tmp_path.iterdir()
    with path.open("rb") as lines:
        scores = [line for line in trace.read(lines) if isinstance(line, trace.Scores)]
    assert sum(len(line.scores) for line in scores) >= 31
    assert max(max(line.scores) for line in scores) > 0.5
    with path.open("rb") as lines:
        assert trace.replay(lines)[1] is None
