"""Several processes behind one port, each a real one: to clients they are one server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from calling import KEY
from phone import Phone
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from antiphon.config import Config
from antiphon.server.calls import worker_of
from antiphon.server.siblings import one_page
from antiphon.server.workers import Crew

pytestmark = pytest.mark.real

SERVE = (sys.executable, "-m", "antiphon", "serve", "--workers", "2")
PATIENCE_S = 40.0  # for anything: the machine may stand still for seconds
RESUMED_S = 2.0  # in which a session goes on whose connection broke
CALM = {
    "ANTIPHON_VAD__ENGINE": "energy",  # nobody speaks
    "ANTIPHON_SERVER__MAX_LAG_MS": "0",  # nobody is turned away because the machine is busy with others
}
ENGINES = ("--stt", "fake", "--llm", "fake", "--tts", "fake")


class Together:
    """`antiphon serve --workers 2`, as people run it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url
        self.http = url.replace("ws", "http", 1).removesuffix("/v1/realtime")

    async def workers(self) -> list[int]:
        """Their process numbers."""
        children = await asyncio.to_thread(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text)
        return [int(number) for number in children.split()]

    async def figures(self, key: str = KEY) -> dict[str, dict[str, float]]:
        """What the page says, by name and then by worker; samples with further labels added up."""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, verify=False) as client:
            page = (await client.get(f"{self.http}/metrics")).raise_for_status().text
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                of_worker = found.setdefault(sample.name, {})
                worker = sample.labels["worker"]
                of_worker[worker] = of_worker.get(worker, 0) + sample.value
        return found


