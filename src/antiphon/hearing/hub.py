"""One voice detector for every session of the process: windows of many streams are scored in one batch.

It knows neither turns nor messages. Sound goes in through a stream, events come out through its owner's
callback, and one thread computes what takes longer than to wake it. Whoever has a whole window is taken along
with the next batch, with a few windows at most, so that a minute of sound in one message delays its sender's other
windows and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import groupby

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE, Samples, Seconds, samples_from_ms, seconds_from_samples
from antiphon.engines.api import Vad
from antiphon.errors import Bug, EngineError
from antiphon.hearing.edges import WINDOW, HearingEvent
from antiphon.hearing.gate import BLOCKS, Gate
from antiphon.hearing.runners import OwnThread, Runner
from antiphon.hearing.stream import HearingStream, OnEvent, Piece
from antiphon.hearing.windows import Cutter, cutter_for
from antiphon.session.inputs import HearingFailed

LARGEST_BATCH = 64  # windows: one costs no less in larger ones, and 64 keep the thread for under 1 ms
MOST_OF_ONE = 16
"""Windows of one stream in a batch, half a second: two batches may be on their way before its owner, who keeps 1.5 s of
what it was not told of, hears that somebody speaks in the first."""
LONGEST_WAIT_S: Seconds = 0.010  # for company, before a batch is made of who is there
CROWD = 64  # streams from which on the wait is the longest; with fewer it is shorter in proportion
BACKLOG_S: Seconds = 60.0  # of one stream: as long as the longest turn
SMOOTHING = 1 / 16  # of the lateness: about the last half second of a busy hub
FIRST_POOL_ROWS = 64  # doubled when they are taken


class Batch(Struct, frozen=True):
    """Windows on their way through the detector; row i of every sequence is the same stream's."""

    streams: Sequence[HearingStream]
    pieces: Sequence[Piece]
    windows: int
    """Of all pieces."""
    slots: NDArray[np.intp]
    oldest: Seconds
    """When the first of them asked to be heard."""


