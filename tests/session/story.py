"""Tells a session a story and remembers what it answered: talk, pause, recognise, write, speak, expect."""

from __future__ import annotations

from typing import TypeVar

from antiphon.audio.units import WIRE_RATE, samples_from_ms
from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.consent import consent_in
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input
from antiphon.session.items import Message, text_of
from antiphon.session.outputs import Output
from antiphon.session.session import Session
from antiphon.session.settings import ResponseOptions, SessionConfig, Settings, SettingsPatch

WINDOW = 768  # samples of one detector window at the wire's rate: 32 ms
MOST_AT_ONCE = 20  # steps for which time may stand still: each of them has to have led somewhere
T = TypeVar("T")


class Story:
    """A session with a clock that the story moves. Seconds and milliseconds as the words say."""

    def __init__(self, settings: Settings | None = None, **config: object) -> None:
        self.session = Session(SessionConfig(settings or Settings(), **config), Ids(1))  # type: ignore[arg-type]
        self.now = 100.0
        self.heard = 0
        self.steps: list[tuple[float, Input, list[Output]]] = []
        self.said: list[Output] = []
        self.everything: list[tuple[float, Output]] = []
        self._by_kind: dict[type, list[Output]] = {}
        self._is_voiced = False
        self._due: float | None = None
        """The session's deadline, which nothing but an input changes."""
        self.give(i.Attach("browser"))

    def give(self, item: Input) -> list[Output]:
        """One input; what follows is added to `said` until it is looked at."""
        out = self.session.handle(item, self.now)
        self.steps.append((self.now, item, out))
        if out:
            self.said += out
            self.everything += [(self.now, output) for output in out]
            for output in out:
                self._by_kind.setdefault(type(output), []).append(output)
        self._due = due = self.session.deadline
        assert due is None or due >= self.now, "a deadline lies in the past"
        return out

    def wait(self, seconds: float) -> None:
        """Let time pass, and call the session at each of its deadlines."""
        end = self.now + seconds
        at_once = 0
        while self._due is not None and self._due <= end:
            at_once = at_once + 1 if self._due == self.now else 0
            assert at_once < MOST_AT_ONCE, "the session wants to be called again and again at the same moment"
            self.now = self._due
            self.give(i.TimePassed())
        self.now = end

    def talk(self, seconds: float) -> None:
        start = self.heard
        self._listen(seconds, voiced=True)
        assert self.heard > start

    def pause(self, seconds: float) -> None:
        self._listen(seconds, voiced=False)

    def _listen(self, seconds: float, *, voiced: bool) -> None:
        end = self.heard + round(seconds * WIRE_RATE)
        first, self._is_voiced = self._is_voiced is not voiced, voiced
        while self.heard + WINDOW <= end:
            self.heard += WINDOW
            self.wait(WINDOW / WIRE_RATE)
            if first and voiced:
                self.give(i.VoiceBegan(self.heard - WINDOW, self.heard, self.now))
            elif first:
                self.give(i.VoicePaused(self.heard - WINDOW, self.heard, self.now))
            elif not voiced:
                self.give(i.SilenceTick(self.heard, self.now))
            first = False

    def say_turn(self, text: str, seconds: float = 1.0) -> None:
        """The person speaks, falls silent long enough, and is recognised."""
        self.talk(seconds)
        self.pause(0.6)
        self.recognise(text)

    def recognise(self, text: str) -> None:
        task = self.last(o.Transcribe)
        reading = i.Reading(consent=consent_in(text, "en"))
        self.give(i.TranscriptReady(task.work, text, "en", 1.0, reading=reading))

    def write(self, *clauses: str, end: str = "stop") -> None:
        """The model writes these clauses; their voice comes in `voice`."""
        work = self.last(o.Generate).work
        for clause in clauses:
            self.give(i.TextWritten(work, clause))
        self.give(i.WritingEnded(work, end, 10, 5))

    def voice(self, clause: str, seconds: float, work: int | None = None) -> None:
        work = self.last(o.Generate).work if work is None else work
        self.give(i.ClauseBegan(work, clause))
        self.give(i.AudioMade(work, round(seconds * WIRE_RATE)))
        self.give(i.ClauseEnded(work))

    def voice_ends(self, work: int | None = None) -> None:
        self.give(i.SpeakingEnded(self.last(o.Generate).work if work is None else work))

    def answer(self, text: str, seconds: float) -> None:
        self.write(text)
        self.voice(text, seconds)
        self.voice_ends()

    def ask(self, **patch: object) -> None:
        self.give(i.UpdateSettings("browser", "ask", SettingsPatch(**patch)))  # type: ignore[arg-type]

    def respond(self, **options: object) -> None:
        self.give(i.CreateResponse("browser", "respond", ResponseOptions(**options)))  # type: ignore[arg-type]

    def commit(self, ms: float) -> None:
        self.heard += samples_from_ms(ms)
        self.give(i.CommitAudio("browser", "commit", self.heard))

    def all(self, kind: type[T]) -> list[T]:
        return list(self._by_kind.get(kind, ()))  # type: ignore[arg-type]

    def last(self, kind: type[T]) -> T:
        found = self.all(kind)
        assert found, f"no {kind.__name__} among {[type(output).__name__ for _, output in self.everything]}"
        return found[-1]

    def told(self) -> list[str]:
        """What the model was asked last, as the texts of its messages."""
        return [text_of(item) for item in self.last(o.Generate).context if isinstance(item, Message)]

    def remembered(self) -> list[str]:
        """The texts of the conversation's messages, as far as they were heard."""
        return [text_of(item) for item in self.session.conversation.as_heard() if isinstance(item, Message)]

    def refused(self) -> o.Refused:
        return self.last(o.Refused)

    def names(self) -> list[str]:
        """What was said since the last look, by type, without commands about sound."""
        quiet = (o.Listen, o.KeepAudio, o.TurnClosed, o.DropAudio, o.RetainAudio, o.TrimAudio, o.ForgetAudio)
        found = [type(output).__name__ for output in self.said if not isinstance(output, quiet)]
        self.said.clear()
        return found
