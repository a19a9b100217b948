"""One response: what is written, called and spoken for it, item by item, until it ends exactly once.

A response goes in rounds. In each the model writes text, which may be spoken, and calls functions; the server's own
functions are run, and when all have answered the model writes the next round. The tools of a client's MCP servers are
run too, but in the conversation a round with one of them is the last: the client asks for what follows. It knows
neither the person's turn nor other responses; joint rules are the session's. Every item that was begun is ended,
whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import assert_never

import msgspec

from antiphon.audio.units import Seconds
from antiphon.errors import did_you_mean
from antiphon.session.audible import Audible, Emit, Ending
from antiphon.session.conversation import Conversation, Entry, finished
from antiphon.session.hidden_calls import NO_RESULT, WITHHELD, HiddenCall, told_of
from antiphon.session.ids import Ids
from antiphon.session.inputs import (
    AudioMade,
    CallWritten,
    ClauseBegan,
    ClauseEnded,
    McpToolReturned,
    Result,
    SpeakingEnded,
    TextWritten,
    WordsMarked,
    WritingEnded,
)
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    McpApprovalRequest,
    McpCall,
    McpFailure,
    Message,
    Role,
    Speech,
    Status,
    Text,
)
from antiphon.session.ledger import Ledger
from antiphon.session.machine import Table, step
from antiphon.session.manner import Manner
from antiphon.session.mcp import AwaitingCall, RemoteTool, outcome_of
from antiphon.session.outputs import (
    ArgumentsSent,
    AudioSent,
    CallMcpTool,
    DropAudio,
    McpArgumentsEnded,
    McpArgumentsSent,
    McpCallAwaits,
    McpCallBegan,
    McpCallEnded,
    OutputBegan,
    OutputEnded,
    ResponseEnded,
    ResponseInfo,
    RetainAudio,
    StopWork,
    TextSent,
    ToolEnded,
)
from antiphon.session.pieces import Made, Piece, Round, ServedCall, is_repeated, text_of
from antiphon.session.playout import Playout
from antiphon.session.questions import NOBODY_TO_ASK, not_done, question_about
from antiphon.session.settings import FunctionTool
from antiphon.session.whole_json import WholeJson

NewWork = Callable[[], int]
NOT_MADE = McpFailure("tool", "The answer was interrupted before this call was made.")
CUT = McpFailure("tool", "The answer was interrupted. This call may have been carried out, or not.")
UNASKED = McpFailure("tool", NOBODY_TO_ASK)


class ResponseState(Enum):
    WAITING = "waiting"
    """For the words of what the person said."""
    WORKING = "working"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"
    FAILED = "failed"


MOVES: Table[ResponseState] = {
    ResponseState.WAITING: {
        "work": ResponseState.WORKING,
        "completed": ResponseState.COMPLETED,
        "cancelled": ResponseState.CANCELLED,
        "failed": ResponseState.FAILED,
    },
    ResponseState.WORKING: {
        "work": ResponseState.WORKING,
        "completed": ResponseState.COMPLETED,
        "incomplete": ResponseState.INCOMPLETE,
        "cancelled": ResponseState.CANCELLED,
        "failed": ResponseState.FAILED,
    },
    ResponseState.COMPLETED: {},
    ResponseState.INCOMPLETE: {},
    ResponseState.CANCELLED: {},
    ResponseState.FAILED: {},
}

EXHAUSTED = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons of a model to stop before it was done, and what the protocol calls them."""


