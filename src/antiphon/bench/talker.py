"""One caller's side of a conversation: when to speak, when to interrupt, and how long the answers took.

It has no socket and no clock: it is asked for each frame of 20 ms with the time, and told what came, with the time.
Frames are of whatever kind the line sends.
"""

from __future__ import annotations

from enum import Enum
from random import Random
from typing import Generic, TypeVar

from msgspec import Struct, field

from antiphon.audio.units import Seconds

Frame = TypeVar("Frame")
HELD_UP_S: Seconds = 0.005  # that sound may come later than the end of what is heard: shorter is no gap to an ear


class Sentence(Struct, Generic[Frame], frozen=True):
    """Something to say."""

    frames: list[Frame]
    rest_s: Seconds
    """What of the last frame is not speech any more."""


class Sound(Struct, Generic[Frame], frozen=True):
    """All that a caller can say, ready to be sent, and the room while nothing is said."""

    room: list[Frame]
    sentences: list[Sentence[Frame]]


class Plan(Struct, frozen=True):
    """How callers talk."""

    pause_s: tuple[Seconds, Seconds] = (0.5, 2.0)
    """Between the end of an answer and the next sentence: from, to."""
    interrupt_share: float = 0.1
    """Of the answers that are interrupted."""
    interrupt_after_s: Seconds = 1.0
    """From the beginning of an answer."""
    patience_s: Seconds = 10.0
    """For an answer; then the turn was missed."""


class Heard(Struct):
    """What became of one caller's turns. Lengths in ms."""

    voice_to_voice_ms: list[float] = field(default_factory=list)
    """From the last sample of speech to the first of the answer."""
    missed: int = 0
    """Turns without an answer."""
    early: int = 0
    """Answers that began while the caller was still speaking."""
    gaps_ms: list[float] = field(default_factory=list)
    """Silence in an answer, because its sound came too late."""
    stopped_ms: list[float] = field(default_factory=list)
    """From the beginning of an interruption until the server said that it had heard it."""
    deaf: int = 0
    """Interruptions that the server did not notice."""
    errors: int = 0


class Doing(Enum):
    PAUSING = "pausing"
    SPEAKING = "speaking"
    WAITING = "waiting"
    """For the answer to begin."""
    LISTENING = "listening"


class Talker(Generic[Frame]):
    """Moments are seconds of one clock, whatever its zero."""

    def __init__(self, sound: Sound[Frame], plan: Plan, seed: int, begin: Seconds) -> None:
        """`begin` is when the first sentence begins."""
        self.heard = Heard()
        self.doing = Doing.PAUSING
        self.is_stopping = False
        """Whether no sentence is begun any more."""
        self._sound = sound
        self._plan = plan
        self._chance = Random(seed)
        self._speak_at: Seconds | None = begin
        """When the next sentence begins; None while it depends on what comes."""
        self._sentence = sound.sentences[0]
        self._place = 0
        self._room = self._chance.randrange(len(sound.room))
        self._since: Seconds = begin
        """When the speech ended, while the answer is waited for."""
        self._plays_to: Seconds = begin
        self._interrupted: Seconds | None = None
        self._was_cut_short = False
        """Whether an answer began before the sentence had ended, and goes on."""

    def next_frame(self, now: Seconds) -> Frame:
        """The frame to send now."""
        if self.doing is Doing.WAITING and now - self._since > self._plan.patience_s:
            self.heard.missed += 1
            self._pause(now)
        if self.doing is Doing.LISTENING and self._speak_at is None and now > self._plays_to + self._plan.patience_s:
            self._pause(now)
        if self._speak_at is not None and now >= self._speak_at and not self.is_stopping:
            self._begin(now)
        if self.doing is not Doing.SPEAKING:
            self._room = (self._room + 1) % len(self._sound.room)
            return self._sound.room[self._room]
        frame = self._sentence.frames[self._place]
        self._place += 1
        if self._place == len(self._sentence.frames):
            self.doing = Doing.LISTENING if self._was_cut_short else Doing.WAITING
            self._since = now - self._sentence.rest_s
            self._end_interruption()
        return frame

    def sound_came(self, length_s: Seconds, now: Seconds) -> None:
        """So much of an answer's sound is there."""
        match self.doing:
            case Doing.WAITING:
                self.heard.voice_to_voice_ms.append((now - self._since) * 1000)
                self.doing, self._plays_to = Doing.LISTENING, now
                if self._chance.random() < self._plan.interrupt_share:
                    self._speak_at = now + self._plan.interrupt_after_s
            case Doing.LISTENING if now > self._plays_to + HELD_UP_S:
                self.heard.gaps_ms.append((now - self._plays_to) * 1000)
            case Doing.SPEAKING if self._interrupted is None and self._place * 2 > len(self._sentence.frames):
                self.heard.early += not self._was_cut_short
                self._was_cut_short = True
            case _:
                pass
        self._plays_to = max(self._plays_to, now) + length_s

    def answer_ended(self, now: Seconds) -> None:
        """All of the answer's sound has come."""
        if self.doing is Doing.LISTENING and self._speak_at is None:
            self._pause(max(now, self._plays_to))

    def voice_noticed(self, now: Seconds) -> None:
        """The server has heard that the caller speaks: what of its answer was not heard yet is thrown away."""
        if self._interrupted is not None and self.doing is Doing.SPEAKING:
            self.heard.stopped_ms.append((now - self._interrupted) * 1000)
            self._interrupted = None
        self._plays_to = min(self._plays_to, now)
        self._was_cut_short = False

    def complained(self) -> None:
        """The server has sent an error."""
        self.heard.errors += 1

    def _begin(self, now: Seconds) -> None:
        if self.doing is Doing.LISTENING and now < self._plays_to:
            self._interrupted = now
        self.doing, self._speak_at, self._place = Doing.SPEAKING, None, 0
        self._was_cut_short = False
        self._sentence = self._chance.choice(self._sound.sentences)

    def _pause(self, since: Seconds) -> None:
        self.doing = Doing.PAUSING
        self._speak_at = since + self._chance.uniform(*self._plan.pause_s)

    def _end_interruption(self) -> None:
        if self._interrupted is not None:
            self.heard.deaf += 1
            self._interrupted = None
