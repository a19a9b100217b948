"""One answer of another server, as our clients see it.

The server may need several responses for it: where it calls tools of ours, nobody but us knows of the call, and what it
says once they have answered belongs to the same answer. So an answer has one id, its items are counted on, and it ends
once. It does not know messages: `relay.session` reads them, and asks for what follows.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from antiphon.audio.units import Samples, Seconds
from antiphon.session.audible import Audible, Emit, Ending
from antiphon.session.conversation import Conversation, Entry
from antiphon.session.hidden_calls import HiddenCall
from antiphon.session.ids import Ids
from antiphon.session.items import FunctionCall, Item, Message, Role, Speech, Status, Text
from antiphon.session.ledger import Ledger
from antiphon.session.machine import Table, step
from antiphon.session.manner import Manner
from antiphon.session.outputs import (
    ArgumentsSent,
    AudioSent,
    DropAudio,
    OutputBegan,
    OutputEnded,
    ResponseEnded,
    RetainAudio,
    TextSent,
)
from antiphon.session.playout import Playout


class AnswerState(Enum):
    WRITING = "writing"
    """A response of the other server is in progress."""
    CALLING = "calling"
    """It has ended, and our tools are at work for it."""
    ASKED = "asked"
    """They have answered, and the next response was asked for."""
    SAYING = "saying"
    """Our own voice says it, and the other server has no part in it."""
    ENDING = "ending"
    """Nobody wants more of it. The other server knows that, and has not said yet that it is done."""
    OVER = "over"


MOVES: Table[AnswerState] = {
    AnswerState.WRITING: {
        "call": AnswerState.CALLING,
        "say": AnswerState.SAYING,
        "stop": AnswerState.ENDING,
        "end": AnswerState.OVER,
    },
    AnswerState.CALLING: {"ask": AnswerState.ASKED, "end": AnswerState.OVER},
    AnswerState.ASKED: {"write": AnswerState.WRITING, "end": AnswerState.OVER},
    AnswerState.SAYING: {"end": AnswerState.OVER},
    AnswerState.ENDING: {"end": AnswerState.OVER},
    AnswerState.OVER: {},
}


class Piece:
    """One item of the answer."""

    def __init__(self, item: Item, index: int) -> None:
        self.item = item
        self.index = index
        self.previous: str | None = None
        self.ledger: Ledger | None = None
        """Of a spoken one."""
        self.offset: Samples = 0
        """Where its sound begins in that of the answer."""
        self.work: int | None = None
        """Under which number its sound lies ready."""
        self.text = ""
        """Words, or a call's arguments."""
        self.is_begun = False
        self.is_open = True


