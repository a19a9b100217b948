"""From the scores of one stream's windows to the edges of its voice: it began, it goes on, it paused, it is
still quiet.

No clock and no sound: a window is a score, the position up to which it reaches, and when its message arrived.
Whether a pause ends the turn is for the session to say; `turn_closed` tells it back.
"""

from __future__ import annotations

from enum import Enum

from antiphon.audio.units import Samples, Seconds
from antiphon.errors import Bug
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoiceDismissed, VoicePaused, VoiceSuspected, VoiceTick

HearingEvent = VoiceBegan | VoicePaused | SilenceTick | VoiceTick | VoiceSuspected | VoiceDismissed

WINDOW: Samples = 768  # 512 samples at 16 kHz: 32 ms
HYSTERESIS = 0.15  # a voice goes on down to this much below the threshold: vowels fade before words end
LOWEST_STOP = 0.05  # with a threshold of nearly nothing, silence must still be possible
# Voiced windows that make a voice. One alone would be told 32 ms earlier (75 ms after the sound at the median
# instead of 107), but a snippet of 50 ms from another room then is a voice twice as often (18 of 60 instead
# of 8).
ONSET_WINDOWS = 2
ONSET_SPAN = 3  # windows in which they must lie: a plosive may leave a hole
VOICE_TICK_WINDOWS = 31  # 0.99 s
DEAD_SCORE = 0.15  # below it there is nothing like a voice
RESET_WINDOWS = 63  # 2.0 s without a voice, after which the detector's memory is old noise


class Voice(Enum):
    QUIET = "quiet"
    """No turn is open."""
    SPEAKING = "speaking"
    PAUSED = "paused"
    """Silence in an open turn: every window of it is told."""
    CARRIED = "carried"
    """The turn was closed while the voice went on; another begins with the next window that has it."""


class Edges:
    """The voice of one stream. `hear` takes windows in order; at most one event comes of each."""

    def __init__(self, threshold: float = 0.5) -> None:
        self.voice = Voice.QUIET
        self._is_stale = False
        self.configure(threshold)
        self.reset()

    def configure(self, threshold: float) -> None:
        """P(speech) in [0, 1] from which a window is voiced, from the next window on."""
        if not 0 <= threshold <= 1:
            raise Bug(f"a VAD threshold of {threshold}", "Refuse what is not in [0, 1] where it enters.")
        self._start_score = threshold
        self._stop_score = min(threshold, max(LOWEST_STOP, threshold - HYSTERESIS))

    def reset(self) -> None:
        """Begin anew: nobody speaks, nothing is open."""
        self.voice = Voice.QUIET
        self._run = 0
        """Windows since the last event of a voice, or, without a voice, since it was last heard."""
        self._began: Samples = -1
        """`heard` of the last `VoiceBegan`."""
        self.skip()

    def skip(self) -> None:
        """Windows were lost: what comes next does not adjoin what was heard."""
        self._onsets: list[Samples] = []
        """Starts of the voiced windows among the last `ONSET_SPAN`."""

    def is_dead(self, score: float) -> bool:
        """Whether this score was of nothing like a voice, in a window in which nobody spoke, paused or was suspected
        to."""
        return self.voice is Voice.QUIET and not self._onsets and score < min(DEAD_SCORE, self._stop_score)

    @property
    def is_idle(self) -> bool:
        """Whether no turn is open and no voice goes on."""
        return self.voice is Voice.QUIET

    @property
    def until_stale(self) -> int:
        """Windows, one at least, after which `memory_went_stale` may be true, and not before."""
        return max(1, RESET_WINDOWS - self._run)

    def memory_went_stale(self) -> bool:
        """Whether the detector's memory of this stream should be zeroed before its next window. Says so once."""
        was, self._is_stale = self._is_stale, False
        return was

    def turn_closed(self, heard: Samples | None = None) -> None:
        """The session ended the turn: no more ticks, and the next voice begins another.

        `heard` is that of the last event which the session had acted on by then. A voice announced after it
        is a turn that the session will open when it gets there, and stays.
        """
        if heard is not None and self._began > heard:
            return
        if self.voice is Voice.PAUSED:
            self.voice = Voice.QUIET
        elif self.voice is Voice.SPEAKING:
            self.voice = Voice.CARRIED

    def hear(self, score: float, heard: Samples, arrived: Seconds) -> HearingEvent | None:
        """Take in the window that ends at `heard`; what it means for the session, if anything."""
        self._run += 1
        match self.voice:
            case Voice.SPEAKING:
                return self._hear_speaking(score, heard, arrived)
            case Voice.CARRIED:
                return self._hear_carried(score, heard, arrived)
            case Voice.QUIET | Voice.PAUSED:
                return self._hear_quiet(score, heard, arrived)

    def _hear_speaking(self, score: float, heard: Samples, arrived: Seconds) -> HearingEvent | None:
        if score < self._stop_score:
            self.voice, self._run = Voice.PAUSED, 0
            return VoicePaused(heard - WINDOW, heard, arrived)
        if self._run < VOICE_TICK_WINDOWS:
            return None
        self._run = 0
        return VoiceTick(heard, arrived)

    def _hear_carried(self, score: float, heard: Samples, arrived: Seconds) -> HearingEvent | None:
        if score < self._stop_score:
            self.voice, self._run = Voice.QUIET, 0
            return None
        return self._begin(heard - WINDOW, heard, arrived)

    def _hear_quiet(self, score: float, heard: Samples, arrived: Seconds) -> HearingEvent | None:
        oldest = heard - ONSET_SPAN * WINDOW
        was_suspected = bool(self._onsets)
        self._onsets = [start for start in self._onsets if start >= oldest]
        if score >= self._start_score:
            self._run = 0
            self._onsets.append(heard - WINDOW)
            if len(self._onsets) >= ONSET_WINDOWS:
                return self._begin(self._onsets[0], heard, arrived)
            # One window alone is no voice yet, but no silence either: a turn must not end on it.
            return VoiceSuspected(heard - WINDOW, heard, arrived)
        if self._run >= RESET_WINDOWS:
            self._run, self._is_stale = 0, True
        if self.voice is Voice.PAUSED:
            return SilenceTick(heard, arrived)
        return VoiceDismissed(heard, arrived) if was_suspected and not self._onsets else None

    def _begin(self, at: Samples, heard: Samples, arrived: Seconds) -> VoiceBegan:
        self.voice, self._run, self._began = Voice.SPEAKING, 0, heard
        self._onsets = []
        return VoiceBegan(at, heard, arrived)
