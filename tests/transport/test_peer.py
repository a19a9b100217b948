"""What reaches a call's socket, before it is known who sent it."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace
from typing import Any, cast

from aioice.ice import StunProtocol

from antiphon.transport.webrtc.peer import _Dtls


class Receiver:
    """Whoever is told of what is no STUN."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def data_received(self, data: bytes, component: int) -> None:
        self.told.append(data)


def test_stun_with_a_field_that_is_too_short_is_no_harm() -> None:
    async def story() -> None:
        receiver = Receiver()
        socket = StunProtocol(cast("Any", receiver))
        socket.local_candidate = SimpleNamespace(component=1)  # type: ignore[assignment]
        dtls = cast("_Dtls", SimpleNamespace(_now=lambda: 5.0, last_heard=0.0))
        _Dtls.overtake(dtls, socket)
        priority_of_two_bytes = struct.pack("!HH", 0x0024, 2) + bytes(4)
        request = struct.pack("!HHI12s", 1, len(priority_of_two_bytes), 0x2112A442, b"transaction_")
        socket.datagram_received(request + priority_of_two_bytes, ("127.0.0.1", 9))
        assert receiver.told == []
        socket.datagram_received(b"no STUN", ("127.0.0.1", 9))
        assert receiver.told == [b"no STUN"]

    asyncio.run(story())
