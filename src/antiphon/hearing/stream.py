"""One person's sound on its way to the voice detector: what waits to be scored, and where in the stream it
lies.

It does not know when it will be scored, nor by whom: the hub takes a few windows at a time and brings back their
scores.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from msgspec import Struct

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds, seconds_from_samples
from antiphon.errors import EngineError
from antiphon.hearing.edges import WINDOW, Edges, HearingEvent
from antiphon.hearing.gate import Gate
from antiphon.hearing.windows import SAMPLE_BYTES, Cutter
from antiphon.session.inputs import HearingFailed

LEAD_IN = 4  # windows before the one that opened the gate, which the detector hears first: 128 ms to find its way in

OnEvent = Callable[[HearingEvent | HearingFailed], None]
OnScore = Callable[[Samples, float], None]
"""Where a window ends in the stream, and P(speech) in it."""


class Place(Protocol):
    """What a stream asks of its hub."""

    def wake(self, stream: HearingStream) -> None:
        """The stream has a whole window, and none of it waits or is being scored."""

    def tell(self, stream: HearingStream, event: HearingEvent | HearingFailed) -> None:
        """Have the stream's owner called."""

    def forget_memory(self, stream: HearingStream) -> None:
        """The detector's memory of the stream is to be that of a fresh one."""

    def release(self, stream: HearingStream) -> None:
        """The stream is gone; its row in the pool is free."""

    def count_dropped(self, samples: Samples) -> None:
        """These were never scored."""


class Piece(Struct, frozen=True):
    """Some windows on their way through the detector, one after the other."""

    span: bytearray
    heard: Samples
    """Where the first window ends in the stream."""
    arrived: Sequence[Seconds]
    """When the message came that completed each of them."""
    epoch: int
    """The stream's when the windows were taken: scores from an earlier one are no longer wanted."""
    windows: int
    """How many they are."""


