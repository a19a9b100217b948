"""What our own voice says in a conversation whose voice is another server: a phrase while tools of ours are slow, and
that the other server cannot be reached.

What it says is an item that the other server is told of in words. It does not know whether anybody speaks: when there
is room for its words is the session's to say. In a call that goes past us it is silent.
"""

from __future__ import annotations

from antiphon.audio.units import Seconds
from antiphon.relay.answer import Answer, AnswerState
from antiphon.relay.answers import Answers
from antiphon.relay.line import Line
from antiphon.relay.shared_items import SharedItems
from antiphon.session import inputs
from antiphon.session.audible import Ending
from antiphon.session.inputs import Result
from antiphon.session.room import Room
from antiphon.session.unasked import Announcement, Unasked

UNREACHED_S: Seconds = 3.0  # without a connection: a new one is mostly there within a second, and nobody notices


class OwnVoice:
    """See the module."""

    def __init__(self, room: Room, line: Line, answers: Answers, shared: SharedItems, *, is_silent: bool) -> None:
        self._room = room
        self._line = line
        self._answers = answers
        self._shared = shared
        self._is_silent = is_silent
        self._unasked = Unasked(room)
        self._away_since: Seconds | None = None
        """Since when there is no connection."""
        self._has_told = False
        """They know that there is none."""

    # --- that the other server fails

    @property
    def has_words(self) -> bool:
        """Whether an apology waits to be said."""
        return bool(self._unasked.announcements)

    def apologise(self, code: str) -> None:
        """What the person has said is not answered, for this reason. One apology at a time is enough."""
        self._has_told |= not self._line.is_open
        if not self._is_silent and self._room.settings.speaks and not self.has_words:
            self._unasked.apologise(code)

    def away(self) -> None:
        """There is no connection."""
        if self._away_since is None:
            self._away_since = self._room.now

    def back(self) -> None:
        """There is one again."""
        self._away_since, self._has_told = None, False

    def give_up(self, code: str) -> None:
        """There will be none, for this reason."""
        if not self._has_told:
            self.apologise(code)

    @property
    def outage_due(self) -> Seconds | None:
        """When they should be told that there is no connection."""
        return None if self._away_since is None or self._has_told else self._away_since + UNREACHED_S

    def tell_outage(self) -> None:
        if self.outage_due is not None and self.outage_due <= self._room.now:
            self.apologise("upstream_unreachable")

    def say_next(self) -> None:
        """Say the apology that waits."""
        self._say(self._answers.begin_own(), self._unasked.announcements.popleft())

    # --- that tools are slow

    def notice_silence(self) -> None:
        """To be called after every input: since when the person hears nothing."""
        answer = self._answers.active
        if answer is None:
            return
        is_slow = answer.state is AnswerState.CALLING and bool(answer.running) and not answer.has_filled
        if not is_slow or not answer.manner.speaks:
            answer.silent_since = None
        elif answer.silent_since is None:
            answer.silent_since = max(self._room.now, answer.playout.ends_at() or self._room.now)

    @property
    def filler_due(self) -> Seconds | None:
        """When they should hear that tools are at work."""
        answer = self._answers.active
        if self._is_silent or not self._unasked.has_filler or answer is None or answer.silent_since is None:
            return None
        return answer.silent_since + self._room.config.fillers.after_s

    def fill(self) -> None:
        """Say so, once in each answer, if it is time."""
        answer, due = self._answers.active, self.filler_due
        if answer is not None and due is not None and due <= self._room.now:
            answer.has_filled, answer.silent_since = True, None
            self._say(answer, self._unasked.filler(answer.progress))

    def note_progress(self, item: inputs.ToolProgressed) -> None:
        """A tool has said how far it is."""
        answer = self._answers.active
        if answer is not None and any(call.call_id == item.call_id for call in answer.running.values()):
            answer.progress = item.text

    # --- saying it

    def _say(self, answer: Answer, announcement: Announcement) -> None:
        answer.saying = self._room.new_work()
        self._unasked.say(answer, announcement, answer.saying)

    def take(self, result: Result) -> bool:
        """Whether this is what our voice has brought, and somebody still waits for it."""
        answer = next((one for one in self._answers.all.values() if one.saying == result.work), None)
        if answer is None:
            return False
        match result:
            case inputs.ClauseBegan(text=text):
                answer.write(answer.own_piece(result.work, self._room.ids), text, spoken=True)
            case inputs.AudioMade(samples=samples):
                answer.speak(answer.own_piece(result.work, self._room.ids), result.work, samples, self._room.now)
            case inputs.SpeakingEnded():
                self._end(answer, Ending("completed"))
            case inputs.WorkFailed(code=code, message=message):
                self._end(answer, Ending("failed", None, code, message))
            case _:
                pass  # a phrase is over before anybody asks for its words one by one
        return True

    def _end(self, answer: Answer, ending: Ending) -> None:
        piece = answer.said(completed=ending.status == "completed")
        if piece is not None and answer.conversation is not None:
            self._shared.put_own(piece.item)
        if answer.state is AnswerState.SAYING:
            self._answers.end(answer, ending)
        else:
            self._answers.after_tools(answer)
