"""Every way in which a server can fail is one error with its own code, and nobody waits for longer than agreed."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from email.utils import formatdate

import httpx
import pytest
from remote import KEY, connected, everything, failure, talk

from antiphon.engines.api import LlmRequest, TextDelta, UserSaid
from antiphon.engines.deadlines import Deadlines
from antiphon.engines.http import (
    Answer,
    Call,
    Upstream,
    UpstreamError,
    error_message,
    open_client,
    retry_after_s,
)
from antiphon.engines.llm.openai import OpenAiLlm
from antiphon.errors import ConfigError
from antiphon.testing.upstream import Act, Fault, Script, ScriptedUpstream

pytestmark = pytest.mark.real

ASKED = LlmRequest(messages=(UserSaid("hello"),))
QUICK_START = Deadlines(first_byte_s=0.15)
NO_PAUSES = Deadlines(idle_s=0.15)


def failing(act: Act, deadlines: Deadlines | None = None) -> UpstreamError:
    """What an engine says about a model that acts like this."""

    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> UpstreamError:
        return await failure(everything(OpenAiLlm(upstream, "m").write(ASKED)))

    return talk(conversation, Script(llm=act), deadlines)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "upstream_rejected"),
        (401, "upstream_auth"),
        (403, "upstream_auth"),
        (404, "upstream_not_found"),
        (429, "upstream_rate_limited"),
        (500, "upstream_failed"),
        (503, "upstream_failed"),
        (307, "upstream_redirect"),
    ],
)
def test_a_status_says_who_must_act_and_quotes_the_server(status: int, code: str) -> None:
    error = failing(Act(status=status))
    assert (error.code, error.status) == (code, status)
    assert f"the script says {status}" in error.message
    assert error.hint


def test_a_rate_limit_says_how_long_to_wait() -> None:
    error = failing(Act(status=429, retry_after_s=7))
    assert error.retry_after_s == 7.0
    assert "wait 7 s" in error.hint


@pytest.mark.parametrize(
    ("said", "means_s"),
    [
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 29 Nov 2026 12:00:00 GMT", 86_400.0),
        ("90000", 86_400.0),
        ("inf", 86_400.0),
        ("0.5", 0.5),
        ("-1", None),
        ("nan", None),
        ("soon", None),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
        ("", None),
    ],
)
def test_a_server_may_say_when_to_come_back_in_seconds_or_as_a_date(said: str, means_s: float | None) -> None:
    headers = {"retry-after": said, "date": "Sat, 21 Nov 2026 12:00:00 GMT"}
    assert retry_after_s(httpx.Response(429, headers=headers)) == means_s


def test_a_date_is_compared_with_our_clock_if_the_server_tells_nothing_of_its_own() -> None:
    response = httpx.Response(429, headers={"retry-after": formatdate(time.time() + 600, usegmt=True)})
    assert retry_after_s(response) == pytest.approx(600, abs=60)


def test_an_error_that_quotes_our_key_is_masked() -> None:
    body = b'{"error": {"message": "Incorrect API key provided: ' + KEY.encode() + b'"}}'
    error = failing(Act(status=401, body=body))  # `failure` looks for the key
    assert "Incorrect API key provided" in error.message


@pytest.mark.parametrize(
    ("fault", "after", "code"),
    [
        (Fault.RESET, 0, "upstream_reset"),
        (Fault.RESET, 2, "upstream_reset"),
        (Fault.CUT, 2, "upstream_cut"),
        (Fault.STALL, 0, "upstream_timeout"),
        (Fault.STALL, 2, "upstream_timeout"),
        (Fault.MALFORMED, 2, "upstream_malformed"),
    ],
)
def test_a_broken_answer_has_a_name(fault: Fault, after: int, code: str) -> None:
    deadlines = NO_PAUSES if after else QUICK_START
    assert failing(Act(fault=fault, fault_after=after), deadlines if fault is Fault.STALL else None).code == code


def test_each_deadline_names_its_setting() -> None:
    assert "first_byte_timeout_s" in failing(Act(fault=Fault.STALL, fault_after=0), QUICK_START).hint
    assert "idle_timeout_s" in failing(Act(fault=Fault.STALL, fault_after=2), NO_PAUSES).hint
    trickle = Act(piece_bytes=1, piece_ms=10)
    slow = Deadlines(first_byte_s=1.0, idle_s=1.0, total_s=0.1)
    assert "total_timeout_s" in failing(trickle, slow).hint


def test_a_slow_reader_spends_none_of_the_servers_time() -> None:
    total_s = 0.4

    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> float:
        slept_s = 0.0
        async with upstream.answer(Call("/audio/speech", json={"input": "a" * 75})) as answer:  # 240 kB
            for _piece in range(5):
                assert await answer.piece()
                await asyncio.sleep(0.1)
                slept_s += 0.1
        return slept_s

    assert talk(conversation, deadlines=Deadlines(total_s=total_s)) > total_s


def test_nobody_at_the_address_is_refused_and_an_unknown_name_is_dns() -> None:
    async def conversation() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
            address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            async with open_client() as client:
                refused = await failure(Upstream(client, address, KEY, Deadlines()).warm())
                unknown = await failure(Upstream(client, "http://nowhere.invalid/v1", KEY, Deadlines()).warm())
        assert (refused.code, unknown.code) == ("upstream_unreachable", "upstream_unreachable")
        assert "nobody listens at" in refused.message
        assert "nowhere.invalid" in unknown.message

    asyncio.run(conversation())


def test_https_to_a_server_without_is_a_tls_error() -> None:
    async def conversation() -> UpstreamError:
        async with connected() as (scripted, _), open_client() as client:
            address = scripted.base_url.replace("http:", "https:")
            return await failure(Upstream(client, address, KEY, Deadlines()).warm())

    assert asyncio.run(conversation()).code == "upstream_tls"


def test_cancelling_closes_the_request_upstream() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> bool:
        first = asyncio.Event()

        async def listen() -> None:
            async for _ in OpenAiLlm(upstream, "m").write(ASKED):
                first.set()

        task = asyncio.create_task(listen())
        await first.wait()
        task.cancel()
        await asyncio.wait((task,))
        request = scripted.requests[-1]
        async with asyncio.timeout(2):
            await request.ended.wait()
        return request.hung_up and task.cancelled()

    assert talk(conversation, Script(llm=Act(fault=Fault.STALL, fault_after=3)))


def test_cancelling_before_the_first_byte_closes_it_too() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> bool:
        task = asyncio.create_task(everything(OpenAiLlm(upstream, "m").write(ASKED)))
        async with asyncio.timeout(2):
            await scripted.until_asked(1)
            task.cancel()
            await asyncio.wait((task,))
            await scripted.requests[-1].ended.wait()
        return scripted.requests[-1].hung_up

    assert talk(conversation, Script(llm=Act(fault=Fault.STALL, fault_after=0)))


def test_a_connection_is_kept_for_the_next_question_and_warming_opens_it() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> set[int]:
        llm = OpenAiLlm(upstream, "m")
        await llm.warm()
        for _ in range(3):
            await everything(llm.write(ASKED))
        return {request.connection for request in scripted.requests}

    assert talk(conversation) == {1}


def test_a_kept_connection_that_the_server_has_closed_costs_nobody_an_answer() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> list[int]:
        async def hang_up_when_asked_again() -> None:
            scripted.script = Script(llm=Act(fault=Fault.RESET, fault_after=0))
            asking = asyncio.create_task(everything(OpenAiLlm(upstream, "m").write(ASKED)))
            await scripted.until_asked(2)
            scripted.script = Script()
            await asking

        await everything(OpenAiLlm(upstream, "m").write(ASKED))
        async with asyncio.timeout(2):
            await hang_up_when_asked_again()
        return [request.connection for request in scripted.requests]

    assert talk(conversation, Script()) == [1, 1, 2]


def test_no_number_of_connections_is_too_many() -> None:
    crowd = 110  # above the hundred that HTTP clients usually stop at

    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> set[int]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(everything(OpenAiLlm(upstream, "m").write(ASKED))) for _ in range(crowd)]
            await scripted.until_asked(crowd)  # all, before any is answered
            for task in tasks:
                task.cancel()
        return {request.connection for request in scripted.requests}

    assert len(talk(conversation, Script(llm=Act(fault=Fault.STALL, fault_after=0)))) == crowd


def test_the_key_goes_to_the_server_and_nowhere_else() -> None:
    async def conversation(scripted: ScriptedUpstream, upstream: Upstream) -> str:
        await upstream.warm()
        assert KEY not in upstream.origin
        return scripted.requests[0].headers["authorization"]

    assert talk(conversation) == f"Bearer {KEY}"


def test_no_redirect_is_followed() -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 307 Elsewhere\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def conversation() -> UpstreamError:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        async with server, open_client() as client:
            upstream = Upstream(client, f"http://{host}:{port}/v1", KEY, Deadlines())
            return await failure(everything(OpenAiLlm(upstream, "m").write(ASKED)))

    assert asyncio.run(conversation()).code == "upstream_redirect"
    assert [line.split()[1] for line in asked] == [b"/v1/chat/completions"]


def test_a_body_without_end_is_refused() -> None:
    async def conversation(_: ScriptedUpstream, upstream: Upstream) -> UpstreamError:
        async def read() -> bytes:
            async with upstream.answer(Call("/audio/speech", json={"input": ""})) as answer:
                assert isinstance(answer, Answer)
                return await answer.body()

        return await failure(read())

    assert talk(conversation, Script(tts=Act(body=bytes(5 << 20)))).code == "upstream_malformed"


@pytest.mark.parametrize("address", ["", "localhost:8080", "ftp://there/v1", "http://", "http://[::1"])
def test_an_address_that_is_none_is_the_operators_to_correct(address: str) -> None:
    async def conversation() -> None:
        async with open_client() as client:
            Upstream(client, address, None, Deadlines())

    with pytest.raises(ConfigError):
        asyncio.run(conversation())


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-ä", "sk a"])
def test_a_key_that_is_none_is_not_quoted(key: str) -> None:
    async def conversation() -> None:
        async with open_client() as client:
            Upstream(client, "http://localhost/v1", key, Deadlines())

    with pytest.raises(ConfigError) as caught:
        asyncio.run(conversation())
    assert key not in str(caught.value)


def test_an_ipv6_address_keeps_its_brackets_and_a_password_is_not_told() -> None:
    async def conversation() -> str:
        async with open_client() as client:
            return Upstream(client, "http://anna:secret@[::1]:8080/v1?q=1", None, Deadlines()).origin

    assert asyncio.run(conversation()) == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no such model"}}', "no such model"),
        (b'{"error": "no such model"}', "no such model"),
        (b'{"detail": "no such model"}', "no such model"),
        (b'{"message": "no such\\nmodel"}', "no such model"),
        (b"no such model", "no such model"),
        (b"<html><body>Bad gateway</body></html>", ""),
        (b"", ""),
    ],
)
def test_error_bodies_come_in_many_shapes(body: bytes, message: str) -> None:
    assert error_message(body) == message


@pytest.mark.slow
def test_the_scripted_server_also_runs_in_a_process_of_its_own() -> None:
    async def conversation() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "antiphon.testing.upstream", "--port", "0", "--reply", "From afar.",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            address = (await process.stdout.readline()).decode().split()[-1]
            async with open_client() as client:
                events = await everything(OpenAiLlm(Upstream(client, address, None, Deadlines()), None).write(ASKED))
        finally:
            process.terminate()
            await process.communicate()
        return "".join(event.text for event in events if isinstance(event, TextDelta))

    assert asyncio.run(conversation()) == "From afar."
