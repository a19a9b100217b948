"""What is remembered of the items that a conversation has left behind: one summary, replaced and never grown.

It decides when a summary is asked for, of what, and which one stands; a model writes it beside the conversation, while
nobody waits. How a model is asked for one is not known here. A summary that fails leaves the one before it in place,
and its items wait for the next.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.session.inputs import Result, Summarised, WorkFailed
from antiphon.session.items import FunctionCall, FunctionOutput, Item, McpCall, Message
from antiphon.session.outputs import Remark, StopWork, Summarise
from antiphon.session.room import Room
from antiphon.session.truncation import tokens_of

SUMMARY_TOKENS = 256  # that a model may take for it
SUMMARY_CHARACTERS = 1_500  # that are kept of it, should a model not care
WAITING_RATIO = 0.5  # of a model's context: the question has to fit into it too


class Summary:
    """Of one session. Where it is not wanted, nothing is kept or asked."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._waiting: list[Item] = []
        """Left behind, and in no summary yet."""
        self._asked: Summarise | None = None
        self._is_due = False

    def leave(self, items: Iterable[Item]) -> None:
        """The model is not told of these any more."""
        known = [item for item in items if isinstance(item, Message | FunctionCall | FunctionOutput | McpCall)]
        if not known or not self._room.config.summarise:
            return
        self._waiting += known
        self._shed()
        self._is_due = True

    def write(self) -> None:
        """Ask for the summary that is due, if one is. To be called when nobody waits for the model."""
        if self._asked is not None or not self._is_due:
            return
        room, self._is_due = self._room, False
        # What a client has deleted since is not to be remembered.
        items = tuple(item for item in self._waiting if item.id in room.conversation)
        self._waiting = []
        if not items:
            return
        self._asked = Summarise(room.new_work(), items, room.summary, room.settings.model, SUMMARY_TOKENS)
        room.emit(self._asked)

    def expects(self, result: Result) -> bool:
        return self._asked is not None and self._asked.work == result.work

    def take(self, result: Result) -> None:
        """The summary is written, or could not be."""
        asked, self._asked = self._asked, None
        assert asked is not None
        match result:
            case Summarised(text=text) if text.strip():
                self._room.summary = _bounded(text.strip())
            case Summarised() | WorkFailed():
                self._room.emit(Remark("no summary was written; what it was of waits for the next"))
                self._waiting = [*asked.context, *self._waiting]
                self._shed()
            case _:
                raise TypeError(f"no summary expects {result!r}")

    def finish(self) -> None:
        """The session is over."""
        if self._asked is not None:
            self._room.emit(StopWork(self._asked.work))
        self._asked, self._waiting = None, []

    def _shed(self) -> None:
        """The oldest that waits goes, where it is more than can be asked about at once."""
        most = self._room.config.context_tokens * WAITING_RATIO
        sizes = [tokens_of(item, self._room.count_tokens) for item in self._waiting]
        total, gone = sum(sizes), 0
        while total > most:
            total -= sizes[gone]
            gone += 1
        del self._waiting[:gone]


def _bounded(text: str) -> str:
    """As much as may stand, up to a whole word."""
    if len(text) <= SUMMARY_CHARACTERS:
        return text
    return text[:SUMMARY_CHARACTERS].rpartition(" ")[0] or text[:SUMMARY_CHARACTERS]
