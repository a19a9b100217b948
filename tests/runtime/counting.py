"""What code costs in counts that are the same on every machine: instructions of ours, calls of anybody's, bytes held.

An instruction is one of Python's, executed in this package; a call is of any Python function, the standard library's
included, or one more step of a coroutine. What C code does inside is not seen. Both depend on Python's version, and on
nothing else under a clock that jumps.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import antiphon

OURS = str(Path(antiphon.__file__).parent)
TESTING = str(Path(antiphon.__file__).parent / "testing")
WATCHMEN = "blockbuster"  # it stands between our code and the system in tests, and nowhere else


class Count:
    """Of what ran since it was begun."""

    def __init__(self) -> None:
        self.instructions = 0
        self.calls = 0

    def enter(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        place = frame.f_code.co_filename
        if WATCHMEN in place or place.startswith(TESTING):
            return None
        self.calls += 1
        if not place.startswith(OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        self.instructions += event == "opcode"
        return self._step


@contextmanager
def counting() -> Iterator[Count]:
    """Count what begins to run inside the block, also in tasks that were there before."""
    count, before = Count(), sys.gettrace()
    sys.settrace(count.enter)
    try:
        yield count
    finally:
        sys.settrace(before)


@contextmanager
def weighing() -> Iterator[Callable[[], int]]:
    """Inside the block, the function tells how many bytes are held that were not at its beginning."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    try:
        yield held
    finally:
        tracemalloc.stop()
