"""When a recording begins and ends: what a key's presses and releases mean, in each mode.

Pure: time is an argument. It does not know which key it was, nor what recording is.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from antiphon.audio.units import Seconds

Mode = Literal["hold", "toggle", "continuous"]
Wish = Literal["start", "stop", "cancel"]

TAP_S: Seconds = 0.25  # a press that is shorter is a tap, and no recording: nobody says a word in it
DOUBLE_S: Seconds = 0.4  # from the first tap's release to the second's press


class Key(Enum):
    IDLE = "idle"
    HELD = "held"
    """Recording for as long as the key is down."""
    TAPPED = "tapped"
    """Let go after a tap: another tap locks."""
    LOCKED = "locked"
    """Recording until the next press."""


class Presses:
    """One dictation key. In "hold" a double tap locks; in the other modes each press starts or stops."""

    def __init__(self, mode: Mode = "hold") -> None:
        self.state = Key.IDLE
        self._mode = mode
        self._pressed_at: Seconds = 0.0
        self._released_at: Seconds = float("-inf")

    def press(self, now: Seconds) -> Wish | None:
        """The key went down. Its repetitions while it is down must not be told."""
        match self.state:
            case Key.LOCKED:
                self.state = Key.IDLE
                return "stop"
            case Key.TAPPED if now - self._released_at <= DOUBLE_S:
                self.state = Key.LOCKED
                return "start"
            case Key.HELD:
                return None
            case _:
                self.state = Key.HELD if self._mode == "hold" else Key.LOCKED
                self._pressed_at = now
                return "start"

    def release(self, now: Seconds) -> Wish | None:
        """The key went up."""
        if self.state is not Key.HELD:
            return None
        self._released_at = now
        if now - self._pressed_at < TAP_S:
            self.state = Key.TAPPED
            return "cancel"
        self.state = Key.IDLE
        return "stop"

    def reset(self) -> None:
        """The recording ended in another way."""
        self.state = Key.IDLE
