"""Sound on its way to the speaker: put by one thread, pulled by the sound card's, gone within one block when told so.

It knows neither devices nor messages. Positions count samples at the card's own rate from the beginning of the stream;
what the card plays while there is nothing to play has no position.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from antiphon.audio.units import Pcm
from antiphon.desktop.ring import Frames
from antiphon.errors import Bug

if TYPE_CHECKING:
    from typing_extensions import Buffer

FIRST_CUSHION_MS = 60  # of sound before an answer begins to play
MOST_CUSHION_MS = 480  # more would be heard as slowness, and such a network needs another remedy
CALM_S = 10  # of sound without a gap after which the cushion shrinks again
FADE_MS = 4  # in which sound that is cut ends: shorter is a click, longer is late


class PlayRing:
    """The next sound for one speaker.

    `put`, `complete` and `flush` are for one thread, `pull` is for another; neither waits for the other. An answer
    begins to play when a cushion of it is here, or all of it. Each gap within an answer doubles the cushion.
    """

    def __init__(self, capacity: int, rate_hz: int, channels: int = 1) -> None:
        if capacity < rate_hz:
            raise Bug(f"a playback ring of {capacity} samples at {rate_hz} Hz", "Give it at least a second.")
        self.rate_hz = rate_hz
        self.gaps = 0
        """How often an answer had to wait for its own next sound."""
        self.cushion = FIRST_CUSHION_MS * rate_hz // 1000
        """Samples that have to be here before an answer plays."""
        self._capacity = capacity
        self._frames: Frames = np.full((capacity, channels), 0, np.float32)  # every page is there from the beginning
        self._bytes = self._frames.data.cast("B")
        self._frame_bytes = 4 * channels
        self._silence = bytes(rate_hz * self._frame_bytes)  # a second: no card asks for as much at once
        self._least_cushion = self.cushion
        self._most_cushion = MOST_CUSHION_MS * rate_hz // 1000
        self._fade: Frames = np.linspace(1, 0, FADE_MS * rate_hz // 1000, dtype=np.float32)[:, None]
        self._put = 0
        self._complete_to = 0
        self._flush_to = 0
        self._pulled = 0
        self._is_playing = False
        self._calm = 0

    # --- for whoever has the sound

    @property
    def end(self) -> int:
        """Position after the last sample that was put."""
        return self._put

    @property
    def played(self) -> int:
        """Position up to which the card has taken the sound; it is heard the card's latency later."""
        return self._pulled

    @property
    def is_busy(self) -> bool:
        """Whether there is something left to play."""
        return self._pulled < self._put and self._flush_to < self._put

    @property
    def room(self) -> int:
        """Samples that can be put now."""
        return self._capacity - (self._put - self._pulled)

    def put(self, pcm: Pcm) -> int:
        """Take in a copy of the next samples, as many as there is room for; returns how many."""
        size = min(pcm.size, self.room)
        at = self._put % self._capacity
        first = min(size, self._capacity - at)
        self._frames[at : at + first] = pcm[:first, None]
        self._frames[: size - first] = pcm[first:size, None]
        self._put += size
        return size

    def complete(self) -> None:
        """What was put is the end of an answer: it needs no cushion, and what follows is no gap."""
        self._complete_to = self._put

    def flush(self) -> None:
        """Everything put so far is not to be heard: from the next block on there is silence, after a fade."""
        self._flush_to = self._complete_to = self._put

    # --- for the sound card

    def pull(self, data: Buffer) -> None:
        """Fill the card's bytes (float32, interleaved) with the next sound; silence where there is none."""
        out = memoryview(data).cast("B")
        size = len(out) // self._frame_bytes
        if self._flush_to > self._pulled:
            self._cut(out, size)
            return
        ready = self._put - self._pulled
        is_whole = self._complete_to >= self._put
        if not self._is_playing:
            if not ready or (ready < self.cushion and not is_whole):
                self._hold(out, 0)
                return
            self._is_playing = True
        taken = min(size, ready)
        self._copy(out, taken)
        self._pulled += taken
        self._calm += taken
        if taken < size:
            self._run_dry(out, taken, is_whole)
        elif self._calm > CALM_S * self.rate_hz:
            self._calm, self.cushion = 0, max(self._least_cushion, self.cushion * 3 // 4)

    def _run_dry(self, out: memoryview, taken: int, is_whole: bool) -> None:
        self._hold(out, taken)
        self._is_playing = False
        if not is_whole:
            self.gaps += 1
            self._calm, self.cushion = 0, min(self._most_cushion, self.cushion * 2)

    def _copy(self, out: memoryview, size: int) -> None:
        at = self._pulled % self._capacity
        first = min(size, self._capacity - at)
        width = self._frame_bytes
        out[: first * width] = self._bytes[at * width : (at + first) * width]
        if first < size:
            out[first * width : size * width] = self._bytes[: (size - first) * width]

    def _hold(self, out: memoryview, after: int) -> None:
        """Silence from this frame on."""
        start = after * self._frame_bytes
        out[start:] = self._silence[: len(out) - start]

    def _cut(self, out: memoryview, size: int) -> None:
        """The last block of what was flushed: a fade, and silence."""
        faded = min(size, len(self._fade), self._flush_to - self._pulled) if self._is_playing else 0
        self._copy(out, faded)
        self._hold(out, faded)
        frames = np.frombuffer(out, np.float32).reshape(size, -1)
        frames[:faded] *= self._fade[:faded]
        self._pulled = self._flush_to
        self._is_playing = False


class Span(Struct):
    """Where the sound of one part of an answer lies in the stream."""

    item_id: str
    content_index: int
    start: int
    end: int


class Heard(Struct, frozen=True):
    """How much of an item's sound a person has heard."""

    item_id: str
    content_index: int
    ms: int
    is_whole: bool


class Playlist:
    """Whose sound is being played, and how far: for whoever puts, on its thread.

    What does not fit into the ring waits here, so that a server which sends a whole answer at once is no trouble.
    """

    def __init__(self, ring: PlayRing, *, longest_s: float = 1200.0) -> None:
        self._ring = ring
        self._longest = round(longest_s * ring.rate_hz)
        self._waiting: deque[Pcm] = deque()
        self._held = 0
        self._is_complete = True
        self._spans: deque[Span] = deque(maxlen=64)
        self.dropped = 0
        """Samples that came when `longest_s` of sound waited already."""

    @property
    def is_busy(self) -> bool:
        return self._held > 0 or self._ring.is_busy

    def add(self, item_id: str, content_index: int, pcm: Pcm) -> None:
        """More sound of this item, at the ring's rate."""
        if self._held + pcm.size > self._longest:
            self.dropped += pcm.size
            return
        start = self._ring.end + self._held
        last = self._spans[-1] if self._spans else None
        if last is not None and (last.item_id, last.content_index) == (item_id, content_index):
            last.end = start + pcm.size
        else:
            self._spans.append(Span(item_id, content_index, start, start + pcm.size))
        self._is_complete = False
        self._waiting.append(pcm)
        self._held += pcm.size
        self.feed()

    def finish(self, rest: Pcm | None = None) -> None:
        """The answer has no more sound than this `rest`, which belongs to the item before."""
        if rest is not None and rest.size and not self._is_complete:
            self.add(self._spans[-1].item_id, self._spans[-1].content_index, rest)
        self._is_complete = True
        self.feed()

    def feed(self) -> None:
        """Fill the ring from what waits. Called whenever there may be room."""
        while self._waiting:
            pcm = self._waiting[0]
            taken = self._ring.put(pcm)
            self._held -= taken
            if taken < pcm.size:
                self._waiting[0] = pcm[taken:]
                return
            self._waiting.popleft()
        if self._is_complete:
            self._ring.complete()

    def heard(self, latency: int = 0) -> Heard | None:
        """What is being played, or was last; None if nothing was. `latency` is the card's, in samples."""
        position = max(0, self._ring.played - latency)
        current = None
        for span in self._spans:
            if span.start <= position:
                current = span
        if current is None:
            return None
        so_far = min(position, current.end) - current.start
        return Heard(
            current.item_id,
            current.content_index,
            so_far * 1000 // self._ring.rate_hz,
            position >= current.end,
        )

    def flush(self, latency: int = 0) -> Heard | None:
        """Nothing of what was added is to be heard from now on; returns where it was cut, None if nothing was."""
        if not self.is_busy:
            return None
        cut = self.heard(latency)
        self._waiting.clear()
        self._held = 0
        self._is_complete = True
        self._ring.flush()
        for span in self._spans:
            span.end = min(span.end, self._ring.end)
        return cut
