"""The answers of the other server: asked for, read as it makes them, and ended; and our tools, which it calls.

Each `Answer` is what our clients see; its responses there are told apart here. A response that nobody wants any more is
dropped in one place, `_writing`. What is asked for without a client is the session's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from antiphon.errors import PeerError
from antiphon.protocol import upstream
from antiphon.relay.answer import Answer, AnswerState, Piece
from antiphon.relay.line import TAG, Asked, Line
from antiphon.relay.quoting import quoted
from antiphon.session import inputs, outputs
from antiphon.session.allowances import Allowances
from antiphon.session.asking import Asking
from antiphon.session.audible import Ending
from antiphon.session.conversation import Entry
from antiphon.session.heard import Heard
from antiphon.session.hidden_calls import NO_RESULT, WITHHELD, HiddenCall, told_of
from antiphon.session.inputs import Result
from antiphon.session.items import FunctionCall, FunctionOutput
from antiphon.session.outputs import Remark
from antiphon.session.playout import Playout
from antiphon.session.questions import NOBODY_TO_ASK, not_done, question_about
from antiphon.session.response_requests import ResponseRequests
from antiphon.session.room import Room
from antiphon.session.settings import McpServer, ResponseOptions

TURN = "the last turn"
"""What an answer is about that we ask for since nobody else did."""
SUPERSEDED = Ending("failed", None, "superseded", "The upstream began another answer before this one was over.")
ENDINGS = frozenset({"completed", "cancelled", "failed", "incomplete"})
REASONS = frozenset({"turn_detected", "client_cancelled", "max_output_tokens", "content_filter"})


class Answers:
    """See the module."""

    def __init__(
        self,
        room: Room,
        line: Line,
        asking: Asking,
        heard: Heard,
        requests: ResponseRequests,
        allowances: Allowances,
    ) -> None:
        self.all: dict[str, Answer] = {}
        """Those that are not over, by the id of their last response at the other server."""
        self.active: Answer | None = None
        """The one that the conversation waits for."""
        self._room = room
        self._line = line
        self._asking = asking
        self._heard = heard
        self._requests = requests
        self._allowances = allowances
        self._unwanted: set[str] = set()
        """Responses there that nobody here waits for any more."""
        self._failures: list[str] = []
        """Why spoken turns were not answered, until somebody takes it."""

    @property
    def are_in_progress(self) -> bool:
        """Whether the other server is writing."""
        return any(answer.is_in_progress for answer in self.all.values())

    def create(self, request: inputs.CreateResponse) -> None:
        options = request.options
        if not options.detached:
            is_ours = self.active is not None and self.active.state is AnswerState.SAYING
            self._requests.check_active(None if is_ours else self.active)  # what we say is overtaken when theirs begins
        self._requests.check_count(sum(answer.stopped is None for answer in self.all.values()))
        if options.tools is not UNSET:
            check_tools(options.tools, "response.tools")
        event = {"type": "response.create", "response": self._asked_of(options)}
        self._line.ask(Asked("", "respond", event, request.connection, request.request, options=options))

    def _asked_of(self, options: ResponseOptions) -> dict[str, Any]:
        """The options as the other server knows them."""
        if options.input is not None:
            named = tuple(self._line.theirs(part) if isinstance(part, str) else part for part in options.input)
            options = msgspec.structs.replace(options, input=named)
        tools = None
        if options.tools is not UNSET:
            tools = self._asking.offer(self._asking.manner(options)).tools
        return upstream.response_of(options, tools)

    def created(self, message: upstream.ResponseCreated) -> None:
        response = message.response
        tag = (response.metadata or {}).get(TAG)
        asked = self._line.answered(tag) if tag is not None else None
        if asked is not None and asked.kind == "go_on":
            self._go_on(asked.about, response.id)
            return
        options = asked.options if asked is not None else ResponseOptions()
        if asked is None and response.conversation_id is None and self.active is not None:
            options = ResponseOptions(detached=True)
        if not options.detached and self.active is not None:
            self.end(self.active, SUPERSEDED)
        if response.output_modalities is not None:
            speaks = "audio" in response.output_modalities
            options = msgspec.structs.replace(options, speaks=speaks)
        answer = self._new_answer(response.id, options)
        answer.answers_turn = not options.detached and (asked is None or asked.about == TURN)
        if not options.detached:
            self.active = answer
            self._requests.note_begun()
        answer.announce()
        if asked is not None and asked.is_given_up:
            self.stop(answer, "client_cancelled", is_told=True)

    def _new_answer(self, response_id: str, options: ResponseOptions) -> Answer:
        answer = Answer(
            response_id,
            self._asking.manner(options),
            Playout(self._room.config.lead_ms, self._room.config.delta_ms, awaits_report=self._room.config.plays),
            None if options.detached else self._room.conversation,
            self._room.emit,
        )
        self.all[answer.id] = answer
        self._heard.add(answer)
        return answer

    def _go_on(self, answer_id: str, upstream_id: str) -> None:
        """What was asked for when our tools had answered has begun."""
        found = next(((key, one) for key, one in self.all.items() if one.id == answer_id), None)
        if found is None:
            self._unwanted.add(upstream_id)
            self._line.ask(Asked("", "cancel", {"type": "response.cancel", "response_id": upstream_id}))
            return
        key, answer = found
        del self.all[key]
        self.all[upstream_id] = answer
        answer.go_on(upstream_id)

    # --- what the other server says of one

    def _writing(self, response_id: str) -> Answer | None:
        """The answer that this response is for, if it is wanted."""
        answer = self.all.get(response_id)
        if answer is None or answer.state is not AnswerState.WRITING:
            if response_id not in self._unwanted and (answer is None or answer.stopped is None):
                words = f"the upstream speaks of a response that is not in progress: {response_id[:40]}"
                self._room.emit(Remark(words))
            return None
        return answer

    def _open_piece(self, response_id: str, item_id: str) -> tuple[Answer, Piece] | None:
        answer = self._writing(response_id)
        if answer is None or item_id in answer.hidden:
            return None
        piece = answer.piece(item_id)
        if piece is None and item_id not in self._room.conversation and not answer.has(item_id):
            piece = answer.add_message(item_id)  # not every server says before that there is one
        return None if piece is None else (answer, piece)

    def output_added(self, message: upstream.OutputItemAdded) -> None:
        answer, item = self._writing(message.response_id), message.item
        if answer is None or answer.piece(item.id) is not None or item.id in answer.hidden:
            return
        if item.id in self._room.conversation:
            self._room.emit(Remark(f"the upstream gives an item a name that is taken: {item.id[:40]}", warns=True))
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
                self._room.emit(Remark(f"the upstream made an item of type {item.type[:40]}", warns=True))

    def _is_own(self, answer: Answer, name: str) -> bool:
        names = {tool.name for tool in answer.manner.server_tools} | answer.manner.withheld
        return name in names or self._remote(answer, name) is not None

    def _remote(self, answer: Answer, name: str) -> Any:
        offer = self._asking.offer(answer.manner)
        return next((tool for tool in offer.remote if tool.function.name == name), None)

    def part_added(self, message: upstream.PartAdded) -> None:
        found = self._open_piece(message.response_id, message.item_id)
        if found is not None:
            answer, piece = found
            answer.begin_message(piece, speaks=message.part.type in ("audio", "output_audio"))

    def wrote(self, message: upstream.TextDelta | upstream.TranscriptDelta, *, spoken: bool) -> None:
        found = self._open_piece(message.response_id, message.item_id)
        if found is not None:
            answer, piece = found
            answer.write(piece, message.delta, spoken=spoken)

    def spoke(self, sound: inputs.UpstreamSpoke) -> None:
        found = self._open_piece(sound.response_id, sound.item_id)
        if found is None:
            self._room.emit(outputs.DropAudio(sound.work))
            return
        answer, piece = found
        answer.speak(piece, sound.work, sound.samples, self._room.now)

    def arguments(self, message: upstream.ArgumentsDelta) -> None:
        answer = self._writing(message.response_id)
        if answer is None:
            return
        hidden, piece = answer.hidden.get(message.item_id), answer.piece(message.item_id)
        if hidden is not None and not hidden.started:
            hidden.arguments += message.delta
        elif piece is not None:
            answer.add_arguments(piece, message.delta)

    def arguments_done(self, message: upstream.ArgumentsDone) -> None:
        answer = self._writing(message.response_id)
        hidden = answer.hidden.get(message.item_id) if answer is not None else None
        if answer is not None and hidden is not None:
            self._call(answer, message.item_id, hidden, message.arguments)

    def output_done(self, message: upstream.OutputItemDone) -> None:
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

    def done(self, message: upstream.ResponseDone) -> None:
        response = message.response
        if response.id in self._unwanted:
            self._unwanted.discard(response.id)
            return
        answer = self.all.get(response.id)
        if answer is None or not answer.is_in_progress:
            self._writing(response.id)  # which says so
            return
        usage = response.usage or upstream.Usage()
        cached = usage.input_token_details.cached_tokens if usage.input_token_details is not None else 0
        answer.spend(usage.input_tokens, usage.output_tokens, cached)
        if answer.stopped is not None:
            self.end(answer, answer.stopped)
            return
        status = response.status if response.status in ENDINGS else "completed"
        if status == "completed" and any(call.started for call in answer.hidden.values()):
            answer.end_round(completed=True)
            answer.move("call")
            self.after_tools(answer)
            return
        details = response.status_details or upstream.StatusDetails()
        reason = details.reason if details.reason in REASONS else None
        error = details.error or upstream.Details(type="", code="upstream_failed") if status == "failed" else None
        code = error.code or error.type or "upstream_failed" if error is not None else None
        words = quoted(error.message or code or "") if error is not None else None
        self.end(answer, Ending(status or "completed", reason, code, words))

    def plays_there(self, message: upstream.PlaybackStarted) -> None:
        """In a call that goes past us, it is the other server that plays."""
        answer = self.all.get(message.response_id)
        if answer is not None:
            self._room.emit(outputs.PlaybackBegan(answer.id))

    # --- ends

    def end(self, answer: Answer, ending: Ending) -> None:
        """It is over, and so is the work for it."""
        self._stop_tools(answer)
        answer.end(ending)
        if answer.saying is not None:
            self._room.emit(outputs.StopWork(answer.saying))
        if ending.status == "failed" and ending is not SUPERSEDED and answer.answers_turn and answer.manner.speaks:
            self._failures.append(ending.error_code or "")
        self.all = {key: one for key, one in self.all.items() if one is not answer}
        self._let_go(answer)
        self._heard.forget_silent()

    def _stop_tools(self, answer: Answer) -> None:
        for work, call in answer.running.items():
            self._room.emit(outputs.StopWork(work))
            self._room.emit(outputs.ToolEnded(answer.id, call.call_id, call.name, NO_RESULT, ok=False))
            self._answer_call(call, NO_RESULT, hidden=answer.conversation is not None)
        answer.running.clear()

    def _let_go(self, answer: Answer) -> None:
        """It is not the one any more that the conversation waits for."""
        if answer is self.active:
            self.active = None
            self._heard.last = answer

    def stop(self, answer: Answer, reason: str, *, is_told: bool = False) -> None:
        """Nobody wants more of it, so the next answer may be asked for at once: the other server acts on what it is
        asked in order. What it still says of this one is not passed on. `is_told`: it knows already."""
        self._heard.note(answer)
        if answer.state is not AnswerState.WRITING:
            self.end(answer, Ending("cancelled", reason))
            return
        self._stop_tools(answer)
        answer.stop(Ending("cancelled", reason))
        self._let_go(answer)
        if not is_told:
            event = {"type": "response.cancel", "response_id": answer.upstream_id}
            self._line.ask(Asked("", "cancel", event, about=answer.id))

    def cancel(self, request: inputs.CancelResponse) -> None:
        wanted = request.response_id
        answers = (answer for answer in self.all.values() if answer.id == wanted and answer.stopped is None)
        answer = self.active if wanted is None else next(answers, None)
        if answer is not None:
            self.stop(answer, "client_cancelled")
        elif wanted is not None or not self._line.give_up():
            self._requests.cancel_nothing(wanted)

    def take_failures(self) -> list[str]:
        """Why spoken turns were not answered that should have been, since the last time."""
        failures, self._failures = self._failures, []
        return failures

    def refuse_rest(self, answer_id: str) -> None:
        """The other server does not go on with it: its own turn detection was quicker, and that answer reads what our
        tools have found."""
        answer = self._named(answer_id)
        if answer is not None:
            self.end(answer, SUPERSEDED)

    def refuse_cancel(self, answer_id: str) -> None:
        """As a rule it has ended meanwhile, and that was said. If not, it goes on there, and nobody listens."""
        answer = self._named(answer_id)
        if answer is not None and answer.stopped is not None:
            self._unwanted.add(answer.upstream_id)
            self.end(answer, answer.stopped)

    def _named(self, answer_id: str) -> Answer | None:
        return next((answer for answer in self.all.values() if answer.id == answer_id), None)

    def lose(self, lost: inputs.UpstreamLost) -> None:
        """What was being said is over."""
        self._unwanted.clear()
        for answer in list(self.all.values()):
            if answer.is_in_progress:
                self.end(answer, answer.stopped or Ending("failed", None, lost.code, quoted(lost.message)))

    def finish(self) -> None:
        """The session is over."""
        for answer in list(self.all.values()):
            self.end(answer, Ending("cancelled", "client_cancelled"))

    # --- our tools

    def take(self, result: Result) -> bool:
        """Whether this is what a tool has brought that an answer waits for."""
        answer = next((one for one in self.all.values() if result.work in one.running), None)
        if answer is None:
            return False
        call = answer.running.pop(result.work)
        output, ok = told_of(result)
        self._room.emit(outputs.ToolEnded(answer.id, call.call_id, call.name, output, ok))
        self._answer_call(call, output, hidden=answer.conversation is not None)
        self.after_tools(answer)
        return True

    def _call(self, answer: Answer, item_id: str, call: HiddenCall, arguments: str) -> None:
        """The model wants one of our tools to be run: do it, or ask whether we may."""
        if call.started:
            return
        call.started = True
        call.arguments = arguments or call.arguments
        if any(
            other is not call and other.started and other.call_id == call.call_id for other in answer.hidden.values()
        ):
            return  # a model that says the same twice means it once
        if answer.conversation is not None:
            item = FunctionCall(item_id, call.call_id, call.name, call.arguments)
            self._room.conversation.add(Entry(item, hidden=True))
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
            self._room.emit(output)

    def _answer_call(self, call: HiddenCall, output: str, *, hidden: bool) -> None:
        """Tell the other server what came of a call. What belongs to no conversation is not kept."""
        item = FunctionOutput(self._room.ids.make("item"), call.call_id, output)
        if hidden:
            self._room.conversation.add(Entry(item, hidden=True))
        if self._line.is_open or not hidden:
            self._line.put_item(item)

    def after_tools(self, answer: Answer) -> None:
        """Once all have answered, the other server goes on with its answer, unless the client has to answer too."""
        if answer.running or answer.saying is not None or answer.state is not AnswerState.CALLING:
            return
        if answer.calls_client:
            self.end(answer, Ending("completed"))
            return
        if answer.rounds > self._room.config.max_tool_rounds:
            words = f"the model asked for tools {answer.rounds} times in a row"
            self.end(answer, Ending("failed", None, "tool_loop", words))
            return
        answer.move("ask")
        response: dict[str, Any] = {}
        if answer.rounds >= self._room.config.max_tool_rounds:
            response["tool_choice"] = "none"  # a model that goes in circles has to answer in the last round
        if answer.conversation is None:
            response["conversation"] = "none"
        if not answer.manner.speaks:
            response["output_modalities"] = ["text"]
        event = {"type": "response.create", "response": response}
        self._line.ask(Asked("", "go_on", event, about=answer.id))

    def begin_own(self) -> Answer:
        """An answer that our own voice makes."""
        answer = self._begin_here()
        answer.move("say")
        return answer

    def _begin_here(self) -> Answer:
        self.active = answer = self._new_answer(self._room.ids.make("resp"), ResponseOptions())
        answer.announce()
        return answer

    def run_allowed(self) -> None:
        """Do what the person has allowed, as the beginning of an answer that tells them of it."""
        answer = self._begin_here()
        answer.move("call")
        for call in self._allowances.take_allowed():
            item = FunctionCall(self._room.ids.make("item"), call.call_id, call.name, call.arguments)
            self._room.conversation.add(Entry(item, hidden=True))
            self._line.put_item(item)
            self._run(answer, call)


def _words(item: upstream.UpstreamItem) -> str | None:
    """What is said or written in it; None if it does not tell."""
    words = [part.text if part.transcript is None else part.transcript for part in item.content or ()]
    told = [text for text in words if text is not None]
    return "".join(told) if told else None


def check_tools(tools: tuple[Any, ...], param: str) -> None:
    for index, tool in enumerate(tools):
        if isinstance(tool, McpServer):
            raise PeerError(
                "Invalid value: 'mcp'. The voice of this session is another server, which is not told of MCP servers.",
                "Offer the tools as functions, or ask whoever runs this server to configure the MCP server.",
                code="invalid_value",
                param=f"{param}[{index}].type",
            )
