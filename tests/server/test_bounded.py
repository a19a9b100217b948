"""Clients that take without end: no answer read, no request finished, no message ended. Each loses its own connection,
and nobody else anything.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from calling import KEY, client, refusal, server
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from antiphon.server import bounded
from antiphon.server.bounded import MESSAGES_A_TURN, MOST_FRAGMENTS, BoundedWebSocket
from antiphon.server.run import Running
from antiphon.session.inputs import ClearAudio, Input
from antiphon.session.outputs import Output
from antiphon.session.session import Session
from antiphon.transport import websocket

FLOOD = 2_000  # messages
PATIENCE_S = 40.0  # for anything: the machine may stand still for seconds
pytestmark = pytest.mark.real


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


def open_sockets() -> list[BoundedWebSocket]:
    """Every WebSocket of this process that the server still holds."""
    found = [thing for thing in gc.get_objects() if type(thing) is BoundedWebSocket]
    return [protocol for protocol in found if not protocol.disconnected]


@asynccontextmanager
async def deaf(made: Running) -> AsyncIterator[ClientConnection]:
    """A client that will read only a little of what it is sent."""
    address = urlsplit(made.url)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, (address.hostname, address.port))
    call = await connect(made.url, sock=narrow, max_queue=1, ping_interval=None, close_timeout=0.1)
    try:
        yield call
    finally:
        call.transport.abort()


async def make_it_talk(call: ClientConnection, items: int) -> None:
    """Each item is 100 kB, and is shown twice."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 100_000}]}
    message = json.dumps({"type": "conversation.item.create", "item": item})
    for _ in range(items):
        await call.send(message)


@pytest.mark.slow
@pytest.mark.parametrize("items", [25, 80], ids=["a little unread", "much unread"])
def test_who_reads_nothing_loses_the_connection_and_its_place(items: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "STALL_S", 0.5)
    monkeypatch.setattr(websocket, "FAREWELL_S", 0.2)
    monkeypatch.setattr(bounded, "UNREAD_S", 0.2)

    async def story() -> None:
        async with server() as made, client(made) as polite:
            await polite.receive("session.created")
            async with deaf(made) as call:
                with suppress(ConnectionClosed):  # it may be given up before it has sent everything
                    await make_it_talk(call, items)
                await until(lambda: len(made.state.sessions.running) == 1)
                await until(lambda: len(open_sockets()) == 1)
            await polite.send("session.update", session={"type": "realtime"})
            await polite.receive("session.updated")

    asyncio.run(story())


def test_a_large_item_is_not_a_slow_reader() -> None:
    """A picture of six megabytes is more than may wait for a client, and yet it is shown, twice."""
    picture = "data:image/png;base64," + "A" * 6_000_000
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": picture}]}

    async def story() -> None:
        async with server() as made, connect(made.url, max_size=None) as call:
            await call.send(json.dumps({"type": "conversation.item.create", "item": item}))
            kinds = []
            async with asyncio.timeout(PATIENCE_S):
                while "conversation.item.done" not in kinds:
                    kinds.append(json.loads(await call.recv())["type"])
            assert kinds == ["session.created", "conversation.item.added", "conversation.item.done"]

    asyncio.run(story())


@asynccontextmanager
async def plain(made: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection to the server's port."""
    address = urlsplit(made.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server hangs up."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


UPGRADE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def test_a_request_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "REQUEST_S", 0.2)

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /health HTTP/1.1\r\nX-Slow: ")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    async def story() -> None:
        async with server() as made, plain(made) as (silent, _), plain(made) as (slow, writer):
            trickling = asyncio.create_task(trickle(writer))
            assert await answer(silent) == b""
            assert await answer(slow) == b""
            trickling.cancel()
            async with plain(made) as (second, sender):
                sender.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b"200" in await second.readline()
                sender.write(b"GET /health HTTP/1.1\r\n")
                assert (await answer(second)).endswith(b"ok\n")
            async with client(made) as call:
                await call.receive("session.created")
                await asyncio.sleep(0.3)  # a WebSocket is no unfinished request
                await call.send("session.update", session={"type": "realtime"})
                await call.receive("session.updated")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 200_000, b"400"),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X-Many: x\r\n" * 20_000 + b"\r\n", b"400"),
        (UPGRADE + b"X-Long: " + b"x" * 9_000 + b"\r\n\r\n", b"431"),
        (UPGRADE + b"X-Many: x\r\n" * 200 + b"\r\n", b"431"),
        (UPGRADE.replace(b"/v1/realtime", b"/v1/realtime?model=" + b"x" * 9_000) + b"\r\n", b"414"),
        (UPGRADE.replace(b"13", b"12") + b"\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n", b"400"),
    ],
    ids=["long header", "many headers", "long on a WebSocket", "many on a WebSocket", "long address", "version", "TLS"],
)
def test_what_is_too_large_or_no_request_is_refused_and_the_connection_closed(request_: bytes, status: bytes) -> None:
    async def story() -> None:
        async with server() as made, plain(made) as (reader, writer):
            writer.write(request_)
            said = await answer(reader)
            if said or len(request_) < 20_000:  # else the rest of it may have met a closed door, and lost the answer
                assert said.split()[1] == status
            await until(lambda: not open_sockets())

    asyncio.run(story())


