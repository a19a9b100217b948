"""How long the person has said nothing, after our last answer was played to its end.

When that counts as a turn is their client's wish; what follows from it is the session's.
"""

from __future__ import annotations

from antiphon.audio.units import Seconds
from antiphon.session.settings import TurnDetection


class Silence:
    """One at a time; there is none before the first answer."""

    def __init__(self) -> None:
        self.since: Seconds | None = None
        """When it began, if it has."""

    def begin(self, moment: Seconds) -> None:
        """From then on nobody speaks."""
        self.since = moment

    def put_off(self, moment: Seconds) -> None:
        """If it has begun, it has begun only now."""
        if self.since is not None:
            self.since = moment

    def wait_for(self, moment: Seconds) -> None:
        """If it has begun, it counts from this moment if that is later."""
        if self.since is not None:
            self.since = max(self.since, moment)

    def end(self) -> None:
        """Something has been said, or is being done."""
        self.since = None

    def due(self, detection: TurnDetection | None) -> Seconds | None:
        """When it will have been so long that it counts as a turn; None: never."""
        if self.since is None or detection is None or detection.idle_timeout_ms is None:
            return None
        if detection.kind != "server_vad":
            return None
        return self.since + detection.idle_timeout_ms / 1000