class HearingHub:
    """Scores every stream that was opened, in batches, for as long as the process lives.

    Everything here happens on the event loop's thread except `vad.score`, which `runner` puts where it wants.
    """

    def __init__(
        self, vad: Vad, runner: Runner | None = None, backlog_s: Seconds = BACKLOG_S, *, gates: bool = False
    ) -> None:
        """`backlog_s` bounds the sound of one stream that may wait to be scored. `gates`: what cannot be anything but
        the room it was before is not scored; see `Gate`."""
        if samples_from_ms(vad.window * 1000 / 16_000) != WINDOW:
            raise Bug(f"a voice detector with windows of {vad.window} samples", "Cut its input to 512 at 16 kHz.")
        self.batches = 0
        self.windows = 0
        """Scored since the start."""
        self.failures = 0
        """Batches that the detector did not survive."""
        self.dropped: Samples = 0
        """Never scored, because they came faster than they could be; all streams together."""
        self.lateness_ms = 0.0
        """From when a window was whole and its stream free to when its event was out: smoothed, the worst of
        a batch.
        """
        self.streams: set[HearingStream] = set()
        self._vad = vad
        self._most_of_one = min(vad.most_at_once, MOST_OF_ONE)
        self._runner = runner or OwnThread()
        self._gates = gates
        self._backlog_windows = max(1, int(backlog_s * WIRE_RATE / WINDOW))
        self._pool = np.zeros((FIRST_POOL_ROWS, vad.memory), np.float32)
        self._free = list(range(FIRST_POOL_ROWS))
        self._ready: deque[tuple[HearingStream, Seconds]] = deque()
        self._timer: asyncio.Handle | None = None
        self._last_start: Seconds = float("-inf")
        self._under_way: asyncio.Future[tuple[NDArray[np.float32], NDArray[np.float32]]] | None = None
        self._is_closed = False

    @property
    def backlog_s(self) -> Seconds:
        """Sound of all streams that waits to be scored."""
        return seconds_from_samples(WINDOW * sum(stream.waiting for stream in self.streams))

    def rehearse(self) -> None:
        """Score a batch of every shape that can come, once, before the first stream is opened: with Silero that takes
        0.1 s and 2.5 MB.

        A detector keeps memory for each shape that it has met, and which shapes come is chance. Without this a server
        grows for its first hour.
        """
        if self.streams:
            raise Bug("the voice detector was rehearsed while somebody spoke", "Call rehearse before open.")
        sound = np.zeros((LARGEST_BATCH, self._vad.window), np.float32)
        memories = np.zeros((LARGEST_BATCH, self._vad.memory), np.float32)
        for windows in range(1, self._most_of_one + 1):
            for streams in range(LARGEST_BATCH // windows, 0, -1):
                self._vad.score(sound[: streams * windows], memories[:streams])

    def open(
        self,
        on_event: OnEvent,
        *,
        rate_hz: int = WIRE_RATE,
        threshold: float | None = 0.5,
        position: Samples = 0,
    ) -> HearingStream:
        """Another stream, of int16 sound at `rate_hz`, that starts at `position` on its session's ruler.

        `on_event` is called on the event loop, in order, never from within a call of the stream's own
        methods. It gets a `HearingFailed` when the detector broke or sound was dropped; the stream goes on
        after either. With a threshold of None nothing is scored until `listen`.
        """
        if self._is_closed:
            raise Bug("a stream was opened on a hub that is closed", "Close the hub after the last session.")
        if not self._free:
            rows = len(self._pool)
            self._pool = np.concatenate((self._pool, np.zeros_like(self._pool)))
            self._free.extend(range(rows, 2 * rows))
        cutter = cutter_for(rate_hz, self._vad.window)
        stream = HearingStream(self, self._free.pop(), cutter, rate_hz, on_event)
        self.streams.add(stream)
        gate = Gate(cutter.step) if self._gates and cutter.step % BLOCKS == 0 else None
        stream.begin(position, threshold, self._backlog_windows, gate)
        self.forget_memory(stream)
        return stream

    async def close(self) -> None:
        """Close every stream and stop the thread, after the batch that it works on."""
        self._is_closed = True
        for stream in list(self.streams):
            stream.close()
        if self._timer is not None:
            self._timer.cancel()
        if self._under_way is not None:
            await asyncio.wait([self._under_way])
        self._runner.close()

    # --- what a stream asks for: `stream.Place`
    # ----------------------------------------------------------------------

    def wake(self, stream: HearingStream) -> None:
        stream.is_waiting = True
        self._ready.append((stream, asyncio.get_running_loop().time()))
        self._plan()

    def tell(self, stream: HearingStream, event: HearingEvent | HearingFailed) -> None:
        # Through the loop, so that what one owner raises is reported as its own and reaches no other stream.
        asyncio.get_running_loop().call_soon(_deliver, stream, event)

    def forget_memory(self, stream: HearingStream) -> None:
        self._pool[stream.slot] = 0

    def release(self, stream: HearingStream) -> None:
        self.streams.discard(stream)
        self._free.append(stream.slot)

    def count_dropped(self, samples: Samples) -> None:
        self.dropped += samples

    # --- batches
    # -----------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Have a batch made when it is due, unless one is under way: its end makes the next one."""
        if self._under_way is not None or self._is_closed:
            return
        loop = asyncio.get_running_loop()
        if len(self._ready) == LARGEST_BATCH and self._timer is not None:
            self._timer.cancel()  # nobody else fits in
            self._timer = None
        if self._timer is not None:
            return
        # A few streams gain nothing from waiting, and a crowd cannot each have a batch of its own.
        wait_s = LONGEST_WAIT_S * min(1.0, len(self.streams) / CROWD)
        due = self._last_start + wait_s
        if due <= loop.time() or len(self._ready) >= LARGEST_BATCH:
            # After this turn of the loop: the messages that came with this one are handled in it.
            self._timer = loop.call_soon(self._start)
        else:
            self._timer = loop.call_at(due, self._start)

    def _start(self) -> None:
        """Send off what each stream has, up to the largest batch, who waited longest first."""
        self._timer = None
        batch = self._gather()
        if batch is None:
            return
        self._last_start = asyncio.get_running_loop().time()
        work = partial(_score, self._vad, _stacks(batch), self._pool[batch.slots])
        self._under_way = self._runner.run(work, is_short=batch.windows <= self._vad.most_in_place)
        self._under_way.add_done_callback(partial(self._finish, batch))

    def _gather(self) -> Batch | None:
        chosen: list[tuple[HearingStream, Seconds]] = []
        while self._ready and len(chosen) < LARGEST_BATCH:
            stream, since = self._ready.popleft()
            if stream.waiting:
                chosen.append((stream, since))
            else:  # it was closed or reset while it queued
                stream.is_waiting = False
                stream.tell_watchers()
        if not chosen:
            return None
        oldest = min(since for _, since in chosen)
        # Of a crowd one window each, of a few as many as the detector takes.
        most = min(self._most_of_one, LARGEST_BATCH // len(chosen))
        if len(chosen) == 1:
            stream = chosen[0][0]
            piece = stream.take(most)
            return Batch([stream], [piece], piece.windows, np.array([stream.slot]), oldest)
        # Rates and lengths side by side, so that each is cut, resampled and scored as one array.
        taken = [(stream, stream.take(most)) for stream, _ in chosen]
        taken.sort(key=_kind_of)
        slots = np.fromiter((stream.slot for stream, _ in taken), np.intp, len(taken))
        windows = sum(piece.windows for _, piece in taken)
        return Batch([stream for stream, _ in taken], [piece for _, piece in taken], windows, slots, oldest)

    def _finish(self, batch: Batch, future: asyncio.Future[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
        """Hand out what a batch has brought, and send off the next one if anybody has more."""
        self._under_way = None
        if future.cancelled() or self._is_closed:
            return
        failure = future.exception()
        if failure is None:
            self._hand_out(batch, *future.result())
        else:
            self._hand_out_failure(batch, failure)
        now = asyncio.get_running_loop().time()
        late_ms = (now - batch.oldest) * 1000
        self.lateness_ms += (late_ms - self.lateness_ms) * SMOOTHING
        has_more = False
        for stream in batch.streams:
            stream.is_waiting = stream.waiting > 0
            if stream.is_waiting:
                has_more = True
                self._ready.append((stream, now))
            if stream.watchers:
                stream.tell_watchers()
        if has_more and self._timer is None:
            self._start()  # they have waited for this batch already
        elif self._ready:
            self._plan()

    def _hand_out(self, batch: Batch, scores: NDArray[np.float32], memories: NDArray[np.float32]) -> None:
        self.batches += 1
        self.windows += scores.size
        wanted = [piece.epoch == stream.epoch for stream, piece in zip(batch.streams, batch.pieces, strict=True)]
        if all(wanted):
            self._pool[batch.slots] = memories
        else:  # rows of streams that were closed or reset may be somebody else's by now
            self._pool[batch.slots[wanted]] = memories[wanted]
        found, at = scores.tolist(), 0
        for stream, piece, is_wanted in zip(batch.streams, batch.pieces, wanted, strict=True):
            if is_wanted:
                stream.hear(piece, found[at : at + piece.windows])
            at += piece.windows

    def _hand_out_failure(self, batch: Batch, failure: BaseException) -> None:
        self.failures += 1
        error = failure if isinstance(failure, EngineError) else _engine_error(failure)
        for stream, piece in zip(batch.streams, batch.pieces, strict=True):
            if piece.epoch == stream.epoch:
                stream.fail(error)


Stack = tuple[Cutter, int, list[bytearray]]
"""Spans of one rate and one number of windows, stream after stream."""


def _kind_of(taken: tuple[HearingStream, Piece]) -> tuple[int, int]:
    """Of equal ones there is one stack: the rate, and how many windows."""
    return taken[0].cutter.step, taken[1].windows


def _stacks(batch: Batch) -> list[Stack]:
    if len(batch.pieces) == 1:
        return [(batch.streams[0].cutter, batch.pieces[0].windows, [batch.pieces[0].span])]
    stacks = []
    for (_, windows), group in groupby(zip(batch.streams, batch.pieces, strict=True), key=_kind_of):
        rows = list(group)
        stacks.append((rows[0][0].cutter, windows, [piece.span for _, piece in rows]))
    return stacks


def _score(
    vad: Vad, stacks: Sequence[Stack], memories: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What may be a thread's part: cut, resample, score. Touches nothing that the loop's thread writes. Returns scores,
    stream after stream, and the memories."""
    if len(stacks) == 1:
        return _score_stack(vad, stacks[0], memories)
    ends = np.cumsum([len(spans) for _, _, spans in stacks])[:-1]
    parts = [_score_stack(vad, *each) for each in zip(stacks, np.split(memories, ends), strict=True)]
    return np.concatenate([scores for scores, _ in parts]), np.concatenate([after for _, after in parts])


def _score_stack(
    vad: Vad, stack: Stack, memories: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    cutter, count, spans = stack
    windows = cutter.windows(spans, count)
    if count == 1 or len(spans) == 1:
        return _checked(vad, windows, memories)
    # The detector wants moment after moment.
    moments = windows.reshape(len(spans), count, -1).swapaxes(0, 1).reshape(windows.shape)
    scores, after = _checked(vad, moments, memories)
    return scores.reshape(count, len(spans)).T.ravel(), after


def _checked(
    vad: Vad, windows: NDArray[np.float32], memories: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scores, after = vad.score(windows, memories)
    if scores.shape != windows.shape[:1] or after.shape != memories.shape:
        raise EngineError(
            f"the voice detector answered {scores.shape} and {after.shape} to {windows.shape} and {memories.shape}",
            "This is a mistake in the engine: see the contract of `Vad.score`.",
        )
    if not np.isfinite(scores).all():
        raise EngineError(
            "the voice detector answered with a score that is no number",
            "Its memory is begun anew. If this repeats, check the model file: antiphon doctor.",
        )
    return scores, after


def _engine_error(failure: BaseException) -> EngineError:
    return EngineError(
        f"the voice detector failed: {type(failure).__name__}: {failure}",
        "The stream goes on with its next window. If this repeats, check the model file: antiphon doctor.",
    )


def _deliver(stream: HearingStream, event: HearingEvent | HearingFailed) -> None:
    if stream.is_open:
        stream.on_event(event)