def test_a_message_that_does_not_end() -> None:
    async def story() -> None:
        async with server() as made, connect(made.url) as call:
            await call.send(["{", *[""] * 100, '"type":"response.cancel"}'])
            await call.recv()
            assert json.loads(await call.recv())["error"]["code"] == "response_cancel_not_active"
            await call.send(["{", *[""] * MOST_FRAGMENTS])
            with pytest.raises(ConnectionClosed) as closed:
                await call.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    asyncio.run(story())


def test_pongs_do_not_gather_for_a_client_that_does_not_read() -> None:
    async def story() -> None:
        async with server() as made, connect(made.url) as call:
            await call.recv()
            (protocol,) = open_sockets()
            protocol.pause_writing()
            unanswered = [asyncio.ensure_future(await call.ping()) for _ in range(50)]
            await asyncio.sleep(0.05)
            assert not any(pong.done() for pong in unanswered)
            assert protocol.conn.data_to_send() == []
            protocol.resume_writing()
            async with asyncio.timeout(PATIENCE_S):
                await (await call.ping())

    asyncio.run(story())


def test_hundreds_without_a_key_are_turned_away_and_leave_nothing() -> None:
    async def knock(made: Running) -> None:
        status, error = await refusal(made)
        assert (status, error["code"]) == (401, "missing_api_key")

    async def story() -> None:
        async with server(server__keys=[KEY], server__max_sessions=1) as made:
            await asyncio.gather(*(knock(made) for _ in range(200)))
            await until(lambda: not open_sockets())
            assert made.state.admission.turned_away == 0, "they never got as far"
            async with client(made, key=KEY) as call:
                await call.receive("session.created")

    asyncio.run(story())


def test_tiny_messages_are_not_for_nothing() -> None:
    async def story() -> None:
        async with server(server__max_bytes_per_minute=20 * 256) as made, client(made) as call:
            for _ in range(30):
                await call.socket.send("{}")
            codes = [(await call.receive("error"))["error"]["code"] for _ in range(21)]
            assert codes == ["invalid_event"] * 20 + ["rate_limit_exceeded"]
            with pytest.raises(ConnectionClosed):
                await call.receive("error")

    asyncio.run(story())


def frame(text: str) -> bytes:
    """A masked text frame, with a mask that changes nothing."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()


def test_a_flood_of_small_messages_delays_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands in one packet are acted on in turns with everybody else. Counted, not timed: the machine is shared."""
    acted_on = 0
    handle = Session.handle

    def counting(session: Session, item: Input, now: float) -> list[Output]:
        nonlocal acted_on
        acted_on += 1
        return handle(session, item, now)

    monkeypatch.setattr(Session, "handle", counting)

    async def _drain(reader: asyncio.StreamReader) -> None:
        while await reader.read(1 << 20):
            pass

    async def story() -> None:
        async with server() as made, client(made) as polite, plain(made) as (reader, writer):
            await polite.receive("session.created")
            writer.write(UPGRADE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            draining = asyncio.create_task(_drain(reader))
            writer.write(frame('{"type":"response.cancel"}') * FLOOD)
            before_ours = []
            for _ in range(20):
                before = acted_on
                await polite.send("response.cancel")
                await polite.receive("error")
                before_ours.append(acted_on - before - 1)
            draining.cancel()
            assert sum(before_ours) > 0, "there was no flood yet"
            assert max(before_ours) <= 8 * MESSAGES_A_TURN, before_ours

    asyncio.run(story())


def test_what_breaks_in_a_session_ends_it_with_words_and_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handle = Session.handle

    def broken(session: Session, item: Input, now: float) -> Any:
        if isinstance(item, ClearAudio):
            raise KeyError("a mistake of ours")
        return handle(session, item, now)

    monkeypatch.setattr(Session, "handle", broken)

    async def story() -> None:
        async with server() as made, client(made) as other, client(made) as call:
            await call.send("input_audio_buffer.clear")
            error = (await call.receive("error"))["error"]
            assert (error["type"], error["code"]) == ("server_error", "internal_error")
            with pytest.raises(ConnectionClosed) as closed:
                await call.receive("never")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
            await other.send("session.update", session={"type": "realtime"})
            await other.receive("session.updated")
            await until(lambda: len(made.state.sessions.running) == 1)

    asyncio.run(story())
    assert "broke at ClearAudio" in caplog.text
