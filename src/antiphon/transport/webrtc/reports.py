"""How well the stream goes, both ways: RTCP reports written and read (RFC 3550).

Ours tell the other side what arrives here, and when what it hears was said; theirs tell us how much of our sound gets
lost and how long the way is. Sockets and timers are the caller's.
"""

from __future__ import annotations

from aiortc.rtp import RtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSourceInfo
from aiortc.rtp import RtcpSrPacket as RtcpSenderReport
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.transport.webrtc.arrivals import Arrivals
from antiphon.transport.webrtc.rtp import CLOCK_HZ

NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970
FIXED_POINT = 65_536  # a second in the short form of NTP's time
INTERVAL: Seconds = 2.0
MOST_LOST = (1 << 23) - 1  # the field has 24 bits, one of which is a sign
SMOOTHING = 0.25  # of round trip and loss: a few reports


class Quality(Struct):
    """What the other side reports of our stream; None until it has."""

    round_trip_s: Seconds | None = None
    loss: float | None = None
    """Share of our packets that get lost, in [0, 1], smoothed."""
    jitter_s: Seconds | None = None


class Reports:
    """Of one call."""

    def __init__(self, source: int, arrivals: Arrivals) -> None:
        """`source` is the SSRC of our stream."""
        self.quality = Quality()
        self._source = source
        self._arrivals = arrivals
        self._packets = 0
        self._octets = 0
        self._last_ticks = 0
        self._last_sent: Seconds = 0.0
        self._their_report: tuple[int, int, Seconds] | None = None
        """Whose it is, the middle of its NTP time, and when it came."""
        self._before = (0, 0)
        """Packets expected and received, as of our last report."""

    def sent(self, ticks: int, octets: int, now: Seconds) -> None:
        """A packet of ours went out."""
        self._packets += 1
        self._octets += octets
        self._last_ticks, self._last_sent = ticks, now

    def read(self, data: bytes, now: Seconds, wall_s: float) -> None:
        """Take in a report of theirs. What cannot be read is no harm."""
        try:
            packets = RtcpPacket.parse(data)
        except ValueError:
            return
        for packet in packets:
            if isinstance(packet, RtcpSenderReport):
                self._their_report = packet.ssrc, packet.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF, now
            if isinstance(packet, RtcpSenderReport | RtcpRrPacket):
                for report in packet.reports:
                    if report.ssrc == self._source:
                        self._take(report, wall_s)

    def _take(self, report: RtcpReceiverInfo, wall_s: float) -> None:
        quality = self.quality
        quality.loss = _smoothed(quality.loss, report.fraction_lost / 256)
        quality.jitter_s = report.jitter / CLOCK_HZ
        if report.lsr:
            trip = ((_ntp(wall_s) >> 16) - report.lsr - report.dlsr) % (1 << 32) / FIXED_POINT
            if trip < 60:  # the clock was set meanwhile
                quality.round_trip_s = _smoothed(quality.round_trip_s, trip)

    def write(self, now: Seconds, wall_s: float) -> bytes:
        """Our report. `wall_s` is in seconds since 1970."""
        reports = [self._received(now)] if self._arrivals.tally.received else []
        if not self._packets:
            return bytes(RtcpRrPacket(ssrc=self._source, reports=reports))
        info = RtcpSenderInfo(
            ntp_timestamp=_ntp(wall_s),
            rtp_timestamp=(self._last_ticks + round((now - self._last_sent) * CLOCK_HZ)) & 0xFFFFFFFF,
            packet_count=self._packets,
            octet_count=self._octets & 0xFFFFFFFF,
        )
        report = RtcpSenderReport(ssrc=self._source, sender_info=info, reports=reports)
        name = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=self._source, items=[(1, b"antiphon")])])
        return bytes(report) + bytes(name)

    def _received(self, now: Seconds) -> RtcpReceiverInfo:
        tally = self._arrivals.tally
        expected, received = tally.expected - self._before[0], tally.received - self._before[1]
        self._before = tally.expected, tally.received
        lost = max(0, expected - received)
        middle, delay = 0, 0.0
        if self._their_report is not None and self._their_report[0] == self._arrivals.source:
            middle, delay = self._their_report[1], now - self._their_report[2]
        return RtcpReceiverInfo(
            ssrc=self._arrivals.source or 0,
            fraction_lost=min(255, lost * 256 // expected) if expected > 0 else 0,
            packets_lost=max(-MOST_LOST, min(MOST_LOST, tally.expected - tally.received)),
            highest_sequence=tally.highest & 0xFFFFFFFF,
            jitter=round(self._arrivals.jitter * CLOCK_HZ),
            lsr=middle,
            dlsr=min(0xFFFFFFFF, round(delay * FIXED_POINT)),
        )


def _ntp(wall_s: float) -> int:
    """64 bits: seconds since 1900, and their fraction."""
    return round((wall_s + NTP_EPOCH_S) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def _smoothed(before: float | None, value: float) -> float:
    return value if before is None else before + SMOOTHING * (value - before)
