"""A conversation whose voice is another Realtime server: a machine beside `session.session`, with the same ways in and
out.

The other server hears, finds the turns, thinks and speaks. What it says comes in as `UpstreamSaid` and goes out as the
notices that our own session would give, so that connections, traces, timelines, metrics and kept conversations do not
know the difference; what clients ask for is asked of it. Our tools run here: it is told of them, and its calls of them
are answered without a client's knowing. The conversation is kept here too, as it was heard, and told to the next server
when a connection is lost. Like its sibling it never waits and reads no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from antiphon.audio.units import Samples, Seconds
from antiphon.protocol import upstream
from antiphon.relay.answer import AnswerState
from antiphon.relay.answers import TURN, Answers, check_tools
from antiphon.relay.line import Asked, Line
from antiphon.relay.own_voice import OwnVoice
from antiphon.relay.person import Person
from antiphon.relay.quoting import quoted
from antiphon.relay.shared_items import SharedItems
from antiphon.session import inputs, outputs
from antiphon.session.allowances import LATER, Allowances
from antiphon.session.conversation import Entry
from antiphon.session.course import Course
from antiphon.session.ids import Ids
from antiphon.session.inputs import Result
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Message,
    Role,
    Speech,
)
from antiphon.session.outputs import Refused, Remark
from antiphon.session.recognition import Recognised, Recognition
from antiphon.session.session import Session
from antiphon.session.settings import (
    FunctionTool,
    Relaying,
    ResponseOptions,
    SessionConfig,
    Settings,
    SettingsPatch,
    Transcription,
    patched,
)
from antiphon.session.truncation import CountTokens, estimated

ANNOUNCEMENTS = 32  # that may wait to be spoken
NOTHING_FOLLOWS = Recognised(done=lambda item_id, text: None, failed=lambda item_id, code, message: None)
"""From words that our own recogniser finds: the other server answers what it hears itself."""
FAREWELL_S: Seconds = 15.0  # at most, to say that there is no voice any more before the session ends
SAY = "Say this to the person now, in these words, in the language of the conversation, and nothing else: {}"


class RelaySession(Course):
    """See the module."""

    def __init__(self, config: SessionConfig, ids: Ids) -> None:
        super().__init__(config, ids)
        self._relaying = config.relay or Relaying()
        self._line = Line(self._emit)
        self._last_word: Seconds = 0.0
        """When the other server has said anything."""
        self._announcements: deque[str] = deque(maxlen=ANNOUNCEMENTS)
        self._owes_news = False
        """The model has been told something that it should tell the person."""
        self._owes_answer = False
        """The last turn was lost with its server before an answer began."""
        self._is_welcome_said = False
        self._absent: set[str] = set()
        """Connections that broke and may be taken up again: nobody hears us meanwhile."""
        self._allowances = Allowances(self._room, self._tell_later, lambda answer: None)
        room, line, allowances = self._room, self._line, self._allowances
        self._answers = Answers(room, line, self._asking, self._heard, self._requests, allowances)
        self._recognition = Recognition(room, allowances, NOTHING_FOLLOWS)
        self._person = Person(room, line, self._items, allowances, self._recognition, self._interrupt)
        joins = self._relaying.joins
        self._shared = SharedItems(room, line, self._items, allowances, joins=joins)
        self._own_voice = OwnVoice(room, line, self._answers, self._shared, is_silent=joins)
        self._leaves_by: Seconds | None = None
        """There will be no voice any more, and the person is being told."""

    # --- what is due

    def _moments(self) -> list[Seconds]:
        moments = []
        if self._allowances.deadline is not None:
            moments.append(self._allowances.deadline)
        if self._is_owed_a_word:
            moments.append(self._last_word + self._relaying.patience_s)
        if self._person.turn is not None and self._person.turn.until is not None:
            moments.append(self._person.turn.until)
        if self._line.is_open and self._has_something_to_say and self._is_idle and not self._is_cut_off:
            moments.append(self._heard.until)
        if (self._leaves_by is not None or self._own_voice.has_words) and self._hears_us:
            moments.append(self._heard.until)
        for due in (self._own_voice.outage_due, self._filler_due, self._leaves_by):
            if due is not None:
                moments.append(due)
        return moments

    @property
    def _filler_due(self) -> Seconds | None:
        is_heard = not self._is_cut_off and self._person.turn is None
        return self._own_voice.filler_due if is_heard else None

    @property
    def _hears_us(self) -> bool:
        """Whether nobody speaks, as far as can be known: without a connection nobody listens for the person."""
        is_quiet = self._answers.active is None and (self._person.turn is None or not self._line.is_open)
        return is_quiet and not self._is_cut_off

    @property
    def judges_pauses(self) -> bool:
        """Never: the other server does."""
        return False

    def _settle(self) -> None:
        """What nobody has asked for is said when nobody speaks."""
        self._speak_ourselves()
        if self._leaves_by is not None:
            self._leave()
            return
        is_answering = self._answers.active is not None and self._answers.active.state is not AnswerState.SAYING
        if is_answering or self._person.turn is not None or self._line.owes("respond"):
            self._owes_answer = False
        if not self._is_idle or not self._line.is_open or self._is_cut_off:
            return
        if self._owes_answer:
            self._owes_answer = False
            self._line.ask(Asked("", "tell", {"type": "response.create"}, about=TURN))
        elif self._heard.until > self._now:
            return
        elif self._allowances.allowed:
            self._answers.run_allowed()
        elif self._owes_news:
            self._owes_news = False
            self._line.ask(Asked("", "tell", {"type": "response.create"}))
        elif self._announcements:
            instructions = SAY.format(self._announcements.popleft())
            event = {"type": "response.create", "response": {"instructions": instructions}}
            self._line.ask(Asked("", "tell", event))

    def _speak_ourselves(self) -> None:
        """What our own voice has to say."""
        self._take_failures()
        self._own_voice.tell_outage()
        self._own_voice.notice_silence()
        if self._filler_due is not None:
            self._own_voice.fill()
        if self._own_voice.has_words and self._hears_us and self._heard.until <= self._now:
            self._own_voice.say_next()

    def _take_failures(self) -> None:
        for code in self._answers.take_failures():
            self._own_voice.apologise(code)

    def _leave(self) -> None:
        """End the session once the person has heard why."""
        is_saying = self._answers.active is not None or self._own_voice.has_words or self._heard.until > self._now
        if not is_saying or (self._leaves_by or 0.0) <= self._now:
            self._finish(inputs.Finish("upstream_lost"))

    @property
    def _has_something_to_say(self) -> bool:
        return bool(self._announcements or self._owes_news or self._allowances.allowed)

    @property
    def _is_idle(self) -> bool:
        """Nobody speaks, and nobody was asked to."""
        is_quiet = self._answers.active is None and self._person.turn is None
        return is_quiet and not self._line.owes("respond", "go_on", "tell")

    # --- connections of ours

    def _attach(self, item: inputs.Attach) -> None:
        if self.config.greeting and not self._is_welcome_said:
            self._announcements.append(self.config.greeting)
        self._welcome(item)
        if not self._is_welcome_said:
            self._is_welcome_said = True
            self._asking.list_own_tools(again=False)
            self._tell_earlier()
        if not self._line.is_open:
            self._own_voice.away()
            self._emit(outputs.KeepAudio(self._person.resumes_from))

    def _line_lost(self, item: inputs.LineLost) -> None:
        """What is being said goes on; what nobody has asked for waits until somebody is there to hear it."""
        self._absent.add(item.connection)

    def _stop_waiting_for(self, item: inputs.LineRestored | inputs.Detach) -> None:
        self._absent.discard(item.connection)

    @property
    def _is_cut_off(self) -> bool:
        return bool(self._absent)

    def _finish(self, item: inputs.Finish) -> None:
        self._answers.finish()
        for party in (self._person, self._recognition, self._asking, self._allowances):
            party.finish()
        self._is_over = True
        self._emit(outputs.Close(item.reason))

    # --- the other server's connection

    def _opened(self, opened: inputs.UpstreamOpened) -> None:
        """Tell it who it is, what was said so far, and what it has missed."""
        self._last_word = self._now
        self._line.open()
        self._own_voice.back()
        if self._relaying.joins:
            # The call was made with all that, and goes on without us meanwhile.
            self._line.assume(with_recogniser(self.settings, self._relaying), self._offered(self.settings))
            self._line.repeat("item", "go_on", "tell")
            return
        self._configure()
        self._shared.replay(self._person.written_here)
        self._person.open(opened.heard)
        self._line.repeat("item", "commit", "respond", "go_on", "tell")

    def _configure(self, asked: Asked | None = None, settings: Settings | None = None) -> bool:
        """Ask the other server to be as the settings say. It always writes down what it hears, for us if not for the
        client."""
        settings = with_recogniser(settings or self.settings, self._relaying)
        return self._line.configure(settings, self._offered(settings), asked=asked)

    def _offered(self, settings: Settings) -> tuple[FunctionTool, ...]:
        """All that its model may call: functions of the client, and ours."""
        return self._asking.offer(self._asking.manner(ResponseOptions(tools=settings.tools))).tools

    def _lost(self, lost: inputs.UpstreamLost) -> None:
        """What it was saying is over. What it was told is told to the next one."""
        was_open = self._line.is_open
        owed_answer = self._line.owes("respond", "tell")
        if was_open:
            self._person.resumes_from = self._person.unsettled_from(lost.heard)
        for asked in self._line.lose():
            if asked.patch is not None and asked.connection is not None:
                self._change(asked.patch)
        self._person.lose()
        self._owes_answer |= self._person.turn is None and not owed_answer and self._lost_turn()
        self._answers.lose(lost)
        self._own_voice.away()
        self._emit(outputs.KeepAudio(self._person.resumes_from))
        if not lost.comes_back and self._relaying.joins:
            self._finish(inputs.Finish("hung up"))  # the call is over
        elif not lost.comes_back:
            self._emit(Refused(None, None, quoted(lost.message), lost.code, kind="server_error"))
            self._take_failures()
            self._own_voice.give_up(lost.code)
            self._leaves_by = self._now + FAREWELL_S if self._own_voice.has_words else self._now

    def _lost_turn(self) -> bool:
        """Whether the person's last words were to be answered, and no answer has begun."""
        detection = self.settings.turn_detection
        last = next((entry.item for entry in self.conversation.latest(1)), None)
        if self._answers.active is not None or detection is None or not detection.create_response:
            return False
        is_persons = isinstance(last, Message) and last.role is Role.USER
        return is_persons and any(isinstance(part, Speech) for part in getattr(last, "content", ()))

    @property
    def _is_owed_a_word(self) -> bool:
        """Whether the other server has to say something soon."""
        if not self._line.is_open:
            return False
        return self._answers.are_in_progress or self._line.owes("respond", "go_on", "tell", "update")

    def _said(self, said: inputs.UpstreamSaid) -> None:
        self._last_word = self._now
        self._person.vouch(said.heard)
        message = upstream.read(said.event)
        if isinstance(message, upstream.Ignored):
            self._emit(Remark(f"the upstream's {message.kind} was not understood: {message.complaint}", warns=True))
            return
        reading = self._reads.get(type(message))
        if reading is not None:
            reading(self, message, said.heard)

    def _spoke(self, sound: inputs.UpstreamSpoke) -> None:
        self._last_word = self._now
        self._answers.spoke(sound)

    def _refused(self, error: upstream.Error, heard: Samples) -> None:
        """Something went wrong there; if it was for a client's request, the client is told, and nobody else."""
        details = error.error
        asked = self._line.answered(details.event_id) if details.event_id else None
        words = quoted(details.message or details.code or "It gave no reason.")
        if asked is None:
            is_ending = details.code == "session_expired"  # the connection closes, and the next one goes on
            if is_ending or details.event_id:
                self._emit(Remark(f"the upstream complains: {details.code}", warns=True))
            else:
                self._emit(Refused(None, None, words, details.code, None, "server_error"))
            return
        match asked.kind:
            case "update" if asked.connection is None and self._line.leave_out(details.param):
                self._emit(Remark(f"the upstream does not take {details.param}: it is left out", warns=True))
                self._line.forget()
                self._configure()
                return
            case "update":
                self._line.forget()
                if asked.connection is None:
                    words = f"The voice of this session does not take its settings: {words}"
                    self._emit(Refused(None, None, words, details.code, details.param, "server_error"))
            case "item":
                self._shared.refuse(asked.about)
            case "commit":
                self._person.refuse_commit(asked, heard)
            case "go_on":
                self._answers.refuse_rest(asked.about)
            case "tell" if asked.about == TURN:
                self._own_voice.apologise(details.code or "")
            case "cancel":
                self._answers.refuse_cancel(asked.about)
                return
            case _:
                pass
        if asked.connection is None:
            self._emit(Remark(f"the upstream refused our own {asked.kind}: {details.code}", warns=True))
            return
        self._emit(Refused(asked.connection, asked.request, words, details.code, details.param, details.type))

    # --- settings

    def _update_settings(self, request: inputs.UpdateSettings) -> None:
        patch = request.patch
        self._check_kind(patch)
        if patch.tools is not UNSET:
            check_tools(patch.tools, "session.tools")
        settings = self.settings
        asked = Asked("", "update", {}, request.connection, request.request, patch=patch)
        for pending in (*self._pending_patches(), patch):
            settings = patched(settings, pending)
        if not self._line.is_open or not self._configure(asked, settings):
            self._change(patch)

    def _pending_patches(self) -> list[SettingsPatch]:
        return [asked.patch for asked in self._line.pending("update") if asked.patch is not None]

    def _change(self, patch: SettingsPatch) -> None:
        before = self.settings.turn_detection
        self._room.settings = patched(self.settings, patch)
        self._emit(outputs.SettingsChanged(self.id, self.settings, self.expires_in_s))
        if self.settings.turn_detection != before:
            self._person.detection_changed()

    def _updated(self, message: upstream.SessionUpdated) -> None:
        asked = self._line.answered_next("update")
        if asked is not None and asked.patch is not None:
            self._change(asked.patch)
        elif asked is None and self._relaying.joins and message.session.tools is not None:
            self._take_in_tools(message.session.tools)

    def _take_in_tools(self, theirs: tuple[upstream.Tool, ...]) -> None:
        """The page of a call has set its functions there, and did not know of our tools."""
        ours = {tool.name for tool in self.config.server_tools}
        if ours <= {tool.name for tool in theirs}:
            return
        clients = tuple(
            FunctionTool(tool.name, tool.description or "", tool.parameters or {})
            for tool in theirs
            if tool.type == "function" and tool.name is not None and tool.name not in ours
        )
        self._room.settings = patched(self.settings, SettingsPatch(tools=clients))
        self._line.retool(self._offered(self.settings))

    # --- what joins the person, the items and the answers

    def _item_added(self, message: upstream.ItemAdded | upstream.ItemCreated, heard: Samples) -> None:
        if self._person.is_speaking_in(message.item.id):
            # Not every server says before that it has committed the turn.
            self._person.committed(upstream.AudioCommitted(item_id=message.item.id), heard)
        self._shared.added(message)

    def _response_created(self, message: upstream.ResponseCreated, heard: Samples) -> None:
        turn = self._person.turn
        if turn is not None and turn.stop is not None and not turn.is_resent:
            # Likewise; what it answers is over.
            self._person.committed(upstream.AudioCommitted(item_id=turn.item_id), heard)
        self._answers.created(message)

    def _interrupt(self) -> None:
        """The person speaks over an answer: it ends, and we remember how much of it was heard."""
        spoken = self._answers.active or self._heard.last
        if spoken is not None:
            self._heard.note(spoken)
        if self._answers.active is not None:
            self._answers.stop(self._answers.active, "turn_detected", is_told=True)  # it ends the answer by itself
        self._heard.last = None
        self._shared.truncate_own(self._heard.stop(also_detached=False))

    def _truncate_item(self, request: inputs.TruncateItem) -> None:
        active = self._answers.active
        # Whoever plays no more of what is being spoken does not want the rest of it made; some clients say only this.
        if active is not None and active.is_speaking(request.item_id):
            self._requests.note_truncated(active)
            self._answers.stop(active, "client_cancelled")
        self._shared.truncate(request)

    def _clear_playback(self, request: inputs.ClearPlayback) -> None:
        self._heard.check_clear()
        for answer in list(self._answers.all.values()):
            if answer.playout.sent and answer.stopped is None:
                self._answers.stop(answer, "client_cancelled")
        self._shared.truncate_own(self._heard.stop(also_detached=True))

    def _audio_played(self, item: inputs.AudioPlayed) -> None:
        """A client says how far its own player is."""
        self._heard.confirm(item, self._answers.active)

    # --- results, and what nobody asked for

    def _take(self, result: Result) -> None:
        if self._answers.take(result) or self._own_voice.take(result):
            return
        if self._recognition.expects(result):
            self._recognition.take(result)
        elif (toolbox := self._asking.toolbox_of(result)) is not None:
            toolbox.take(result)
            if self._line.is_open:
                self._configure()
        else:
            self._emit(Remark(f"late: {type(result).__name__} of work {result.work}"))

    def _tell_later(self, call_id: str, name: str, arguments: str, output: str) -> None:
        """A second answer to a call, which the model should tell the person of."""
        call = FunctionCall(self._ids.make("item"), call_id + LATER, name, arguments)
        for item in (call, FunctionOutput(self._ids.make("item"), call_id + LATER, output)):
            self.conversation.add(Entry(item, hidden=True))
            if self._line.is_open:
                self._line.put_item(item)
        self._owes_news = True

    def _tool_progressed(self, item: inputs.ToolProgressed) -> None:
        super()._tool_progressed(item)
        self._own_voice.note_progress(item)

    def _task_ended(self, item: inputs.TaskEnded) -> None:
        super()._task_ended(item)
        self._tell_later(item.call_id, item.name, item.arguments, item.output)

    def _announce(self, item: inputs.Announce) -> None:
        self._announcements.append(item.text)

    # --- time

    def _pass_time(self, item: inputs.TimePassed) -> None:
        self._allowances.expire()
        if self._is_owed_a_word and self._last_word + self._relaying.patience_s <= self._now:
            self._last_word = self._now
            self._emit(outputs.LeaveUpstream("upstream_timeout"))
        self._person.pass_time(item.heard)
        super()._pass_time(item)

    _acts: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **Course._acts,
        inputs.Attach: _attach,
        inputs.Detach: _stop_waiting_for,
        inputs.LineLost: _line_lost,
        inputs.LineRestored: _stop_waiting_for,
        inputs.UpdateSettings: _update_settings,
        inputs.CommitAudio: lambda self, item: self._person.commit(item),
        inputs.ClearAudio: lambda self, item: self._person.clear(item),
        inputs.CreateItem: lambda self, item: self._shared.create(item),
        inputs.DeleteItem: lambda self, item: self._shared.delete(item),
        inputs.TruncateItem: _truncate_item,
        inputs.CreateResponse: lambda self, item: self._answers.create(item),
        inputs.CancelResponse: lambda self, item: self._answers.cancel(item),
        inputs.ClearPlayback: _clear_playback,
        inputs.AudioPlayed: _audio_played,
        inputs.Played: lambda self, item: self._heard.report(item),
        inputs.Announce: _announce,
        inputs.AnswerApproval: lambda self, item: self._allowances.answer(item),
        inputs.UpstreamOpened: _opened,
        inputs.UpstreamLost: _lost,
        inputs.UpstreamSaid: _said,
        inputs.UpstreamSpoke: _spoke,
        inputs.Finish: _finish,
        inputs.ToolProgressed: _tool_progressed,
        inputs.TaskEnded: _task_ended,
        inputs.TimePassed: _pass_time,
    }
    _reads: ClassVar[Mapping[type, Callable[[Any, Any, Samples], None]]] = {
        upstream.SessionUpdated: lambda self, message, heard: self._updated(message),
        upstream.Error: _refused,
        upstream.ItemAdded: _item_added,
        upstream.ItemCreated: _item_added,
        upstream.ItemDeleted: lambda self, message, heard: self._shared.deleted(message),
        upstream.ItemTruncated: lambda self, message, heard: self._shared.truncated(message),
        upstream.TranscriptionDelta: lambda self, message, heard: self._person.transcription_grew(message),
        upstream.TranscriptionCompleted: lambda self, message, heard: self._person.transcribed(message),
        upstream.TranscriptionFailed: lambda self, message, heard: self._person.transcription_failed(message),
        upstream.SpeechStarted: lambda self, message, heard: self._person.speech_started(message),
        upstream.SpeechStopped: lambda self, message, heard: self._person.speech_stopped(message),
        upstream.AudioCommitted: lambda self, message, heard: self._person.committed(message, heard),
        upstream.AudioCleared: lambda self, message, heard: self._person.cleared(message),
        upstream.TimeoutTriggered: lambda self, message, heard: self._person.timed_out(message),
        upstream.ResponseCreated: _response_created,
        upstream.ResponseDone: lambda self, message, heard: self._answers.done(message),
        upstream.OutputItemAdded: lambda self, message, heard: self._answers.output_added(message),
        upstream.OutputItemDone: lambda self, message, heard: self._answers.output_done(message),
        upstream.PartAdded: lambda self, message, heard: self._answers.part_added(message),
        upstream.TextDelta: lambda self, message, heard: self._answers.wrote(message, spoken=False),
        upstream.TranscriptDelta: lambda self, message, heard: self._answers.wrote(message, spoken=True),
        upstream.ArgumentsDelta: lambda self, message, heard: self._answers.arguments(message),
        upstream.ArgumentsDone: lambda self, message, heard: self._answers.arguments_done(message),
        upstream.PlaybackStarted: lambda self, message, heard: self._answers.plays_there(message),
    }
    """What is done about a message of the other server, by how much of the person it could have heard."""


def with_recogniser(settings: Settings, relaying: Relaying | None) -> Settings:
    """The settings with the person's words asked for, whether the client wants them or not."""
    wish = settings.transcription or Transcription()
    if wish.model is not None or relaying is None:
        return settings
    return msgspec.structs.replace(settings, transcription=msgspec.structs.replace(wish, model=relaying.recogniser))


def make_session(config: SessionConfig, ids: Ids, count_tokens: CountTokens = estimated) -> Session | RelaySession:
    """The machine that this configuration means. Where another server is the voice, tokens are its own to count."""
    return Session(config, ids, count_tokens) if config.relay is None else RelaySession(config, ids)
