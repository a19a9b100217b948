"""A socket of aioice's that nobody is woken for: what comes waits until it is read, and can be told how long."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from aioice.ice import Connection, StunProtocol

from antiphon.transport.webrtc.datagrams import MOST_AT_ONCE, Address, Datagrams, taken_over

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]
HERE = ("127.0.0.1", 0)


class Stun(StunProtocol):
    """Notes what the event loop hands it."""

    def __init__(self) -> None:
        super().__init__(Connection(ice_controlling=False))
        self.given: list[bytes] = []

    def datagram_received(self, data: bytes | str, addr: Address) -> None:
        self.given.append(data if isinstance(data, bytes) else data.encode())


async def opened() -> tuple[Stun, Datagrams, Address]:
    """A protocol, its socket taken over, and where that can be reached."""
    _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Stun, local_addr=HERE)
    datagrams = taken_over(protocol)
    assert datagrams is not None
    await asyncio.sleep(0)  # for the transport that was there before to be gone
    return protocol, datagrams, datagrams.get_extra_info("sockname")


def told(story: Callable[[], Any], loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


@pytest.mark.real
@pytest.mark.parametrize("loop", LOOPS)
def test_what_comes_waits_until_it_is_read_and_nobody_is_woken(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        (one, datagrams, here), (_, sender, there) = await opened(), await opened()
        clock = asyncio.get_running_loop().time
        began = clock()
        assert datagrams.read(began) == []
        sender.sendto(b"first", here)
        sender.sendto(b"second", here)
        await asyncio.sleep(0.05)
        now = clock()
        came = datagrams.read(now)
        assert [(data, address) for data, address, _ in came] == [(b"first", there), (b"second", there)]
        if sys.platform == "linux":
            assert all(0.03 < lain <= now - began for _, _, lain in came)
        assert datagrams.read(clock()) == []
        assert one.given == []
        await asyncio.gather(one.close(), sender._protocol.close())

    told(story, loop)


@pytest.mark.real
@pytest.mark.parametrize("loop", LOOPS)
def test_it_is_taken_over_once_and_closed_as_aioice_does(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def story() -> None:
        protocol, datagrams, here = await opened()
        assert taken_over(protocol) is None
        await protocol.close()  # waits for `connection_lost`
        assert datagrams.is_closing()
        datagrams.close()
        datagrams.sendto(b"too late", here)
        assert datagrams.read(asyncio.get_running_loop().time()) == []

    told(story, loop)


@pytest.mark.real
def test_whoever_sends_a_flood_is_read_a_little_at_a_time() -> None:
    async def story() -> None:
        protocol, datagrams, here = await opened()
        for number in range(MOST_AT_ONCE + 10):
            datagrams.sendto(bytes([number]), here)
        now = asyncio.get_running_loop().time()
        assert [len(datagrams.read(now)) for _ in range(2)] == [MOST_AT_ONCE, 10]
        await protocol.close()

    told(story, asyncio.new_event_loop)