class Response(Audible):
    """See the module. `works` holds the numbers of the work in flight; the session routes their results here."""

    def __init__(
        self, id: str, manner: Manner, playout: Playout, conversation: Conversation | None, emit: Emit
    ) -> None:
        super().__init__(id, manner, playout, conversation, emit)
        self.state = ResponseState.WAITING
        self.works: set[int] = set()
        self.rounds: list[Round] = []
        self.pieces: list[Piece] = []
        self.answers_turn: str | None = None
        """The user item that this response was made for without being asked, if any."""
        self.is_apology = False
        """It says nothing but that another one has failed."""
        self.note = ""
        """What the model is told besides its instructions."""
        self.context: tuple[Item | str, ...] | None = None
        """Items, or ids of items of the conversation, in place of the whole of it, if it was given any."""
        self.progress = ""
        """How far the tools that it waits for are, as the last of them said: to be said aloud, if nothing else is."""
        self._remote: dict[str, RemoteTool] = {}
        """Tools of MCP servers that the model was offered last, by the name of their function."""
        self._awaiting: list[AwaitingCall] = []
        self._to_ask: list[HiddenCall] = []
        self._served: dict[int, ServedCall] = {}
        self._tool_calls: dict[int, HiddenCall] = {}
        self._silent_since: Seconds | None = None
        """Since when the person has waited for tools without a sound."""
        self.has_filled = False
        self._answered: list[tuple[HiddenCall, str]] = []
        self._unread: list[McpCall] = []
        """Settled calls of an out-of-band response, of which the model is not told by the conversation."""
        self._exhausted: str | None = None

    # --- its life

    def start_round(self, work: int, remote: Iterable[RemoteTool] = ()) -> None:
        """The model, or the voice alone, has been set to work under this number, and was offered these."""
        self.state = step(MOVES, self.state, "work")
        self._remote = {tool.function.name: tool for tool in remote}
        self.works.add(work)
        self.rounds.append(Round(work))

    @property
    def is_over(self) -> bool:
        return not MOVES[self.state]

    @property
    def wants_round(self) -> bool:
        """Whether all tools of the last round have answered, and the model is to go on."""
        last = self.rounds[-1] if self.rounds else None
        is_running = self._tool_calls or self._served
        return bool(self._answered or self._unread) and not is_running and last is not None and last.is_written

    @property
    def leaves_answer_to_client(self) -> bool:
        """Whether the last round has called what the client was told of: it asks for what follows from that. Out of
        band it could not, for the conversation does not have the answer."""
        last = self.rounds[-1] if self.rounds and self.conversation is not None else None
        return last is not None and any(isinstance(call, ServedCall) for call in last.calls.values())

    def end(self, ending: Ending, now: Seconds) -> None:
        """End it: close what is open, stop what still runs, and say so. Nothing of it goes out afterwards."""
        self.state = step(MOVES, self.state, ending.status)
        for piece in self.pieces:
            if piece.is_open:
                # Whoever cancels an answer stops playing it; nobody stops for one that failed, and plays all it has.
                self._cut(piece, now, plays_on=ending.plays_on or ending.status == "failed")
        # After the items have taken what they keep of the work's sound.
        for work in sorted(self.works):
            self._emit(StopWork(work))
        self.works.clear()
        self._emit(ResponseEnded(self._as_ended(ending)))

    def settle(self, now: Seconds) -> None:
        """Send what may be sent, close what is whole, and end if nothing is left to do."""
        if self.state is not ResponseState.WORKING:
            return
        self._send(now)
        self._notice_silence(now)
        if self.works or self._answered or self._unread or any(piece.is_open for piece in self.pieces):
            return
        if self._exhausted:
            self.end(Ending("incomplete", EXHAUSTED[self._exhausted]), now)
        else:
            self.end(Ending("completed"), now)

    def deadline(self) -> Seconds | None:
        """When more audio may be sent."""
        for piece in self.pieces:
            if piece.is_open and piece.ledger is not None:
                return self.playout.due(*piece.ledger.next_piece(self.playout.delta))
        return None

    def _notice_silence(self, now: Seconds) -> None:
        waits = bool(self._tool_calls or self._served) and self.manner.speaks and not self.has_filled
        if not waits or any(piece.is_open and piece.ledger is not None for piece in self.pieces):
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = max(now, self.playout.ends_at() or now)

    def waits_for(self, call_id: str) -> bool:
        """Whether a tool of ours is at work on this call for it."""
        return any(call.call_id == call_id for call in self._tool_calls.values())

    def filler_due(self, after_s: float) -> Seconds | None:
        """When the person has heard nothing for so long, for tools are still at work; None if that is not so."""
        return None if self._silent_since is None else self._silent_since + after_s

    def _as_ended(self, ending: Ending) -> ResponseInfo:
        return self._info(self.state.value, ending, tuple(self._as_it_stands(piece) for piece in self.pieces))

    def _as_it_stands(self, piece: Piece) -> Item:
        """A call that waited to be allowed may have been settled or deleted meanwhile: the conversation knows."""
        if not piece.awaits or self.conversation is None:
            return piece.item
        entry = self.conversation.entry(piece.item.id)
        return finished(piece.item, "cut") if entry is None else entry.item

    # --- results of its work

    def expects(self, result: Result) -> bool:
        """Whether this work is still wanted, and may still bring this."""
        if result.work not in self.works:
            return False
        match result:
            case TextWritten() | CallWritten() | WritingEnded():
                return not self._round(result.work).is_written
            case ClauseBegan() | AudioMade() | WordsMarked() | ClauseEnded() | SpeakingEnded():
                return self.manner.speaks and not self._round(result.work).is_spoken
            case _:
                return True

    def _round(self, work: int) -> Round:
        return next(made for made in self.rounds if made.work == work)

    def is_call(self, work: int) -> bool:
        """Whether this work is the call of a tool, whose failure is not the response's."""
        return work in self._served or work in self._tool_calls

    def take(self, result: Result, ids: Ids, new_work: NewWork) -> None:
        """Act on a result of one of its works. `new_work` gives a number to the work that follows from it."""
        if self.is_call(result.work):
            self._take_answer(result)
            return
        current = self._round(result.work)
        match result:
            case TextWritten(text=text):
                self._write(current, text, ids)
            case CallWritten():
                self._call(current, result, ids, new_work)
            case WritingEnded():
                self._end_writing(current, result, ids, new_work)
            case ClauseBegan(text=text):
                self._spoken(current, ids).begin_clause(text)
            case AudioMade(samples=samples):
                self._spoken(current, ids).add_audio(samples)
            case WordsMarked(marks=marks):
                self._spoken(current, ids).mark(marks)
            case ClauseEnded():
                self._spoken(current, ids).end_clause()
            case SpeakingEnded():
                self._end_speaking(current)
            case _:
                raise TypeError(f"no response expects {result!r}")

    def _write(self, round: Round, text: str, ids: Ids) -> None:
        if self.manner.speaks:
            return  # the words go out with their audio, clause by clause
        if round.message is None:
            if not text.strip():
                return
            round.message = self._begin_message(round.work, ids)
        piece = round.message
        piece.text += text
        self._emit(TextSent(self.id, piece.index, piece.item.id, text, spoken=False))

    def _call(self, round: Round, call: CallWritten, ids: Ids, new_work: NewWork) -> None:
        known = round.calls.get(call.index)
        if known is None:
            self._complete_calls(round, ids, new_work)
            known = self._begin_call(call, ids)
            round.calls[call.index] = known
            round.arguments[call.index] = WholeJson()
        arguments = round.arguments[call.index]
        if arguments.is_whole:
            return  # white space, or what a confused model adds
        match known:
            case HiddenCall():
                known.arguments += call.arguments
            case ServedCall(piece=piece):
                piece.text += call.arguments
                if call.arguments:
                    self._emit(McpArgumentsSent(self.id, piece.index, piece.item.id, call.arguments))
            case Piece(item=item):
                assert isinstance(item, FunctionCall)
                known.text += call.arguments
                if call.arguments:
                    self._emit(ArgumentsSent(self.id, known.index, item.id, item.call_id, call.arguments))
            case _:
                assert_never(known)
        if arguments.feed(call.arguments):
            self._complete_calls(round, ids, new_work)

    def _begin_call(self, call: CallWritten, ids: Ids) -> Piece | HiddenCall | ServedCall:
        remote = self._remote.get(call.name)
        is_ours = remote is not None and remote.is_ours
        is_clients = call.name in {tool.name for tool in self.manner.client_tools}
        if is_ours or (remote is None and not is_clients):
            return HiddenCall(call.call_id, call.name, remote)
        if remote is not None:
            made = McpCall(ids.make("item"), remote.label, remote.name, call.name, "", status=Status.IN_PROGRESS)
            return ServedCall(self._begin(made, call.work, spoken=False), remote)
        item = FunctionCall(ids.make("item"), call.call_id, call.name, "", Status.IN_PROGRESS)
        return self._begin(item, call.work, spoken=False)

    def _complete_calls(self, round: Round, ids: Ids, new_work: NewWork) -> None:
        """The arguments of every call so far are whole: the tools that we run start."""
        for call in round.calls.values():
            match call:
                case HiddenCall():
                    if not call.started and not is_repeated(call, round):
                        self._begin_hidden(call, new_work)
                case ServedCall():
                    if not call.is_whole:
                        self._end_arguments(call)
                        self._serve(call, ids, new_work)
                case Piece():
                    call.written = True
                case _:
                    assert_never(call)

    def run_allowed(self, calls: Iterable[HiddenCall], new_work: NewWork) -> None:
        """Begin with calls that an earlier answer wrote and the person has now allowed; the model goes on then."""
        self.state = step(MOVES, self.state, "work")
        already = Round(0)
        already.is_written = already.is_spoken = True
        self.rounds.append(already)
        for call in calls:
            self._run_hidden(call, new_work())

    def _begin_hidden(self, call: HiddenCall, new_work: NewWork) -> None:
        """Run it, or ask whether we may."""
        if call.remote is None and call.name not in {tool.name for tool in self.manner.server_tools}:
            call.started = True
            self._answered.append((call, self._unknown(call.name)))
            return
        needs_approval = call.name in self.manner.asks_before if call.remote is None else call.remote.needs_approval
        if not needs_approval:
            self._run_hidden(call, new_work())
            return
        call.started = True
        if self.conversation is None:
            self._answered.append((call, not_done(NOBODY_TO_ASK)))
            return
        self._answered.append((call, question_about(self._function_of(call))))
        self._to_ask.append(call)

    def _unknown(self, name: str) -> str:
        """What the model reads when it calls what it was not offered."""
        if name in self.manner.withheld:
            return WITHHELD
        known = [tool.name for tool in self.manner.server_tools + self.manner.client_tools] + list(self._remote)
        sentence = f"There is no tool called {name[:64]!r}. {did_you_mean(name, known)}"
        return msgspec.json.encode({"error": sentence}).decode()

    def _function_of(self, call: HiddenCall) -> FunctionTool:
        if call.remote is not None:
            return call.remote.function
        return next(tool for tool in self.manner.server_tools if tool.name == call.name)

    def take_to_ask(self) -> list[HiddenCall]:
        """The calls of the server's tools that wait to be allowed since this was last asked."""
        taken, self._to_ask = self._to_ask, []
        return taken

    def _run_hidden(self, call: HiddenCall, work: int) -> None:
        call.started = True
        self.works.add(work)
        self._tool_calls[work] = call
        for output in call.run(work, self.id):
            self._emit(output)

    def _end_arguments(self, call: ServedCall) -> None:
        piece = call.piece
        call.is_whole = True
        piece.item = msgspec.structs.replace(piece.item, arguments=piece.text)
        if self.conversation is not None:
            self.conversation.replace(piece.item)
        self._emit(McpArgumentsEnded(self.id, piece.index, piece.item.id, piece.text))

    def _serve(self, call: ServedCall, ids: Ids, new_work: NewWork) -> None:
        """Make the call, or ask whether we may."""
        piece = call.piece
        if not call.tool.needs_approval:
            work = new_work()
            self.works.add(work)
            self._served[work] = call
            self._emit(McpCallBegan(piece.index, piece.item.id))
            self._emit(CallMcpTool(work, call.tool.address, call.tool.name, piece.text))
        elif self.conversation is None:
            self._settle_call(call, McpToolReturned(0, failure=UNASKED))
        else:
            self._ask_for_approval(call, ids)

    def _ask_for_approval(self, call: ServedCall, ids: Ids) -> None:
        """The response is done with the call then; it is made, or not, when the person has answered."""
        piece, tool = call.piece, call.tool
        request = McpApprovalRequest(ids.make("item"), tool.label, tool.name, piece.text, Status.IN_PROGRESS)
        assert isinstance(piece.item, McpCall)
        piece.item = msgspec.structs.replace(piece.item, approval=request.id)
        piece.awaits = True
        if self.conversation is not None:
            self.conversation.replace(piece.item)
        self._emit(McpCallAwaits(self.id, piece.index, piece.item))
        asking = self._begin(request, piece.work, spoken=False)
        asking.written = True
        self._finish(asking)
        self._awaiting.append(AwaitingCall(piece.item.id, request.id, tool, piece.text, piece.index, piece.previous))

    def take_awaiting(self) -> list[AwaitingCall]:
        """The calls that wait to be allowed since this was last asked."""
        taken, self._awaiting = self._awaiting, []
        return taken

    def _end_writing(self, round: Round, end: WritingEnded, ids: Ids, new_work: NewWork) -> None:
        self._complete_calls(round, ids, new_work)
        round.is_written = True
        if end.reason in EXHAUSTED:
            self._exhausted = end.reason
        self.spend(end.input_tokens, end.output_tokens, end.cached_tokens)
        if not self.manner.speaks:
            self._end_speaking(round)
        self._end_round(round)

    def _end_speaking(self, round: Round) -> None:
        round.is_spoken = True
        self._end_round(round)
        if round.message is not None:
            round.message.written = True
            if round.message.ledger is not None:
                round.message.ledger.finish()

    def _end_round(self, round: Round) -> None:
        """Its work is done when both the model and the voice are."""
        if round.is_written and round.is_spoken:
            self.works.discard(round.work)

    def _take_answer(self, result: Result) -> None:
        self.works.discard(result.work)
        served = self._served.pop(result.work, None)
        if served is not None:
            self._settle_call(served, outcome_of(result))
            return
        call = self._tool_calls.pop(result.work)
        output, ok = told_of(result)
        self._answered.append((call, output))
        self._emit(ToolEnded(self.id, call.call_id, call.name, output, ok))

    def _settle_call(self, call: ServedCall, outcome: McpToolReturned) -> None:
        piece = call.piece
        assert isinstance(piece.item, McpCall)
        self._emit(McpCallEnded(piece.index, piece.item.id, outcome.failure is None))
        piece.item = msgspec.structs.replace(piece.item, output=outcome.output, failure=outcome.failure)
        piece.written = True
        if self.conversation is None:
            self._unread.append(piece.item)

    def take_answers(self, ids: Ids) -> tuple[FunctionCall | FunctionOutput | McpCall, ...]:
        """What the server's tools were asked and answered since the last round, as hidden items, calls first."""
        calls = tuple(
            FunctionCall(ids.make("item"), call.call_id, call.name, call.arguments) for call, _ in self._answered
        )
        outputs = tuple(FunctionOutput(ids.make("item"), call.call_id, output) for call, output in self._answered)
        unread = tuple(self._unread)
        self._answered.clear()
        self._unread.clear()
        return calls + outputs + unread

    def take_unread(self, ids: Ids) -> tuple[FunctionCall | FunctionOutput | McpCall, ...]:
        """`take_answers` when there is no next round: what was still running has no result, and the model is told."""
        self._answered += [(call, NO_RESULT) for call in self._tool_calls.values()]
        self._tool_calls.clear()
        return self.take_answers(ids)

    # --- items

    def _begin_message(self, work: int, ids: Ids) -> Piece:
        item = Message(ids.make("item"), Role.ASSISTANT, (), Status.IN_PROGRESS)
        return self._begin(item, work, spoken=self.manner.speaks)

    def _begin(self, item: Made, work: int, *, spoken: bool) -> Piece:
        piece = Piece(len(self.pieces), item, work, spoken=spoken)
        if self.conversation is not None:
            piece.previous = self.conversation.add(Entry(item, ledger=piece.ledger))
        self.pieces.append(piece)
        self._emit(OutputBegan(self.id, piece.index, item, spoken, piece.previous, detached=self.conversation is None))
        return piece

    def _spoken(self, round: Round, ids: Ids) -> Ledger:
        """The ledger of the round's message, which begins with its first clause."""
        if round.message is None:
            round.message = self._begin_message(round.work, ids)
        ledger = round.message.ledger
        assert ledger is not None
        return ledger

    def _send(self, now: Seconds) -> None:
        """Audio goes out in the order of the items, as far ahead as the playout allows; the rest waits for nobody."""
        speech_blocked = False
        for piece in self.pieces:
            if not piece.is_open:
                continue
            if piece.ledger is not None and not speech_blocked:
                self._send_speech(piece, piece.ledger, now)
                speech_blocked = not piece.is_ready
            if piece.is_ready:
                self._finish(piece)

    def _send_speech(self, piece: Piece, ledger: Ledger, now: Seconds) -> None:
        if ledger.sent == 0:
            piece.offset = self.playout.sent
        while True:
            words = ledger.words_due() if self._may_send(ledger, now) or not ledger.available else ""
            if words:
                self._emit(TextSent(self.id, piece.index, piece.item.id, words, spoken=True))
            if not self._may_send(ledger, now):
                return
            samples, _ = ledger.next_piece(self.playout.delta)
            start, stop = ledger.send(samples)
            self.playout.send(samples, now)
            self._emit(AudioSent(self.id, piece.index, piece.item.id, piece.work, start, stop))

    def _may_send(self, ledger: Ledger, now: Seconds) -> bool:
        return self.playout.may_send(*ledger.next_piece(self.playout.delta), now)

    def _finish(self, piece: Piece) -> None:
        text = piece.text if piece.ledger is None else text_of(piece.ledger)
        move = "cut" if self._exhausted and isinstance(piece.item, Message) else "complete"
        self._close(piece, move, text)

    def _cut(self, piece: Piece, now: Seconds, *, plays_on: bool) -> None:
        if isinstance(piece.item, McpCall):
            self._cut_call(piece, piece.item)
        if piece.ledger is None:
            self._close(piece, "cut", piece.text)
            return
        if self.conversation is not None and not plays_on:
            played = self.playout.played(now) - piece.offset
            if piece.ledger.limit is not None:  # a client knows better than our clock
                played = piece.ledger.limit
            self.conversation.hear_until(piece.item.id, piece.ledger.text_until(played))
        self._close(piece, "cut", piece.ledger.text_until(piece.ledger.kept))

    def _cut_call(self, piece: Piece, item: McpCall) -> None:
        """The model, which may read of it later, has to know whether it may have been carried out."""
        call = next(
            call
            for made in self.rounds
            for call in made.calls.values()
            if isinstance(call, ServedCall) and call.piece is piece
        )
        is_running = call in self._served.values()
        if not call.is_whole:
            self._end_arguments(call)
        if is_running:
            self._emit(McpCallEnded(piece.index, item.id, ok=False))
        if item.output is None and item.failure is None:
            piece.item = msgspec.structs.replace(piece.item, failure=CUT if is_running else NOT_MADE)

    def _close(self, piece: Piece, move: str, text: str) -> None:
        """Give the item its content and its last status."""
        item = finished(piece.item, move)
        match item:
            case McpCall() | McpApprovalRequest():
                pass
            case FunctionCall():
                item = msgspec.structs.replace(item, arguments=text)
            case Message():
                part = Text(text) if piece.ledger is None else Speech(0, piece.ledger.kept, text)
                item = msgspec.structs.replace(item, content=(part,))
            case _:
                raise TypeError(f"no response makes {item!r}")
        piece.item = item
        if self.conversation is not None:
            self.conversation.replace(item)
        detached = self.conversation is None
        spoken = piece.ledger is not None
        self._emit(OutputEnded(self.id, piece.index, item, spoken, piece.previous, detached=detached))
        if piece.ledger is None:
            return
        if not detached and piece.ledger.kept:
            self._emit(RetainAudio(item.id, 0, piece.ledger.kept, work=piece.work))
        self._emit(DropAudio(piece.work))