@asynccontextmanager
async def together(*flags: str, engines: tuple[str, ...] = ENGINES, **environ: str) -> AsyncIterator[Together]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = os.environ | {"ANTIPHON_SERVER__KEYS": KEY, "ANTIPHON_SERVER__DRAIN_S": "1"} | CALM | environ
    process = await asyncio.create_subprocess_exec(
        *SERVE, "--port", str(port), *engines, *flags, stdout=asyncio.subprocess.PIPE, env=variables
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = (await process.stdout.readline()).decode()
        assert line, "it has ended: its complaint is above"
        made = Together(process, line.split()[3])
        await until_ready(made)
        yield made
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()


async def until_ready(made: Together) -> None:
    """All of them: a worker refuses sessions while it warms up."""
    async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient(verify=False) as client:
        in_a_row = 0
        while in_a_row < 12:
            # Each question on a connection of its own, for any worker to answer.
            answer = await client.get(f"{made.http}/ready", headers={"Connection": "close"})
            in_a_row = in_a_row + 1 if answer.status_code == 200 else 0
            await asyncio.sleep(0.05)


def call(made: Together, query: str = "", key: str = KEY) -> Any:
    return connect(f"{made.url}{query}", additional_headers={"Authorization": f"Bearer {key}"})


async def first(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        event: dict[str, Any] = json.loads(await connection.recv())
        return event


@pytest.mark.slow
def test_to_clients_they_are_one_server() -> None:
    """One story after the other on the same two workers: to start them is what takes time."""

    async def story() -> None:
        async with together(ANTIPHON_SERVER__MAX_SESSIONS="12", ANTIPHON_SERVER__MAX_SESSIONS_PER_SECRET="3") as made:
            await limits_secrets_and_figures_are_those_of_one_server(made)
            await until_empty(made)
            await a_session_is_taken_up_again_through_whichever_worker_is_asked(made)
            await until_empty(made)
            await a_call_is_joined_and_ended_through_whichever_worker_is_asked(made)
            await a_worker_that_dies_gives_its_places_back_and_is_replaced(made)

    asyncio.run(story())


async def until_empty(made: Together) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while sum((await made.figures())["voice_active_sessions"].values()):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


async def a_session_is_taken_up_again_through_whichever_worker_is_asked(made: Together) -> None:
    async with call(made, "?antiphon=1&resumable=1") as connection:
        session_id = (await first(connection))["session"]["id"]
        offer = await first(connection)
        assert offer["type"] == "antiphon.session.resumable"
        connection.transport.abort()
    last, took_s = offer["event_id"], []
    for number in range(8):  # each connection goes to any of the workers
        broke = time.monotonic()
        async with call(made, f"?antiphon=1&resume={offer['token']}&after={last}") as connection:
            resumed = await first(connection)
            took_s.append(time.monotonic() - broke)
            assert resumed["is_complete"]
            assert resumed["session_id"] == session_id
            last = resumed["event_id"]
            if number < 7:
                connection.transport.abort()
    assert min(took_s) < RESUMED_S, took_s  # the others may have waited for the machine; bench/resume.py measures it


async def limits_secrets_and_figures_are_those_of_one_server(made: Together) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        secret = (await client.post(f"{made.http}/v1/realtime/client_secrets", json={})).json()["value"]
    async with AsyncExitStack() as inside:
        for _ in range(3):  # each is sealed by one worker and read by whichever gets the connection
            connection = await inside.enter_async_context(call(made, key=secret))
            assert (await first(connection))["type"] == "session.created"
        with pytest.raises(InvalidStatus) as refused:
            await inside.enter_async_context(call(made, key=secret))
        assert refused.value.response.status_code == 429
        for _ in range(9):
            await inside.enter_async_context(call(made))
        with pytest.raises(InvalidStatus) as refused:
            await inside.enter_async_context(call(made))
        assert refused.value.response.status_code == 503
        assert "Retry-After" in refused.value.response.headers
        found = await made.figures()
        assert sum(found["voice_active_sessions"].values()) == 12
        assert len(found["voice_active_sessions"]) == 2
        assert min(found["voice_active_sessions"].values()) > 0, "one worker got all of them"
        assert found["voice_most_sessions"] == {"0": 12, "1": 12}
        assert sum(found["voice_sessions_started_total"].values()) == 12
        assert found["voice_worker_up"] == {"0": 1, "1": 1}


async def a_call_is_joined_and_ended_through_whichever_worker_is_asked(made: Together) -> None:
    async with AsyncExitStack() as inside:
        headers = {"Authorization": f"Bearer {KEY}"}
        phone, query = Phone(), "?antiphon=1&resumable=1"
        async with httpx.AsyncClient(base_url=made.http, headers=headers | {"Connection": "close"}) as client:
            call_id = (await phone.dial(client, query)).headers["location"].rpartition("/")[2]
            token = (await phone.receive("antiphon.session.resumable"))["token"]
            for _ in range(3):  # each request goes to any of the workers
                back = Phone()
                await back.dial(client, f"?antiphon=1&resume={token}&after={phone.events[-1]['event_id']}")
                assert back.call_id == call_id
                assert (await back.receive("antiphon.session.resumed"))["is_complete"]
                await phone.hang_up()
                phone = back
        holder = worker_of(call_id)
        assert holder in await made.workers()
        for _ in range(6):
            side = await inside.enter_async_context(call(made, f"?call_id={call_id}"))
            assert (await first(side))["type"] == "session.created"
        found = await made.figures()
        assert sorted(found["voice_active_sessions"].values()) == [0, 1]
        with pytest.raises(InvalidStatus) as refused:
            await inside.enter_async_context(call(made, f"?call_id={call_id}", key="guess"))
        assert refused.value.response.status_code == 401
        with pytest.raises(InvalidStatus) as refused:
            await inside.enter_async_context(call(made, f"?call_id=rtc_{holder:x}_nobody"))
        assert refused.value.response.status_code == 404
        async with httpx.AsyncClient(base_url=made.http, headers=headers | {"Connection": "close"}) as client:
            answers = [(await client.post(f"/v1/realtime/calls/{call_id}/hangup")).status_code for _ in range(4)]
            assert set(answers[:1]) == {200}
            assert set(answers) <= {200, 404}
        await until_empty(made)
        await phone.hang_up()


async def a_worker_that_dies_gives_its_places_back_and_is_replaced(made: Together) -> None:
    async with AsyncExitStack() as inside:
        for _ in range(12):
            await inside.enter_async_context(call(made))
        before = await made.workers()
        os.kill(before[0], signal.SIGKILL)
        for _ in range(300):
            now = await made.workers()
            if len(now) == 2 and before[0] not in now:
                break
            await asyncio.sleep(0.05)
        await until_ready(made)
        left = sum((await made.figures())["voice_active_sessions"].values())
        assert left < 12
        for _ in range(round(12 - left)):
            connection = await inside.enter_async_context(call(made))
            assert (await first(connection))["type"] == "session.created"
        with pytest.raises(InvalidStatus):
            await inside.enter_async_context(call(made))


@pytest.mark.slow
def test_one_certificate_for_all_and_an_end_that_lets_sessions_finish() -> None:
    async def story() -> None:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        async with together("--tls-self-signed") as made:
            headers, seen = {"Authorization": f"Bearer {KEY}"}, set()
            for _ in range(8):
                async with connect(made.url, additional_headers=headers, ssl=trusting) as connection:
                    assert (await first(connection))["type"] == "session.created"
                    seen.add(connection.transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
            assert len(seen) == 1
            async with connect(made.url, additional_headers=headers, ssl=trusting) as connection:
                await first(connection)
                workers = await made.workers()
                made.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_S):
                    await connection.wait_closed()
                assert connection.close_code == 1001
            async with asyncio.timeout(PATIENCE_S):
                assert await made.process.wait() == 0
            for number in workers:
                with pytest.raises(ProcessLookupError):
                    os.kill(number, 0)

    asyncio.run(story())


def test_a_worker_without_a_plan_ends_when_it_is_told_to_and_when_its_parent_is_gone() -> None:
    async def begun() -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "antiphon.server.workers", stdin=asyncio.subprocess.PIPE
        )
        while not await asyncio.to_thread(catches_sigterm, process.pid):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)
        return process

    async def story() -> None:
        async with asyncio.timeout(PATIENCE_S):
            told, left = await asyncio.gather(begun(), begun())
            told.send_signal(signal.SIGTERM)
            assert left.stdin is not None
            left.stdin.close()
            assert await told.wait() == 0
            assert await left.wait() == 0

    asyncio.run(story())


