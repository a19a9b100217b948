"""Calls whose path to the other side is never found, or goes away: with plain aiortc on the other side.

A tunnel lies between the phone and the network; nobody says goodbye in it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioice.ice
import pytest
from aiortc import RTCIceServer, RTCSessionDescription
from calling import Client, client, server, web
from phone import Phone, phone, tone48
from test_resume import until_empty
from websockets.exceptions import ConnectionClosed

from antiphon.engines.fake import FakeLlm
from antiphon.protocol.outbound import Projection
from antiphon.server.calls import NOBODY
from antiphon.server.run import Running
from antiphon.transport.webrtc import peer
from antiphon.transport.webrtc.call import Call, Chance, Manner
from antiphon.transport.webrtc.offer import read_offer

pytestmark = pytest.mark.real

LONG = "One two three four five six seven eight nine ten. " * 4


class Tunnel:
    """Where a phone is. Made once it has its sockets."""

    def __init__(self, call: Phone) -> None:
        self.is_dark = False
        """Nothing comes in, nothing goes out."""
        (sender,) = call.connection.getSenders()
        paths: list[Any] = sender.transport.transport._connection._protocols
        for path in paths:
            path.transport.sendto = self._guarded(path.transport.sendto)
            path.datagram_received = self._guarded(path.datagram_received)

    def _guarded(self, pass_on: Any) -> Any:
        def guarded(data: bytes, address: object) -> None:
            if not self.is_dark:
                pass_on(data, address)

        return guarded


@asynccontextmanager
async def nothing_left(made: Running) -> AsyncIterator[None]:
    """What a call has opened is free again after it: sockets and tasks."""
    await until_empty(made)
    before = _held()
    yield
    await until_empty(made)
    async with asyncio.timeout(30):
        # A socket closes in a later turn of the loop.
        while any(now > then for now, then in zip(_held(), before, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _held() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())


async def how_it_ended(observer: Client) -> str:
    """What a connection beside the call is told in the end."""
    with pytest.raises(ConnectionClosed) as caught:
        await observer.receive_all()
    assert caught.value.rcvd is not None
    return caught.value.rcvd.reason


def test_a_path_that_is_never_found_ends_the_call_and_whoever_watches_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "antiphon.calls")

    async def story() -> None:
        async with server(webrtc__connect_timeout_s=1.5) as made, nothing_left(made):
            one = Phone()
            await one.connection.setLocalDescription(await one.connection.createOffer())
            Tunnel(one).is_dark = True
            async with web(made) as http:
                assert (await one.dial(http)).status_code == 201
            async with client(made, f"?call_id={one.call_id}") as observer:
                assert await how_it_ended(observer) == "The call was not connected in time."
            assert not made.state.calls.ongoing
            await one.hang_up()

    asyncio.run(story())
    assert "is over: not connected in time" in caplog.text


@pytest.mark.slow
def test_a_stun_and_a_turn_server_that_say_nothing_cost_their_own_candidates_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer, "GATHERING_LIMIT_S", 0.2)

    async def story() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            where = f"127.0.0.1:{silent.getsockname()[1]}"
            urls = {"urls": [f"stun:{where}"]}, {"urls": [f"turn:{where}"], "username": "u", "credential": "c"}
            async with server(webrtc__ice_servers=list(urls)) as made, nothing_left(made), web(made) as http:
                one = Phone()
                await one.connection.setLocalDescription(await one.connection.createOffer())
                # A browser hides its own addresses, so the way is found by ours or not at all.
                hidden = re.sub(r"a=candidate.*\r\n", "", one.connection.localDescription.sdp)
                answer = await http.post(
                    "/v1/realtime/calls", content=hidden, headers={"Content-Type": "application/sdp"}, timeout=30
                )
                assert " typ host" in answer.text
                await one.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
                await one.receive("session.created")
                await one.hang_up()

    asyncio.run(story())
    assert "the STUN server and the TURN server did not answer" in caplog.text
    assert "Exception in callback" not in caplog.text


def test_whoever_leaves_while_a_stun_server_is_awaited_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peer, "GATHERING_LIMIT_S", 0.1)
    offer = read_offer(NOBODY)

    async def story() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            before = _held()
            stun = RTCIceServer(f"stun:127.0.0.1:{silent.getsockname()[1]}")
            call = Call("left", offer, Projection("", 0), Manner((stun,)), Chance(1, 1, 1), lambda size: True)
            answering = asyncio.create_task(call.answer())
            await asyncio.sleep(0.05)
            answering.cancel()
            await asyncio.wait([answering])
            await call.discard()
            await asyncio.sleep(0)
            assert _held() <= before

    asyncio.run(story())
    assert "Exception in callback" not in caplog.text


@pytest.mark.slow
def test_a_path_that_comes_back_goes_on_and_one_that_does_not_ends_the_call(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "antiphon.calls")
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)  # in place of 5 s
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 4)  # of 6, for half a second each

    async def story() -> None:
        async with server(FakeLlm([LONG, "Yes."])) as made, nothing_left(made):
            async with phone(made) as call, client(made, f"?call_id={call.call_id}") as observer:
                tunnel = Tunnel(call)
                (ongoing,) = made.state.calls.ongoing.values()
                call.microphone.say(tone48(0.8))
                await call.receive("output_audio_buffer.started")
                tunnel.is_dark = True
                before = ongoing.drive.position
                await asyncio.sleep(0.6)
                tunnel.is_dark = False
                since = len(call.events)
                await asyncio.sleep(0.6)
                assert ongoing.drive.position - before > 24_000 * 0.8, "silence was heard in the tunnel"
                assert call.connection.connectionState == "connected"
                call.microphone.say(tone48(0.8))
                await call.receive("output_audio_buffer.cleared", since)
                await call.receive("output_audio_buffer.started", since)
                tunnel.is_dark = True
                assert await how_it_ended(observer) == "The call's other side is lost."
                await until_empty(made)

    asyncio.run(story())
    assert "is over: lost" in caplog.text
