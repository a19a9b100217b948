"""One conversation as a machine: inputs in, outputs out, and the moment at which it wants to be called again.

`handle` is the only way in and what it returns the only way out. It never waits, listens, guesses or reads a clock;
the time comes with the input, ids come from the source handed in, and sound is named by its position. It outlives
connections and may serve several. It knows no wire: `protocol` projects its outputs to Realtime messages.

The person's side is the `floor`, ours are `responses`; they do not know each other. What joins them is here: each
request has one method, and `_settle` holds the rules about both sides, one sentence each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from antiphon.audio.units import Samples, Seconds, samples_from_ms, seconds_from_samples
from antiphon.errors import PeerError
from antiphon.session import inputs, outputs
from antiphon.session.allowances import LATER, Allowances
from antiphon.session.audible import Ending
from antiphon.session.context import Context, check_context, items_of, named, with_words
from antiphon.session.conversation import Entry, is_unrecognised
from antiphon.session.course import Course
from antiphon.session.floor import Deeds, Floor
from antiphon.session.ids import Ids
from antiphon.session.inputs import Result
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    McpApprovalResponse,
    McpCall,
    Message,
    Role,
    Speech,
    Status,
    clip_of,
)
from antiphon.session.mcp import Approvals, FollowUp, Offer, servers_among
from antiphon.session.outputs import Refused, Remark
from antiphon.session.playout import Playout
from antiphon.session.recognition import Recognised, Recognition
from antiphon.session.response import Response, ResponseState
from antiphon.session.settings import (
    ResponseOptions,
    SessionConfig,
    patched,
)
from antiphon.session.settings_requests import SettingsRequests
from antiphon.session.silence import Silence
from antiphon.session.summary import Summary
from antiphon.session.truncation import CountTokens, estimated
from antiphon.session.unasked import Announcement, Unasked

ASKED_FOR_S: Seconds = 1.0  # after something was written: clients ask for the answer themselves, right behind it
GIVES_WAY = Ending("cancelled", "client_cancelled", plays_on=True)
"""Of what we say unasked, once a client does what makes it idle: it has not asked for silence."""


class Session(Course):
    """See the module."""

    def __init__(self, config: SessionConfig, ids: Ids, count_tokens: CountTokens = estimated) -> None:
        super().__init__(config, ids, count_tokens)
        self._floor = Floor(
            self._room,
            Deeds(
                is_heard=self._is_heard,
                hold=self._hold_answer,
                interrupt=self._interrupt,
                commit=self._commit,
                respond=self._respond_to_turn,
                question=self._question_about,
                fell_quiet=self._fell_quiet,
            ),
        )
        self._responses: dict[str, Response] = {}
        self._active: Response | None = None
        self._owners: dict[int, Response] = {}
        self._wanted_for: str | None = None
        self._unasked = Unasked(self._room)
        self._summary = Summary(self._room)
        self._approvals = Approvals(self.conversation, self._emit, self._tell_mcp)
        self._allowances = Allowances(self._room, self._tell_later, self._answer_mcp)
        self._recognition = Recognition(
            self._room, self._allowances, Recognised(done=self._recognised, failed=self._fail_waiting)
        )
        self._follow_up = FollowUp(config.follow_up_s, config.max_tool_rounds)
        self._question: Response | None = None
        """The response in which the person is asked about calls that a client was to ask about."""
        self._asked_for_by: Seconds = 0.0
        """When we do by ourselves what the person has allowed in writing."""
        self._is_welcome_said = False
        self._absent: set[str] = set()
        """Connections that broke and may be taken up again: nobody hears us meanwhile."""
        self._silence = Silence()
        self._wishes = SettingsRequests(self._room, self._items)

    # --- what is due

    def _moments(self) -> list[Seconds]:
        moments = []
        for due in (self._silence_due(), self._floor.deadline, self._allowances.deadline):
            if due is not None:
                moments.append(due)
        for response in self._responses.values():
            for due in (response.deadline(), self._filler_due(response)):
                if due is not None:
                    moments.append(due)
        if (self._unasked.waits or self._allowances.allowed) and self._may_announce(ignoring_playback=True):
            ends = self._heard.until
            moments.append(ends if self._unasked.waits else max(ends, self._asked_for_by))
        if self._follow_up.due is not None and self._may_follow_up():
            moments.append(self._follow_up.due)
        return moments

    @property
    def judges_pauses(self) -> bool:
        detection = self.settings.turn_detection
        return detection is not None and self._floor.is_continuous(detection)

    # --- one place each: late work, joint rules

    def _take(self, result: Result) -> None:
        response = self._owners.get(result.work)
        if response is not None and response.expects(result):
            self._take_for_response(response, result)
        elif self._recognition.expects(result):
            self._recognition.take(result)
        elif self._floor.following.expects(result):
            self._floor.following.take(result)
        elif self._floor.expects(result):
            self._floor.take(result)
        elif (toolbox := self._asking.toolbox_of(result)) is not None:
            toolbox.take(result)
        elif self._summary.expects(result):
            self._summary.take(result)
        elif self._approvals.expects(result):
            self._approvals.take(result)
            self._follow_up.owe(self._now)
        else:
            self._emit(Remark(f"late: {type(result).__name__} of work {result.work}"))

    def _settle(self) -> None:
        while self._floor.replayed:
            self._take(self._floor.replayed.popleft())
        self._floor.follow_stream()
        self._settle_responses()
        if self._go_on():
            self._settle_responses()
        # What the model is no longer told of is summed up when it has nothing else to do.
        if self._active is None and not self._floor.turn.is_open:
            self._summary.write()
        # What nobody asked for is said when nobody speaks.
        if self._unasked.announcements and self._may_announce(ignoring_playback=False):
            self._say(self._unasked.announcements.popleft())

    def _settle_responses(self) -> None:
        for response in list(self._responses.values()):
            # A response begins when all words that it answers are known, and all tools that it may use.
            if response.state is ResponseState.WAITING and not self._awaits(response):
                if self._allowances.allowed and response.conversation is not None:
                    response.run_allowed(self._allowances.take_allowed(), partial(self._new_work, response))
                    continue
                self._generate(response)
                if response.is_over:
                    continue
            # When the server's tools have answered, the model goes on.
            if response.wants_round:
                self._start_next_round(response)
            # Audio goes out as far as the lead allows; a response with nothing left to do ends.
            response.settle(self._now)
            # Whoever waits for slow tools is told that we are still there.
            if self._wants_filler(response):
                self._say_filler(response)
            if response.is_over:
                self._retire(response)

    def _go_on(self) -> bool:
        """Begin the response that is due, if one is. Returns whether that was so."""
        # A turn that collided with a running response is answered when that one is over.
        if self._wanted_for is not None and self._active is None:
            self._respond_to_turn(self._wanted_for)
            return True
        # What MCP servers have brought is answered, and what they wait for asked, by us if the client leaves it to us.
        due = self._follow_up.due
        if due is not None and due <= self._now and self._may_follow_up():
            asked = [request for request in self._approvals.awaiting() if self._allowances.ask_aloud(request)]
            for request in asked:
                self._approvals.ask_aloud(request)
            response = self._begin_response(ResponseOptions(), None, by_itself=True)
            self._question = response if asked else None
            return True
        # What the person has allowed without a word is done when nobody speaks.
        if self._allowances.allowed and self._asked_for_by <= self._now and self._may_announce(ignoring_playback=False):
            self._begin_response(ResponseOptions(), None, by_itself=True)
            return True
        # What was done beside the conversation is told when nobody speaks, in the model's words.
        if self._unasked.news and self._may_announce(ignoring_playback=False):
            self._tell_news()
            return True
        return False

    # --- connections

    def _attach(self, item: inputs.Attach) -> None:
        self._unasked.greet()
        self._welcome(item)
        if not self._is_welcome_said:
            self._tell_earlier()
        self._emit(outputs.Listen(self.settings.turn_detection))
        self._wishes.warn_of_namesakes()
        if not self._is_welcome_said and self.settings.kind == "realtime":
            self._asking.list_own_tools(again=False)
            self._asking.list_tools(servers_among(self.settings.tools), again=False)
        self._is_welcome_said = True
        if self.settings.turn_detection is None:
            # Nobody but the client says where an item ends, so all since the last one may become one.
            self._emit(outputs.KeepAudio(self._floor.buffer.start))

    def _detach(self, item: inputs.Detach) -> None:
        """The session goes on without it; whoever owns the session decides for how long."""
        self._stop_waiting_for(item.connection)

    @property
    def _is_cut_off(self) -> bool:
        return bool(self._absent)

    def _line_lost(self, item: inputs.LineLost) -> None:
        """What was begun goes on, and is said when somebody is there to hear it."""
        self._absent.add(item.connection)
        for response in self._responses.values():
            response.playout.is_cut_off = True

    def _line_restored(self, item: inputs.LineRestored) -> None:
        self._stop_waiting_for(item.connection)

    def _stop_waiting_for(self, connection: str) -> None:
        if connection not in self._absent:
            return
        self._absent.remove(connection)
        for response in self._responses.values():
            response.playout.is_cut_off = self._is_cut_off
        self._silence.wait_for(self._now)

    def _finish(self, item: inputs.Finish) -> None:
        for response in list(self._responses.values()):
            response.end(Ending("cancelled", "client_cancelled"), self._now)
            self._retire(response)
        self._floor.finish()
        for party in (self._recognition, self._asking, self._approvals, self._allowances, self._summary):
            party.finish()
        self._is_over = True
        self._emit(outputs.Close(item.reason))

    # --- settings

    def _update_settings(self, item: inputs.UpdateSettings) -> None:
        self._check_kind(item.patch)
        patch = self._wishes.check_patch(item.patch)
        before = self.settings.turn_detection
        self._room.settings = patched(self.settings, patch)
        self._emit(outputs.SettingsChanged(self.id, self.settings, self.expires_in_s))
        if patch.tools is not UNSET:
            self._wishes.warn_of_namesakes()
        if self.settings.turn_detection != before:
            self._floor.detect(self.settings.turn_detection)
        if patch.tools is not UNSET and self.settings.kind == "realtime":
            self._asking.list_tools(servers_among(patch.tools), again=True)

    # --- what the person says

    def _is_heard(self) -> bool:
        """Whether an answer of ours is being played."""
        response = self._active or self._heard.last
        ends = response.playout.ends_at() if response is not None else None
        return ends is not None and ends > self._now

    def _hold_answer(self, is_held: bool) -> None:
        if self._active is not None:
            self._active.playout.is_held = is_held

    def _fell_quiet(self) -> None:
        if self._active is None:
            self._silence.begin(self._now)

    def _interrupt(self) -> None:
        """The person speaks over us: the answer ends, and we remember how much of it was heard."""
        self._wanted_for = None
        if self._active is not None:
            self._end(self._active, Ending("cancelled", "turn_detected"))
        elif self._heard.last is not None:
            self._heard.note(self._heard.last)
        self._heard.last = None
        self._heard.stop(also_detached=False)

    def _hearing_failed(self, event: inputs.HearingFailed) -> None:
        self._emit(Refused(None, None, event.message, event.code, kind="server_error"))

    def _commit(self, item_id: str, end: Samples, words: outputs.Transcribe | outputs.Follow | None) -> None:
        """What was said becomes an item; `words` is the recognition of it if that has begun."""
        self._silence.end()
        start, stop = self._floor.buffer.take(end)
        self._items.add_speech(item_id, Speech(start, stop))
        if words is None:
            self._recognition.begin(item_id, start, stop)
        else:
            self._recognition.adopt(words)
        self._emit(outputs.KeepAudio(None if self.settings.turn_detection else self._floor.buffer.start))

    def _recognised(self, item_id: str, text: str) -> None:
        for response in self._responses.values():
            response.context = with_words(response.context, item_id, text)
        if text.strip() or self.conversation.visible(item_id) is None:
            return
        for response in list(self._responses.values()):
            if response.answers_turn == item_id and response.state is ResponseState.WAITING:
                self._emit(Remark("no answer: no words were recognised in the turn"))
                self._end(response, Ending("completed"))

    def _fail_waiting(self, item_id: str, code: str, message: str) -> None:
        for response in list(self._responses.values()):
            is_concerned = any(item.id == item_id for item in self._context_items(response))
            if response.state is ResponseState.WAITING and is_concerned:
                self._end(response, Ending("failed", error_code=code, error_message=message))

    # --- the buffer, by request

    def _commit_audio(self, item: inputs.CommitAudio) -> None:
        self._floor.commit(item.end)

    def _clear_audio(self, item: inputs.ClearAudio) -> None:
        self._floor.clear(item.end)
        self._silence.put_off(self._now)

    # --- items, by request

    def _create_item(self, request: inputs.CreateItem) -> None:
        size = self._items.check_new(request)
        item = request.item
        if isinstance(item, McpApprovalResponse):
            self._approvals.check(item)
        item = msgspec.structs.replace(item, id=item.id or self._ids.make("item"), status=Status.COMPLETED)
        previous = self.conversation.add(Entry(item, size=size), request.after)
        self._emit(outputs.ItemAdded(item, previous))
        speech = clip_of(item)
        if speech is not None:
            self._emit(outputs.RetainAudio(item.id, speech.start, speech.stop, clip=speech.clip))
            self._recognition.begin_clip(item.id, speech)
        if isinstance(item, McpApprovalResponse):
            self._answer_mcp(item)
            if self._active is not None and self._active is self._question:
                self._end(self._active, GIVES_WAY)  # nobody has to be asked any more
        if isinstance(item, Message) and item.role is Role.USER and speech is None:
            self._allowances.hear(request.consent)
            self._asked_for_by = self._now + ASKED_FOR_S

    def _answer_mcp(self, item: McpApprovalResponse) -> None:
        self._allowances.note(item)
        if self._approvals.answer(item, self._new_work):
            self._follow_up.owe(self._now)

    def _delete_item(self, request: inputs.DeleteItem) -> None:
        self._items.delete(request)
        for asked in self._approvals.withdraw(request.item_id):
            self._allowances.forget(asked)

    def _truncate_item(self, request: inputs.TruncateItem) -> None:
        self._items.truncate(request)
        # Whoever plays no more of what is being spoken does not want the rest of it made; some clients say only this.
        if self._active is not None and self._active.is_speaking(request.item_id):
            self._requests.note_truncated(self._active)
            self._end(self._active, Ending("cancelled", "client_cancelled"))

    # --- what the server plays

    def _played(self, report: inputs.Played) -> None:
        """The speaker says how far it is."""
        if self._heard.report(report):
            self._silence.put_off(self._now)

    def _clear_playback(self, request: inputs.ClearPlayback) -> None:
        self._heard.check_clear()
        # Whoever wants to hear no more of an answer does not want the rest of it made.
        self._wanted_for = None
        for response in list(self._responses.values()):
            if response.playout.sent:
                self._end(response, Ending("cancelled", "client_cancelled"))
        self._heard.stop(also_detached=True)

    # --- responses

    def _create_response(self, request: inputs.CreateResponse) -> None:
        if self.settings.kind == "transcription":
            raise PeerError(
                "A transcription session has no responses.",
                "Connect with ?model=... instead of ?intent=transcription to be answered.",
                code="invalid_value",
                param="type",
            )
        apology = self._active if self._active is not None and self._active.is_apology else None
        if not request.options.detached:
            self._requests.check_active(None if apology is not None else self._active)
        self._requests.check_count(len(self._responses))
        context = request.options.input
        if context is not None:
            check_context(context, self.conversation, self._items)
            context = named(context, self._ids)
        options = self._wishes.check_options(request.options)
        if not options.detached:
            # Clients ask again when a response has failed: nothing that they did not ask for is to be in their way.
            self._unasked.forget_apologies()
            if apology is not None:
                self._end(apology, GIVES_WAY)
        self._begin_response(options, context)
        for part in context or ():
            speech = None if isinstance(part, str) else clip_of(part)
            if speech is not None and not isinstance(part, str):
                self._recognition.begin_clip(part.id, speech)

    def _context_items(self, response: Response) -> tuple[Item, ...]:
        return items_of(response.context, self.conversation)

    def _awaits(self, response: Response) -> bool:
        if response.conversation is not None and self._approvals.is_answering:
            return True
        return self._awaits_words(response) or self._asking.awaits_tools(response.manner)

    def _awaits_words(self, response: Response) -> bool:
        if response.context is None:
            return self.conversation.awaits_words()
        return any(is_unrecognised(item) for item in self._context_items(response))

    def _cancel_response(self, request: inputs.CancelResponse) -> None:
        response = self._active if request.response_id is None else self._responses.get(request.response_id)
        if response is None:
            self._requests.cancel_nothing(request.response_id)
            return
        self._wanted_for = None
        self._end(response, Ending("cancelled", "client_cancelled"))

    def _respond_to_turn(self, item_id: str) -> None:
        if self._active is not None:
            self._wanted_for = item_id
            return
        self._wanted_for = None
        self._begin_response(ResponseOptions(), None).answers_turn = item_id

    def _begin_response(
        self, options: ResponseOptions, context: Context | None, *, by_itself: bool = False
    ) -> Response:
        response = Response(
            self._ids.make("resp"),
            self._asking.manner(options),
            Playout(self.config.lead_ms, self.config.delta_ms, awaits_report=self.config.plays),
            None if options.detached else self.conversation,
            self._emit,
        )
        response.context = context
        response.playout.is_cut_off = self._is_cut_off
        self._responses[response.id] = response
        self._heard.add(response)
        if not options.detached:
            self._active = response
            self._requests.note_begun()
            self._silence.end()
            self._follow_up.began(by_itself=by_itself)
        response.announce()
        self._asking.list_tools(response.manner.mcp_servers, again=options.tools is not UNSET)
        self._asking.list_own_tools(again=not options.detached)
        return response

    def _start_next_round(self, response: Response) -> None:
        answers = response.take_answers(self._ids)
        if response.conversation is not None:
            for item in answers:
                self.conversation.add(Entry(item, hidden=True))
        else:
            response.context = (*(response.context or ()), *answers)
        if response.leaves_answer_to_client:
            return
        if len(response.rounds) - response.has_filled > self.config.max_tool_rounds:
            error = f"the model asked for tools {len(response.rounds)} times in a row"
            self._end(response, Ending("failed", error_code="tool_loop", error_message=error))
            return
        self._generate(response)

    def _generate(self, response: Response) -> None:
        manner = response.manner
        try:
            offer = self._asking.offer(manner, in_first_round=not response.rounds)
        except LookupError as error:
            self._end(response, Ending("failed", error_code="mcp_tool_not_found", error_message=str(error)))
            return
        context = self._context_items(response)
        question = self._asking.question(manner, offer, response.note, context, self._room.language)
        if response.context is None:
            left = self._asking.left_behind(question)
            if left and self.settings.truncation.kind == "disabled":
                message = "The conversation is longer than the model's context, and truncation is disabled."
                self._end(response, Ending("failed", error_code="context_length_exceeded", error_message=message))
                return
            self.conversation.leave_behind(context[:left])
            self._summary.leave(context[:left])
            question = msgspec.structs.replace(question, context=context[left:], summary=self._room.summary)
        if len(response.rounds) >= max(1, self.config.max_tool_rounds):
            # A model that goes in circles has to answer in the last round.
            question = msgspec.structs.replace(question, tool_choice="none")
        elif not response.rounds and response.context is None and self._use_prepared(response, question, offer):
            return
        work = self._new_work(response)
        response.start_round(work, offer.remote)
        self._emit(msgspec.structs.replace(question, work=work, response_id=response.id))

    def _question_about(self, own: Message, language: str | None) -> outputs.Generate | None:
        """What the model would be asked now if `own` were the last item; None if that is not certain."""
        manner = self._asking.manner(ResponseOptions())
        if self._active is not None or self.conversation.awaits_words() or self._asking.awaits_tools(manner):
            return None
        try:
            offer = self._asking.offer(manner)
        except LookupError:
            return None  # the response will say so
        said = self.settings.transcription.language if self.settings.transcription else None
        context = (*self.conversation.as_heard(), own)
        question = self._asking.question(manner, offer, "", context, said or language)
        left = self._asking.left_behind(question)
        if left and self.settings.truncation.kind == "disabled":
            return None
        return msgspec.structs.replace(question, context=context[left:], summary=self._room.summary)

    def _use_prepared(self, response: Response, question: outputs.Generate, offer: Offer) -> bool:
        """Give the response what was prepared for it, if it asks the same."""
        item_id, reading = self._recognition.last or ("", None)
        entry = self.conversation.visible(item_id)
        own = entry.item if entry is not None and item_id == response.answers_turn else None
        prepared = self._floor.release(question, reading, own)
        if prepared is None:
            return False
        work, results = prepared
        self._owners[work] = response
        response.start_round(work, offer.remote)
        self._emit(outputs.Release(work, response.id))
        for result in results:
            if response.expects(result):
                self._take_for_response(response, result)
        return True

    def _take_for_response(self, response: Response, result: Result) -> None:
        if isinstance(result, inputs.WorkFailed) and not response.is_call(result.work):
            self._end(response, Ending("failed", error_code=result.code, error_message=result.message))
            return
        response.take(result, self._ids, lambda: self._new_work(response))
        for call in response.take_awaiting():
            self._approvals.add(call)
        for hidden in response.take_to_ask():
            self._allowances.ask(hidden)
        # What MCP servers have brought, the model is told in this response or, if the client asks for it, in the next.
        if isinstance(result, inputs.McpToolReturned | inputs.WorkFailed) and response.leaves_answer_to_client:
            self._follow_up.owe(self._now)

    def _may_follow_up(self) -> bool:
        """Whether nothing else comes first: a response, a turn, or a call that is still running."""
        if self._active is not None or self._floor.turn.is_open or self._approvals.are_running:
            return False
        return not self.conversation.awaits_words()

    def _end(self, response: Response, ending: Ending) -> None:
        response.end(ending, self._now)
        self._retire(response)
        # An apology answers no turn: one that fails is followed by none.
        if ending.status == "failed" and response.answers_turn is not None and response.manner.speaks:
            self._unasked.apologise(ending.error_code or "")

    def _retire(self, response: Response) -> None:
        """A response that has ended is nobody's any more."""
        self._responses.pop(response.id, None)
        self._heard.forget_silent()
        self._owners = {work: owner for work, owner in self._owners.items() if owner is not response}
        if response.conversation is not None:
            # What tools have done is known to the model also when the answer was not told to its end.
            for item in response.take_unread(self._ids):
                self.conversation.add(Entry(item, hidden=True))
        # A client can only ask once it was told of all that the answer wants.
        for request in self._approvals.awaiting():
            if self._active in (None, response) and self._allowances.watch(request):
                self._follow_up.owe(self._now)
        if response is self._active:
            self._active = None
            if response.state in (ResponseState.CANCELLED, ResponseState.FAILED):
                self._follow_up.forget()
            self._follow_up.put_off(self._now)
            self._heard.last = response
            if self._floor.has_prepared:
                self._floor.drop()
            ends = response.playout.ends_at()
            self._silence.begin(self._now if ends is None else max(self._now, ends))

    def _audio_played(self, item: inputs.AudioPlayed) -> None:
        """A client says how far its own player is."""
        if self._heard.confirm(item, self._active):
            self._silence.put_off(self._heard.until)

    def _new_work(self, owner: Response | None = None) -> int:
        work = self._room.new_work()
        if owner is not None:
            self._owners[work] = owner
        return work

    # --- things said unasked, and time

    def _announce(self, item: inputs.Announce) -> None:
        self._unasked.announcements.append(Announcement(item.text))

    def _tool_progressed(self, item: inputs.ToolProgressed) -> None:
        super()._tool_progressed(item)
        if self._active is not None and self._active.waits_for(item.call_id):
            self._active.progress = item.text

    def _task_ended(self, item: inputs.TaskEnded) -> None:
        super()._task_ended(item)
        self._unasked.news.append(item)

    def _tell_later(self, call_id: str, name: str, arguments: str, output: str) -> None:
        """A second answer to a call. The model reads it as what it is, a tool's words, and not as anybody's who gives
        orders."""
        call = FunctionCall(self._ids.make("item"), call_id + LATER, name, arguments)
        self.conversation.add(Entry(call, hidden=True))
        self.conversation.add(Entry(FunctionOutput(self._ids.make("item"), call_id + LATER, output), hidden=True))

    def _tell_mcp(self, item: McpCall, words: str) -> None:
        """What came of a call that the person was asked about aloud."""
        self._tell_later(item.id, item.function, item.arguments, words)

    def _tell_news(self) -> None:
        for news in self._unasked.news:
            self._tell_later(news.call_id, news.name, news.arguments, news.output)
        self._unasked.news.clear()
        self._begin_response(ResponseOptions(), None, by_itself=True)

    def _may_announce(self, *, ignoring_playback: bool) -> bool:
        if self._active is not None or self._floor.turn.is_open or self._is_cut_off:
            return False
        if self.conversation.awaits_words():
            return False
        return ignoring_playback or self._heard.until <= self._now

    def _say(self, announcement: Announcement) -> None:
        response = self._begin_response(ResponseOptions(), None)
        response.is_apology = announcement.is_apology
        self._say_in(response, announcement)

    def _say_in(self, response: Response, announcement: Announcement) -> None:
        work = self._new_work(response)
        response.start_round(work)
        self._unasked.say(response, announcement, work)

    def _filler_due(self, response: Response) -> Seconds | None:
        due = response.filler_due(self.config.fillers.after_s)
        if due is None or response is not self._active or self._is_cut_off or self._floor.turn.is_open:
            return None
        return due if self._unasked.has_filler else None

    def _wants_filler(self, response: Response) -> bool:
        due = self._filler_due(response)
        return due is not None and due <= self._now

    def _say_filler(self, response: Response) -> None:
        response.has_filled = True
        self._say_in(response, self._unasked.filler(response.progress))

    def _silence_due(self) -> Seconds | None:
        """When the person will have said nothing for so long that it counts as a turn; None: never."""
        if self._silence.since is None or self._is_cut_off or self._floor.turn.is_open or self._active is not None:
            return None
        return None if self._heard.is_at_speaker else self._silence.due(self.settings.turn_detection)

    def _time_out(self, heard: Samples) -> None:
        """The person's silence is an item, and is answered."""
        detection = self.settings.turn_detection
        assert detection is not None
        assert detection.idle_timeout_ms is not None
        self._silence.end()
        item_id = self._ids.make("item")
        first, stop = self._floor.buffer.take(heard)
        start = max(first, stop - samples_from_ms(detection.idle_timeout_ms))
        self._emit(outputs.TimedOut(item_id, start, stop))
        self._items.add_speech(item_id, Speech(start, stop, ""))
        if self.settings.transcription is not None:
            self._emit(outputs.TranscriptionDone(item_id, "", seconds_from_samples(stop - start)))
        if detection.create_response and self.settings.kind == "realtime":
            response = self._begin_response(ResponseOptions(), None)
            response.note = f"The person has said nothing for {detection.idle_timeout_ms / 1000:g} seconds."

    def _pass_time(self, item: inputs.TimePassed) -> None:
        self._floor.pass_time(item.heard)
        self._allowances.expire()
        due = self._silence_due()
        if due is not None and due <= self._now:
            self._time_out(item.heard)
        super()._pass_time(item)

    _acts: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **Course._acts,
        inputs.Attach: _attach,
        inputs.Detach: _detach,
        inputs.LineLost: _line_lost,
        inputs.LineRestored: _line_restored,
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
        inputs.VoiceBegan: lambda self, item: self._floor.voice_began(item),
        inputs.VoicePaused: lambda self, item: self._floor.hear(item),
        inputs.SilenceTick: lambda self, item: self._floor.hear(item),
        inputs.VoiceTick: lambda self, item: self._floor.hear(item),
        inputs.VoiceSuspected: lambda self, item: self._floor.voice_suspected(item),
        inputs.VoiceDismissed: lambda self, item: self._floor.voice_dismissed(item),
        inputs.Prosody: lambda self, item: self._floor.endpoint.hear_prosody(item),
        inputs.HearingFailed: _hearing_failed,
        inputs.Played: _played,
        inputs.Announce: _announce,
        inputs.AnswerApproval: lambda self, item: self._allowances.answer(item),
        inputs.Finish: _finish,
        inputs.ToolProgressed: _tool_progressed,
        inputs.TaskEnded: _task_ended,
        inputs.TimePassed: _pass_time,
    }
