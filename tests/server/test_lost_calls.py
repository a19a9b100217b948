"""Calls whose path to the other side is never found, or goes away: with plain aiortc on the other side.

A tunnel lies between the phone and the network; nobody says goodbye in it.
"""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import aioice.ice
import pytest
from aiortc import RTCIceServer, RTCSessionDescription
from aiortc.rtcdtlstransport import State
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
from antiphon.transport.webrtc.rtp import is_rtcp

pytestmark = pytest.mark.real

LONG = "One two three four five six seven eight nine ten. " * 4
STORY = LONG * 20  # goes on for as long as a test lasts


class Tunnel:
    """Where a phone is. Made once it has its sockets."""

    def __init__(self, call: Phone) -> None:
        self.is_dark = False
        """Nothing comes in, nothing goes out."""
        self.is_mute = False
        """Nothing goes out."""
        self.sound_came: list[float] = []
        """When each packet of sound did, on the loop's clock."""
        (sender,) = call.connection.getSenders()
        paths: list[Any] = sender.transport.transport._connection._protocols
        for path in paths:
            path.transport.sendto = partial(self._send, path.transport.sendto)
            path.datagram_received = partial(self._receive, path.datagram_received)

    def _send(self, pass_on: Any, data: bytes, address: object) -> None:
        if not self.is_dark and not self.is_mute:
            pass_on(data, address)

    def _receive(self, pass_on: Any, data: bytes, address: object) -> None:
        if self.is_dark:
            return
        if peer.SRTP_FIRST <= data[0] <= peer.SRTP_LAST and not is_rtcp(data):
            self.sound_came.append(asyncio.get_running_loop().time())
        pass_on(data, address)


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


@pytest.mark.slow
def test_a_phone_that_takes_no_messages_is_hung_up_on_and_another_calls_sound_stays_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "antiphon.calls")

    async def story() -> None:
        async with server(FakeLlm(STORY)) as made, nothing_left(made), phone(made) as call, phone(made) as stalled:
            other = Tunnel(call)
            call.send("response.create")
            await call.receive("output_audio_buffer.started")
            async with client(made, f"?call_id={stalled.call_id}") as observer:
                Tunnel(stalled).is_dark = True
                flood = asyncio.create_task(_write(observer))
                came = len(other.sound_came)
                assert await how_it_ended(observer) == "The connection reads too slowly to follow."
                flood.cancel()
            steps = [after - before for before, after in pairwise(other.sound_came[came:])]
            assert len(steps) > 50
            assert statistics.median(steps) == pytest.approx(0.02, abs=0.01)
            assert list(made.state.calls.ongoing) == [call.call_id]

    asyncio.run(story())
    assert caplog.text.count("reads too slowly") == 1
    assert "is over: too_slow" in caplog.text


async def _write(observer: Client) -> None:
    """Items without an end, of which the call is told as well, for as long as there is a connection."""
    with suppress(ConnectionClosed):
        while True:
            content = [{"type": "input_text", "text": "x" * 50_000}]
            await observer.send(
                "conversation.item.create", item={"type": "message", "role": "user", "content": content}
            )
            await asyncio.sleep(0.02)


@pytest.mark.slow
def test_messages_leave_at_once_also_before_those_ahead_of_them_are_acknowledged() -> None:
    async def story() -> None:
        async with server() as made, phone(made) as call, client(made, f"?call_id={call.call_id}") as observer:
            Tunnel(call).is_mute = True
            since = len(call.events)
            for number in range(4):
                content = [{"type": "input_text", "text": f"{number}" * 1000}]
                item = {"type": "message", "role": "user", "content": content}
                await observer.send("conversation.item.create", item=item)
            for _ in range(4):
                done = await call.receive("conversation.item.done", since)
                since = call.events.index(done) + 1

    asyncio.run(story())


@pytest.mark.slow
def test_what_is_said_to_somebody_who_has_just_left_breaks_nothing() -> None:
    async def story() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        async with server() as made, phone(made):
            (ongoing,) = made.state.calls.ongoing.values()
            ongoing.call._peer._dtls._set_state(State.CLOSED)
            ongoing.drive.announce("Is there anybody?")
            await until_empty(made)
        gc.collect()
        assert complaints == []

    asyncio.run(story())
