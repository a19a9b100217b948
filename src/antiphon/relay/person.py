"""What the other server hears of the person: their turns, and where each lies in our stream of sound.

It finds the turns and writes down the words; here they become items. A turn that it had begun when its connection was
lost is heard again by the next one, and stays the same turn for clients; words that it still owed, our own recogniser
writes down. Answers are not known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from antiphon.audio.units import Samples, Seconds, samples_from_ms, seconds_from_samples
from antiphon.protocol import upstream
from antiphon.relay.line import Asked, Line
from antiphon.relay.quoting import quoted
from antiphon.session import inputs, outputs
from antiphon.session.allowances import Allowances
from antiphon.session.consent import consent_in
from antiphon.session.conversation import with_transcript
from antiphon.session.item_requests import ItemRequests
from antiphon.session.items import Message, Speech
from antiphon.session.recognition import Recognition
from antiphon.session.room import Room

OVERLAP = samples_from_ms(1000)  # heard twice after a loss: what the lost server had in hand
HEARD_AGAIN = samples_from_ms(25_000)
"""At most so much is, where no turn is known: a server that stalls counts as lost after 20 s."""
MOST_UNWRITTEN = 8  # items whose words are waited for: a server that is further behind writes none down
FOUND_S: Seconds = 5.0  # for a voice in what is heard again: it comes faster than it was spoken


class Turn(Struct):
    """What the person is saying, or has just said."""

    item_id: str
    start: Samples
    stop: Samples | None = None
    """Clients are told of it when the turn is committed: they see nothing between the two, though its connection may be
    slow, or lost, just then."""
    is_silence: bool = False
    """Nobody has spoken, for so long that it counts as a turn. Clients do not know of it before it is committed."""
    is_resent: bool = False
    """The server that had begun it is lost; the next one hears it from its beginning, and has its own name for it."""
    until: Seconds | None = None
    """When that one should have found it, if it is to."""


class Person:
    """See the module. The first methods take what the other server says."""

    def __init__(
        self,
        room: Room,
        line: Line,
        items: ItemRequests,
        allowances: Allowances,
        recognition: Recognition,
        interrupt: Callable[[], None],
    ) -> None:
        """`interrupt`: they speak over an answer."""
        self.turn: Turn | None = None
        self.resumes_from: Samples = 0
        """Where the next connection's stream has to begin."""
        self._room = room
        self._line = line
        self._items = items
        self._allowances = allowances
        self._recognition = recognition
        self._interrupt = interrupt
        self._base: Samples = 0
        """Where this one's begins in ours."""
        self._settled: Samples = 0
        """Up to here the sound is part of items."""
        self._vouched: Samples = 0
        """Up to here the other server has heard it, for it has said something since."""
        self._catches_up_until: Seconds = 0.0
        """By then a new one has gone through what it heard again."""
        self._commits: deque[Samples] = deque()
        """Where the commits end that clients have asked for."""
        self._unwritten: dict[str, Speech] = {}
        """Items, by id, whose words are still to come from the other server."""
        self.written_here: set[str] = set()
        """Those whose words our recogniser has to find, for that server is lost: the next one hears them itself."""

    def _place(self, ms: float) -> Samples:
        """A moment of its stream in ours."""
        return self._base + samples_from_ms(max(0, round(ms)))

    # --- what the other server finds

    def vouch(self, heard: Samples) -> None:
        """It has said something, so it has not stalled; of our stream so much had come by then."""
        if self._room.now >= self._catches_up_until:
            self._vouched = heard

    def speech_started(self, message: upstream.SpeechStarted) -> None:
        at = self._place(message.audio_start_ms)
        if self.turn is not None and self.turn.is_resent:
            self.turn.is_resent, self.turn.until = False, None
            self._line.call(message.item_id, self.turn.item_id)  # clients know it by the first one
            return
        self.turn = Turn(self._line.ours(message.item_id), at)
        self._room.emit(outputs.SpeechStarted(self.turn.item_id, at))
        self.keep_sound()
        detection = self._room.settings.turn_detection
        if detection is not None and detection.interrupt_response:
            self._interrupt()

    def speech_stopped(self, message: upstream.SpeechStopped) -> None:
        turn = self.turn
        if turn is None or turn.item_id != self._line.ours(message.item_id) or turn.stop is not None:
            return
        turn.stop = max(turn.start, self._place(message.audio_end_ms))

    def committed(self, message: upstream.AudioCommitted, heard: Samples) -> None:
        item_id = self._line.ours(message.item_id)
        if item_id in self._room.conversation:
            return
        turn, self.turn = self.turn, None
        if turn is not None and turn.is_resent:
            self._line.call(item_id, turn.item_id)
            item_id = turn.item_id
        start, stop = self._settled, heard
        if turn is not None:
            start, stop = turn.start, heard if turn.stop is None else turn.stop
            ends = outputs.TimedOut(turn.item_id, start, stop) if turn.is_silence else None
            self._room.emit(ends or outputs.SpeechStopped(turn.item_id, stop))
        if self._commits and self._line.answered_next("commit") is not None:
            stop = max(start, min(self._commits.popleft(), heard))
        self._settled = max(self._settled, stop)
        self._items.add_speech(item_id, Speech(start, stop))
        self._unwritten[item_id] = Speech(start, stop)
        if len(self._unwritten) > MOST_UNWRITTEN:
            del self._unwritten[next(iter(self._unwritten))]
        self.keep_sound()

    def is_speaking_in(self, item_id: str) -> bool:
        """Whether their turn is to become this item, and has not yet."""
        return self.turn is not None and self.turn.item_id == self._line.ours(item_id)

    def timed_out(self, message: upstream.TimeoutTriggered) -> None:
        start, stop = self._place(message.audio_start_ms), self._place(message.audio_end_ms)
        self.turn = Turn(message.item_id, start, stop, is_silence=True)

    # --- its words

    def transcription_grew(self, message: upstream.TranscriptionDelta) -> None:
        item_id = self._line.ours(message.item_id)
        if self._room.settings.transcription is not None and self._room.conversation.visible(item_id) is not None:
            self._room.emit(outputs.TranscriptionGrew(item_id, message.delta))

    def transcribed(self, message: upstream.TranscriptionCompleted) -> None:
        item_id, text = self._line.ours(message.item_id), message.transcript
        self._unwritten.pop(item_id, None)
        entry = self._room.conversation.visible(item_id)
        if entry is None or not isinstance(entry.item, Message):
            return
        speech = next((part for part in entry.item.content if isinstance(part, Speech)), None)
        if speech is None or speech.transcript is not None:
            return
        self._room.conversation.replace(with_transcript(entry.item, text))
        if self._room.settings.transcription is not None:
            seconds = seconds_from_samples(speech.stop - speech.start)
            self._room.emit(outputs.TranscriptionDone(item_id, text, seconds))
        if text.strip():
            self._allowances.hear(consent_in(text, self._room.language))

    def transcription_failed(self, message: upstream.TranscriptionFailed) -> None:
        item_id, error = self._line.ours(message.item_id), message.error
        self._unwritten.pop(item_id, None)
        if self._room.settings.transcription is not None and self._room.conversation.visible(item_id) is not None:
            code = error.code or "transcription_failed"
            self._room.emit(outputs.TranscriptionFailed(item_id, code, quoted(error.message or code)))

    # --- what clients ask for

    def commit(self, request: inputs.CommitAudio) -> None:
        self._commits.append(request.end)
        event = {"type": "input_audio_buffer.commit"}
        self._line.ask(Asked("", "commit", event, request.connection, request.request))

    def clear(self, request: inputs.ClearAudio) -> None:
        self._settled = max(self._settled, request.end)
        self.turn = None
        if not self._line.is_open:
            self.resumes_from = self._settled
            self._room.emit(outputs.AudioCleared())
            return
        event = {"type": "input_audio_buffer.clear"}
        self._line.ask(Asked("", "clear", event, request.connection, request.request))

    def cleared(self, message: upstream.AudioCleared) -> None:
        self.turn = None
        self._room.emit(outputs.AudioCleared())
        self.keep_sound()

    def refuse_commit(self, asked: Asked, heard: Samples) -> None:
        """The other server has not made an item of it."""
        if self._commits:
            self._commits.popleft()
        if asked.connection is None and self.turn is not None:
            self._room.emit(outputs.SpeechStopped(self.turn.item_id, heard))
            self.turn = None

    # --- connections

    def open(self, heard: Samples) -> None:
        """A new one hears from where the last one was lost."""
        self._base = start = min(self.resumes_from, heard)
        self._vouched = start
        self.written_here.clear()
        if start < heard:
            self._room.emit(outputs.ResendAudio(start))
            self._catches_up_until = self._room.now + FOUND_S
        self.keep_sound()
        if self.turn is not None:
            self.turn.until = self._room.now + FOUND_S

    def lose(self) -> None:
        """A turn that was begun on it is heard again by the next one, which finds its end."""
        if self.turn is not None and self.turn.is_silence:
            self.turn = None
        elif self.turn is not None:
            self.turn.is_resent, self.turn.stop = True, None
        for item_id, speech in self._unwritten.items():
            if self._room.conversation.visible(item_id) is not None:
                self._room.told_early.add(item_id)  # the first of its words may have been told
                self._recognition.begin(item_id, speech.start, speech.stop)
                self.written_here.add(item_id)
        self._unwritten.clear()

    def pass_time(self, heard: Samples) -> None:
        turn = self.turn
        if turn is not None and turn.until is not None and turn.until <= self._room.now:
            # Somebody has spoken, as the lost server knew, and this one does not find it: it is told so.
            turn.until = None
            self._commits.append(heard)
            self._line.ask(Asked("", "commit", {"type": "input_audio_buffer.commit"}))

    def finish(self) -> None:
        """The session is over, and nothing more is asked of this."""
        del self._interrupt  # it is the session's, which would wait for the garbage collector

    def detection_changed(self) -> None:
        """Without a detector, nobody there waits for the end of what somebody was just saying."""
        if self._room.settings.turn_detection is None:
            self.turn = None
        self.keep_sound()

    def keep_sound(self) -> None:
        """What may have to be heard again."""
        if self._room.settings.turn_detection is None:
            self._room.emit(outputs.KeepAudio(self._settled))
        else:
            self._room.emit(outputs.KeepAudio(self.turn.start if self.turn is not None else None))

    def unsettled_from(self, heard: Samples) -> Samples:
        """From where on the person has to be heard again."""
        if self._room.settings.turn_detection is None:
            return self._settled
        if self.turn is not None:
            return self.turn.start
        return max(self._settled, min(heard, self._vouched) - OVERLAP, heard - HEARD_AGAIN, 0)
