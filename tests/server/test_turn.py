"""A call through a real TURN server, which the configuration names: coturn, on this machine."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aioice.ice import get_host_addresses
from aiortc import RTCSessionDescription
from calling import KEY, server, web
from phone import Phone, tone48
from redis_process import free_port
from test_calls import until

from antiphon.engines.fake import FakeLlm

TURN = shutil.which("turnserver")
BINDING = b"\x00\x01\x00\x00\x21\x12\xa4\x42a-transact-1"  # a request of STUN's that anybody may send
NOT_RELAYED = re.compile(r"a=candidate:(?!.* typ relay).*\r\n")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(TURN is None, reason="there is no turnserver: apt-get install coturn"),
]


@asynccontextmanager
async def coturn(folder: Path, address: str) -> AsyncIterator[int]:
    """One that relays for "antiphon" with the password "secret"; its port."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        TURN or "", "-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech", "--user=antiphon:secret",
        "--realm=here", f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={port}",
        f"--pidfile={folder / 'pid'}", f"--userdb={folder / 'users'}", f"--log-file={folder / 'log'}", "--simple-log",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _until_there(address, port)
        yield port
    finally:
        process.kill()
        await process.wait()


async def _until_there(address: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect((address, port))
        async with asyncio.timeout(30):
            while True:
                try:
                    await loop.sock_sendall(asking, BINDING)
                    async with asyncio.timeout(0.2):
                        await loop.sock_recv(asking, 1500)
                except (TimeoutError, ConnectionRefusedError):
                    await asyncio.sleep(0.05)
                else:
                    return


def test_a_turn_is_heard_and_answered_where_nothing_but_the_turn_server_leads_to_us(tmp_path: Path) -> None:
    async def story() -> None:
        address, *_ = get_host_addresses(use_ipv4=True, use_ipv6=False)
        async with coturn(tmp_path, address) as port:
            relay = {"urls": [f"turn:{address}:{port}"], "username": "antiphon", "credential": "secret"}
            # By the same address the offer comes from, and the packets then.
            here: dict[str, Any] = {"server__host": address, "server__keys": [KEY], "webrtc__ice_servers": [relay]}
            async with server(FakeLlm("You said hello."), **here) as made, web(made, KEY) as http:
                one = Phone()
                await one.connection.setLocalDescription(await one.connection.createOffer())
                # A browser hides its own addresses, so the way is found by ours, and of ours only the relay's is told.
                hidden = re.sub(r"a=candidate.*\r\n", "", one.connection.localDescription.sdp)
                headers = {"Content-Type": "application/sdp"}
                answer = await http.post("/v1/realtime/calls", content=hidden, headers=headers, timeout=30)
                assert " typ relay" in answer.text
                relayed = NOT_RELAYED.sub("", answer.text)
                assert " typ host" not in relayed
                await one.connection.setRemoteDescription(RTCSessionDescription(relayed, "answer"))
                await one.receive("session.created")
                one.microphone.say(tone48(1.0))
                await one.receive("input_audio_buffer.committed")
                await one.receive("output_audio_buffer.started")
                await until(lambda: one.heard)
                (ongoing,) = made.state.calls.ongoing.values()
                pair = ongoing.call._peer._dtls.transport._connection._nominated[1]
                assert pair.local_candidate.type == "relay"
                await one.hang_up()

    asyncio.run(story())
