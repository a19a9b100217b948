"""What has been said since the last item was made of it: a stretch of the stream, by position.

It does not hold sound; the runtime's ring does.
"""

from __future__ import annotations

from enum import Enum

from antiphon.audio.units import WIRE_RATE, Samples
from antiphon.errors import PeerError
from antiphon.session.machine import Table, step

SHORTEST: Samples = WIRE_RATE // 10  # 100 ms: less than that is nobody's word


class BufferState(Enum):
    OPEN = "open"
    """Everything since `start` may become the next item."""
    IN_TURN = "in_turn"
    """The open turn will become the next item."""


MOVES: Table[BufferState] = {
    BufferState.OPEN: {"turn": BufferState.IN_TURN, "take": BufferState.OPEN},
    BufferState.IN_TURN: {"take": BufferState.OPEN},
}


class InputBuffer:
    """The stretch that the next committed item is made of."""

    def __init__(self) -> None:
        self.state = BufferState.OPEN
        self.start: Samples = 0

    def begin_turn(self, start: Samples) -> None:
        """A turn began: what was said before it will not be part of an item."""
        self.state = step(MOVES, self.state, "turn")
        self.start = start

    def take(self, end: Samples) -> tuple[Samples, Samples]:
        """The stretch up to `end`; the next one starts there."""
        self.state = step(MOVES, self.state, "take")
        start, self.start = self.start, max(self.start, end)
        return start, self.start

    def check(self, end: Samples) -> None:
        """Raise `PeerError` if there is too little to make an item of."""
        held = max(0, end - self.start)
        if held >= SHORTEST:
            return
        raise PeerError(
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
            f"but buffer only has {held * 1000 / WIRE_RATE:.2f}ms of audio.",
            "Append audio before you commit. With turn detection on, turns are committed for you.",
            code="input_audio_buffer_commit_empty",
        )
