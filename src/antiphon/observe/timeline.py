"""When what happened in each turn, read off the session's inputs and outputs.

There are no stopwatches in the code: whatever a trace holds, a timeline can be made of, live or years later. All
moments are on the session's clock, in seconds; the lengths between them in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from antiphon.audio.units import Samples, Seconds, seconds_from_samples
from antiphon.session import inputs, outputs
from antiphon.session.inputs import Input
from antiphon.session.items import Message, text_of
from antiphon.session.outputs import Output

KEPT = 512  # finished turns that a timeline remembers for statistics


class ToolRun(Struct):
    """One tool that the server ran for an answer."""

    call_id: str
    name: str
    began: Seconds
    ended: Seconds | None = None
    """None while it runs, or if it was never heard of again."""


class Turn(Struct):
    """One exchange: what the person said, and what came of it."""

    item_id: str
    """Empty if nobody spoke: a typed question, or something said unasked."""
    speech_end: Seconds | None = None
    """The last voiced sample's arrival, the detector's own tail included."""
    silence_complete: Seconds | None = None
    """Arrival of the message that completed the silence window."""
    committed: Seconds | None = None
    transcript: Seconds | None = None
    first_token: Seconds | None = None
    first_clause: Seconds | None = None
    first_audio: Seconds | None = None
    response_id: str = ""
    began: Seconds | None = None
    """When the answer was asked for."""
    ended: Seconds | None = None
    status: str = ""
    reason: str | None = None
    heard: str = ""
    """What was recognised."""
    said: str = ""
    """What was answered."""
    was_prepared: bool = False
    """The answer was begun before the turn was over; its stages until then took no time of the person's."""
    tools: list[ToolRun] = []
    input_tokens: int = 0
    cached_tokens: int = 0
    """Of the input."""
    output_tokens: int = 0

    @property
    def start(self) -> Seconds | None:
        """When the wait for the answer began: at the end of speech, or with the request if nobody spoke."""
        return self.began if self.speech_end is None else self.speech_end

    def stages(self) -> list[tuple[str, Seconds, Seconds]]:
        """Name, beginning and end of each stage that took place, in order, without gaps from `start` on. What was over
        before `start` took no time of the wait: who says themselves where their turn ends, commits it before they ask
        for an answer."""
        found: list[tuple[str, Seconds, Seconds]] = []
        before = self.start
        for name in STAGES:
            moment: Seconds | None = getattr(self, name)
            if moment is None or before is None:
                continue
            found.append((name, before, max(before, moment)))
            before = max(before, moment)
        return found

    def stages_ms(self) -> dict[str, float]:
        """Length of each stage that took place, in order. They add up to the time from `start` to the first audio,
        which is `voice_to_voice_ms` where somebody spoke."""
        return {name: (end - begin) * 1000 for name, begin, end in self.stages()}

    def voice_to_voice_ms(self) -> float | None:
        """From the end of the person's speech to the first audio of the answer."""
        if self.speech_end is None or self.first_audio is None:
            return None
        return (self.first_audio - self.speech_end) * 1000


STAGES = ("silence_complete", "committed", "transcript", "first_token", "first_clause", "first_audio")


def moment_of(at: Samples, heard: Samples, arrived: Seconds) -> Seconds:
    """When the sample at `at` came in, given that the one at `heard` came at `arrived`, from a live stream."""
    return arrived - seconds_from_samples(heard - at)


class Provisional(Struct):
    """Words that were recognised before their turn was over."""

    item_id: str
    work: int
    text: str | None = None


