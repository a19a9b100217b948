"""What the sound card's thread and its reader do with each block of sound, and what ways that look cheaper get wrong.

Beside ours stand a check of some samples only, a ring with a lock, a ring whose positions are the thread's own, and a
mono buffer that is made once. What each gets wrong is provoked and counted.

    python bench/desktop.py

Processor time of one thread: of calls in a loop, with all of their memory at hand (the best of five), and of calls that
come every 10 ms as a card's do. 10 ms of stereo at 48 kHz; the checks see 32 ms at 16 kHz, mono.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import guarded, mono_from_frames
from antiphon.audio.units import Pcm
from antiphon.desktop.card import Counters, Microphone
from antiphon.desktop.ring import CaptureRing, Frames
from common import machine

CARD_HZ, BLOCK, WINDOW = 48_000, 480, 512
TICKS, CALLS = 1_000, 2_000
TICK_S = 0.01
RING = 30 * CARD_HZ
CALLBACK_TARGET_US, CHECK_TARGET_US = 50.0, 5.0
TRIALS = 2_000
SHARE = 0.05  # of the samples that the cheap check looks at
LIMIT = 32.0  # that the cheap check lets pass as an amplitude


class Way(Struct, frozen=True):
    """One way to do a thing."""

    name: str
    work: Callable[[], object]
    wrong: Callable[[], str]
    """Provokes what it gets wrong, and says how often."""


# --- into the ring, on the card's thread ------------------------------------------------------------------------------


class NoTrouble:
    """What the card says of a block before which nothing was lost."""

    input_overflow = False


def our_ring() -> Way:
    """All that the card's thread runs of ours."""
    microphone = object.__new__(Microphone)
    microphone.ring, microphone.counters = CaptureRing(RING, 2), Counters()
    data, status = np.zeros((BLOCK, 2), np.float32).data, NoTrouble()

    def wrong() -> str:
        ring = CaptureRing(4 * BLOCK)
        torn = torn_reads(lambda block: ring.write(block.data), lambda: ring.read(ring.end - 3 * BLOCK).frames[:, 0])
        return f"{torn} of {READS} reads torn"

    return Way("ours: a copy, no lock", lambda: microphone._take(data, BLOCK, None, status), wrong)


class LockedRing:
    """Writer and reader take turns."""

    def __init__(self, capacity: int) -> None:
        self._lock = threading.Lock()
        self._frames = np.zeros((capacity, 2), np.float32)
        self._at = 0

    def write(self, data: Any) -> None:
        block = np.frombuffer(data, np.float32).reshape(-1, 2).copy()
        with self._lock:
            first = min(len(block), len(self._frames) - self._at)
            self._frames[self._at : self._at + first] = block[:first]
            self._frames[: len(block) - first] = block[first:]
            self._at = (self._at + len(block)) % len(self._frames)

    def read(self) -> Frames:
        with self._lock:
            return np.roll(self._frames, -self._at, axis=0)


def locked_ring() -> Way:
    ring, data = LockedRing(RING), np.zeros((BLOCK, 2), np.float32).data

    def wrong() -> str:
        """How long the card's thread waits while somebody reads the whole ring."""
        is_over = threading.Event()

        def read() -> None:
            while not is_over.is_set():
                ring.read()

        reader = threading.Thread(target=read)
        reader.start()
        waits = []
        for _ in range(50):
            before = time.perf_counter()
            ring.write(data)
            waits.append(time.perf_counter() - before)
            time.sleep(TICK_S)
        is_over.set()
        reader.join()
        return f"the card waits for a reader: up to {max(waits) * 1000:.1f} ms of its 10"

    return Way("a lock, and arrays", lambda: ring.write(data), wrong)


class ThreadLocalRing:
    """Positions in `threading.local`, so that no lock is needed; 1-D blocks."""

    def __init__(self, capacity: int) -> None:
        self._frames = np.zeros(capacity, np.float32)
        self._position = threading.local()
        self._position.value = 0

    def write(self, block: Pcm) -> None:
        at = self._position.value
        self._frames[at : at + block.size] = block
        self._position.value = (at + block.size) % (self._frames.size - block.size)


def thread_local_ring() -> Way:
    ring, block = ThreadLocalRing(RING), np.zeros(BLOCK, np.float32)

    def wrong() -> str:
        failed = []

        def write() -> None:
            for _ in range(100):
                try:
                    ring.write(block)
                except AttributeError as error:
                    failed.append(error)

        card = threading.Thread(target=write)
        card.start()
        card.join()
        return f"{len(failed)} of 100 blocks of another thread lost: {failed[0]}"

    return Way("the thread's own positions", lambda: ring.write(block), wrong)


READS = 2_000


