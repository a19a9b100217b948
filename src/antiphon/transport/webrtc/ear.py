"""What a call's person says: packets in, sound at the session's rate out, as soon as it can be heard.

The order and the holes are `arrivals`' business, what a packet means is `opus`'. This joins them, and keeps the one
timer by which silence is heard where nothing comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds
from antiphon.transport.webrtc.arrivals import Arrivals, Concealed, Heard, Recovered, Silent, Step
from antiphon.transport.webrtc.opus import OpusDecoder, ticks_of
from antiphon.transport.webrtc.rtp import CLOCK_HZ, RtpPacket

GRAIN: Seconds = 0.001  # uvloop's clock has no finer one, and a timer may come so much too early
HELD_UP: Seconds = 0.005
NEAR: Seconds = 0.1  # a timer is moved on while it is so near, and does not wake a process for nothing
TICKS_PER_SAMPLE = CLOCK_HZ // WIRE_RATE


class Ear:
    """One direction of a call. Everything is called on the event loop."""

    def __init__(self, hear: Callable[[Pcm16], None]) -> None:
        """`hear` is given each stretch of sound, int16 at 24 kHz, in order."""
        self.arrivals = Arrivals(ticks_of)
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._decoder = OpusDecoder()
        self._timer: asyncio.TimerHandle | None = None
        self._due: Seconds = 0.0
        self._looks_again = False
        self._is_closed = False

    def take(self, packet: RtpPacket) -> None:
        """A packet of the stream has come."""
        if self._is_closed:
            return
        now = self._loop.time()
        self.arrivals.add(packet, now)
        self._play(self.arrivals.take(now))
        if self._timer is None or self.arrivals.has_hole or self._due - now < NEAR:
            self._arm()

    def close(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        """One timer waits at a time. Each packet moves the deadline on, the timer follows in larger steps, and only a
        hole brings it nearer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._looks_again = False
        deadline = self.arrivals.deadline
        if deadline is not None and not self._is_closed:
            self._due = deadline + GRAIN
            self._timer = self._loop.call_at(self._due, self._time_passed)

    def _time_passed(self) -> None:
        # After something held the loop up, packets may lie in the socket that are older than this deadline.
        if self._loop.time() - self._due > HELD_UP and not self._looks_again:
            self._looks_again = True
            self._timer = self._loop.call_later(HELD_UP, self._time_passed)
            return
        self._play(self.arrivals.pass_time(self._loop.time()))
        self._arm()

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
