"""A conversation whose voice is another Realtime server: a machine beside `session.session`, with the same ways in and
out.

The other server hears, finds the turns, thinks and speaks. What it says comes in as `UpstreamSaid` and goes out as the
notices that our own session would give, so that connections, traces, timelines, metrics and kept conversations do not
know the difference; what clients ask for is asked of it. Our tools run here: it is told of them, and its calls of them
are answered without a client's knowing. The conversation is kept here too, as it was heard, and told to the next server
when a connection is lost. Like its sibling it never waits and reads no clock.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, Struct

from antiphon.audio.units import Samples, Seconds, ms_from_samples, samples_from_ms, seconds_from_samples
from antiphon.errors import PeerError
from antiphon.protocol import upstream
from antiphon.relay.answer import Answer, AnswerState, Piece
from antiphon.relay.line import TAG, Asked, Line
from antiphon.session import inputs, outputs
from antiphon.session.allowances import LATER, Allowances
from antiphon.session.audible import Ending
from antiphon.session.consent import consent_in
from antiphon.session.conversation import Entry, as_heard, is_unrecognised, with_transcript
from antiphon.session.course import Course
from antiphon.session.hidden_calls import NO_RESULT, WITHHELD, HiddenCall, told_of
from antiphon.session.ids import Ids
from antiphon.session.inputs import Result
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    McpApprovalResponse,
    Message,
    Role,
    Speech,
    Text,
    clip_of,
)
from antiphon.session.ledger import LETTERS_PER_SECOND
from antiphon.session.outputs import Refused, Remark
from antiphon.session.playout import Playout
from antiphon.session.questions import NOBODY_TO_ASK, not_done, question_about
from antiphon.session.session import Session
from antiphon.session.settings import (
    FunctionTool,
    McpServer,
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
REPLAYED = 200  # items that the next server is told of, from the end: more than any of them keeps in mind
QUOTED = 300  # characters of another server's complaint
OVERLAP = samples_from_ms(1000)  # heard twice after a loss: what the lost server had in hand
FOUND_S: Seconds = 5.0  # for a voice in what is heard again: it comes faster than it was spoken
SAY = "Say this to the person now, in these words, in the language of the conversation, and nothing else: {}"
SUPERSEDED = Ending("failed", None, "superseded", "The upstream began another answer before this one was over.")
ENDINGS = frozenset({"completed", "cancelled", "failed", "incomplete"})
REASONS = frozenset({"turn_detected", "client_cancelled", "max_output_tokens", "content_filter"})


class Turn(Struct):
    """What the person is saying, or has just said."""

    item_id: str
    start: Samples
    stop: Samples | None = None
    is_resent: bool = False
    """The server that had begun it is lost; the next one hears it from its beginning, and has its own name for it."""
    until: Seconds | None = None
    """When that one should have found it, if it is to."""


class RelaySession(Course):
    """See the module."""

    def __init__(self, config: SessionConfig, ids: Ids) -> None:
        super().__init__(config, ids)
        self._relaying = config.relay or Relaying()
        self._line = Line(self._emit)
        self._last_word: Seconds = 0.0
        """When the other server has said anything."""
        self._names: dict[str, str] = {}
        """What we call an item, by what the other server calls it, where the two differ."""
        self._replayed: set[str] = set()
        """Items that it was told of, and has not confirmed."""
        self._base: Samples = 0
        """Where its stream of sound begins in ours."""
        self._resumes_from: Samples = 0
        """Where the next one's stream has to begin."""
        self._turn: Turn | None = None
        self._settled: Samples = 0
        """Up to here the sound is part of items."""
        self._commits: deque[Samples] = deque()
        """Where the commits end that clients have asked for."""
        self._answers: dict[str, Answer] = {}
        """Those that are not over, by the id of their last response at the other server."""
        self._active: Answer | None = None
        self._unwanted: set[str] = set()
        """Responses there that nobody here waits for any more."""
        self._own_cuts: set[str] = set()
        """Items that were truncated for what we played, of which clients know already."""
        self._new_items: dict[str, inputs.CreateItem] = {}
        self._announcements: deque[str] = deque(maxlen=ANNOUNCEMENTS)
        self._owes_news = False
        """The model has been told something that it should tell the person."""
        self._owes_answer = False
        """The last turn was lost with its server before an answer began."""
        self._is_welcome_said = False
        self._absent: set[str] = set()
        """Connections that broke and may be taken up again: nobody hears us meanwhile."""
        self._allowances = Allowances(self._room, self._tell_later, lambda answer: None)

    # --- what is due

    def _moments(self) -> list[Seconds]:
        moments = []
        if self._allowances.deadline is not None:
            moments.append(self._allowances.deadline)
        if self._is_owed_a_word:
            moments.append(self._last_word + self._relaying.patience_s)
        if self._turn is not None and self._turn.until is not None:
            moments.append(self._turn.until)
        if self._has_something_to_say and self._is_idle and not self._is_cut_off:
            moments.append(self._heard.until)
        return moments

    @property
    def judges_pauses(self) -> bool:
        """Never: the other server does."""
        return False

    def _settle(self) -> None:
        """What nobody has asked for is said when nobody speaks."""
        if not self._is_idle or not self._line.is_open or self._is_cut_off:
            return
        if self._owes_answer:
            self._owes_answer = False
            self._line.ask(Asked("", "tell", {"type": "response.create"}))
        elif self._heard.until > self._now:
            return
        elif self._allowances.allowed:
            self._run_allowed()
        elif self._owes_news:
            self._owes_news = False
            self._line.ask(Asked("", "tell", {"type": "response.create"}))
        elif self._announcements:
            instructions = SAY.format(self._announcements.popleft())
            event = {"type": "response.create", "response": {"instructions": instructions}}
            self._line.ask(Asked("", "tell", event))

    @property
    def _has_something_to_say(self) -> bool:
        return bool(self._announcements or self._owes_news or self._allowances.allowed)

    @property
    def _is_idle(self) -> bool:
        """Nobody speaks, and nobody was asked to."""
        return self._active is None and self._turn is None and not self._line.owes("respond", "go_on", "tell")

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
            self._emit(outputs.KeepAudio(self._resumes_from))

    def _line_lost(self, item: inputs.LineLost) -> None:
        """What is being said goes on; what nobody has asked for waits until somebody is there to hear it."""
        self._absent.add(item.connection)

    def _stop_waiting_for(self, item: inputs.LineRestored | inputs.Detach) -> None:
        self._absent.discard(item.connection)

    @property
    def _is_cut_off(self) -> bool:
        return bool(self._absent)

    def _finish(self, item: inputs.Finish) -> None:
        for answer in list(self._answers.values()):
            self._end(answer, Ending("cancelled", "client_cancelled"))
        self._asking.finish()
        self._allowances.finish()
        self._is_over = True
        self._emit(outputs.Close(item.reason))

    # --- the other server's connection

    def _opened(self, opened: inputs.UpstreamOpened) -> None:
        """Tell it who it is, what was said so far, and what it has missed."""
        self._last_word = self._now
        self._line.open()
        if self._relaying.joins:
            # The call was made with all that, and goes on without us meanwhile.
            self._line.assume(with_recogniser(self.settings, self._relaying), self._offered(self.settings))
            self._line.repeat("item", "go_on", "tell")
            return
        self._configure()
        self._replay()
        self._base = start = min(self._resumes_from, opened.heard)
        if start < opened.heard:
            self._emit(outputs.ResendAudio(start))
        self._keep_sound()
        if self._turn is not None:
            self._turn.until = self._now + FOUND_S
        self._line.repeat("item", "commit", "respond", "go_on", "tell")

    def _configure(self, asked: Asked | None = None, settings: Settings | None = None) -> bool:
        """Ask the other server to be as the settings say. It always writes down what it hears, for us if not for the
        client."""
        settings = with_recogniser(settings or self.settings, self._relaying)
        return self._line.configure(settings, self._offered(settings), asked=asked)

    def _offered(self, settings: Settings) -> tuple[FunctionTool, ...]:
        """All that its model may call: functions of the client, and ours."""
        return self._asking.offer(self._asking.manner(ResponseOptions(tools=settings.tools))).tools

    def _replay(self) -> None:
        """Tell it the conversation, as it was heard, in order."""
        self._replayed.clear()
        for entry in reversed(list(self.conversation.latest(REPLAYED))):
            item = as_heard(entry)
            event = upstream.item_of(item)
            sound: str | None = None
            if is_unrecognised(item):
                # Its words were never known: it is heard once more.
                event = {**_said_by_person(item.id), "content": [{"type": "input_audio"}]}
                sound = item.id
            if event is None:
                continue
            self._replayed.add(item.id)
            self._line.answered_next("item", item.id)
            self._emit(outputs.ToUpstream({"type": "conversation.item.create", "item": event}, sound))

    def _lost(self, lost: inputs.UpstreamLost) -> None:
        """What it was saying is over. What it was told is told to the next one."""
        was_open = self._line.is_open
        owed_answer = self._line.owes("respond", "tell")
        if was_open:
            self._resumes_from = self._unsettled_from(lost.heard)
        for asked in self._line.lose():
            if asked.patch is not None and asked.connection is not None:
                self._change(asked.patch)
        self._names.clear()
        self._unwanted.clear()
        if self._turn is not None:
            self._turn.is_resent = True
        self._owes_answer |= self._turn is None and not owed_answer and self._lost_turn()
        for answer in list(self._answers.values()):
            if answer.is_in_progress:
                self._end(answer, answer.stopped or Ending("failed", None, lost.code, _quoted(lost.message)))
        self._emit(outputs.KeepAudio(self._resumes_from))
        if not lost.comes_back and self._relaying.joins:
            self._finish(inputs.Finish("hung up"))  # the call is over
        elif not lost.comes_back:
            self._emit(Refused(None, None, _quoted(lost.message), lost.code, kind="server_error"))
            self._finish(inputs.Finish("upstream_lost"))

    def _lost_turn(self) -> bool:
        """Whether the person's last words were to be answered, and no answer has begun."""
        detection = self.settings.turn_detection
        last = next((entry.item for entry in self.conversation.latest(1)), None)
        if self._active is not None or detection is None or not detection.create_response:
            return False
        is_persons = isinstance(last, Message) and last.role is Role.USER
        return is_persons and any(isinstance(part, Speech) for part in getattr(last, "content", ()))

    def _unsettled_from(self, heard: Samples) -> Samples:
        """From where on the person has to be heard again."""
        if self.settings.turn_detection is None:
            return self._settled
        if self._turn is not None:
            return self._turn.start
        return max(self._settled, heard - OVERLAP, 0)

    def _keep_sound(self) -> None:
        """What may have to be heard again."""
        if self.settings.turn_detection is None:
            self._emit(outputs.KeepAudio(self._settled))
        else:
            self._emit(outputs.KeepAudio(self._turn.start if self._turn is not None else None))

    @property
    def _is_owed_a_word(self) -> bool:
        """Whether the other server has to say something soon."""
        if not self._line.is_open:
            return False
        writes = any(answer.is_in_progress for answer in self._answers.values())
        return writes or self._line.owes("respond", "go_on", "tell", "update")

    def _said(self, said: inputs.UpstreamSaid) -> None:
        self._last_word = self._now
        message = upstream.read(said.event)
        if isinstance(message, upstream.Ignored):
            self._emit(Remark(f"the upstream's {message.kind} was not understood: {message.complaint}", warns=True))
            return
        reading = self._reads.get(type(message))
        if reading is not None:
            reading(self, message, said.heard)

    def _refused(self, error: upstream.Error, heard: Samples) -> None:
        """Something went wrong there; if it was for a client's request, the client is told, and nobody else."""
        details = error.error
        asked = self._line.answered(details.event_id) if details.event_id else None
        words = _quoted(details.message or details.code or "It gave no reason.")
        if asked is None:
            is_ending = details.code == "session_expired"  # the connection closes, and the next one goes on
            if is_ending or details.event_id:
                self._emit(Remark(f"the upstream complains: {details.code}", warns=True))
            else:
                self._emit(Refused(None, None, words, details.code, None, "server_error"))
            return
        match asked.kind:
            case "update":
                self._line.forget()
            case "item":
                self._new_items.pop(asked.about, None)
                self._emit(outputs.ForgetAudio(asked.about))
            case "commit":
                if self._commits:
                    self._commits.popleft()
                if asked.connection is None and self._turn is not None:
                    self._emit(outputs.SpeechStopped(self._turn.item_id, heard))
                    self._turn = None
            case "go_on":
                # Its own turn detection was quicker: that answer reads what our tools have found.
                answer = next((one for one in self._answers.values() if one.id == asked.about), None)
                if answer is not None:
                    self._end(answer, SUPERSEDED)
            case "cancel":
                # As a rule it has ended meanwhile, and was said to. If not, it goes on there, and nobody listens.
                answer = next((one for one in self._answers.values() if one.id == asked.about), None)
                if answer is not None and answer.stopped is not None:
                    self._unwanted.add(answer.upstream_id)
                    self._end(answer, answer.stopped)
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
            _check_tools(patch.tools, "session.tools")
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
            self._keep_sound()

    def _updated(self, message: upstream.SessionUpdated, heard: Samples) -> None:
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

    # --- what the person says

    def _place(self, ms: float) -> Samples:
        """A moment of its stream in ours."""
        return self._base + samples_from_ms(max(0, round(ms)))

    def _ours(self, item_id: str) -> str:
        return self._names.get(item_id, item_id)

    def _theirs(self, item_id: str) -> str:
        return next((theirs for theirs, ours in self._names.items() if ours == item_id), item_id)

    def _speech_started(self, message: upstream.SpeechStarted, heard: Samples) -> None:
        at = self._place(message.audio_start_ms)
        if self._turn is not None and self._turn.is_resent:
            self._turn.is_resent, self._turn.until = False, None
            self._names[message.item_id] = self._turn.item_id  # clients know it by the first one
            return
        self._turn = Turn(self._ours(message.item_id), at)
        self._owes_answer = False
        self._emit(outputs.SpeechStarted(self._turn.item_id, at))
        self._keep_sound()
        detection = self.settings.turn_detection
        if detection is not None and detection.interrupt_response:
            self._interrupt()

    def _interrupt(self) -> None:
        """The person speaks over an answer: it ends, and we remember how much of it was heard."""
        spoken = self._active or self._heard.last
        if spoken is not None:
            self._heard.note(spoken)
        if self._active is not None:
            self._stop(self._active, "turn_detected", is_told=True)  # it ends the answer by itself
        self._heard.last = None
        self._stop_playing(also_detached=False)

    def _speech_stopped(self, message: upstream.SpeechStopped, heard: Samples) -> None:
        turn = self._turn
        if turn is None or turn.item_id != self._ours(message.item_id) or turn.stop is not None:
            return
        turn.stop = max(turn.start, self._place(message.audio_end_ms))
        self._emit(outputs.SpeechStopped(turn.item_id, turn.stop))

    def _committed(self, message: upstream.AudioCommitted, heard: Samples) -> None:
        item_id = self._ours(message.item_id)
        if item_id in self.conversation:
            return
        turn, self._turn = self._turn, None
        if turn is not None and turn.is_resent:
            self._names[item_id] = item_id = turn.item_id
        if turn is not None and turn.stop is None:
            turn.stop = heard
            self._emit(outputs.SpeechStopped(turn.item_id, heard))
        start, stop = self._settled, heard
        if turn is not None:
            start, stop = turn.start, turn.stop or heard
        if self._commits and self._line.answered_next("commit") is not None:
            stop = max(start, min(self._commits.popleft(), heard))
        self._settled = max(self._settled, stop)
        self._add_speech(item_id, Speech(start, stop))
        self._keep_sound()

    def _timed_out(self, message: upstream.TimeoutTriggered, heard: Samples) -> None:
        start, stop = self._place(message.audio_start_ms), self._place(message.audio_end_ms)
        self._turn = Turn(message.item_id, start, stop)
        self._emit(outputs.TimedOut(message.item_id, start, stop))

    def _transcription_grew(self, message: upstream.TranscriptionDelta, heard: Samples) -> None:
        item_id = self._ours(message.item_id)
        if self.settings.transcription is not None and self.conversation.visible(item_id) is not None:
            self._emit(outputs.TranscriptionGrew(item_id, message.delta))

    def _transcribed(self, message: upstream.TranscriptionCompleted, heard: Samples) -> None:
        item_id, text = self._ours(message.item_id), message.transcript
        entry = self.conversation.visible(item_id)
        if entry is None or not isinstance(entry.item, Message):
            return
        speech = next((part for part in entry.item.content if isinstance(part, Speech)), None)
        if speech is None or speech.transcript is not None:
            return
        entry.item = with_transcript(entry.item, text)
        if self.settings.transcription is not None:
            seconds = seconds_from_samples(speech.stop - speech.start)
            self._emit(outputs.TranscriptionDone(item_id, text, seconds))
        if text.strip():
            self._allowances.hear(consent_in(text, self._room.language))

    def _transcription_failed(self, message: upstream.TranscriptionFailed, heard: Samples) -> None:
        item_id, error = self._ours(message.item_id), message.error
        if self.settings.transcription is not None and self.conversation.visible(item_id) is not None:
            code = error.code or "transcription_failed"
            self._emit(outputs.TranscriptionFailed(item_id, code, _quoted(error.message or code)))

    def _commit_audio(self, request: inputs.CommitAudio) -> None:
        self._commits.append(request.end)
        event = {"type": "input_audio_buffer.commit"}
        self._line.ask(Asked("", "commit", event, request.connection, request.request))

    def _clear_audio(self, request: inputs.ClearAudio) -> None:
        self._settled = max(self._settled, request.end)
        self._turn = None
        if not self._line.is_open:
            self._resumes_from = self._settled
            self._emit(outputs.AudioCleared())
            return
        event = {"type": "input_audio_buffer.clear"}
        self._line.ask(Asked("", "clear", event, request.connection, request.request))

    def _cleared(self, message: upstream.AudioCleared, heard: Samples) -> None:
        self._turn = None
        self._emit(outputs.AudioCleared())
        self._keep_sound()

    # --- items

    def _create_item(self, request: inputs.CreateItem) -> None:
        if isinstance(request.item, McpApprovalResponse):
            raise PeerError(
                "No call waits to be allowed.", "MCP servers are not asked in this session.",
                code="invalid_value", param="item.type",
            )  # fmt: skip
        self._items.check_new(request)
        item = msgspec.structs.replace(request.item, id=request.item.id or self._ids.make("item"))
        if item.id in self._new_items:
            raise PeerError(
                f"Error adding item: an item with id '{item.id}' already exists.",
                "Leave the id out, or choose one that was not used in this session.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        self._new_items[item.id] = msgspec.structs.replace(request, item=item)
        event: dict[str, Any] = {"type": "conversation.item.create", "item": upstream.item_of(item) or _empty(item)}
        if request.after is not None:
            event["previous_item_id"] = self._theirs(request.after)
        clip = clip_of(item)
        sound = clip.clip if clip is not None else None
        if clip is not None:
            self._emit(outputs.RetainAudio(item.id, clip.start, clip.stop, clip=clip.clip))
        asked = Asked("", "item", event, request.connection, request.request, item.id, sound=sound)
        self._line.ask(asked)
        if isinstance(item, Message) and item.role is Role.USER and clip is None:
            self._allowances.hear(request.consent)

    def _item_added(self, message: upstream.ItemAdded, heard: Samples) -> None:
        theirs = message.item
        item_id = self._ours(theirs.id)
        if item_id in self._replayed:
            self._replayed.discard(item_id)
            return
        request = self._new_items.pop(item_id, None)
        if request is not None:
            self._line.answered_next("item", item_id)
            size = len(msgspec.json.encode(request.item))
            after = request.after
            if after is not None and after != "root" and after not in self.conversation:
                after = None  # deleted meanwhile
            previous = self.conversation.add(Entry(request.item, size=size), after)
            self._emit(outputs.ItemAdded(request.item, previous))
            return
        self._line.answered_next("item", item_id)  # what a tool of ours has found
        if item_id in self.conversation or theirs.type != "message" or theirs.role not in ("user", "system"):
            return
        item = _item_from(theirs, item_id)
        previous = self.conversation.add(Entry(item))
        self._emit(outputs.ItemAdded(item, previous))

    def _delete_item(self, request: inputs.DeleteItem) -> None:
        self._items.visible(request.item_id, "delete")
        if not self._line.is_open:
            self._items.delete(request)
            return
        event = {"type": "conversation.item.delete", "item_id": self._theirs(request.item_id)}
        self._line.ask(Asked("", "delete", event, request.connection, request.request, request.item_id))

    def _item_deleted(self, message: upstream.ItemDeleted, heard: Samples) -> None:
        item_id = self._ours(message.item_id)
        if self.conversation.visible(item_id) is not None:
            self._items.delete(inputs.DeleteItem("", None, item_id))

    def _truncate_item(self, request: inputs.TruncateItem) -> None:
        entry = self._items.visible(request.item_id, "truncate")
        active = self._active
        # Whoever plays no more of what is being spoken does not want the rest of it made; some clients say only this.
        if active is not None and active.is_speaking(request.item_id):
            self._requests.note_truncated(active)
            self._stop(active, "client_cancelled")
        if not self._line.is_open:
            self._items.truncate(request)
            return
        if entry.ledger is None:
            self._items.truncate(request)  # which says why not
        event = _truncation(self._theirs(request.item_id), request.content_index, request.audio_end_ms)
        self._line.ask(Asked("", "truncate", event, request.connection, request.request, request.item_id))

    def _item_truncated(self, message: upstream.ItemTruncated, heard: Samples) -> None:
        item_id = self._ours(message.item_id)
        if item_id in self._own_cuts:
            self._own_cuts.discard(item_id)
            return
        entry = self.conversation.visible(item_id)
        if entry is None or entry.ledger is None:
            return
        end_ms = max(0, round(message.audio_end_ms))
        if self._relaying.joins:
            # Its sound has gone past us, so the words tell how far that is.
            letters = end_ms * LETTERS_PER_SECOND // 1000
            self.conversation.hear_until(item_id, _whole_words(entry.ledger.text(), letters))
            self._emit(outputs.ItemTruncated(item_id, message.content_index, end_ms))
            return
        self._items.cut(entry, entry.ledger, min(samples_from_ms(end_ms), entry.ledger.kept))
        self._emit(outputs.ItemTruncated(item_id, message.content_index, end_ms))

    # --- answers

    def _create_response(self, request: inputs.CreateResponse) -> None:
        options = request.options
        if not options.detached:
            self._requests.check_active(self._active)
        self._requests.check_count(sum(answer.stopped is None for answer in self._answers.values()))
        if options.tools is not UNSET:
            _check_tools(options.tools, "response.tools")
        event = {"type": "response.create", "response": self._asked_of(options)}
        self._owes_answer = False
        self._line.ask(Asked("", "respond", event, request.connection, request.request, options=options))

    def _asked_of(self, options: ResponseOptions) -> dict[str, Any]:
        """The options as the other server knows them."""
        if options.input is not None:
            named = tuple(self._theirs(part) if isinstance(part, str) else part for part in options.input)
            options = msgspec.structs.replace(options, input=named)
        tools = None
        if options.tools is not UNSET:
            tools = self._asking.offer(self._asking.manner(options)).tools
        return upstream.response_of(options, tools)

    def _response_created(self, message: upstream.ResponseCreated, heard: Samples) -> None:
        response = message.response
        tag = (response.metadata or {}).get(TAG)
        asked = self._line.answered(tag) if tag is not None else None
        if asked is not None and asked.kind == "go_on":
            self._go_on(asked.about, response.id)
            return
        options = asked.options if asked is not None else ResponseOptions()
        if asked is None and response.conversation_id is None and self._active is not None:
            options = ResponseOptions(detached=True)
        if not options.detached and self._active is not None:
            self._end(self._active, SUPERSEDED)
        if response.output_modalities is not None:
            speaks = "audio" in response.output_modalities
            options = msgspec.structs.replace(options, speaks=speaks)
        answer = self._new_answer(response.id, options)
        if not options.detached:
            self._active = answer
            self._owes_answer = False
            self._requests.note_begun()
        answer.announce()
        if asked is not None and asked.is_given_up:
            self._stop(answer, "client_cancelled", is_told=True)

    def _new_answer(self, response_id: str, options: ResponseOptions) -> Answer:
        answer = Answer(
            response_id,
            self._asking.manner(options),
            Playout(self.config.lead_ms, self.config.delta_ms, awaits_report=self.config.plays),
            None if options.detached else self.conversation,
            self._emit,
        )
        self._answers[answer.id] = answer
        self._heard.add(answer)
        return answer

    def _go_on(self, answer_id: str, upstream_id: str) -> None:
        """What was asked for when our tools had answered has begun."""
        found = next(((key, one) for key, one in self._answers.items() if one.id == answer_id), None)
        if found is None:
            self._unwanted.add(upstream_id)
            self._line.ask(Asked("", "cancel", {"type": "response.cancel", "response_id": upstream_id}))
            return
        key, answer = found
        del self._answers[key]
        self._answers[upstream_id] = answer
        answer.go_on(upstream_id)

    def _writing(self, response_id: str) -> Answer | None:
        """The answer that this response is for, if it is wanted."""
        answer = self._answers.get(response_id)
        if answer is None or answer.state is not AnswerState.WRITING:
            if response_id not in self._unwanted and (answer is None or answer.stopped is None):
                self._emit(Remark(f"the upstream speaks of a response that is not in progress: {response_id[:40]}"))
            return None
        return answer

    def _open_piece(self, response_id: str, item_id: str) -> tuple[Answer, Piece] | None:
        answer = self._writing(response_id)
        piece = answer.piece(item_id) if answer is not None else None
        return None if answer is None or piece is None else (answer, piece)

    def _output_added(self, message: upstream.OutputItemAdded, heard: Samples) -> None:
        answer, item = self._writing(message.response_id), message.item
        if answer is None or answer.piece(item.id) is not None or item.id in answer.hidden:
            return
        if item.id in self.conversation:
            self._emit(Remark(f"the upstream gives an item a name that is taken: {item.id[:40]}", warns=True))
            return
        match item.type:
            case "message":
                answer.add_message(item.id)
            case "function_call" if self._is_own(answer, item.name or ""):
                remote = self._remote(answer, item.name or "")
                answer.hidden[item.id] = HiddenCall(item.call_id or item.id, item.name or "", remote)
            case "function_call":
                answer.add_call(item.id, item.call_id or item.id, item.name or "")
            case _:
                self._emit(Remark(f"the upstream made an item of type {item.type[:40]}", warns=True))

    def _is_own(self, answer: Answer, name: str) -> bool:
        names = {tool.name for tool in answer.manner.server_tools} | answer.manner.withheld
        return name in names or self._remote(answer, name) is not None

    def _remote(self, answer: Answer, name: str) -> Any:
        offer = self._asking.offer(answer.manner)
        return next((tool for tool in offer.remote if tool.function.name == name), None)

    def _part_added(self, message: upstream.PartAdded, heard: Samples) -> None:
        found = self._open_piece(message.response_id, message.item_id)
        if found is not None:
            answer, piece = found
            answer.begin_message(piece, speaks=message.part.type in ("audio", "output_audio"))

    def _text(self, message: upstream.TextDelta | upstream.TranscriptDelta, heard: Samples, *, spoken: bool) -> None:
        found = self._open_piece(message.response_id, message.item_id)
        if found is not None:
            answer, piece = found
            answer.write(piece, message.delta, spoken=spoken)

    def _spoke(self, sound: inputs.UpstreamSpoke) -> None:
        self._last_word = self._now
        found = self._open_piece(sound.response_id, sound.item_id)
        if found is None:
            self._emit(outputs.DropAudio(sound.work))
            return
        answer, piece = found
        answer.speak(piece, sound.work, sound.samples, self._now)

    def _arguments(self, message: upstream.ArgumentsDelta, heard: Samples) -> None:
        answer = self._writing(message.response_id)
        if answer is None:
            return
        hidden, piece = answer.hidden.get(message.item_id), answer.piece(message.item_id)
        if hidden is not None and not hidden.started:
            hidden.arguments += message.delta
        elif piece is not None:
            answer.add_arguments(piece, message.delta)

    def _arguments_done(self, message: upstream.ArgumentsDone, heard: Samples) -> None:
        answer = self._writing(message.response_id)
        hidden = answer.hidden.get(message.item_id) if answer is not None else None
        if answer is not None and hidden is not None:
            self._call(answer, message.item_id, hidden, message.arguments)

    def _output_done(self, message: upstream.OutputItemDone, heard: Samples) -> None:
        answer, item = self._writing(message.response_id), message.item
        if answer is None:
            return
        hidden = answer.hidden.get(item.id)
        if hidden is not None and item.status != "incomplete":
            self._call(answer, item.id, hidden, item.arguments or "")
            return
        piece = answer.piece(item.id)
        if piece is None:
            return
        whole = item.arguments or "" if item.type == "function_call" else _words(item)
        answer.finish(piece, whole, completed=item.status != "incomplete")

    def _response_done(self, message: upstream.ResponseDone, heard: Samples) -> None:
        response = message.response
        if response.id in self._unwanted:
            self._unwanted.discard(response.id)
            return
        answer = self._answers.get(response.id)
        if answer is None or not answer.is_in_progress:
            self._writing(response.id)  # which says so
            return
        usage = response.usage or upstream.Usage()
        cached = usage.input_token_details.cached_tokens if usage.input_token_details is not None else 0
        answer.spend(usage.input_tokens, usage.output_tokens, cached)
        if answer.stopped is not None:
            self._end(answer, answer.stopped)
            return
        status = response.status if response.status in ENDINGS else "completed"
        if status == "completed" and any(call.started for call in answer.hidden.values()):
            answer.end_round(completed=True)
            answer.move("call")
            self._after_tools(answer)
            return
        details = response.status_details or upstream.StatusDetails()
        reason = details.reason if details.reason in REASONS else None
        error = details.error or upstream.Details(type="", code="upstream_failed") if status == "failed" else None
        code = error.code or error.type or "upstream_failed" if error is not None else None
        words = _quoted(error.message or code or "") if error is not None else None
        self._end(answer, Ending(status or "completed", reason, code, words))

    def _end(self, answer: Answer, ending: Ending) -> None:
        """It is over, and so is the work for it."""
        self._stop_tools(answer)
        answer.end(ending)
        self._answers = {key: one for key, one in self._answers.items() if one is not answer}
        self._let_go(answer)
        self._heard.forget_silent()

    def _stop_tools(self, answer: Answer) -> None:
        for work, call in answer.running.items():
            self._emit(outputs.StopWork(work))
            self._emit(outputs.ToolEnded(answer.id, call.call_id, call.name, NO_RESULT, ok=False))
            self._answer_call(call, NO_RESULT, hidden=answer.conversation is not None)
        answer.running.clear()

    def _let_go(self, answer: Answer) -> None:
        """It is not the one any more that the conversation waits for."""
        if answer is self._active:
            self._active = None
            self._heard.last = answer

    def _stop(self, answer: Answer, reason: str, *, is_told: bool = False) -> None:
        """Nobody wants more of it, so the next answer may be asked for at once: the other server acts on what it is
        asked in order. What it still says of this one is not passed on. `is_told`: it knows already."""
        self._heard.note(answer)
        if answer.state is not AnswerState.WRITING:
            self._end(answer, Ending("cancelled", reason))
            return
        self._stop_tools(answer)
        answer.stop(Ending("cancelled", reason))
        self._let_go(answer)
        if not is_told:
            event = {"type": "response.cancel", "response_id": answer.upstream_id}
            self._line.ask(Asked("", "cancel", event, about=answer.id))

    def _cancel_response(self, request: inputs.CancelResponse) -> None:
        wanted = request.response_id
        answers = (answer for answer in self._answers.values() if answer.id == wanted and answer.stopped is None)
        answer = self._active if wanted is None else next(answers, None)
        if answer is not None:
            self._stop(answer, "client_cancelled")
        elif wanted is not None or not self._line.give_up():
            self._requests.cancel_nothing(wanted)

    # --- our tools

    def _call(self, answer: Answer, item_id: str, call: HiddenCall, arguments: str) -> None:
        """The model wants one of our tools to be run: do it, or ask whether we may."""
        if call.started:
            return
        call.started = True
        call.arguments = arguments or call.arguments
        if answer.conversation is not None:
            item = FunctionCall(item_id, call.call_id, call.name, call.arguments)
            self.conversation.add(Entry(item, hidden=True))
        if call.remote is None and call.name in answer.manner.withheld:
            self._answer_call(call, WITHHELD, hidden=answer.conversation is not None)
            return
        needs_approval = call.remote is None and call.name in answer.manner.asks_before
        if not needs_approval:  # an MCP server of the operator never does
            self._run(answer, call)
        elif answer.conversation is None:
            self._answer_call(call, not_done(NOBODY_TO_ASK), hidden=False)
        else:
            tool = next(tool for tool in answer.manner.server_tools if tool.name == call.name)
            self._answer_call(call, question_about(tool), hidden=True)
            self._allowances.ask(call)

    def _run(self, answer: Answer, call: HiddenCall) -> None:
        work = self._room.new_work()
        answer.running[work] = call
        for output in call.run(work, answer.id):
            self._emit(output)

    def _answer_call(self, call: HiddenCall, output: str, *, hidden: bool) -> None:
        """Tell the other server what came of a call. What belongs to no conversation is not kept."""
        item = FunctionOutput(self._ids.make("item"), call.call_id, output)
        if hidden:
            self.conversation.add(Entry(item, hidden=True))
        if self._line.is_open or not hidden:
            self._put_item(item)

    def _put_item(self, item: Item) -> None:
        event = {"type": "conversation.item.create", "item": upstream.item_of(item)}
        self._line.ask(Asked("", "item", event, about=item.id))

    def _take(self, result: Result) -> None:
        answer = next((one for one in self._answers.values() if result.work in one.running), None)
        if answer is not None:
            call = answer.running.pop(result.work)
            output, ok = told_of(result)
            self._emit(outputs.ToolEnded(answer.id, call.call_id, call.name, output, ok))
            self._answer_call(call, output, hidden=answer.conversation is not None)
            self._after_tools(answer)
        elif (toolbox := self._asking.toolbox_of(result)) is not None:
            toolbox.take(result)
            if self._line.is_open:
                self._configure()
        else:
            self._emit(Remark(f"late: {type(result).__name__} of work {result.work}"))

    def _after_tools(self, answer: Answer) -> None:
        """Once all have answered, the other server goes on with its answer, unless the client has to answer too."""
        if answer.running or answer.state is not AnswerState.CALLING:
            return
        if answer.calls_client:
            self._end(answer, Ending("completed"))
            return
        if answer.rounds > self.config.max_tool_rounds:
            words = f"the model asked for tools {answer.rounds} times in a row"
            self._end(answer, Ending("failed", None, "tool_loop", words))
            return
        answer.move("ask")
        response: dict[str, Any] = {}
        if answer.rounds >= self.config.max_tool_rounds:
            response["tool_choice"] = "none"  # a model that goes in circles has to answer in the last round
        if answer.conversation is None:
            response["conversation"] = "none"
        if not answer.manner.speaks:
            response["output_modalities"] = ["text"]
        event = {"type": "response.create", "response": response}
        self._line.ask(Asked("", "go_on", event, about=answer.id))

    def _run_allowed(self) -> None:
        """Do what the person has allowed, as the beginning of an answer that tells them of it."""
        self._active = answer = self._new_answer(self._ids.make("resp"), ResponseOptions())
        answer.announce()
        answer.move("call")
        for call in self._allowances.take_allowed():
            item = FunctionCall(self._ids.make("item"), call.call_id, call.name, call.arguments)
            self.conversation.add(Entry(item, hidden=True))
            self._put_item(item)
            self._run(answer, call)

    def _tell_later(self, call_id: str, name: str, arguments: str, output: str) -> None:
        """A second answer to a call, which the model should tell the person of."""
        call = FunctionCall(self._ids.make("item"), call_id + LATER, name, arguments)
        for item in (call, FunctionOutput(self._ids.make("item"), call_id + LATER, output)):
            self.conversation.add(Entry(item, hidden=True))
            if self._line.is_open:
                self._put_item(item)
        self._owes_news = True

    def _task_ended(self, item: inputs.TaskEnded) -> None:
        super()._task_ended(item)
        self._tell_later(item.call_id, item.name, item.arguments, item.output)

    def _announce(self, item: inputs.Announce) -> None:
        self._announcements.append(item.text)

    # --- playing

    def _played(self, report: inputs.Played) -> None:
        """Our own speaker says how far it is."""
        self._heard.report(report)

    def _plays_there(self, message: upstream.PlaybackStarted, heard: Samples) -> None:
        """In a call that goes past us, it is the other server that plays."""
        answer = self._answers.get(message.response_id)
        if answer is not None:
            self._emit(outputs.PlaybackBegan(answer.id))

    def _clear_playback(self, request: inputs.ClearPlayback) -> None:
        self._heard.check_clear()
        if self._active is not None and self._active.playout.sent:
            self._stop(self._active, "client_cancelled")
        self._stop_playing(also_detached=True)

    def _stop_playing(self, *, also_detached: bool) -> None:
        """What was not heard is not part of the conversation, here and there."""
        for cut in self._heard.stop(also_detached=also_detached):
            if self._line.is_open:
                self._own_cuts.add(cut.item_id)
                end_ms = ms_from_samples(cut.heard)
                self._line.ask(Asked("", "truncate", _truncation(self._theirs(cut.item_id), 0, end_ms)))

    def _audio_played(self, item: inputs.AudioPlayed) -> None:
        """A client says how far its own player is."""
        self._heard.confirm(item, self._active)

    # --- time

    def _pass_time(self, item: inputs.TimePassed) -> None:
        self._allowances.expire()
        if self._is_owed_a_word and self._last_word + self._relaying.patience_s <= self._now:
            self._last_word = self._now
            self._emit(outputs.LeaveUpstream("upstream_timeout"))
        turn = self._turn
        if turn is not None and turn.until is not None and turn.until <= self._now:
            # Somebody has spoken, as the lost server knew, and this one does not find it: it is told so.
            turn.until = None
            self._commits.append(item.heard)
            self._line.ask(Asked("", "commit", {"type": "input_audio_buffer.commit"}))
        super()._pass_time(item)

    _acts: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **Course._acts,
        inputs.Attach: _attach,
        inputs.Detach: _stop_waiting_for,
        inputs.LineLost: _line_lost,
        inputs.LineRestored: _stop_waiting_for,
        inputs.UpdateSettings: _update_settings,
        inputs.CommitAudio: _commit_audio,
        inputs.ClearAudio: _clear_audio,
        inputs.CreateItem: _create_item,
        inputs.DeleteItem: _delete_item,
        inputs.TruncateItem: _truncate_item,
        inputs.CreateResponse: _create_response,
        inputs.CancelResponse: _cancel_response,
        inputs.ClearPlayback: _clear_playback,
        inputs.AudioPlayed: _audio_played,
        inputs.Played: _played,
        inputs.Announce: _announce,
        inputs.AnswerApproval: lambda self, item: self._allowances.answer(item),
        inputs.UpstreamOpened: _opened,
        inputs.UpstreamLost: _lost,
        inputs.UpstreamSaid: _said,
        inputs.UpstreamSpoke: _spoke,
        inputs.Finish: _finish,
        inputs.TaskEnded: _task_ended,
        inputs.TimePassed: _pass_time,
    }
    _reads: ClassVar[Mapping[type, Callable[[Any, Any, Samples], None]]] = {
        upstream.SessionUpdated: _updated,
        upstream.Error: _refused,
        upstream.ItemAdded: _item_added,
        upstream.ItemDeleted: _item_deleted,
        upstream.ItemTruncated: _item_truncated,
        upstream.TranscriptionDelta: _transcription_grew,
        upstream.TranscriptionCompleted: _transcribed,
        upstream.TranscriptionFailed: _transcription_failed,
        upstream.SpeechStarted: _speech_started,
        upstream.SpeechStopped: _speech_stopped,
        upstream.AudioCommitted: _committed,
        upstream.AudioCleared: _cleared,
        upstream.TimeoutTriggered: _timed_out,
        upstream.ResponseCreated: _response_created,
        upstream.ResponseDone: _response_done,
        upstream.OutputItemAdded: _output_added,
        upstream.OutputItemDone: _output_done,
        upstream.PartAdded: _part_added,
        upstream.TextDelta: partial(_text, spoken=False),
        upstream.TranscriptDelta: partial(_text, spoken=True),
        upstream.ArgumentsDelta: _arguments,
        upstream.ArgumentsDone: _arguments_done,
        upstream.PlaybackStarted: _plays_there,
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


KEY = re.compile(r"\b(sk|ek|pk|key)[-_][\w*.-]{6,}")


def _quoted(words: str) -> str:
    """Another server's words, on one line and without keys, which some quote."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in words[: 4 * QUOTED]).split())
    return KEY.sub(r"\1-***", plain)[:QUOTED]


def _whole_words(text: str, letters: int) -> str:
    """Its beginning, of about so many letters."""
    return text if letters >= len(text) else text[:letters].rpartition(" ")[0]


def _check_tools(tools: tuple[Any, ...], param: str) -> None:
    for index, tool in enumerate(tools):
        if isinstance(tool, McpServer):
            raise PeerError(
                "Invalid value: 'mcp'. The voice of this session is another server, which is not told of MCP servers.",
                "Offer the tools as functions, or ask whoever runs this server to configure the MCP server.",
                code="invalid_value",
                param=f"{param}[{index}].type",
            )


def _said_by_person(item_id: str) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user"}


def _empty(item: Item) -> dict[str, Any]:
    """A message without a word, which is one all the same."""
    role = item.role.value if isinstance(item, Message) else "user"
    kind = "output_text" if role == "assistant" else "input_text"
    return {"id": item.id, "type": "message", "role": role, "content": [{"type": kind, "text": ""}]}


def _truncation(item_id: str, content_index: int, end_ms: int) -> dict[str, Any]:
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": end_ms,
    }


def _item_from(theirs: upstream.UpstreamItem, item_id: str) -> Message:
    """An item that somebody else has put into the conversation."""
    role = Role(theirs.role or "user")
    parts = tuple(
        Text(part.text) if part.text is not None else Speech(0, 0, part.transcript) for part in theirs.content or ()
    )
    return Message(item_id, role, parts)


def _words(item: upstream.UpstreamItem) -> str:
    return "".join(part.transcript or part.text or "" for part in item.content or ())