class HearingStream:
    """Made by `HearingHub.open`. All methods are for the event loop's thread, and none waits."""

    def __init__(self, place: Place, slot: int, cutter: Cutter, rate_hz: int, on_event: OnEvent) -> None:
        self.slot = slot
        """Row of this stream's memory in the hub's pool."""
        self.cutter = cutter
        self.edges = Edges()
        self.on_event = on_event
        self.on_score: OnScore | None = None
        """Told of every window's score, if anybody wants to know."""
        self.is_open = True
        self.is_waiting = False
        """Whether the hub has it in its queue or in a batch."""
        self.has_failed = False
        """Whether its owner was told of a failure that still lasts."""
        self.dropped: Samples = 0
        """How much was never scored, because it came faster than it could be."""
        self.epoch = 0
        self.watchers: list[tuple[int, asyncio.Future[None]]] = []
        """Who waits until at most so many windows wait: see `caught_up`."""
        self._gate: Gate | None = None
        self._place = place
        self._rate_hz = rate_hz
        self._backlog_windows = 0
        self._is_listening = False
        self._is_dropping = False
        self._origin: Samples = 0
        """Position of the first sample that `_received` counts."""
        self._received = 0
        """Samples, at the stream's own rate."""
        self._complete = 0
        """Windows that they make."""
        self._taken = 0
        self._passed = 0
        """Of them, those that the gate has let nobody score, and whose sound is still here."""
        self._bytes = bytearray()
        """What was passed over and what waits, and the `reach` samples before it."""
        self._arrivals: deque[tuple[int, Seconds]] = deque()
        """How many windows were complete, and when the message that completed the last of them came."""
        self._start_over()

    def begin(self, position: Samples, threshold: float | None, backlog_windows: int, gate: Gate | None) -> None:
        """Called once, by the hub: the stream starts here, this many windows of it may wait, and those that the gate
        stops are not scored."""
        self._origin = position
        self._backlog_windows = backlog_windows
        self._gate = gate
        self.listen(threshold)

    # --- what the session's runtime calls
    # ----------------------------------------------------------------------------

    @property
    def position(self) -> Samples:
        """How much the stream has brought, in samples at 24 kHz."""
        return self._origin + self._received * WIRE_RATE // self._rate_hz

    @property
    def is_listening(self) -> bool:
        """Whether what comes in is scored."""
        return self._is_listening

    @property
    def waiting(self) -> int:
        """Whole windows that have not been taken to be scored."""
        return self._complete - self._taken

    def append(self, pcm: Pcm16, arrived: Seconds) -> None:
        """Take in a copy of the next samples at the stream's rate; `arrived` is when their message came.

        Sound over the backlog's limit pushes out the oldest that waits; it is counted, and told once per jam.
        """
        self._received += pcm.size
        if not self._is_listening:
            return
        self._bytes += pcm.tobytes()
        complete = (self._received - self.cutter.reach) // self.cutter.step
        if complete <= self._complete:
            return
        if self._gate is not None and self.edges.is_idle and self._is_passed_over(complete, self._gate):
            return
        self._taken -= self._passed
        self._passed = 0
        self._complete = complete
        self._arrivals.append((complete, arrived))
        if self.waiting > self._backlog_windows:
            self._drop(self.waiting - self._backlog_windows)
        if not self.is_waiting:
            self._place.wake(self)

    def _is_passed_over(self, complete: int, gate: Gate) -> bool:
        """Show the gate the windows that have become complete, and pass over them while it is shut. Once one opens it,
        that one waits, and the last of those before it with it."""
        step = self.cutter.step
        for number in range(self._complete, complete):
            at = (number - self._taken + self._passed) * step + self.cutter.reach
            gate.measure(np.frombuffer(self._bytes, "<i2", step, at * SAMPLE_BYTES))
            if not gate.is_shut or self.waiting:
                return False
            self._complete += 1
            self._taken += 1
            self._passed += 1
            if self._passed > LEAD_IN:
                del self._bytes[: step * SAMPLE_BYTES]
                self._passed -= 1
        return True

    def listen(self, threshold: float | None) -> None:
        """Score from now on, with this threshold in [0, 1]; None: do not, and only count samples.

        While it is scored already, a new threshold applies from the next window on and nothing else changes.
        """
        if not self.is_open:
            return
        if threshold is not None:
            self.edges.configure(threshold)
        wants = threshold is not None
        if self._is_listening is not wants:
            self._is_listening = wants
            self.reset()

    def reset(self) -> None:
        """Forget what waits, what is being scored, and that anybody speaks. The position stays."""
        if not self.is_open:  # its row in the pool may be somebody else's
            return
        self._origin = self.position
        self._start_over()
        self.edges.reset()
        self._place.forget_memory(self)

    async def caught_up(self, windows: int = 0) -> None:
        """Wait until at most this many whole windows wait to be scored, and, for 0, none is being scored either.

        The events of what was scored have been delivered then. A stream that is closed or reset has caught up.
        """
        while self.waiting > windows or (not windows and self.is_waiting):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.watchers.append((windows, future))
            await future

    def tell_watchers(self) -> None:
        """Called by the hub after each of the stream's windows that has watchers, and by the stream's end."""
        watchers, self.watchers = self.watchers, []
        for windows, future in watchers:
            if future.done():
                continue
            if self.waiting > windows or (not windows and self.is_waiting):
                self.watchers.append((windows, future))
            else:
                future.set_result(None)

    def turn_closed(self, heard: Samples | None = None) -> None:
        """See `Edges.turn_closed`."""
        self.edges.turn_closed(heard)

    def close(self) -> None:
        """No event comes any more, not even of a window that is being scored. May be called again."""
        if self.is_open:
            self._origin = self.position
            self.is_open = self._is_listening = False
            self._start_over()
            self._place.release(self)
            self.tell_watchers()
            self.on_event = _ignore  # its owner's, which would wait for the garbage collector

    # --- what the hub calls
    # ------------------------------------------------------------------------------------------

    def take(self, most: int) -> Piece:
        """The next windows, at most so many: all that can be scored before the detector's memory may have to be begun
        anew. There is one."""
        count = self._complete - self._taken
        if count > 1:
            count = min(most, count, self.edges.until_stale)
        step = self.cutter.step * SAMPLE_BYTES
        span = self._bytes[: self.cutter.span * SAMPLE_BYTES + (count - 1) * step]
        del self._bytes[: count * step]
        first = self._taken + 1
        self._taken += count
        arrived = [self._arrival(first)]
        if count > 1:
            arrived += [self._arrival(number) for number in range(first + 1, first + count)]
        return Piece(span, self._origin + first * WINDOW, arrived, self.epoch, count)

    def _arrival(self, window: int) -> Seconds:
        while self._arrivals[0][0] < window:
            self._arrivals.popleft()
        return self._arrivals[0][1]

    def hear(self, piece: Piece, scores: Sequence[float]) -> None:
        """The scores of windows that were taken in this epoch."""
        self.has_failed = False
        self._is_dropping = self._is_dropping and self.waiting > self._backlog_windows // 2
        heard = piece.heard
        for score, arrived in zip(scores, piece.arrived, strict=True):
            self._hear(score, heard, arrived)
            heard += WINDOW

    def _hear(self, score: float, heard: Samples, arrived: Seconds) -> None:
        if self.on_score is not None:
            self.on_score(heard, score)
        event = self.edges.hear(score, heard, arrived)
        if self._gate is not None:
            self._gate.scored(is_dead=self.edges.is_dead(score))
        if event is not None:
            self._place.tell(self, event)
        if self.edges.memory_went_stale():
            self._place.forget_memory(self)

    def fail(self, error: EngineError) -> None:
        """The windows that were taken have no score. The owner is told once, until one has a score again."""
        self.edges.skip()
        if self._gate is not None:
            self._gate.scored(is_dead=False)
        self._place.forget_memory(self)
        if not self.has_failed:
            self.has_failed = True
            self._place.tell(self, HearingFailed(error.code, str(error)))

    def _start_over(self) -> None:
        self.epoch += 1
        self._received = self._complete = self._taken = self._passed = 0
        if self._gate is not None:
            self._gate.open()
        self._bytes = bytearray(self.cutter.reach * SAMPLE_BYTES)  # before the beginning lies silence
        self._arrivals.clear()

    def _drop(self, windows: int) -> None:
        del self._bytes[: windows * self.cutter.step * SAMPLE_BYTES]
        self._taken += windows
        self._arrival(self._taken + 1)  # those of the dropped are forgotten too
        self.dropped += windows * WINDOW
        self._place.count_dropped(windows * WINDOW)
        self.edges.skip()
        if self._is_dropping:
            return
        self._is_dropping = True
        limit_s = seconds_from_samples(self._backlog_windows * WINDOW)
        message = f"audio came faster than it can be heard: only the last {limit_s:.0f} s that wait are kept"
        self._place.tell(self, HearingFailed("audio_backlog", message))


def _ignore(event: HearingEvent | HearingFailed) -> None:
    """Nobody listens any more."""
