"""Calls that a person has to allow: whom we ask, what counts as an answer, and what follows from it.

Calls of the server's own tools are asked about aloud and by event; those of MCP servers by their clients' items, and
only their time is kept here. It does not run anything: what was allowed is taken from here.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from antiphon.audio.units import Seconds
from antiphon.errors import PeerError
from antiphon.session.inputs import AnswerApproval
from antiphon.session.items import McpApprovalResponse
from antiphon.session.outputs import ApprovalAsked, ApprovalSettled
from antiphon.session.permission import Consent, Permissions
from antiphon.session.response import HiddenCall
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

    # --- calls of the server's tools

    def ask(self, call: HiddenCall) -> None:
        """Ask the person, aloud and by event."""
        self._asked[call.call_id] = call
        self._permissions.ask(call.call_id, self._room.now, aloud=True)
        patience_s = self._room.config.approval_s
        self._room.emit(ApprovalAsked(call.call_id, call.name, call.arguments, patience_s))

    def hear(self, said: bool | None) -> None:
        """Whatever the person says next is their answer. What is neither yes nor no allows nothing either."""
        for call_id in self._permissions.asked_aloud():
            self._settle(call_id, "allow" if said else "refuse", UNCLEAR if said is None else FORBIDDEN)

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

    def _settle(self, call_id: str, move: str, why: str) -> None:
        call = self._asked.pop(call_id)
        self._permissions.settle(call_id, move)
        state = self._permissions.state(call_id)
        assert state is not None
        self._room.emit(ApprovalSettled(call_id, call.name, state.value))
        if state is Consent.ALLOWED:
            self.allowed.append(call)
        else:
            self._tell_later(call.call_id, call.name, call.arguments, msgspec.json.encode({"error": why}).decode())

    # --- calls of MCP servers

    def watch(self, request: str) -> None:
        """From now on the client's answer to this item has its time."""
        if self._permissions.state(request) is None:
            self._permissions.ask(request, self._room.now, aloud=False)

    def note(self, answer: McpApprovalResponse) -> None:
        """The client has answered one."""
        if self._permissions.state(answer.request) is Consent.ASKED:
            self._permissions.settle(answer.request, "allow" if answer.approve else "refuse")

    def forget(self, request: str) -> None:
        """Nobody has to answer it any more."""
        self._permissions.forget(request)

    # --- time

    def expire(self) -> None:
        """What nobody has allowed in time is forbidden."""
        for id in self._permissions.overdue(self._room.now):
            if id in self._asked:
                self._settle(id, "expire", TOO_LATE)
            else:
                self._permissions.settle(id, "expire")
                self._answer_mcp(McpApprovalResponse("", id, False, TOO_LATE))