def catches_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_worker_that_is_there_only_after_all_were_told_to_end_is_told_too(tmp_path: Path) -> None:
    async def story() -> None:
        crew = Crew(Config(), tmp_path, verbose=False)
        crew._stop.set()
        process = await crew._begin(0)
        crew._limits.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() in (0, -signal.SIGTERM)

    asyncio.run(story())


@pytest.mark.slow
def test_workers_that_cannot_start_end_their_parent_with_a_reason() -> None:
    async def story() -> None:
        process = await asyncio.create_subprocess_exec(
            *SERVE, "--port", "0", *ENGINES, "--stt", "nonesuch", stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE_S):
            _, told = await process.communicate()
        assert process.returncode not in (0, None)
        assert "nonesuch" in told.decode()
        assert "did not start" in told.decode()

    asyncio.run(story())


def test_pages_become_one_in_which_every_sample_has_its_worker() -> None:
    page = b'# HELP a An a.\n# TYPE a counter\na_total 1.0\n# HELP b A b.\n# TYPE b gauge\nb{c="{x}"} 2.0\n'
    assert one_page([(0, page), (1, page), (2, None)]).decode() == (
        '# HELP a An a.\n# TYPE a counter\na_total{worker="0"} 1.0\na_total{worker="1"} 1.0\n'
        '# HELP b A b.\n# TYPE b gauge\nb{worker="0",c="{x}"} 2.0\nb{worker="1",c="{x}"} 2.0\n'
        "# HELP voice_worker_up Whether a worker told what it counts.\n# TYPE voice_worker_up gauge\n"
        'voice_worker_up{worker="0"} 1\nvoice_worker_up{worker="1"} 1\nvoice_worker_up{worker="2"} 0\n'
    )
