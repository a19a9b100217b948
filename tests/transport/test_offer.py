"""Offers of real clients are read, and the answers are what those clients can take."""

from __future__ import annotations

import re

import pytest
from aiortc import RTCDtlsFingerprint, RTCIceCandidate
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as some
from webrtc_samples import CHROMIUM

from antiphon.errors import PeerError
from antiphon.transport.webrtc.offer import MOST_CANDIDATES, Offer, OurSide, read_offer, write_answer

US = OurSide(
    ice_username="user",
    ice_password="password",
    candidates=(RTCIceCandidate(1, "f", "192.0.2.1", 4000, 1, "udp", "host"),),
    fingerprint=RTCDtlsFingerprint("sha-256", "CC:DD"),
    dtls_role="client",
    source=77,
    sctp_port=5000,
)


def test_a_browsers_offer_is_read() -> None:
    offer = read_offer(CHROMIUM)
    assert (offer.audio, offer.channel, offer.payload_type, offer.direction) == (0, 1, 111, "sendrecv")
    assert (offer.ice_username, offer.dtls_role, offer.largest_message) == ("Xk3P", "auto", 262_144)
    assert offer.sends
    assert offer.listens


def test_the_answer_is_one_that_another_library_can_read() -> None:
    answer = SessionDescription.parse(write_answer(read_offer(CHROMIUM), US))
    audio, data = answer.media
    assert [codec.mimeType for codec in audio.rtp.codecs] == ["audio/opus"]
    assert audio.rtp.codecs[0].parameters["useinbandfec"] == 1
    assert audio.dtls is not None
    assert (audio.dtls.role, audio.direction, audio.port) == ("client", "sendrecv", 4000)
    assert [candidate.ip for candidate in audio.ice_candidates] == ["192.0.2.1"]
    assert audio.ice_candidates_complete
    assert (data.sctp_port, data.rtp.muxId) == (5000, "1")
    assert [str(group) for group in answer.group] == ["BUNDLE 0 1"]


@pytest.mark.parametrize(
    ("theirs", "ours"), [("sendrecv", "sendrecv"), ("recvonly", "sendonly"), ("sendonly", "recvonly")]
)
def test_directions_are_answered_from_the_other_side(theirs: str, ours: str) -> None:
    offer = read_offer(CHROMIUM.replace("a=sendrecv", f"a={theirs}"))
    answer = write_answer(offer, US)
    assert f"\r\na={ours}\r\n" in answer
    assert ("a=ssrc:77" in answer) == (theirs != "sendonly"), "whoever does not speak names no stream"


def test_without_data_channel_there_is_one_section() -> None:
    alone = CHROMIUM[: CHROMIUM.index("m=application")].replace("BUNDLE 0 1", "BUNDLE 0")
    offer = read_offer(alone)
    assert offer.channel is None
    assert "m=application" not in write_answer(offer, US)


def test_other_sections_are_declined_in_their_place() -> None:
    video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=rtpmap:96 VP8/90000\r\n"
    again = CHROMIUM[CHROMIUM.index("m=audio") : CHROMIUM.index("m=application")].replace("a=mid:0", "a=mid:2")
    offer = read_offer(CHROMIUM.replace("m=application", f"{video}{again}m=application"))
    answer = write_answer(offer, US)
    assert re.findall(r"^m=(\w+) (\d+)", answer, re.MULTILINE) == [
        ("audio", "4000"), ("video", "0"), ("audio", "0"), ("application", "4000"),
    ]  # fmt: skip
    assert "a=group:BUNDLE 0 1\r\n" in answer


def test_candidates_are_taken_up_to_a_number() -> None:
    line = "a=candidate:1 1 udp 1 192.0.2.{0} 50000 typ host\r\n"
    many = "".join(line.format(n) for n in range(200))
    assert len(read_offer(CHROMIUM.replace("a=mid:0\r\n", f"a=mid:0\r\n{many}")).candidates) == MOST_CANDIDATES


@given(some.data())
def test_a_mutilated_offer_is_read_or_refused_in_words(data: some.DataObject) -> None:
    lines = CHROMIUM.split("\r\n")
    for _ in range(data.draw(some.integers(1, 4))):
        number = data.draw(some.integers(0, len(lines) - 1))
        lines[number] = data.draw(
            some.one_of(
                some.just(""),
                some.text(max_size=30),
                some.text(max_size=5).map(lambda text, line=lines[number]: line[: len(line) // 2] + text),  # type: ignore[misc]
            )
        )
    try:
        offer = read_offer("\r\n".join(lines))
    except PeerError:
        return
    assert isinstance(offer, Offer)
    assert write_answer(offer, US).startswith("v=0\r\n")
