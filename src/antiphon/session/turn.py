"""One user turn, from the first voiced window to the silence that ends it.

It knows positions in the stream, not clocks: what was said is measured in samples of what the person sent, so a
recording that is fed faster than real time has the same turns. It does not know responses; joint rules are the
session's.
"""

from __future__ import annotations

from enum import Enum

from antiphon.audio.units import Samples, samples_from_ms
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoicePaused, VoiceSuspected, VoiceTick
from antiphon.session.machine import Table, step


class TurnState(Enum):
    QUIET = "quiet"
    SPEAKING = "speaking"
    PAUSED = "paused"


MOVES: Table[TurnState] = {
    TurnState.QUIET: {"voice": TurnState.SPEAKING},
    TurnState.SPEAKING: {"pause": TurnState.PAUSED, "close": TurnState.QUIET},
    TurnState.PAUSED: {"voice": TurnState.SPEAKING, "close": TurnState.QUIET},
}


class Turn:
    """What the person is saying now, if anything."""

    def __init__(self) -> None:
        self.state = TurnState.QUIET
        self.item_id = ""
        """Reserved when the turn begins; the committed item has it."""
        self.start: Samples = 0
        """With padding: where the item's audio begins."""
        self.heard: Samples = 0
        """How far the stream has been scored, in this turn or before it."""
        self._voice_end: Samples = 0

    @property
    def voiced_to(self) -> Samples:
        """After this was no voice, as far as it was heard."""
        return self._voice_end if self.state is TurnState.PAUSED else self.heard

    @property
    def is_open(self) -> bool:
        return self.state is not TurnState.QUIET

    def begin(self, event: VoiceBegan, item_id: str, earliest: Samples, padding_ms: int) -> None:
        """Open the turn; its audio starts `padding_ms` before the voice, but never before `earliest`."""
        self.state = step(MOVES, self.state, "voice")
        self.item_id = item_id
        self.start = max(earliest, event.at - samples_from_ms(padding_ms))
        self.heard = event.heard

    def hear(self, event: VoiceBegan | VoicePaused | SilenceTick | VoiceTick | VoiceSuspected) -> None:
        """Take in what the detector says while the turn is open."""
        match event:
            case VoiceBegan():
                if self.state is TurnState.PAUSED:
                    self.state = step(MOVES, self.state, "voice")
            case VoicePaused(at=at):
                self.state = step(MOVES, self.state, "pause")
                self._voice_end = at
            case SilenceTick() | VoiceTick() | VoiceSuspected():
                pass
        self.heard = event.heard

    def silence(self) -> Samples:
        """How long it has been quiet since the last voiced window."""
        return self.heard - self._voice_end if self.state is TurnState.PAUSED else 0

    def is_over(self, wait: Samples, longest: Samples) -> bool:
        """Whether it has been quiet for at least `wait`, or the turn is too long to go on."""
        if not self.is_open:
            return False
        enough = self.state is TurnState.PAUSED and self.silence() >= wait
        return enough or self.heard - self.start >= longest

    def close(self) -> None:
        """The turn was committed or thrown away."""
        self.state = step(MOVES, self.state, "close")
