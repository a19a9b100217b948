"""What a call's person hears: the answers' sound in order, as packets of 20 ms on time, and how far it got.

The first packet of an answer goes at once, the others one in each round, and the clock sees to it that lateness does
not add up. Between answers a little silence is sent, for the other side's buffer to end in, and then next to nothing.
What a response is, and why it is dropped, is not known here; nor how a packet travels.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from antiphon.audio.units import Samples, Seconds
from antiphon.transport.webrtc.opus import FRAME
from antiphon.transport.webrtc.rounds import BEAT
from antiphon.transport.webrtc.rtp import CLOCK_HZ

FRAME_BYTES = 2 * FRAME
FRAME_S: Seconds = BEAT
FRAME_TICKS = round(CLOCK_HZ * FRAME_S)
REPORT_EVERY = 25  # frames: twice a second, which is how far two clocks may come apart unnoticed
TAIL_FRAMES = 10  # of silence after the last sound: more than a receiver holds back
REST_FRAMES = 20  # from one packet to the next in silence, as Opus itself has it in discontinuous transmission
LATEST: Seconds = 0.2  # a loop that was held up sends what is due in one go; behind more than this it starts anew
EARLY: Seconds = 0.03  # that a packet may go before its time: up to a beat after the first, and some for it to move
BATCH_FRAMES = 5  # that are encoded in a row: half of what one costs is to bring code and tables near the processor
SILENCE = bytes(FRAME_BYTES)


class Encoder(Protocol):
    """Makes packets of sound."""

    def encode(self, pcm: bytes) -> bytes:
        """One packet of `FRAME` samples, 16-bit little-endian at 24 kHz."""
        ...

    def restart(self) -> None:
        """What was encoded last will not be sent."""
        ...


class Utterance:
    """The sound of one response, as far as it is here."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pending = bytearray()
        """As samples."""
        self.packets: deque[bytes] = deque()
        """What comes before them and is encoded already, a frame each."""
        self.played: Samples = 0
        self.is_whole = False
        """There will be no more."""

    @property
    def has_frame(self) -> bool:
        return bool(self.packets) or self._has_samples

    @property
    def is_over(self) -> bool:
        """Whether all of it has been taken."""
        return self.is_whole and not self.pending and not self.packets

    @property
    def waiting(self) -> Samples:
        return len(self.pending) // 2 + len(self.packets) * FRAME

    @property
    def _has_samples(self) -> bool:
        return len(self.pending) >= FRAME_BYTES or (self.is_whole and bool(self.pending))

    def next_packet(self, encoder: Encoder) -> bytes | None:
        """The next 20 ms; None if there is less and more will come. The last ones are filled up with silence.

        The first packet is encoded alone, for it goes at once.
        """
        if not self.packets:
            for _ in range(BATCH_FRAMES if self.played else 1):
                if not self._has_samples:
                    break
                frame = bytes(self.pending[:FRAME_BYTES])
                del self.pending[:FRAME_BYTES]
                self.packets.append(encoder.encode(frame.ljust(FRAME_BYTES, b"\0")))
        return self.packets.popleft() if self.packets else None


