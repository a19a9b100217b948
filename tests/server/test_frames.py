"""Whatever way a message goes, the short one or the parser's, all arrive, in order, however the network cuts them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from antiphon.server.bounded import MESSAGES_A_TURN, SHORT_WAY_BYTES, BoundedWebSocket
from antiphon.server.frames import frame_at, frame_header
from antiphon.transport.websocket import SHORT_WAY

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
Taken = tuple[str, str | bytes]
"""How a message came to the application, and what it was."""


class Socket(asyncio.Transport):
    """A transport that goes nowhere and tells what happened to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.pauses = 0

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.pauses += 1

    def resume_reading(self) -> None:
        pass


def played(packets: Callable[[], list[bytes]], wait: bool = True) -> tuple[list[Taken], Socket]:
    """What reaches an application that asked for the short way, when these packets come; and the socket afterwards."""
    taken: list[Taken] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        scope["extensions"][SHORT_WAY].hear(lambda text, data: taken.append(("short", data if text is None else text)))
        while (message := await receive())["type"] == "websocket.receive":
            taken.append(("queued", message["bytes"] if message.get("text") is None else message["text"]))

    async def story() -> Socket:
        config = uvicorn.Config(cast(Any, application), ws_per_message_deflate=False, log_config=None)
        config.load()
        protocol, socket = BoundedWebSocket(config, ServerState(), {}), Socket()
        protocol.connection_made(socket)
        protocol.data_received(UPGRADE)
        await asyncio.sleep(0.001)
        for packet in packets():
            protocol.data_received(packet)
            if wait:
                await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        protocol.connection_lost(None)
        await asyncio.sleep(0.001)
        return socket

    return taken, asyncio.run(story())


def text(words: str) -> bytes:
    return Frame(Opcode.TEXT, words.encode()).serialize(mask=True)


def test_a_small_message_that_came_whole_goes_the_short_way_without_a_pause_in_reading() -> None:
    taken, socket = played(
        lambda: [text("one"), text("two ü" * 100), Frame(Opcode.BINARY, b"\x00\xff").serialize(mask=True)]
    )
    assert taken == [("short", "one"), ("short", "two ü" * 100), ("short", b"\x00\xff")]
    assert socket.pauses == 0


def test_what_comes_in_pieces_or_is_large_goes_through_the_parser_and_keeps_its_place() -> None:
    pieces = Frame(Opcode.TEXT, b"in two ", fin=False).serialize(mask=True) + Frame(Opcode.CONT, b"pieces").serialize(
        mask=True
    )
    large = "x" * (SHORT_WAY_BYTES + 1)
    taken, _ = played(lambda: [text("a") + pieces + text("b"), text(large) + text("c"), text("d")])
    assert [words for _, words in taken] == ["a", "in two pieces", "b", large, "c", "d"]
    assert taken[0] == ("short", "a")
    assert taken[-1] == ("short", "d"), "once the queue is empty, the short way is open again"


@pytest.mark.parametrize("seed", range(20))
def test_however_the_network_cuts_it_all_arrives_in_order(seed: int) -> None:
    chance = random.Random(seed)
    said: list[str | bytes] = []
    stream = b""
    for number in range(60):
        size = chance.choice([0, 3, 120, 126, 1300, 65_536, 70_000])
        words = f"{number} " + "é" * (size // 2)
        kind = chance.randrange(5)
        if kind == 0:
            stream += Frame(Opcode.PING, b"are you there").serialize(mask=True)
        elif kind == 1:
            half = words.encode()[: size // 3]
            stream += Frame(Opcode.BINARY, half, fin=False).serialize(mask=True)
            stream += Frame(Opcode.CONT, words.encode()[size // 3 :]).serialize(mask=True)
            said.append(words.encode())
        elif kind == 2:
            stream += Frame(Opcode.BINARY, words.encode()).serialize(mask=True)
            said.append(words.encode())
        else:
            stream += text(words)
            said.append(words)
    packets, at = [], 0
    while at < len(stream):
        step = chance.choice([1, 2, 5, 200, 1340, 65_536, 262_144])
        packets.append(stream[at : at + step])
        at += step
    taken, _ = played(lambda: packets, wait=bool(seed % 2))
    assert [words for _, words in taken] == said


def test_a_crowd_of_messages_in_one_packet_leaves_others_their_turn() -> None:
    taken, socket = played(
        lambda: [text(str(number)) for number in range(3)] + [b"".join(map(text, "0123456789" * 10))]
    )
    assert [way for way, _ in taken] == ["short"] * (3 + MESSAGES_A_TURN) + ["queued"] * (100 - MESSAGES_A_TURN)
    assert [words for _, words in taken[3:]] == list("0123456789" * 10)
    assert socket.pauses >= 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=True), 1007),
        (Frame(Opcode.TEXT, b"not masked").serialize(mask=False), 1002),
        (b"\xc1" + text("compressed?")[1:], 1002),
    ],
    ids=["no UTF-8", "not masked", "an extension"],
)
def test_what_breaks_the_rules_closes_the_connection_with_its_code(frame: bytes, code: int) -> None:
    taken, socket = played(lambda: [text("fine") + frame + text("never")])
    assert taken == [("short", "fine")]
    assert code.to_bytes(2) in socket.written
    assert socket.closed


def test_nothing_is_acted_on_after_the_client_closed() -> None:
    goodbye = Frame(Opcode.CLOSE, (1000).to_bytes(2)).serialize(mask=True)
    taken, _ = played(lambda: [text("a") + goodbye + text("b"), text("c")])
    assert taken == [("short", "a")]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("mask", [True, False])
def test_where_a_frame_ends(size: int, mask: bool) -> None:
    frame = Frame(Opcode.TEXT, b"x" * size).serialize(mask=mask)
    header = len(frame) - size
    assert frame_at(b"before" + frame + b"after", 6) == (6 + header, 6 + len(frame))
    assert frame_at(frame[:header], 0) == (header, len(frame))
    for cut in range(header):
        assert frame_at(frame[:cut], 0) is None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_what_a_server_says_is_what_the_library_would_write(size: int) -> None:
    payload = b"x" * size
    assert frame_header(size) + payload == Frame(Opcode.TEXT, payload).serialize(mask=False)
