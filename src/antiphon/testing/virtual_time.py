"""An event loop whose clock jumps: a conversation of minutes runs in milliseconds, and the same way each time.

Whenever nothing is ready, time moves to the next timer instead of passing. Real threads and sockets would be outrun,
so they are refused: engines in such a test are the scripted ones. For users' tests as well as ours.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from antiphon.errors import Bug

T = TypeVar("T")
MOST_AT_ONCE = 100_000  # rounds of the loop without a moment passing
TOO_LONG_S = 24 * 3600.0  # of virtual time: a test that gets here waits for something that never comes


class _JumpingSelector(selectors.SelectSelector):
    """Returns at once, and tells the loop how far it would have waited."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self._jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module. `time()` starts at 0."""

    def __init__(self) -> None:
        self._virtual = 0.0
        self._rounds_at_once = 0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._virtual

    def _jump(self, timeout: float | None) -> None:
        if timeout is None:
            raise Bug("everything waits, and no timer is set", "Some task awaits a result that nothing will bring.")
        self._rounds_at_once = 0 if timeout > 0 else self._rounds_at_once + 1
        if self._rounds_at_once > MOST_AT_ONCE:
            raise Bug("time stands still", "Some timer is set for a moment that is over, again and again.")
        self._virtual += max(0.0, timeout)
        if self._virtual > TOO_LONG_S:
            raise Bug("a day of virtual time has passed", "Some timer is set again and again, and nothing ends.")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        raise Bug("a thread under virtual time", "Use scripted engines, and `InPlace` for the hearing hub.")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it to its end under virtual time. Tasks that it leaves behind are cancelled, and awaited."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)
