"""One response: what is written, called and spoken for it, item by item, until it ends exactly once.

A response goes in rounds. In each the model writes text, which may be spoken, and calls functions; the server's own
functions are run, and when all have answered the model writes the next round. It knows neither the person's turn nor
other responses; joint rules are the session's. Every item that was begun is ended, whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, assert_never

import msgspec
from msgspec import Struct

from antiphon.audio.units import Samples, Seconds
from antiphon.session.conversation import Conversation, Entry, finished
from antiphon.session.ids import Ids
from antiphon.session.inputs import (
    AudioMade,
    CallWritten,
    ClauseBegan,
    ClauseEnded,
    Result,
    SpeakingEnded,
    TextWritten,
    ToolReturned,
    WritingEnded,
)
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message, Role, Speech, Status, Text
from antiphon.session.ledger import Ledger
from antiphon.session.machine import Table, step
from antiphon.session.outputs import (
    ArgumentsSent,
    AudioSent,
    DropAudio,
    Output,
    OutputBegan,
    OutputEnded,
    ResponseBegan,
    ResponseEnded,
    ResponseInfo,
    RetainAudio,
    RunTool,
    StopWork,
    TextSent,
    ToolBegan,
    ToolEnded,
)
from antiphon.session.playout import Playout
from antiphon.session.settings import AudioFormat, FunctionTool
from antiphon.session.whole_json import WholeJson

Emit = Callable[[Output], None]


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
        "complete": ResponseState.COMPLETED,
        "cancel": ResponseState.CANCELLED,
        "fail": ResponseState.FAILED,
    },
    ResponseState.WORKING: {
        "work": ResponseState.WORKING,
        "complete": ResponseState.COMPLETED,
        "exhaust": ResponseState.INCOMPLETE,
        "cancel": ResponseState.CANCELLED,
        "fail": ResponseState.FAILED,
    },
    ResponseState.COMPLETED: {},
    ResponseState.INCOMPLETE: {},
    ResponseState.CANCELLED: {},
    ResponseState.FAILED: {},
}

NO_RESULT = '{"error":"The answer was interrupted before there was a result. It may have been done, or not."}'
EXHAUSTED = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons of a model to stop before it was done, and what the protocol calls them."""


class Manner(Struct, frozen=True):
    """How a response is made: the session's settings with the response's own options over them."""

    instructions: str
    speaks: bool
    voice: str
    speed: float
    output_format: AudioFormat
    client_tools: tuple[FunctionTool, ...]
    server_tools: tuple[FunctionTool, ...]
    tool_choice: str | Mapping[str, Any]
    max_tokens: int | None
    model: str
    hints: Mapping[str, Any] = {}
    metadata: dict[str, str] | None = None


class Ending(Struct, frozen=True):
    """How and why a response ends."""

    move: str
    reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class Piece:
    """One output item while it is made."""

    def __init__(self, index: int, item: Message | FunctionCall, work: int, *, spoken: bool) -> None:
        self.index = index
        self.item = item
        self.work = work
        self.previous: str | None = None
        self.text = ""
        self.ledger = Ledger() if spoken else None
        self.offset = 0
        """Where its audio begins in the response's playout."""
        self.written = False
        """Nothing will be added to it."""

    @property
    def is_open(self) -> bool:
        return self.item.status is Status.IN_PROGRESS

    @property
    def is_ready(self) -> bool:
        """Whether it is whole and has gone out."""
        return self.written and (self.ledger is None or self.ledger.exhausted)


class Round:
    """One run of the model, and the work that came of it."""

    def __init__(self, work: int) -> None:
        self.work = work
        self.message: Piece | None = None
        self.calls: dict[int, Piece | HiddenCall] = {}
        self.arguments: dict[int, WholeJson] = {}
        self.is_written = False
        self.is_spoken = False


class HiddenCall:
    """A call of one of the server's own tools: no item on the wire."""

    def __init__(self, call_id: str, name: str) -> None:
        self.call_id = call_id
        self.name = name
        self.arguments = ""
        self.started = False


