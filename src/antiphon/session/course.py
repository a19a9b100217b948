"""What every session does, whoever its voice is: the way in and out, its beginning and its end.

What an input means is in the table of the session that is built on this; turns, answers and engines are not known here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from msgspec import UNSET

from antiphon.audio.units import Seconds
from antiphon.errors import PeerError
from antiphon.session import inputs, outputs
from antiphon.session.asking import Asking
from antiphon.session.conversation import Conversation
from antiphon.session.heard import Heard
from antiphon.session.ids import Ids
from antiphon.session.inputs import Input, Request, Result
from antiphon.session.item_requests import ItemRequests
from antiphon.session.items import Message
from antiphon.session.outputs import Output, Refused, Remark
from antiphon.session.response_requests import ResponseRequests
from antiphon.session.room import Room
from antiphon.session.settings import SessionConfig, Settings, SettingsPatch
from antiphon.session.truncation import CountTokens, estimated


class Course(ABC):
    """Give every input with a time that does not run backwards."""

    def __init__(self, config: SessionConfig, ids: Ids, count_tokens: CountTokens = estimated) -> None:
        """`count_tokens` is the model's own way to count, if it is known."""
        self.config = config
        self.id = ids.make("sess")
        self._room = Room(config, ids, count_tokens)
        self._emit = self._room.emit
        self._ids = ids
        self._items = ItemRequests(self._room)
        self._requests = ResponseRequests(config.max_responses)
        self._heard = Heard(self._room, self._items)
        self._asking = Asking(self._room)
        self._began: Seconds | None = None
        self._is_over = False

    def handle(self, item: Input, now: Seconds) -> list[Output]:
        """Act on one input, fully, and return what follows from it, in order."""
        self._room.now = now
        if self._began is None:
            self._began = now
        if self._is_over:
            return [Remark(f"after the end: {type(item).__name__}")]
        if isinstance(item, Result):
            self._take(item)
        else:
            self._ask(item)
        if not self._is_over:
            self._settle()
        return self._room.take_out()

    def _ask(self, item: Any) -> None:
        try:
            self._acts[type(item)](self, item)
        except PeerError as error:
            if not isinstance(item, Request):
                raise
            self._emit(Refused(item.connection, item.request, error.message, error.code, error.param))

    @abstractmethod
    def _take(self, result: Result) -> None:
        """The one place where late work is dropped: a result whose work nobody waits for any more."""

    @abstractmethod
    def _settle(self) -> None:
        """After each input: the rules about both sides of the conversation."""

    # --- time

    @property
    def deadline(self) -> Seconds | None:
        """When `handle` wants a `TimePassed` next, or None. Never earlier than the last input."""
        if self._is_over or self._began is None:
            return None
        moments = self._moments()
        moments.append(self._began + self.config.lifetime_s)
        return max(self._room.now, min(moments))

    @abstractmethod
    def _moments(self) -> list[Seconds]:
        """When something is due by the mere passing of time."""

    @property
    def _now(self) -> Seconds:
        return self._room.now

    @property
    def expires_in_s(self) -> float:
        began = self._now if self._began is None else self._began
        return self.config.lifetime_s - (self._now - began)

    def _pass_time(self, item: inputs.TimePassed) -> None:
        if self.expires_in_s > 0:
            return
        words = f"Your session hit the maximum duration of {_duration(self.config.lifetime_s)}."
        self._emit(Refused(None, None, words, "session_expired"))
        self._finish(inputs.Finish("session_expired"))

    # --- what it is

    @property
    def settings(self) -> Settings:
        """As they are now."""
        return self._room.settings

    @property
    def conversation(self) -> Conversation:
        return self._room.conversation

    @property
    @abstractmethod
    def judges_pauses(self) -> bool:
        """Whether it wants to know how a voice sounded before it paused."""

    def _check_kind(self, patch: SettingsPatch) -> None:
        if patch.kind is not UNSET and patch.kind != self.settings.kind:
            raise PeerError(
                f"Passing a {patch.kind} session update event to a {self.settings.kind} session is not allowed.",
                f"Open another connection for a {patch.kind} session.",
                code="invalid_value",
                param="session.type",
            )

    # --- its connections

    def _welcome(self, item: inputs.Attach) -> None:
        self._emit(outputs.Welcomed(item.connection, self.id, self.conversation.id, self.settings, self.expires_in_s))

    def _tell_earlier(self) -> None:
        """What was said in the session that this one continues."""
        previous = None
        for item in self.config.earlier:
            if isinstance(item, Message):
                self._emit(outputs.ItemAdded(item, previous))
                previous = item.id

    def _malformed(self, item: inputs.Malformed) -> None:
        self._emit(Refused(item.connection, item.request, item.message, item.code, item.param))

    @abstractmethod
    def _finish(self, item: inputs.Finish) -> None:
        """End all that is open."""

    # --- what tools do

    def _tool_progressed(self, item: inputs.ToolProgressed) -> None:
        self._emit(outputs.ToolReported(item.call_id, item.name, item.text))

    def _task_ended(self, item: inputs.TaskEnded) -> None:
        self._emit(outputs.TaskDone(item.call_id, item.name, item.output, item.ok))

    def _cancel_tool(self, item: inputs.CancelTool) -> None:
        self._emit(outputs.StopTool(item.call_id, item.connection, item.request))

    _acts: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        inputs.Malformed: _malformed,
        inputs.RetrieveItem: lambda self, item: self._items.retrieve(item),
        inputs.ToolProgressed: _tool_progressed,
        inputs.CancelTool: _cancel_tool,
    }
    """What is done about an input that no work has brought. Who is built on this adds to it."""


def _duration(seconds: Seconds) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds % 60 == 0 else f"{seconds:g} seconds"