class Speaker:
    """One direction of a call. Everything is called on the event loop."""

    def __init__(
        self,
        encoder: Encoder,
        send: Callable[[bytes, int, bool], None],
        report: Callable[[str, Samples], None],
    ) -> None:
        """`send` is given each packet, its time in ticks from the first one, and whether a silence lies before it;
        `report` how much of a response has been played, first when it begins, at last when all of it has been."""
        self._encoder = encoder
        self._send = send
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._utterances: dict[str, Utterance] = {}
        self._began: Seconds | None = None
        """When the frame number 0 was due."""
        self._frame = 0
        """Number of the next frame that is due."""
        self._silent_frames = TAIL_FRAMES
        """Since the last sound."""
        self._last_sent = -1
        self._is_open = False
        self._is_fresh = True
        """Whether nothing has been sent since packets can travel."""
        self._is_ticking = False

    def open(self) -> None:
        """Packets can travel, from now on in rounds."""
        self._is_open = self._is_fresh = True
        self._wake()

    def pause(self) -> None:
        """They cannot, for now: what is to be said waits."""
        self._is_open = False

    def close(self) -> None:
        self.pause()
        self._utterances.clear()

    # --- what is to be said

    def push(self, name: str, pcm: bytes) -> None:
        """More sound of this response. It waits until those before it have been played."""
        utterance = self._utterances.get(name)
        if utterance is None:
            utterance = self._utterances[name] = Utterance(name)
        utterance.pending += pcm
        self._wake()

    def finish(self, name: str) -> None:
        """There will be no more of this response."""
        if (utterance := self._utterances.get(name)) is not None:
            utterance.is_whole = True
            self._wake()

    def drop(self, name: str) -> None:
        """What was not played of this response will not be."""
        utterance = self._utterances.pop(name, None)
        if utterance is not None and utterance.packets:
            self._encoder.restart()

    @property
    def waiting(self) -> Samples:
        """Sound that lies here, of all responses."""
        return sum(one.waiting for one in self._utterances.values())

    # --- the clock

    def _wake(self) -> None:
        """Begin at once if there is something to say and nothing is being said; otherwise it goes by the clock."""
        if not self._is_open or self._is_ticking or not self._may_begin():
            return
        now = self._loop.time()
        if self._began is None:
            self._began = now
        self._is_fresh = False
        self._restart_clock(now)
        self._play(now)

    def take_turn(self, now: Seconds) -> None:
        """Once in each round: send what is due."""
        if not self._is_open or self._began is None or self._due(self._frame) - now > EARLY:
            return
        if now - self._due(self._frame) > LATEST:
            self._restart_clock(now)
        self._play(now)

    def _may_begin(self) -> bool:
        if self._is_fresh:
            return True
        first = next(iter(self._utterances.values()), None)
        if first is None or not self._silent_frames:
            return False
        return first.has_frame or self._silent_frames >= TAIL_FRAMES

    def _due(self, frame: int) -> Seconds:
        assert self._began is not None
        return self._began + frame * FRAME_S

    def _restart_clock(self, now: Seconds) -> None:
        """The next frame is due now. Its number is the time that has passed: a silence is part of the stream."""
        assert self._began is not None
        self._frame = max(self._last_sent + 1, round((now - self._began) / FRAME_S))
        self._began = now - self._frame * FRAME_S

    def _play(self, now: Seconds) -> None:
        """Send a packet, and those that should have been sent before it. In silence, the next is due much later."""
        self._is_ticking = True
        try:
            self._play_frame()
            while self._is_open and self._due(self._frame) < now:
                self._play_frame()
        finally:
            self._is_ticking = False
        if self._silent_frames >= TAIL_FRAMES:
            self._frame += REST_FRAMES - 1

    def _play_frame(self) -> None:
        utterance = self._current()
        packet = utterance.next_packet(self._encoder) if utterance is not None else None
        if utterance is None or packet is None:
            self._silent_frames += 1
            self._send_packet(self._encoder.encode(SILENCE))
            return
        self._silent_frames = 0
        if utterance.played % (REPORT_EVERY * FRAME) == 0:
            self._report(utterance.name, utterance.played)
        utterance.played += FRAME
        self._send_packet(packet)

    def _current(self) -> Utterance | None:
        """The response that is being played. Those before it that have been played to their end are reported."""
        for name, utterance in list(self._utterances.items()):
            if not utterance.is_over:
                return utterance
            self._utterances.pop(name, None)
            self._report(name, utterance.played)
        return None

    def _send_packet(self, packet: bytes) -> None:
        self._send(packet, self._frame * FRAME_TICKS, self._frame > self._last_sent + 1)
        self._last_sent = self._frame
        self._frame += 1
