"""RTP packets as bytes and back: the fixed header, and nothing that a voice does not need.

Header extensions are skipped on the way in and not sent: who speaks, and how loud, is heard.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

CLOCK_HZ = 48_000  # of Opus in RTP, whatever rate it is encoded at
_HEADER = struct.Struct("!BBHII")


class RtpPacket(NamedTuple):
    """One packet. A tuple, because fifty are made a second for each call."""

    payload_type: int
    sequence: int
    """16 bits; wraps."""
    timestamp: int
    """In ticks of `CLOCK_HZ`; 32 bits; wraps."""
    source: int
    """SSRC: who sends this stream."""
    payload: bytes


def read_packet(data: bytes) -> RtpPacket | None:
    """The packet in a datagram; None if it is none."""
    if len(data) < _HEADER.size:
        return None
    flags, kind, sequence, timestamp, source = _HEADER.unpack_from(data)
    if flags >> 6 != 2:
        return None
    start, end = _HEADER.size + 4 * (flags & 0x0F), len(data)
    if flags & 0x10:  # a header extension: profile, then its length in words
        if end < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if flags & 0x20:  # padding: its last byte says how much
        end -= data[-1]
    if end < start:
        return None
    return RtpPacket(kind & 0x7F, sequence, timestamp, source, data[start:end])


def write_packet(packet: RtpPacket, *, after_silence: bool) -> bytes:
    """The packet as a datagram. The first one after a silence is marked: there a receiver may adjust its delay."""
    kind = packet.payload_type | (0x80 if after_silence else 0)
    header = _HEADER.pack(0x80, kind, packet.sequence & 0xFFFF, packet.timestamp & 0xFFFFFFFF, packet.source)
    return header + packet.payload


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram of the shared port is a report rather than media (RFC 5761)."""
    return len(data) >= 2 and 192 <= data[1] <= 208
