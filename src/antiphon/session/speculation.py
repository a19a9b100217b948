"""An answer that is prepared while the person may yet go on speaking, and the gate that it waits behind.

After a short silence the words so far are recognised, and the model and the voice begin the answer to them. All of it
is held here, as the results that it came in; nobody hears of it. When the turn ends and the same question would be
asked, the results are handed out in order, as if they had just come. When the person speaks on, they are dropped. It
decides nothing about turns and asks nobody for anything: commands are the session's.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from antiphon.session.inputs import CallWritten, Reading, Result, TextWritten, WritingEnded
from antiphon.session.items import Item
from antiphon.session.machine import Table, step
from antiphon.session.outputs import Generate, Transcribe


class SpeculationState(Enum):
    IDLE = "idle"
    HEARING = "hearing"
    """The words so far are being recognised, or were, and nothing has been made of them."""
    THINKING = "thinking"
    """The answer to them is being prepared."""
    OWED = "owed"
    """The turn is over; the answer waits for the question."""


MOVES: Table[SpeculationState] = {
    SpeculationState.IDLE: {"listen": SpeculationState.HEARING, "drop": SpeculationState.IDLE},
    SpeculationState.HEARING: {
        "think": SpeculationState.THINKING,
        "commit": SpeculationState.IDLE,
        "drop": SpeculationState.IDLE,
    },
    SpeculationState.THINKING: {
        "commit": SpeculationState.OWED,
        "lose": SpeculationState.HEARING,
        "drop": SpeculationState.IDLE,
    },
    SpeculationState.OWED: {
        "release": SpeculationState.IDLE,
        "lose": SpeculationState.IDLE,
        "drop": SpeculationState.IDLE,
    },
}


class Speculation:
    """At most one at a time."""

    def __init__(self) -> None:
        self.state = SpeculationState.IDLE
        self._attempts = 0
        """In this turn."""
        self._has_failed = False
        self.spent = 0
        """Tokens that were written for nothing, in this session."""
        self._forget()

    def _forget(self) -> None:
        self.task: Transcribe | None = None
        self.question: Generate | None = None
        self.reading: Reading | None = None
        """Of the words so far, once they are known."""
        self._is_doubtful = False
        self._words: list[Result] = []
        self._answer: list[Result] = []

    # --- its life

    def begin_turn(self) -> None:
        self._attempts = 0
        self._has_failed = False

    def may_begin(self, attempts: int) -> bool:
        """Whether another of at most so many pauses of this turn is worth it. After a failure none is."""
        return self.state is SpeculationState.IDLE and not self._has_failed and self._attempts < attempts

    def listen(self, task: Transcribe) -> None:
        """The words so far are being recognised."""
        self.state = step(MOVES, self.state, "listen")
        self._attempts += 1
        self.task = task

    def think(self, question: Generate) -> None:
        """The model was asked this."""
        self.state = step(MOVES, self.state, "think")
        self.question = question

    def doubt(self) -> None:
        """Something was heard since: the words may not be all."""
        self._is_doubtful = True

    def lose_answer(self) -> None:
        """The answer failed; the words may still serve."""
        self.state = step(MOVES, self.state, "lose")
        self.spent += self.tokens
        self._has_failed = True
        self.question = None
        self._answer.clear()

    def fail(self) -> None:
        """The words failed, and all that was made of them."""
        self._has_failed = True
        self.drop()

    def drop(self) -> None:
        """The person speaks on, or the question became another."""
        self.state = step(MOVES, self.state, "drop")
        self.spent += self.tokens
        self._forget()

    # --- what its work brings

    @property
    def works(self) -> tuple[int, ...]:
        """Numbers of the work that is behind it."""
        words = (self.task.work,) if self.task is not None else ()
        return words + ((self.question.work,) if self.question is not None else ())

    def hold(self, result: Result) -> None:
        """Keep what one of `works` has brought."""
        if self.task is not None and result.work == self.task.work:
            self._words.append(result)
        else:
            self._answer.append(result)

    @property
    def tokens(self) -> int:
        """What the model has written: its own count if it has given one, else one for each piece."""
        ended = next((result for result in self._answer if isinstance(result, WritingEnded)), None)
        if ended is not None and ended.output_tokens:
            return ended.output_tokens
        return sum(isinstance(result, TextWritten | CallWritten) for result in self._answer)

    # --- the gate

    def commit(self, *, is_all: bool) -> tuple[Transcribe, list[Result]] | None:
        """The turn is over. Returns the recognition that is its transcript and what it has brought so far; None if the
        words have to be recognised again. `is_all` says that nothing was said since.
        """
        task, words = self.task, self._words
        self.task, self._words = None, []
        self.state = step(MOVES, self.state, "commit")
        is_final = is_all and not self._is_doubtful
        if self.state is SpeculationState.IDLE:
            self._forget()
        return (task, words) if task is not None and is_final else None

    def fits(self, question: Generate, reading: Reading | None, own: Item | None) -> bool:
        """Whether `question` is the one that was asked. `own` is the turn's item as it is now, with its final words,
        and `reading` is of those: positions and punctuation may differ from what they were.
        """
        asked = self.question
        if self.state is not SpeculationState.OWED or asked is None or reading is None or self.reading is None:
            return False
        if own is None or reading.words != self.reading.words:
            return False
        context = tuple(own if item.id == own.id else item for item in asked.context)
        asked = msgspec.structs.replace(asked, work=question.work, response_id=question.response_id, context=context)
        return asked == question

    def release(self) -> tuple[int, list[Result]]:
        """Hand out the number of the answer's work, and what it has brought so far."""
        assert self.question is not None
        work, results = self.question.work, self._answer
        self.state = step(MOVES, self.state, "release")
        self._forget()
        return work, results
