"""What each stage of a turn may take: the latency budget that answers are held to, and the word for how one did.

The figures are those of "Voice + Amplifier", the voice front end whose budget this project took over. It gives none for
the silence that ends a turn, nor for the recogniser and the voice alone; these are judged as part of the whole.
"""

from __future__ import annotations

from msgspec import Struct


class Budget(Struct, frozen=True):
    """Milliseconds up to which a time is as it should be, bearable, and still bad rather than broken."""

    target_ms: float
    acceptable_ms: float
    critical_ms: float

    def verdict(self, ms: float) -> str:
        """ "good", "fair", "slow" or "critical"."""
        if ms < self.target_ms:
            return "good"
        if ms < self.acceptable_ms:
            return "fair"
        return "slow" if ms <= self.critical_ms else "critical"


VOICE_TO_VOICE = Budget(800, 1200, 2000)
"""From the end of the person's speech to the first audio of the answer."""

STAGES = {"committed": Budget(50, 100, 200), "first_token": Budget(300, 500, 800)}
"""By the names that `observe.timeline` has for stages: detection, and the model."""

TOOL = Budget(500, 2000, 5000)
