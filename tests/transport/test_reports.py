"""Reports both ways: what we say of their stream and what we understand of ours."""

from __future__ import annotations

from aiortc.rtp import RtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSrPacket

from antiphon.transport.webrtc.arrivals import Arrivals
from antiphon.transport.webrtc.reports import Reports, _ntp
from antiphon.transport.webrtc.rtp import RtpPacket

WALL = 1_700_000_000.0


def line(lost: set[int]) -> Arrivals:
    arrivals = Arrivals(lambda payload: 960)
    for number in range(100):
        if number not in lost:
            arrivals.add(RtpPacket(96, number, 960 * number, 7, b"x"), number * 0.02)
            arrivals.take(number * 0.02)
    return arrivals


def test_our_report_says_what_came_and_when_ours_was_said() -> None:
    reports = Reports(77, line(lost={10, 50, 51, 90}))
    reports.sent(4800, 100, 2.0)
    report, name = RtcpPacket.parse(reports.write(3.0, WALL))
    assert isinstance(report, RtcpSrPacket)
    assert isinstance(name, RtcpSdesPacket)
    assert (report.ssrc, report.sender_info.packet_count, report.sender_info.octet_count) == (77, 1, 100)
    assert report.sender_info.rtp_timestamp == 4800 + 48_000, "the second since then has passed for the stream too"
    (info,) = report.reports
    assert (info.ssrc, info.packets_lost, info.highest_sequence) == (7, 4, 99)
    assert info.fraction_lost == 4 * 256 // 100
    assert name.chunks[0].ssrc == 77
    again = RtcpPacket.parse(reports.write(4.0, WALL + 1))[0]
    assert isinstance(again, RtcpSrPacket)
    assert again.reports[0].fraction_lost == 0, "since the last report"


def test_without_a_word_of_ours_it_is_a_receivers_report() -> None:
    (report,) = RtcpPacket.parse(Reports(77, Arrivals(len)).write(1.0, WALL))
    assert isinstance(report, RtcpRrPacket)
    assert report.reports == []


def test_their_report_tells_loss_and_round_trip() -> None:
    reports = Reports(77, line(lost=set()))
    sent = _ntp(WALL) >> 16 & 0xFFFFFFFF
    info = RtcpReceiverInfo(77, 64, 5, 100, 480, sent, round(0.5 * 65_536))
    reports.read(bytes(RtcpRrPacket(ssrc=7, reports=[info])), 1.0, WALL + 0.58)
    quality = reports.quality
    assert quality.loss == 0.25
    assert quality.round_trip_s is not None
    assert abs(quality.round_trip_s - 0.08) < 0.001
    assert quality.jitter_s == 0.01
    # A report on somebody else's stream says nothing of ours, nor does what cannot be read.
    reports.read(bytes(RtcpRrPacket(ssrc=7, reports=[RtcpReceiverInfo(78, 255, 5, 100, 480, 0, 0)])), 1.0, WALL)
    reports.read(b"\x80", 1.0, WALL)
    assert reports.quality.loss == 0.25


def test_their_clock_comes_back_with_our_delay() -> None:
    reports = Reports(77, line(lost=set()))
    info = RtcpSenderInfo(_ntp(WALL), 0, 1, 1)
    reports.read(bytes(RtcpSrPacket(ssrc=7, sender_info=info)), 2.0, WALL)
    (report,) = RtcpPacket.parse(reports.write(2.25, WALL))
    assert isinstance(report, RtcpRrPacket)
    assert report.reports[0].lsr == _ntp(WALL) >> 16 & 0xFFFFFFFF
    assert report.reports[0].dlsr == round(0.25 * 65_536)
