"""A UDP socket that is read when it is time, rather than whenever something comes.

asyncio wakes a process for each datagram, and uvloop does. This stands in for their transport, once a path has been
found with it: the kernel keeps what comes, and when it came. What is in it is not known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from typing import Any

from aioice.ice import StunProtocol

from antiphon.audio.units import Seconds

LARGEST = 2048  # bytes: nobody sends more than an Ethernet frame holds
MOST_AT_ONCE = 64  # datagrams of a call: whoever sends more does not keep the others waiting
SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
_MOMENT = struct.Struct("@qq")  # of CLOCK_REALTIME: seconds and nanoseconds
_ROOM = socket.CMSG_SPACE(_MOMENT.size) if hasattr(socket, "CMSG_SPACE") else 0

Address = tuple[Any, ...]


def taken_over(protocol: StunProtocol) -> Datagrams | None:
    """Its socket, which nothing else reads from now on; None if it has none of its own, but a TURN server's."""
    transport = protocol.transport
    shared = transport.get_extra_info("socket")
    if shared is None or isinstance(transport, Datagrams):
        return None
    inner = shared.dup()
    inner.setblocking(False)
    transport.set_protocol(asyncio.DatagramProtocol())  # nobody: the end of this transport is not the socket's
    transport.close()
    datagrams = Datagrams(protocol, inner)
    protocol.connection_made(datagrams)
    return datagrams


class Datagrams(asyncio.DatagramTransport):
    """The socket of a protocol of aioice's, instead of the event loop's transport for it."""

    def __init__(self, protocol: StunProtocol, inner: socket.socket) -> None:
        """`inner` does not block, and is closed with this."""
        super().__init__()
        self._protocol = protocol
        self._socket = inner
        self._is_closing = False
        self._last_read = asyncio.get_running_loop().time()
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # a sandbox may not have it: everything has come just now
                inner.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

    def read(self, now: Seconds) -> list[tuple[bytes, Address, Seconds]]:
        """What has come since the last time, in order: the datagram, who sent it, and how long it has lain here."""
        came: list[tuple[bytes, Address, Seconds]] = []
        wall, longest = time.time(), now - self._last_read
        self._last_read = now
        for _ in range(MOST_AT_ONCE):
            try:
                data, ancillary, _, address = self._socket.recvmsg(LARGEST, _ROOM)
            except OSError:  # there is nothing more, or somebody's port is closed
                break
            lain = 0.0
            if ancillary and len(moment := ancillary[0][2]) == _MOMENT.size:
                seconds, nanoseconds = _MOMENT.unpack(moment)
                lain = max(0.0, min(longest, wall - seconds - nanoseconds * 1e-9))
            came.append((data, address, lain))
        return came

    # --- what aioice calls

    def sendto(self, data: bytes, addr: Address | None = None) -> None:  # type: ignore[override]
        """At once; what the kernel has no room for is lost, as anywhere on its way."""
        try:
            self._socket.sendto(data, addr or ())
        except OSError as error:
            self._protocol.error_received(error)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"socket": self._socket, "sockname": self._socket.getsockname()}.get(name, default)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._socket.close()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)
