"""RTP's header: written and read, and what is none is not taken for one."""

from __future__ import annotations

import pytest
from aiortc.rtp import RtpPacket as TheirPacket
from hypothesis import given
from hypothesis import strategies as some

from antiphon.transport.webrtc.rtp import RtpPacket, is_rtcp, read_packet, write_packet

WHOLE = RtpPacket(111, 65_535, 2**32 - 1, 2**31, b"sound")


@pytest.mark.parametrize("after_silence", [False, True])
def test_what_is_written_is_read(after_silence: bool) -> None:
    data = write_packet(WHOLE, after_silence=after_silence)
    assert read_packet(data) == WHOLE
    theirs = TheirPacket.parse(data)
    assert (theirs.marker, theirs.payload_type, theirs.sequence_number) == (int(after_silence), 111, 65_535)
    assert (theirs.timestamp, theirs.ssrc, theirs.payload) == (2**32 - 1, 2**31, b"sound")
    assert not is_rtcp(data)


def test_numbers_wrap() -> None:
    assert read_packet(write_packet(WHOLE._replace(sequence=65_536, timestamp=2**32 + 5), after_silence=False)) == (
        WHOLE._replace(sequence=0, timestamp=5)
    )


def test_extensions_sources_and_padding_are_stepped_over() -> None:
    extension = b"\xbe\xde\x00\x01abcd"
    head = bytes([0x80 | 0x30 | 2, 111]) + write_packet(WHOLE, after_silence=False)[2:12] + bytes(8)
    assert read_packet(head + extension + b"sound" + b"\0\0\3") == WHOLE


@given(some.binary(max_size=64))
def test_whatever_comes_is_a_packet_or_none(data: bytes) -> None:
    found = read_packet(data)
    assert found is None or len(found.payload) <= len(data) - 12
