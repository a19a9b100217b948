"""Whether an engine that failed is asked again, and when: arithmetic on the times of its failures.

It knows no clock and asks nobody: times are its caller's, and so is finding out whether the engine is back.
"""

from __future__ import annotations

from antiphon.audio.units import Seconds

FIRST_REST_S: Seconds = 1.0  # a server that restarts is back in seconds
LONGEST_REST_S: Seconds = 60.0  # for somebody may be watching for it to come back
DOUBT_S: Seconds = 60.0  # after a stall: one turn a minute may find out whether patience pays again
HURRY = 0.25  # of the time that it may take is what an engine in doubt gets


class Breaker:
    """Open after a failure: the engine is left alone, twice as long with each failure in a row. After its rest it is to
    be probed; once that went well, people's requests go to it again, and one that fails opens it for longer."""

    def __init__(self) -> None:
        self.is_open = False
        self.rests_until: Seconds = 0.0
        """When it may be probed; only of an open one."""
        self.is_told_to_wait = False
        """The engine named a time before which it wants to hear nothing."""
        self.opened = 0
        """Times that it was found to fail, since the start."""
        self._failures = 0
        self._in_doubt_until: Seconds = 0.0

    def hurry(self, now: Seconds) -> float:
        """Which part of its time an engine should be given: it is in doubt for a while after it has said nothing for
        all of it. A probe does not end that, for whoever stalls may well answer those."""
        return HURRY if now < self._in_doubt_until else 1.0

    def failed(self, now: Seconds, retry_after_s: Seconds | None = None, *, stalled: bool = False) -> None:
        """A request or a probe failed. `retry_after_s` is what the engine itself asked for. `stalled` if it had said
        nothing until nobody waited any longer."""
        if stalled and now >= self._in_doubt_until:  # not prolonged by those who were given less time
            self._in_doubt_until = now + DOUBT_S
        rest_s = min(FIRST_REST_S * 2**self._failures, LONGEST_REST_S)
        self._failures += 1
        self.opened += not self.is_open
        self.is_told_to_wait = retry_after_s is not None
        rest_s = max(rest_s, retry_after_s or 0.0)
        self.rests_until = max(now + rest_s, self.rests_until if self.is_open else 0.0)
        self.is_open = True

    def probed(self) -> None:
        """It seems to be back: the next request shows."""
        self.is_open = self.is_told_to_wait = False

    def worked(self) -> None:
        """A request was answered whole."""
        self.is_open = self.is_told_to_wait = False
        self._failures = 0
        self._in_doubt_until = 0.0
