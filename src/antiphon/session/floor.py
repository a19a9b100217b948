"""Who has the floor: the person's turn as the voice detector tells it, from the first suspicion to the commit.

It joins the small machines that each know one thing about a turn: `turn` what was heard, `buffer` which stretch it is,
`endpoint` how long to wait, `speculation` what to prepare meanwhile, `bargein` whether a voice over our answer is meant
for us. What a turn means for items and responses is the session's; `Deeds` are its.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from antiphon.audio.units import WIRE_RATE, Samples, Seconds, samples_from_ms
from antiphon.session import inputs, outputs
from antiphon.session.bargein import LISTENED, LONGEST_SILENCE, SILENCE, BargeIn, BargeInState, Verdict, judged
from antiphon.session.buffer import InputBuffer
from antiphon.session.endpoint import Endpoint, limits_of
from antiphon.session.following import Following
from antiphon.session.inputs import Result
from antiphon.session.items import Item, Message, Role, Speech
from antiphon.session.room import Room
from antiphon.session.settings import TurnDetection
from antiphon.session.speculation import Speculation, SpeculationState
from antiphon.session.turn import Turn, TurnState

Heard = inputs.VoiceBegan | inputs.VoicePaused | inputs.SilenceTick | inputs.VoiceTick


class Deeds(Struct, frozen=True):
    """What the floor has the session do."""

    is_heard: Callable[[], bool]
    """Whether an answer of ours is being played."""
    hold: Callable[[bool], None]
    """Send no more of it, or go on."""
    interrupt: Callable[[], None]
    """The person speaks over it: it ends."""
    commit: Callable[[str, Samples, outputs.Transcribe | outputs.Follow | None], None]
    """What was said up to here becomes the item with this id; the recognition of it, if that has begun."""
    respond: Callable[[str], None]
    """Answer that item."""
    question: Callable[[Message, str | None], outputs.Generate | None]
    """What the model would be asked if this item, in this language, were the last; None if that cannot be known."""
    fell_quiet: Callable[[], None]
    """There was a voice, and it was nothing."""


class Floor:
    """See the module. Its methods are called with what the detector says, and with what clients do to the buffer."""

    def __init__(self, room: Room, deeds: Deeds) -> None:
        self.buffer = InputBuffer()
        self.turn = Turn()
        self.endpoint = Endpoint()
        self.following = Following(room)
        self.replayed: deque[Result] = deque()
        """Results that were held back until the turn was over, to be taken now, the oldest first."""
        self._room = room
        self._deeds = deeds
        self._barge_in = BargeIn()
        self._speculation = Speculation()
        self._scoring: int | None = None
        """Number of the work that scores the pause by its sound."""

    @property
    def deadline(self) -> Seconds | None:
        return self._barge_in.deadline

    # --- what the detector says

    def voice_suspected(self, event: inputs.VoiceSuspected) -> None:
        detection = self._room.settings.turn_detection
        if detection is None:
            return
        if self.turn.is_open:
            self.turn.hear(event)
            self._speculation.doubt()
        elif detection.interrupt_response and self._deeds.is_heard():
            self._barge_in.suspect(self._room.now)
            self._deeds.hold(True)

    def voice_dismissed(self, event: inputs.VoiceDismissed) -> None:
        if self._barge_in.state is BargeInState.SUSPECTED:
            self._settle_barge_in("dismissed")

    def voice_began(self, event: inputs.VoiceBegan) -> None:
        detection = self._room.settings.turn_detection
        if detection is None:
            return
        if self.turn.is_open:
            self.hear(event)
            return
        self.drop()
        self._speculation.begin_turn()
        self.turn.begin(event, self._room.ids.make("item"), self.buffer.start, detection.prefix_padding_ms)
        self.buffer.begin_turn(self.turn.start)
        self._room.emit(outputs.KeepAudio(self.turn.start))
        if detection.interrupt_response and self._weighs_words(detection) and self._deeds.is_heard():
            self._barge_in.weigh(self._room.now)
            self._deeds.hold(True)
        else:
            self._accept(detection)

    def hear(self, event: Heard) -> None:
        """More of the open turn."""
        detection = self._room.settings.turn_detection
        if detection is None or not self.turn.is_open:
            return
        pause = self.turn.silence()
        self.turn.hear(event)
        match event:
            case inputs.VoiceBegan():
                self.endpoint.went_on(pause)
                self.drop()
            case inputs.VoicePaused():
                self.endpoint.begin()
                self._scoring = None
            case _:
                pass
        if self._barge_in.is_open and not self._overhear(event, detection):
            return
        if self.turn.is_over(self._wait(detection), self._longest):
            item_id = self.turn.item_id
            self._room.emit(outputs.SpeechStopped(item_id, self.turn.heard))
            self._close(self.turn.heard)
            if detection.create_response and self._room.settings.kind == "realtime":
                self._deeds.respond(item_id)
        else:
            self._speculate(detection)

    def pass_time(self, heard: Samples) -> None:
        """Ask for the words of a voice over our answer, or decide without them; `heard` is how much sound has come."""
        now = self._room.now
        if self._barge_in.wants_words(now) and self.turn.is_open:
            stop = max(self.turn.heard, heard)
            start = max(self.turn.start, stop - LISTENED)
            task = self._room.recognition(self.turn.item_id, start, stop, is_provisional=True)
            self._barge_in.ask_words(task.work)
            self._room.emit(task)
        if not self._barge_in.wants_verdict(now):
            return
        if self._barge_in.state is BargeInState.SUSPECTED:
            self._settle_barge_in("dismissed")
        else:
            self._judge("confirmed" if self.turn.state is TurnState.SPEAKING else "brief")

    # --- what clients do

    def detect(self, detection: TurnDetection | None) -> None:
        """Turns are found like this from now on; with None, the client says where they are."""
        self._room.emit(outputs.Listen(detection))
        self.following.drop()
        if detection is None:
            self.drop()
            self._settle_barge_in("dismissed")
            if self.turn.is_open:
                self.turn.close()
                self.buffer.take(self.buffer.start)
            self._room.emit(outputs.KeepAudio(self.buffer.start))
        elif not self.turn.is_open:
            self._room.emit(outputs.KeepAudio(None))

    def commit(self, end: Samples) -> None:
        """The client makes an item of what was said up to here. Raises `PeerError` if that is too little."""
        self.buffer.check(end)
        if not self.turn.is_open:
            item_id = self.following.item_id or self._room.ids.make("item")
            self._deeds.commit(item_id, end, self.following.end(end))
            return
        if self._barge_in.is_open:
            self._accept(self._room.settings.turn_detection or TurnDetection())
        self._close(end)

    def clear(self, end: Samples) -> None:
        """The client wants what was said up to here forgotten."""
        self.drop()
        self.following.drop()
        self._settle_barge_in("dismissed")
        if self.turn.is_open:
            self.turn.close()
        self._room.emit(outputs.TurnClosed(self.turn.heard))
        self.buffer.take(end)
        self._room.emit(outputs.KeepAudio(None if self._room.settings.turn_detection else self.buffer.start))
        self._room.emit(outputs.AudioCleared())

    def finish(self) -> None:
        """The session is over, and nothing more is asked of this."""
        self.drop()
        self.following.drop()
        self._settle_barge_in("dismissed")
        del self._deeds  # they are the session's, which would wait for the garbage collector

    def follow_stream(self) -> None:
        """Where the client says what an item is, all that it sends is followed."""
        if not self.following.is_wanted:
            self.following.drop()
        elif self._room.settings.turn_detection is None and self.following.task is None:
            item_id = self.following.item_id or self._room.ids.make("item")
            self.following.begin(item_id, self.buffer.start, is_turn=False)

    # --- the life of a turn

    @property
    def _longest(self) -> Samples:
        return round(self._room.config.max_turn_s * WIRE_RATE)

    def _accept(self, detection: TurnDetection) -> None:
        """The voice is meant for us: the turn that it opened is announced."""
        self._settle_barge_in("confirmed")
        self._room.emit(outputs.SpeechStarted(self.turn.item_id, self.turn.start))
        self.following.begin(self.turn.item_id, self.turn.start, is_turn=True)
        if detection.interrupt_response:
            self._deeds.interrupt()

    def _close(self, end: Samples) -> None:
        """The open turn becomes an item."""
        item_id = self.turn.item_id
        is_quiet = self.turn.state is TurnState.PAUSED and end <= self.turn.heard
        voiced_to = min(self.turn.voiced_to, end) if is_quiet else end
        self.turn.close()
        self._room.emit(outputs.TurnClosed(self.turn.heard))
        followed = self.following.end(end, voiced_to)
        if followed is not None:
            self.drop()
        self._deeds.commit(item_id, end, followed or self._known_words(is_all=is_quiet))

    def _wait(self, detection: TurnDetection) -> Samples:
        """How much silence ends the turn, by what is known now."""
        if self.is_continuous(detection):
            return self.endpoint.wait(limits_of(detection))
        return samples_from_ms(detection.silence_duration_ms)

    def is_continuous(self, detection: TurnDetection) -> bool:
        """Whether pauses are judged, and not only measured."""
        return detection.kind == "semantic_vad" or self._room.config.continuous_endpoint

    # --- what is prepared while the person may go on

    @property
    def has_prepared(self) -> bool:
        """Whether an answer to the turn that is over waits for its question."""
        return self._speculation.state is SpeculationState.OWED

    def expects(self, result: Result) -> bool:
        """Whether this is of work that the floor has asked for."""
        return result.work in (*self._speculation.works, self._barge_in.work, self._scoring)

    def take(self, result: Result) -> None:
        """What that work has brought."""
        if result.work in self._speculation.works:
            self._take_speculated(result)
        elif result.work == self._barge_in.work:
            self._take_overheard(result)
        else:
            self._scoring = None
            if isinstance(result, inputs.TurnScored):
                self.endpoint.hear_model(result.probability)

    def _speculate(self, detection: TurnDetection) -> None:
        """The person pauses. Have the words so far recognised, if that is worth it."""
        wish = self._room.config.speculation
        if self.turn.silence() < samples_from_ms(wish.after_ms) or self.turn.state is not TurnState.PAUSED:
            return
        if not self._speculation.may_begin(wish.attempts):
            return
        prepares = wish.answers and self._speculation.spent < wish.most_wasted and not self.following.brings_transcript
        if not (prepares or self.is_continuous(detection)):
            return
        start, stop = self.turn.start, self.turn.heard
        task = self._room.recognition(self.turn.item_id, start, stop, is_provisional=True)
        self._speculation.listen(task)
        self._room.emit(task)
        if self._room.config.scores_turns and self.is_continuous(detection):
            self._scoring = self._room.new_work()
            self._room.emit(outputs.ScoreTurn(self._scoring, start, stop))

    def _take_speculated(self, result: Result) -> None:
        question = self._speculation.question
        if isinstance(result, inputs.WorkFailed):
            self._room.emit(outputs.SpeculationEnded("failed", self._speculation.tokens))
            if question is not None and result.work == question.work:
                self._speculation.lose_answer()
            else:  # the words are asked for again when the turn is over
                self._stop_speculation()
                self._speculation.fail()
            return
        self._speculation.hold(result)
        if isinstance(result, inputs.TranscriptReady) and question is None:
            self._speculation.reading = result.reading
            self.endpoint.hear_words(result.reading.over)
            self._prepare(result)

    def _prepare(self, words: inputs.TranscriptReady) -> None:
        """Ask the model about the words so far, unless the question cannot be known yet."""
        detection, task = self._room.settings.turn_detection, self._speculation.task
        if detection is None or not self._room.config.speculation.answers or not detection.create_response:
            return
        if self._room.settings.kind != "realtime" or not words.text.strip() or task is None:
            return
        own = Message(task.item_id, Role.USER, (Speech(task.start, task.stop, words.text),))
        question = self._deeds.question(own, words.language)
        if question is None:
            return
        question = msgspec.structs.replace(question, work=self._room.new_work())
        self._speculation.think(question)
        self._room.emit(question)

    def _known_words(self, *, is_all: bool) -> outputs.Transcribe | None:
        """The turn is over: the recognition of its words if that has begun and `is_all` was said by then."""
        if self._speculation.state not in (SpeculationState.HEARING, SpeculationState.THINKING):
            return None
        task = self._speculation.task
        kept = self._speculation.commit(is_all=is_all)
        if kept is None:
            if task is not None:
                self._room.emit(outputs.StopWork(task.work))
            return None
        task, results = kept
        self.replayed += results
        return task

    def release(
        self, question: outputs.Generate, reading: inputs.Reading | None, own: Item | None
    ) -> tuple[int, list[Result]] | None:
        """What was prepared, if it answers this question: the number of its work, and what that has brought. Else it
        was for nothing. See `Speculation.fits`.
        """
        if not self._speculation.fits(question, reading, own):
            self.drop()
            return None
        self._room.emit(outputs.SpeculationEnded("hit", self._speculation.tokens))
        return self._speculation.release()

    def drop(self) -> None:
        """Nothing of what was prepared is wanted."""
        self._scoring = None
        if self._speculation.state is SpeculationState.IDLE:
            return
        self._stop_speculation()
        if self._speculation.question is not None:
            self._room.emit(outputs.SpeculationEnded("miss", self._speculation.tokens))
        self._speculation.drop()

    def _stop_speculation(self) -> None:
        for work in self._speculation.works:
            self._room.emit(outputs.StopWork(work))

    # --- a voice over our answer

    def _weighs_words(self, detection: TurnDetection) -> bool:
        wish = self._room.config.barge_in
        return detection.kind == "semantic_vad" if wish == "auto" else wish == "words"

    def _settle_barge_in(self, outcome: Literal["dismissed", "confirmed"]) -> None:
        """It is decided; whatever of the answer goes on is free to."""
        if self._barge_in.state is BargeInState.CLEAR:
            return
        self._end_hold(outcome)
        if self._barge_in.work is not None:
            self._room.emit(outputs.StopWork(self._barge_in.work))
        self._barge_in.clear()

    def _end_hold(self, outcome: Literal["dismissed"] | Verdict) -> None:
        held_s = self._room.now - self._barge_in.began if self._barge_in.holds else 0.0
        self._room.emit(outputs.BargeInJudged(outcome, round(held_s * 1000)))
        self._deeds.hold(False)

    def _take_overheard(self, result: Result) -> None:
        """The words of the voice are known, or cannot be."""
        if isinstance(result, inputs.TranscriptGrew):
            return
        self._barge_in.work = None
        if isinstance(result, inputs.TranscriptReady):
            goes_on = self.turn.state is TurnState.SPEAKING
            self._judge(judged(result.reading, goes_on=goes_on, knows_echo=self._room.config.knows_echo))

    def _judge(self, verdict: Verdict) -> None:
        detection = self._room.settings.turn_detection
        if not self._barge_in.is_open or detection is None:
            return
        if verdict == "confirmed":
            self._accept(detection)
            return
        self._end_hold(verdict)
        self._barge_in.let_pass(self._room.now, goes_on=self.turn.state is TurnState.SPEAKING)

    def _overhear(self, event: Heard, detection: TurnDetection) -> bool:
        """More of a voice of which nobody was told. Returns whether it has become an ordinary turn."""
        if isinstance(event, inputs.VoiceBegan | inputs.VoiceTick):
            if self._barge_in.state is BargeInState.PASSED and not self._deeds.is_heard():
                self._accept(detection)
                return True
            self._barge_in.went_on(self._room.now)
        enough = LONGEST_SILENCE if self._barge_in.work is not None else SILENCE
        too_long = self.turn.heard - self.turn.start >= self._longest
        if self._barge_in.state is BargeInState.PASSED and (self.turn.silence() >= enough or too_long):
            self._ignore_turn()
        return False

    def _ignore_turn(self) -> None:
        """The voice was not for us: as if it had never been."""
        self._settle_barge_in("dismissed")
        self.turn.close()
        self._room.emit(outputs.TurnClosed(self.turn.heard))
        self.buffer.take(self.turn.heard)
        self._room.emit(outputs.KeepAudio(None))
        self._deeds.fell_quiet()
