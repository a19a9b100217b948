"""Calls that a person has to allow: whom we ask, what counts as an answer, and what follows from it.

Calls of the server's own tools are asked about aloud and by event. Those of a client's MCP servers are the client's to
ask about; about what it leaves to us the person is asked aloud as well. Nothing is run here: what was allowed is taken
from here.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.errors import PeerError
from antiphon.session.hidden_calls import HiddenCall
from antiphon.session.inputs import AnswerApproval
from antiphon.session.items import McpApprovalResponse
from antiphon.session.outputs import ApprovalAsked, ApprovalSettled
from antiphon.session.permission import Consent, Permissions
from antiphon.session.questions import not_done
from antiphon.session.room import Room

FORBIDDEN = "The person did not allow it."
UNCLEAR = "The person said neither yes nor no, so it was not done. Ask again if they want it."
TOO_LATE = "Nobody allowed it in time, so it was not done."
LATER = "_later"  # ends the id of a call under which its second answer stands: each has one

TellLater = Callable[[str, str, str, str], None]
"""Tell the model what came of a call: its id, name and arguments, and the output."""
AnswerMcp = Callable[[McpApprovalResponse], None]


class Allowances:
    """The calls of one session that wait, and those that may run."""

    def __init__(self, room: Room, tell_later: TellLater, answer_mcp: AnswerMcp) -> None:
        self.allowed: list[HiddenCall] = []
        self._room = room
        self._tell_later = tell_later
        self._answer_mcp = answer_mcp
        self._permissions = Permissions(room.config.approval_s)
        self._asked: dict[str, HiddenCall] = {}
        """Calls of the server's tools that wait to be allowed, by their ids."""

    @property
    def deadline(self) -> Seconds | None:
        return self._permissions.deadline

    def finish(self) -> None:
        """The session is over, and nothing more is asked of this."""
        del self._tell_later, self._answer_mcp  # they are the session's, which would wait for the garbage collector

    def hear(self, said: bool | None) -> None:
        """Whatever the person says next is their answer. What is neither yes nor no allows nothing either."""
        for id in self._permissions.asked_aloud():
            self._settle(id, "allow" if said else "refuse", UNCLEAR if said is None else FORBIDDEN)

    def expire(self) -> None:
        """What nobody has allowed in time is forbidden."""
        for id in self._permissions.overdue(self._room.now):
            self._settle(id, "expire", TOO_LATE)

    def _settle(self, id: str, move: str, why: str) -> None:
        call = self._asked.pop(id, None)
        self._permissions.settle(id, move)
        self._note_questions()
        state = self._permissions.state(id)
        assert state is not None
        if call is None:
            self._answer_mcp(McpApprovalResponse("", id, state is Consent.ALLOWED, "" if why == FORBIDDEN else why))
            return
        self._room.emit(ApprovalSettled(call.call_id, call.name, state.value))
        if state is Consent.ALLOWED:
            self.allowed.append(call)
        else:
            self._tell_later(call.call_id, call.name, call.arguments, not_done(why))

    def _note_questions(self) -> None:
        self._room.awaits_consent = bool(self._permissions.asked_aloud())

    # --- calls of the server's tools

    def ask(self, call: HiddenCall) -> None:
        """Ask the person, aloud and by event."""
        self._asked[call.call_id] = call
        self._permissions.ask(call.call_id, self._room.now, aloud=True)
        self._note_questions()
        patience_s = self._room.config.approval_s
        self._room.emit(ApprovalAsked(call.call_id, call.name, call.arguments, patience_s))

    def answer(self, item: AnswerApproval) -> None:
        """A client answers by event. Raises `PeerError` if nothing waits for that."""
        if self._permissions.state(item.call_id) is not Consent.ASKED or item.call_id not in self._asked:
            raise PeerError(
                f"No call with the id '{item.call_id[:64]}' waits to be allowed.",
                "Name the call_id of antiphon.approval.requested, once, and before its time is over.",
                code="approval_not_found",
                param="call_id",
            )
        self._settle(item.call_id, "allow" if item.approve else "refuse", FORBIDDEN)

    def take_allowed(self) -> list[HiddenCall]:
        """What may run now, each under the id of its second answer."""
        calls, self.allowed = self.allowed, []
        for call in calls:
            call.call_id += LATER
        return calls

    # --- calls of MCP servers

    def watch(self, request: str) -> bool:
        """From now on the client's answer to this item has its time. Returns whether the person was not asked aloud."""
        if self._permissions.state(request) is None:
            self._permissions.ask(request, self._room.now, aloud=False)
        return request not in self._permissions.asked_aloud()

    def ask_aloud(self, request: str) -> bool:
        """The client has not answered this item, and we ask. False if that was done before, or nothing waits."""
        if self._permissions.state(request) is not Consent.ASKED or request in self._permissions.asked_aloud():
            return False
        self._permissions.raise_voice(request)
        self._note_questions()
        return True

    def note(self, answer: McpApprovalResponse) -> None:
        """The client has answered one."""
        if self._permissions.state(answer.request) is Consent.ASKED:
            self._permissions.settle(answer.request, "allow" if answer.approve else "refuse")
            self._note_questions()

    def forget(self, request: str) -> None:
        """Nobody has to answer it any more."""
        self._permissions.forget(request)
        self._note_questions()
