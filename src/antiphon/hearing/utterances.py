"""From the edges of a voice to utterances: where each begins and ends, by a fixed length of silence.

For transcription, where there is nobody to answer: conversations have turns, which the session decides about. No clock
and no sound; positions are samples at 24 kHz.
"""

from __future__ import annotations

from msgspec import Struct

from antiphon.audio.units import Samples, samples_from_ms
from antiphon.hearing.edges import HearingEvent
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoicePaused, VoiceTick


class Cutting(Struct, frozen=True):
    """Where one utterance ends and the next begins."""

    silence_ms: int = 500
    before_ms: int = 300
    """Kept before the voice, for the consonants that the detector comes too late for."""
    after_ms: int = 200
    """Kept after it."""
    longest_s: float = 30.0
    """Then it is cut at its quietest place: it is also what Whisper hears at once."""


class Begun(Struct, frozen=True):
    at: Samples


class Ended(Struct, frozen=True):
    at: Samples
    quiet_to: Samples
    """From `at` up to here there is no voice."""


class TooLong(Struct, frozen=True):
    """It goes on for too long, and is to be cut somewhere before `heard`: see `Utterances.cut`."""

    heard: Samples


class Utterances:
    """One stream's. `hear` takes its events in order."""

    def __init__(self, cutting: Cutting | None = None) -> None:
        how = cutting or Cutting()
        self._silence = samples_from_ms(how.silence_ms)
        self._before = samples_from_ms(how.before_ms)
        self._after = samples_from_ms(how.after_ms)
        self._longest = samples_from_ms(how.longest_s * 1000)
        self.reset()

    def reset(self) -> None:
        """Nobody speaks."""
        self._began: Samples | None = None
        self._paused: Samples | None = None
        self._last_end: Samples = 0

    @property
    def is_open(self) -> bool:
        return self._began is not None

    def silent_until(self, heard: Samples) -> Samples:
        """Before the stream has come this far, the silence cannot be long enough to end the open utterance, when what
        comes up to `heard` has been told. Without one it is `heard`: the next sound may begin it."""
        if self._began is None:
            return heard
        return (heard if self._paused is None else self._paused) + self._silence

    def hear(self, event: HearingEvent) -> Begun | Ended | TooLong | None:
        """What the event means. After `Ended` the stream is to be told that the turn is closed."""
        match event:
            case VoiceBegan(at):
                self._paused = None
                if self._began is not None:
                    return None
                self._began = max(at - self._before, self._last_end)
                return Begun(self._began)
            case VoicePaused(at):
                self._paused = at
            case SilenceTick(heard):
                if self._began is not None and self._paused is not None and heard - self._paused >= self._silence:
                    return self._end(min(self._paused + self._after, heard), heard)
            case VoiceTick(heard):
                if self._began is not None and heard - self._began >= self._longest:
                    return TooLong(heard)
        return None

    def cut(self, at: Samples) -> None:
        """The utterance ended here, and the next one began, for the voice goes on."""
        self._began = self._last_end = at

    def finish(self, at: Samples) -> Ended | None:
        """Whatever is open ends here, or where its voice paused."""
        if self._began is None:
            return None
        return self._end(at if self._paused is None else min(self._paused + self._after, at), at)

    def _end(self, at: Samples, quiet_to: Samples) -> Ended:
        self._began = self._paused = None
        self._last_end = at
        return Ended(at, quiet_to)