def torn_reads(write: Callable[[Frames], None], read: Callable[[], Pcm]) -> int:
    """How many reads were not one unbroken piece, with a writer that overtakes its reader all the time."""
    is_over = threading.Event()

    def write_on() -> None:
        at = 0
        while not is_over.is_set():
            write(np.arange(at, at + BLOCK, dtype=np.float32)[:, None])
            at = (at + BLOCK) % (BLOCK * 30_000)

    writer = threading.Thread(target=write_on)
    writer.start()
    torn = 0
    for _ in range(READS):
        piece = read()
        steps = np.diff(piece)
        torn += bool(steps.size and not np.all((steps == 1) | (steps < -BLOCK)))  # the numbers begin anew at times
    is_over.set()
    writer.join()
    return torn


# --- every sample checked, on the reader's ----------------------------------------------------------------------------


def checks() -> list[Way]:
    sound = np.random.default_rng(1).normal(0, 0.05, WINDOW).astype(np.float32)
    chance = np.random.default_rng(2)

    def sampled(pcm: Pcm) -> bool:
        seen = pcm[chance.choice(pcm.size, max(1, int(pcm.size * SHARE)), replace=False)]
        return bool(np.all(np.isfinite(seen)) and np.max(np.abs(seen)) <= LIMIT)

    def whole(pcm: Pcm) -> bool:
        return bool(np.all(np.isfinite(pcm)) and np.max(np.abs(pcm)) <= 1.0)

    def ours(pcm: Pcm) -> bool:
        return not guarded(pcm).repaired

    def misses(accepts: Callable[[Pcm], bool]) -> Callable[[], str]:
        def count() -> str:
            missed = {}
            for bad in (np.nan, 2.0):
                spoiled = 0
                for _ in range(TRIALS):
                    pcm = sound.copy()
                    pcm[chance.integers(pcm.size)] = bad
                    spoiled += accepts(pcm)
                missed[bad] = f"{100 * spoiled / TRIALS:.1f} %"
            return "misses of one NaN {}, of one sample at 2.0 {}".format(*missed.values())

        return count

    ways = (("ours: one sum of squares", ours), (f"{SHARE:.0%} of the samples", sampled), ("isfinite and max", whole))
    return [Way(name, lambda accepts=accepts: accepts(sound), misses(accepts)) for name, accepts in ways]  # type: ignore[misc]


# --- two channels made one --------------------------------------------------------------------------------------------


def monos() -> list[Way]:
    frames = np.random.default_rng(3).normal(0, 0.05, (BLOCK, 2)).astype(np.float32)
    kept = np.zeros(BLOCK, np.float32)

    def into_kept(block: Frames) -> Pcm:
        np.mean(block, axis=1, out=kept)
        return kept

    def changed(mono: Callable[[Frames], Pcm]) -> Callable[[], str]:
        def count() -> str:
            first = mono(frames)
            before = first.copy()
            mono(np.zeros_like(frames))
            return f"{np.count_nonzero(first != before)} of {BLOCK} samples changed by the next block"

        return count

    ways = (("ours: an array of its own", mono_from_frames), ("a buffer made once", into_kept))
    return [Way(name, lambda mono=mono: mono(frames), changed(mono)) for name, mono in ways]  # type: ignore[misc]


def measured(ways: list[Way]) -> list[list[float]]:
    """Microseconds of each call of each way: one of each every 10 ms, in an order that turns."""
    costs: list[list[float]] = [[] for _ in ways]
    due = time.perf_counter()
    for tick in range(TICKS):
        due += TICK_S
        time.sleep(max(0.0, due - time.perf_counter()))
        for place in range(len(ways)):
            number = (tick + place) % len(ways)
            before = time.thread_time_ns()
            ways[number].work()
            costs[number].append((time.thread_time_ns() - before) / 1000)
    return costs


def in_a_loop(way: Way) -> float:
    """Microseconds of a call."""
    runs = []
    for _ in range(5):
        before = time.thread_time_ns()
        for _ in range(CALLS):
            way.work()
        runs.append((time.thread_time_ns() - before) / 1000 / CALLS)
    return min(runs)


def main() -> None:
    print(machine())
    groups = (
        (f"into the ring (ours: at most {CALLBACK_TARGET_US:.0f} us at p99)",
         [our_ring(), locked_ring(), thread_local_ring()]),
        (f"every sample checked (ours: less than {CHECK_TARGET_US:.0f} us in a loop)", checks()),
        ("two channels made one", monos()),
    )  # fmt: skip
    for title, ways in groups:
        print(f"\n{title:<48}{'loop us':>8}{'p50 us':>8}{'p99 us':>8}  wrong")
        for way, costs in zip(ways, measured(ways), strict=True):
            paced = f"{np.percentile(costs, 50):8.1f}{np.percentile(costs, 99):8.1f}"
            print(f"  {way.name:<46}{in_a_loop(way):8.1f}{paced}  {way.wrong()}")


if __name__ == "__main__":
    main()
