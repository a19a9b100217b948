"""The order in which a call's packets are heard, and what takes the place of those that do not come.

A loudspeaker needs a steady flow and so a buffer in front of it; a recogniser does not. So a packet that comes in
order is heard at once, with no delay at all. Only behind a hole is there a wait, as long as this network's packets
have lately been out of order: long enough to be early, short enough to be soon. Then the hole is filled, from the
copy in the packet after it (FEC), or with what fades, or with silence.

A sender may pause (a muted microphone, discontinuous transmission), and a network may stall. Both look alike from
here: nothing comes. The clock goes on for the person, so silence is heard in its place, and what comes after all is
heard then, late rather than never.

Sound and sockets are not known here. Times are on the caller's clock; lengths are ticks of the RTP clock.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.transport.webrtc.rtp import CLOCK_HZ, RtpPacket

TICK_MS = CLOCK_HZ // 1000
SHORTEST_PATIENCE: Seconds = 0.02  # with nothing ever out of order, a hole is a loss, and one packet's time is a wait
LONGEST_PATIENCE: Seconds = 0.12
PATIENCE_GROWS, PATIENCE_KEEPS = 1.5, 0.998  # at each late packet; at each packet: back to half in seven seconds
PAUSE: Seconds = 0.06  # and some for jitter: nothing for so long is a pause of a sender that has said so
STALL: Seconds = 0.2  # likewise, of one that has not. A busy machine stalls for less, and silence within a word hurts
PAUSE_BYTES = 3  # what a packet holds at most that begins a pause (discontinuous transmission)
FILL_GRAIN = 20 * TICK_MS
LONGEST_MADE_UP = 120 * TICK_MS  # then even a good concealment is a drone
LONGEST_GAP = 2 * CLOCK_HZ  # of silence at once: more is not a pause, but another clock
MOST_WAITING = 64  # packets behind a hole: over a second; whoever sends more is not waited for
RESTART_AT = 3000  # packets away from the last one it is another stream
WINDOW: Seconds = 5.0  # over which the quickest way through the network is looked for


class Heard(Struct, frozen=True, tag=True):
    """Decode this."""

    payload: bytes


class Recovered(Struct, frozen=True, tag=True):
    """The packet before this one is lost; its sound may be in here."""

    following: bytes
    ticks: int


class Concealed(Struct, frozen=True, tag=True):
    """Lost: let the last sound go on and fade."""

    ticks: int


class Silent(Struct, frozen=True, tag=True):
    """Nothing was sent, or too much was lost."""

    ticks: int


Step = Heard | Recovered | Concealed | Silent


class Tally(Struct):
    """How the packets of one stream fared."""

    received: int = 0
    lost: int = 0
    """Given up; some may still have come too late."""
    recovered: int = 0
    """Of the lost: those that a copy was asked for."""
    late: int = 0
    """Came after they had been given up, or twice."""
    silence_ticks: int = 0
    """Silence in place of what did not come."""
    waited_s: float = 0.0
    """Between arrival and being heard, over all packets."""
    first: int = 0
    """Sequence number of the oldest packet of the stream as it is now."""
    highest: int = -1
    """And of the newest, with the number of wraps above 16 bits."""
    expected_before: int = 0
    """Packets of streams before this one."""

    @property
    def expected(self) -> int:
        """How many packets the sender has sent, as far as can be told."""
        return self.expected_before + self.highest - self.first + 1


class Arrivals:
    """One stream of packets. Call `add` and `take` with each, and `pass_time` at every `deadline`."""

    def __init__(self, ticks_of: Callable[[bytes], int]) -> None:
        """`ticks_of` says how long a payload's sound is, or raises ValueError."""
        self.tally = Tally()
        self.jitter: Seconds = 0.0
        """How much the way through the network varies, smoothed as in RFC 3550."""
        self.patience: Seconds = SHORTEST_PATIENCE
        self._ticks_of = ticks_of
        self.source: int | None = None
        """SSRC of the stream; None before its first packet."""
        self._waiting: dict[int, tuple[RtpPacket, int, Seconds]] = {}
        """By unwrapped sequence number: the packet, its unwrapped timestamp, when it came."""
        self._next_sequence = 0
        self._next_ticks = 0
        """Where the sound goes on."""
        self._filled = 0
        """Silence that was already heard beyond `_next_ticks`."""
        self._pauses = False
        """Whether the last packet announced that nothing would follow."""
        self._transit: Seconds = 0.0
        self._quickest: list[Seconds] = []
        """The shortest transit of this window and of the one before it."""
        self._window_began: Seconds = 0.0

    # --- what comes

    def add(self, packet: RtpPacket, now: Seconds) -> None:
        """A packet has come."""
        if packet.source != self.source:
            self._restart(packet, now)
        sequence = self.tally.highest + _signed(packet.sequence - self.tally.highest, 16)
        if abs(sequence - self.tally.highest) > RESTART_AT:
            self._restart(packet, now)
            sequence = self.tally.highest
        ticks = self._next_ticks + _signed(packet.timestamp - self._next_ticks, 32)
        self.tally.received += 1
        if sequence < self._next_sequence or sequence in self._waiting:
            self.tally.late += 1
            self.patience = min(LONGEST_PATIENCE, self.patience * PATIENCE_GROWS)
            return
        self._measure(now - ticks / CLOCK_HZ, now)
        self.tally.highest = max(self.tally.highest, sequence)
        self._waiting[sequence] = packet, ticks, now

    def _restart(self, packet: RtpPacket, now: Seconds) -> None:
        """Another stream, or the same one from another place: nothing of before is a measure for it."""
        self.tally.expected_before = self.tally.expected
        self.source = packet.source
        self._waiting.clear()
        self._next_sequence = self.tally.highest = self.tally.first = packet.sequence
        self._next_ticks = packet.timestamp
        self._filled = 0
        self._transit = now - packet.timestamp / CLOCK_HZ
        self._quickest = [self._transit, self._transit]
        self._window_began = now

    def _measure(self, transit: Seconds, now: Seconds) -> None:
        self.jitter += (abs(transit - self._transit) - self.jitter) / 16
        self._transit = transit
        if now - self._window_began > WINDOW:
            self._window_began = now
            self._quickest = [transit, self._quickest[0]]
        self._quickest[0] = min(self._quickest[0], transit)

    # --- what is heard

    def take(self, now: Seconds) -> list[Step]:
        """What is to be heard now, in order."""
        steps: list[Step] = []
        while self._waiting:
            found = self._waiting.pop(self._next_sequence, None)
            if found is not None:
                self._hear(*found, now, steps)
                continue
            first = min(self._waiting)
            if now < self._waiting[first][2] + self.patience and len(self._waiting) < MOST_WAITING:
                return steps
            self._give_up(first, steps)
        return steps

    def pass_time(self, now: Seconds) -> list[Step]:
        """What is to be heard now although nothing has come: not called for a packet, for others may lie behind it."""
        steps = self.take(now)
        if not self._waiting:
            self._fill(now, steps)
        return steps

    @property
    def deadline(self) -> Seconds | None:
        """When `pass_time` has more without another packet."""
        if self.source is None:
            return None
        if self._waiting:
            return self._waiting[min(self._waiting)][2] + self.patience
        return (self._next_ticks + self._filled + FILL_GRAIN) / CLOCK_HZ + min(self._quickest) + self._stall

    @property
    def has_hole(self) -> bool:
        """Whether packets wait for one before them."""
        return bool(self._waiting)

    @property
    def _stall(self) -> Seconds:
        return (PAUSE if self._pauses else STALL) + 4 * self.jitter

    def _hear(self, packet: RtpPacket, ticks: int, came: Seconds, now: Seconds, steps: list[Step]) -> None:
        self._next_sequence += 1
        try:
            length = self._ticks_of(packet.payload)
        except ValueError:
            return  # not Opus, or nothing at all; the next one's timestamp shows the hole
        self._fill_gap(ticks - self._next_ticks - self._filled, steps)
        steps.append(Heard(packet.payload))
        self._pauses = len(packet.payload) <= PAUSE_BYTES
        self._go_on(ticks, came)
        self._next_ticks = ticks + length
        self.tally.waited_s += now - came
        self.patience = max(SHORTEST_PATIENCE, min(LONGEST_PATIENCE, 3 * self.jitter), self.patience * PATIENCE_KEEPS)

    def _give_up(self, first: int, steps: list[Step]) -> None:
        """What lies before the packet `first` is lost."""
        packet, ticks, _ = self._waiting[first]
        missing = ticks - self._next_ticks - self._filled
        self.tally.lost += first - self._next_sequence
        self._next_sequence = first
        if not 0 < missing <= LONGEST_GAP:
            return  # silence has already stood for it, or the gap is another clock's
        made_up = min(missing, LONGEST_MADE_UP)
        try:
            copied = min(made_up, self._ticks_of(packet.payload))
        except ValueError:
            copied = 0
        if made_up > copied:
            steps.append(Concealed(made_up - copied))
        self._fill_gap(missing - made_up, steps)
        if copied:
            steps.append(Recovered(packet.payload, copied))
            self.tally.recovered += 1
        self._next_ticks, self._filled = ticks, 0

    def _go_on(self, ticks: int, came: Seconds) -> None:
        """Sound goes on at `ticks`, whatever silence was heard before it.

        If more was heard than the sender has counted, then its clock stood still, or its packets are that much later
        from now on. A measure from before would find this packet's end in the past, and fill the same time again.
        """
        if self._next_ticks + self._filled > ticks:
            transit = came - ticks / CLOCK_HZ
            self._quickest = [transit, transit]
            self._window_began = came
        self._filled = 0

    def _fill_gap(self, ticks: int, steps: list[Step]) -> None:
        if 0 < ticks <= LONGEST_GAP:
            steps.append(Silent(ticks))
            self.tally.silence_ticks += ticks

    def _fill(self, now: Seconds, steps: list[Step]) -> None:
        """Silence in place of what should have come by now."""
        if self.source is None:
            return
        expected = int((now - min(self._quickest) - self._stall) * CLOCK_HZ)
        lag = (expected - self._next_ticks - self._filled) // FILL_GRAIN * FILL_GRAIN
        if lag <= 0:
            return
        self._filled += lag
        self._fill_gap(min(lag, LONGEST_GAP), steps)


def _signed(difference: int, bits: int) -> int:
    """The difference of two numbers that wrap: the nearer of the two ways round."""
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half
