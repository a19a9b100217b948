"""What a call's person says: packets in, sound at the session's rate out, as soon as it can be heard.

The order and the holes are `arrivals`' business, what a packet means is `opus`'. This joins them, and hears silence
by the clock where nothing comes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds
from antiphon.transport.webrtc.arrivals import Arrivals, Concealed, Heard, Recovered, Silent, Step
from antiphon.transport.webrtc.opus import OpusDecoder, ticks_of
from antiphon.transport.webrtc.rounds import BEAT
from antiphon.transport.webrtc.rtp import CLOCK_HZ, RtpPacket

HELD_UP: Seconds = 2 * BEAT  # without a round: packets may lie in a socket that is not read in rounds
TICKS_PER_SAMPLE = CLOCK_HZ // WIRE_RATE


class Ear:
    """One direction of a call. Everything is called on the event loop."""

    def __init__(self, hear: Callable[[Pcm16], None]) -> None:
        """`hear` is given each stretch of sound, int16 at 24 kHz, in order."""
        self.arrivals = Arrivals(ticks_of)
        self._hear = hear
        self._decoder = OpusDecoder()
        self._looked: Seconds = 0.0
        """When there was a round last."""
        self._was_held_up = False
        self._is_closed = False

    def take(self, packet: RtpPacket, came: Seconds, now: Seconds) -> None:
        """A packet of the stream, and when it came."""
        if self._is_closed:
            return
        self.arrivals.add(packet, came)
        self._play(self.arrivals.take(now))

    def take_turn(self, now: Seconds) -> None:
        """Once in each round: what is to be heard although nothing has come."""
        self._was_held_up = now - self._looked > HELD_UP and not self._was_held_up
        self._looked = now
        deadline = self.arrivals.deadline
        if deadline is not None and now >= deadline and not self._was_held_up and not self._is_closed:
            self._play(self.arrivals.pass_time(now))

    def close(self) -> None:
        self._is_closed = True

    def _play(self, steps: list[Step]) -> None:
        for step in steps:
            self._hear(self._sound(step))

    def _sound(self, step: Step) -> Pcm16:
        match step:
            case Heard(payload):
                try:
                    return self._decoder.decode(payload)
                except ValueError:
                    return self._decoder.conceal(_samples(ticks_of(payload)))
            case Recovered(following, ticks):
                return self._decoder.recover(following, _samples(ticks))
            case Concealed(ticks):
                return self._decoder.conceal(_samples(ticks))
            case Silent(ticks):
                return np.zeros(_samples(ticks), np.int16)


def _samples(ticks: int) -> Samples:
    return ticks // TICKS_PER_SAMPLE