class Timeline:
    """Watches the steps of one session."""

    def __init__(self, on_turn: Callable[[Turn], None] | None = None) -> None:
        self.turns: list[Turn] = []
        """The last `KEPT` that have ended."""
        self.on_turn: list[Callable[[Turn], None]] = [] if on_turn is None else [on_turn]
        """Called with each turn when its response has ended."""
        self._speech_end: Seconds | None = None
        self._open: Turn | None = None
        self._transcribing: dict[int, Turn] = {}
        self._provisional: Provisional | None = None
        self._prepared: tuple[int, dict[str, Seconds]] | None = None
        """Work that began before its turn was over, and its moments so far."""
        self._answering: dict[str, Turn] = {}
        self._working: dict[int, str] = {}

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        """Take in one step of the session."""
        self._take_input(now, item)
        for output in out:
            self._take_output(now, output, item)
        if type(item) is inputs.UpstreamSaid:
            self._take_upstream(now, out)

    def _take_input(self, now: Seconds, item: Input) -> None:
        match item:
            case inputs.VoicePaused(at=at, heard=heard, arrived=arrived):
                self._speech_end = moment_of(at, heard, arrived)
            case inputs.TranscriptReady(work=work, text=text) if work in self._transcribing:
                turn = self._transcribing.pop(work)
                turn.transcript, turn.heard = now, text
            case inputs.TranscriptReady(work=work, text=text):
                if self._provisional is not None and self._provisional.work == work:
                    self._provisional.text = text
            case inputs.TextWritten(work=work):
                self._mark(work, "first_token", now)
            case inputs.ClauseBegan(work=work):
                self._mark(work, "first_clause", now)
            case _:
                pass

    def _mark(self, work: int, name: str, now: Seconds) -> None:
        if self._prepared is not None and self._prepared[0] == work:
            self._prepared[1].setdefault(name, now)
            return
        turn = self._answering.get(self._working.get(work, ""))
        if turn is not None and getattr(turn, name) is None:
            setattr(turn, name, now)

    def _take_output(self, now: Seconds, output: Output, cause: Input) -> None:
        match output:
            case outputs.SpeechStopped(at=at) if isinstance(cause, inputs.UpstreamSaid):
                self._speech_end = moment_of(at, cause.heard, now)
            case outputs.AudioCommitted(item_id=item_id):
                arrived = cause.arrived if isinstance(cause, inputs.SilenceTick | inputs.VoicePaused) else None
                self._open = Turn(item_id, self._speech_end, arrived, now)
                self._speech_end = None
                self._take_provisional(self._open)
            case outputs.Transcribe(item_id=item_id, work=work, is_provisional=True):
                self._provisional = Provisional(item_id, work)
            case outputs.Transcribe(work=work) if self._open is not None:
                self._open.transcript, self._open.heard = None, ""
                self._transcribing[work] = self._open
            case outputs.ResponseBegan(response=response):
                turn = self._open or Turn("")
                turn.response_id, turn.began = response.id, now
                self._answering[response.id], self._open = turn, None
            case outputs.Generate(work=work, response_id=None):
                self._prepared = (work, {})
            case outputs.Release(work=work, response_id=response_id):
                self._working[work] = response_id
                self._take_prepared(response_id)
            case (
                outputs.Generate(work=work, response_id=str(response_id))
                | outputs.Say(work=work, response_id=response_id)
            ):
                self._working[work] = response_id
            case outputs.ToolBegan(response_id=response_id, call_id=call_id, name=name):
                self._answering[response_id].tools.append(ToolRun(call_id, name, now))
            case outputs.ToolEnded(response_id=response_id, call_id=call_id):
                for run in self._answering[response_id].tools:
                    if run.call_id == call_id:
                        run.ended = now
            case outputs.AudioSent(response_id=response_id):
                turn = self._answering[response_id]
                if turn.first_audio is None:
                    turn.first_audio = now
            case outputs.ResponseEnded(response=response):
                self._end(now, response)
            case _:
                pass

    def _take_upstream(self, now: Seconds, out: list[Output]) -> None:
        """Where another server thinks, this is all that it says of when."""
        for output in out:
            match output:
                case outputs.PlaybackBegan(response_id=response_id):
                    self._answering[response_id].first_audio = now
                case outputs.TextSent(response_id=response_id) if self._answering[response_id].first_token is None:
                    self._answering[response_id].first_token = now
                case outputs.TranscriptionDone(item_id=item_id, text=text):
                    for turn in (self._open, *self._answering.values()):
                        if turn is not None and turn.item_id == item_id:
                            turn.heard = text
                case _:
                    pass

    def _take_provisional(self, turn: Turn) -> None:
        """The turn is over: words that were recognised before are its own, unless they are asked for again."""
        known, self._provisional = self._provisional, None
        if known is None or known.item_id != turn.item_id:
            return
        if known.text is None:
            self._transcribing[known.work] = turn
        else:
            turn.transcript, turn.heard = turn.committed, known.text

    def _take_prepared(self, response_id: str) -> None:
        """What was done before the turn was over took none of the person's time."""
        turn, prepared = self._answering[response_id], self._prepared
        self._prepared = None
        turn.was_prepared = True
        for name in prepared[1] if prepared is not None else ():
            setattr(turn, name, turn.transcript)

    def _end(self, now: Seconds, response: outputs.ResponseInfo) -> None:
        turn = self._answering.pop(response.id)
        turn.ended, turn.status, turn.reason = now, response.status, response.reason
        turn.input_tokens, turn.output_tokens = response.input_tokens, response.output_tokens
        turn.cached_tokens = response.cached_tokens
        turn.said = " ".join(text_of(item) for item in response.output if isinstance(item, Message))
        self._working = {work: id for work, id in self._working.items() if id != response.id}
        self.turns.append(turn)
        del self.turns[:-KEPT]
        for told in self.on_turn:
            told(turn)