class Answer(Audible):
    """See the module. `now` is the session's."""

    def __init__(
        self,
        id: str,
        manner: Manner,
        playout: Playout,
        conversation: Conversation | None,
        emit: Emit,
    ) -> None:
        """`id` is that of its first response at the other server, and its own. Without a conversation it is
        out-of-band."""
        super().__init__(id, manner, playout, conversation, emit)
        self.upstream_id = id
        """Of the response that is in progress, or was last."""
        self.state = AnswerState.WRITING
        self.rounds = 1
        self.pieces: list[Piece] = []
        self.hidden: dict[str, HiddenCall] = {}
        """Calls of our own tools in this round, by their items' ids there."""
        self.running: dict[int, HiddenCall] = {}
        """Those that are at work, by the number of the work."""
        self.calls_client = False
        """The client has to run a function that was called in this round."""
        self.answers_turn = False
        """The person has spoken, and this is what they get."""
        self.saying: int | None = None
        """Under which number our own voice is at work in it."""
        self.silent_since: Seconds | None = None
        """The person hears nothing, for our tools are at work."""
        self.has_filled = False
        """They were told so."""
        self.progress = ""
        """How far a tool is, in its own words."""
        self.stopped: Ending | None = None
        """How it ends, once the other server has ended it, if nobody wants more of it."""

    @property
    def is_over(self) -> bool:
        return not MOVES[self.state]

    @property
    def is_in_progress(self) -> bool:
        """Whether the other server still has to say that its response has ended."""
        return self.state in (AnswerState.WRITING, AnswerState.ENDING)

    def move(self, move: str) -> None:
        self.state = step(MOVES, self.state, move)

    def go_on(self, upstream_id: str) -> None:
        """The other server has begun the next response of it."""
        self.move("write")
        self.upstream_id = upstream_id
        self.rounds += 1
        self.hidden.clear()
        self.calls_client = False

    # --- its items

    def piece(self, item_id: str) -> Piece | None:
        return next((piece for piece in self.pieces if piece.item.id == item_id and piece.is_open), None)

    def has(self, item_id: str) -> bool:
        return any(piece.item.id == item_id for piece in self.pieces)

    def add_message(self, item_id: str) -> Piece:
        """The next item is something said or written. It is told once it is known which."""
        piece = Piece(Message(item_id, Role.ASSISTANT, (), Status.IN_PROGRESS), len(self.pieces))
        self.pieces.append(piece)
        return piece

    def own_piece(self, work: int, ids: Ids) -> Piece:
        """What our own voice says under this number."""
        piece = next((piece for piece in self.pieces if piece.work == work), None)
        if piece is None:
            piece = self.add_message(ids.make("item"))
            piece.work = work
        return piece

    def said(self, *, completed: bool) -> Piece | None:
        """Our own voice is done; what it has said, unless it was nothing."""
        work, self.saying = self.saying, None
        piece = next((piece for piece in self.pieces if piece.work == work), None)
        if piece is not None:
            is_all = self.state is AnswerState.SAYING
            if not completed and not is_all and self.conversation is not None:
                self.conversation.hear_until(piece.item.id, _sounded(piece))
            self._end(piece, completed=completed or not is_all)  # an answer that goes on has not failed
        return piece

    def add_call(self, item_id: str, call_id: str, name: str) -> None:
        """The next item calls a function of the client."""
        piece = Piece(FunctionCall(item_id, call_id, name, "", Status.IN_PROGRESS), len(self.pieces))
        self.pieces.append(piece)
        self.calls_client = True
        self._begin(piece, speaks=False)

    def begin_message(self, piece: Piece, *, speaks: bool) -> None:
        """It is known now whether it is spoken or only written."""
        if piece.is_begun or not isinstance(piece.item, Message):
            return
        if speaks:
            piece.ledger = Ledger()
            piece.offset = self.playout.sent
        self._begin(piece, speaks=speaks)

    def _begin(self, piece: Piece, *, speaks: bool) -> None:
        piece.is_begun = True
        if self.conversation is not None:
            piece.previous = self.conversation.add(Entry(piece.item, ledger=piece.ledger))
        is_detached = self.conversation is None
        self._emit(OutputBegan(self.id, piece.index, piece.item, speaks, piece.previous, is_detached))

    def write(self, piece: Piece, text: str, *, spoken: bool) -> None:
        """More words of it."""
        self.begin_message(piece, speaks=spoken)
        if not text or not isinstance(piece.item, Message):
            return
        piece.text += text
        if piece.ledger is not None:
            piece.ledger.begin_clause(text)
        self._emit(TextSent(self.id, piece.index, piece.item.id, text, spoken=piece.ledger is not None))

    def speak(self, piece: Piece, work: int, samples: Samples, now: Seconds) -> None:
        """More of its sound lies ready under this number, and goes out."""
        self.begin_message(piece, speaks=True)
        if piece.ledger is None:
            return
        piece.work = work
        piece.ledger.add_audio(samples)
        start, stop = piece.ledger.send(samples)
        self.playout.send(samples, now)
        self._emit(AudioSent(self.id, piece.index, piece.item.id, work, start, stop))

    def add_arguments(self, piece: Piece, text: str) -> None:
        if text and isinstance(piece.item, FunctionCall):
            piece.text += text
            self._emit(ArgumentsSent(self.id, piece.index, piece.item.id, piece.item.call_id, text))

    def finish(self, piece: Piece, whole: str | None, *, completed: bool) -> None:
        """It is final. `whole` are its words or arguments, if they were told again: their end may not have come before,
        and there are fewer of them where its sound broke off."""
        rest = whole[len(piece.text) :] if whole is not None and whole.startswith(piece.text) else ""
        if isinstance(piece.item, FunctionCall):
            self.add_arguments(piece, rest)
        else:
            self.begin_message(piece, speaks=self.manner.speaks)
            self.write(piece, rest, spoken=piece.ledger is not None)
        if not completed and whole is not None and piece.text.startswith(whole):
            piece.text = whole
            self._close(piece, Status.INCOMPLETE)
        else:
            self._end(piece, completed=completed)

    def _end(self, piece: Piece, *, completed: bool) -> None:
        """It is final as it is. What would have been spoken next was not."""
        if not completed:
            piece.text = _sounded(piece)
        self._close(piece, Status.COMPLETED if completed else Status.INCOMPLETE)

    def _close(self, piece: Piece, status: Status) -> None:
        piece.is_open = False
        item = piece.item
        match item:
            case FunctionCall():
                piece.item = msgspec.structs.replace(item, arguments=piece.text, status=status)
            case Message():
                made = piece.ledger.made if piece.ledger is not None else 0
                part = Text(piece.text) if piece.ledger is None else Speech(0, made, piece.text)
                piece.item = msgspec.structs.replace(item, content=(part,), status=status)
            case _:
                pass
        if piece.ledger is not None and status is Status.COMPLETED:
            piece.ledger.finish()
        if self.conversation is not None:
            self.conversation.replace(piece.item)
        if piece.work is not None:
            if self.conversation is not None and piece.ledger is not None and piece.ledger.made:
                self._emit(RetainAudio(piece.item.id, 0, piece.ledger.made, piece.work))
            self._emit(DropAudio(piece.work))
        speaks, is_detached = piece.ledger is not None, self.conversation is None
        self._emit(OutputEnded(self.id, piece.index, piece.item, speaks, piece.previous, is_detached))

    # --- its end

    def end_round(self, *, completed: bool) -> None:
        """The other server has ended its response: whatever it left open is closed."""
        for piece in self.pieces:
            if piece.is_open:
                self.begin_message(piece, speaks=self.manner.speaks)
                self._end(piece, completed=completed)

    def stop(self, ending: Ending) -> None:
        """Nothing more of it goes out but how it ended, which the other server's last word on it brings."""
        self.end_round(completed=False)
        self.move("stop")
        self.stopped = ending

    def end(self, ending: Ending) -> None:
        """Nothing of it goes out afterwards."""
        self.end_round(completed=ending.status == "completed")
        self.move("end")
        self._emit(ResponseEnded(self._info(ending.status, ending, tuple(piece.item for piece in self.pieces))))


def _sounded(piece: Piece) -> str:
    """Its words, without those that no sound has come for."""
    return piece.text if piece.ledger is None else piece.ledger.text_until(piece.ledger.made)
