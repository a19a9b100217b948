"""One figure of the founding documents, as it was, as they would have it, as it is here, and as it could be at best."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from msgspec import Struct

ROUNDS = 30


class Row(Struct, frozen=True):
    """What was measured in one run. None is what cannot be measured here, or what nobody proposed."""

    experiment: str
    """Its number among the documents' claims."""
    what: str
    unit: str
    before: float | None
    after: float | None
    """The documents' own proposal."""
    ours: float
    bound: float | None
    """What the same costs if nothing but the unavoidable is done."""
    note: str = ""
    """What was repaired in theirs, and what the bound is."""


def cpu_us(work: Callable[[], object], times: int, rounds: int = ROUNDS) -> float:
    """Processor time of one, in µs: the median of rounds of so many, after one to warm up."""
    found = []
    for _ in range(rounds + 1):
        before = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - before) / times * 1e6)
    return statistics.median(found[1:])


def wall_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The median, after one to warm up: for work that other processes do."""
    found = []
    for _ in range(rounds + 1):
        before = time.perf_counter()
        work()
        found.append((time.perf_counter() - before) * 1000)
    return statistics.median(found[1:])