class Response:
    """See the module. `works` holds the numbers of the work in flight; the session routes their results here."""

    def __init__(
        self, id: str, manner: Manner, playout: Playout, conversation: Conversation | None, emit: Emit
    ) -> None:
        self.id = id
        self.manner = manner
        self.playout = playout
        self.conversation = conversation
        """None for an out-of-band response."""
        self.state = ResponseState.WAITING
        self.works: set[int] = set()
        self.rounds: list[Round] = []
        self.pieces: list[Piece] = []
        self.answers_turn: str | None = None
        """The user item that this response was made for without being asked, if any."""
        self.note = ""
        """What the model is told besides its instructions."""
        self.context: tuple[Item | str, ...] | None = None
        """Items, or ids of items of the conversation, in place of the whole of it, if it was given any."""
        self._emit = emit
        self._tool_calls: dict[int, HiddenCall] = {}
        self._answered: list[tuple[HiddenCall, str]] = []
        self._exhausted: str | None = None
        self._usage = [0, 0, 0]

    # --- its life

    def announce(self) -> None:
        """It exists; nothing has been made of it yet."""
        self._emit(ResponseBegan(self.info()))

    def start_round(self, work: int) -> None:
        """The model, or the voice alone, has been set to work under this number."""
        self.state = step(MOVES, self.state, "work")
        self.works.add(work)
        self.rounds.append(Round(work))

    @property
    def is_over(self) -> bool:
        return not MOVES[self.state]

    @property
    def wants_round(self) -> bool:
        """Whether all tools of the last round have answered, and the model is to go on."""
        last = self.rounds[-1] if self.rounds else None
        return bool(self._answered) and not self._tool_calls and last is not None and last.is_written

    def end(self, ending: Ending, now: Seconds) -> None:
        """End it: close what is open, stop what still runs, and say so. Nothing of it goes out afterwards."""
        self.state = step(MOVES, self.state, ending.move)
        for piece in self.pieces:
            if piece.is_open:
                self._cut(piece, now)
        # After the items have taken what they keep of the work's sound.
        for work in sorted(self.works):
            self._emit(StopWork(work))
        self.works.clear()
        self._emit(ResponseEnded(self.info(ending)))

    def settle(self, now: Seconds) -> None:
        """Send what may be sent, close what is whole, and end if nothing is left to do."""
        if self.state is not ResponseState.WORKING:
            return
        self._send(now)
        if self.works or self._answered or any(piece.is_open for piece in self.pieces):
            return
        if self._exhausted:
            self.end(Ending("exhaust", EXHAUSTED[self._exhausted]), now)
        else:
            self.end(Ending("complete"), now)

    def deadline(self) -> Seconds | None:
        """When more audio may be sent."""
        for piece in self.pieces:
            if piece.is_open and piece.ledger is not None:
                return self.playout.due(*piece.ledger.next_piece(self.playout.delta))
        return None

    def info(self, ending: Ending | None = None) -> ResponseInfo:
        """The response as it stands."""
        return ResponseInfo(
            id=self.id,
            conversation_id=self.conversation.id if self.conversation else None,
            status="in_progress" if not self.is_over else self.state.value,
            speaks=self.manner.speaks,
            voice=self.manner.voice,
            output_format=self.manner.output_format,
            max_output_tokens=self.manner.max_tokens,
            metadata=self.manner.metadata,
            reason=ending.reason if ending else None,
            error_code=ending.error_code if ending else None,
            error_message=ending.error_message if ending else None,
            output=tuple(piece.item for piece in self.pieces) if self.is_over else (),
            input_tokens=self._usage[0],
            output_tokens=self._usage[1],
            cached_tokens=self._usage[2],
        )

    def heard(self, now: Seconds) -> dict[str, str]:
        """For each spoken item that is not played to its end: the words that were."""
        played = self.playout.played(now)
        return {
            piece.item.id: piece.ledger.text_until(played - piece.offset)
            for piece in self.pieces
            if piece.ledger is not None and played - piece.offset < piece.ledger.made
        }

    def spoken(self) -> dict[str, str]:
        """For each spoken item: the words of all that was sent."""
        return {
            piece.item.id: piece.ledger.text_until(piece.ledger.kept)
            for piece in self.pieces
            if piece.ledger is not None and self.conversation is not None
        }

    def confirm(self, item_id: str, played: Samples, now: Seconds) -> bool:
        """A player says how much of this item was heard. False if no sound of it was sent."""
        for piece in self.pieces:
            if piece.item.id == item_id and piece.ledger is not None and piece.ledger.sent:
                self.playout.report(piece.offset + min(played, piece.ledger.sent), now)
                return True
        return False

    # --- results of its work

    def expects(self, result: Result) -> bool:
        """Whether this work is still wanted, and may still bring this."""
        if result.work not in self.works:
            return False
        match result:
            case TextWritten() | CallWritten() | WritingEnded():
                return not self._round(result.work).is_written
            case ClauseBegan() | AudioMade() | ClauseEnded() | SpeakingEnded():
                return self.manner.speaks and not self._round(result.work).is_spoken
            case _:
                return True

    def _round(self, work: int) -> Round:
        return next(made for made in self.rounds if made.work == work)

    def take(self, result: Result, ids: Ids, run_tool: Callable[[HiddenCall], int]) -> None:
        """Act on a result of one of its works. `run_tool` starts a server-side tool and returns its work number."""
        if isinstance(result, ToolReturned):
            self._take_tool(result)
            return
        current = self._round(result.work)
        match result:
            case TextWritten(text=text):
                self._write(current, text, ids)
            case CallWritten():
                self._call(current, result, ids, run_tool)
            case WritingEnded():
                self._end_writing(current, result, run_tool)
            case ClauseBegan(text=text):
                self._spoken(current, ids).begin_clause(text)
            case AudioMade(samples=samples):
                self._spoken(current, ids).add_audio(samples)
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

    def _call(self, round: Round, call: CallWritten, ids: Ids, run_tool: Callable[[HiddenCall], int]) -> None:
        known = round.calls.get(call.index)
        if known is None:
            self._complete_calls(round, run_tool)
            known = self._begin_call(call, ids)
            round.calls[call.index] = known
            round.arguments[call.index] = WholeJson()
        arguments = round.arguments[call.index]
        if arguments.is_whole:
            return  # white space, or what a confused model adds
        match known:
            case HiddenCall():
                known.arguments += call.arguments
            case Piece():
                known.text += call.arguments
                if call.arguments:
                    self._emit(ArgumentsSent(self.id, known.index, known.item.id, call.call_id, call.arguments))
            case _:
                assert_never(known)
        if arguments.feed(call.arguments):
            self._complete_calls(round, run_tool)

    def _begin_call(self, call: CallWritten, ids: Ids) -> Piece | HiddenCall:
        ours = {tool.name for tool in self.manner.server_tools}
        if call.name in ours:
            return HiddenCall(call.call_id, call.name)
        item = FunctionCall(ids.make("item"), call.call_id, call.name, "", Status.IN_PROGRESS)
        return self._begin(item, call.work, spoken=False)

    def _complete_calls(self, round: Round, run_tool: Callable[[HiddenCall], int]) -> None:
        """The arguments of every call so far are whole: the server's own tools start."""
        for call in round.calls.values():
            match call:
                case HiddenCall():
                    if not call.started:
                        call.started = True
                        self._emit(ToolBegan(self.id, call.call_id, call.name, call.arguments))
                        work = run_tool(call)
                        self.works.add(work)
                        self._tool_calls[work] = call
                        self._emit(RunTool(work, self.id, call.call_id, call.name, call.arguments))
                case Piece():
                    call.written = True
                case _:
                    assert_never(call)

    def _end_writing(self, round: Round, end: WritingEnded, run_tool: Callable[[HiddenCall], int]) -> None:
        self._complete_calls(round, run_tool)
        round.is_written = True
        if end.reason in EXHAUSTED:
            self._exhausted = end.reason
        for place, tokens in enumerate((end.input_tokens, end.output_tokens, end.cached_tokens)):
            self._usage[place] += tokens
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

    def _take_tool(self, result: ToolReturned) -> None:
        call = self._tool_calls.pop(result.work)
        self.works.discard(result.work)
        self._answered.append((call, result.output))
        self._emit(ToolEnded(self.id, call.call_id, call.name, result.output, result.ok))

    def take_answers(self, ids: Ids) -> tuple[FunctionCall | FunctionOutput, ...]:
        """What the server's tools were asked and answered since the last round, as hidden items, calls first."""
        calls = tuple(
            FunctionCall(ids.make("item"), call.call_id, call.name, call.arguments) for call, _ in self._answered
        )
        outputs = tuple(FunctionOutput(ids.make("item"), call.call_id, output) for call, output in self._answered)
        self._answered.clear()
        return calls + outputs

    def take_unread(self, ids: Ids) -> tuple[FunctionCall | FunctionOutput, ...]:
        """`take_answers` when there is no next round: what was still running has no result, and the model is told."""
        self._answered += [(call, NO_RESULT) for call in self._tool_calls.values()]
        self._tool_calls.clear()
        return self.take_answers(ids)

    # --- items

    def _begin_message(self, work: int, ids: Ids) -> Piece:
        item = Message(ids.make("item"), Role.ASSISTANT, (), Status.IN_PROGRESS)
        return self._begin(item, work, spoken=self.manner.speaks)

    def _begin(self, item: Message | FunctionCall, work: int, *, spoken: bool) -> Piece:
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
        text = piece.text if piece.ledger is None else _text_of(piece.ledger)
        move = "cut" if self._exhausted and isinstance(piece.item, Message) else "complete"
        self._close(piece, move, text)

    def _cut(self, piece: Piece, now: Seconds) -> None:
        if piece.ledger is None:
            self._close(piece, "cut", piece.text)
            return
        if self.conversation is not None:
            heard = piece.ledger.text_until(self.playout.played(now) - piece.offset)
            self.conversation.hear_until(piece.item.id, heard)
        self._close(piece, "cut", piece.ledger.text_until(piece.ledger.kept))

    def _close(self, piece: Piece, move: str, text: str) -> None:
        """Give the item its content and its last status."""
        item = finished(piece.item, move)
        match item:
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


def _text_of(ledger: Ledger) -> str:
    """Its words: all of them, unless a client has said that it played less."""
    return ledger.text() if ledger.limit is None else ledger.text_until(ledger.limit)
