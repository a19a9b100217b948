"""The MCP servers of a session: what they offer, which calls wait to be allowed, and the answer that is owed after one.

Pure as all of the core: servers are asked by commands, and what they say comes back as results. It does not know how a
server is reached, nor by what right: an address is a number here. How a call looks inside its response is `response`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.errors import PeerError
from antiphon.session.conversation import Conversation, Entry, finished
from antiphon.session.ids import Ids
from antiphon.session.inputs import McpToolReturned, McpToolsListed, Result, WorkFailed
from antiphon.session.items import McpApprovalResponse, McpCall, McpFailure, McpTool, McpToolList, Status
from antiphon.session.machine import Table, step
from antiphon.session.outputs import (
    CallMcpTool,
    LeaveMcpServer,
    ListMcpTools,
    McpCallBegan,
    McpCallEnded,
    McpCallSettled,
    Output,
    Refused,
    Remark,
    StopWork,
    ToolListingBegan,
    ToolListingEnded,
)
from antiphon.session.questions import not_done, question_about
from antiphon.session.settings import FunctionTool, McpServer, Tool, ToolFilter

LONGEST_NAME = 64  # characters of a function's name: what models' servers accept
FORBIDDEN = "The person did not allow this call."

Emit = Callable[[Output], None]
NewWork = Callable[[], int]


class RemoteTool(Struct, frozen=True):
    """A tool of an MCP server as a model is offered it."""

    function: FunctionTool
    """Under a name that nothing else has in this response."""
    label: str
    """Of its server."""
    address: int
    name: str
    """The tool's own, at its server."""
    needs_approval: bool = False
    is_ours: bool = False
    """Its server is the operator's: no connection is told of its calls."""


# --- what servers offer ----------------------------------------------------------------------------------------------


class ListingState(Enum):
    ASKED = "asked"
    LISTED = "listed"
    FAILED = "failed"


LISTING_MOVES: Table[ListingState] = {
    ListingState.ASKED: {"list": ListingState.LISTED, "fail": ListingState.FAILED},
    ListingState.LISTED: {},
    ListingState.FAILED: {},
}

ListingKey = tuple[str, int, ToolFilter | None]


class Listing:
    """One question to one server."""

    def __init__(self, server: McpServer, item: McpToolList, work: int, *, is_awaited: bool) -> None:
        self.server = server
        self.item = item
        self.previous: str | None = None
        self.work = work
        self.is_awaited = is_awaited
        """Responses that may use the tools begin when they are known."""
        self.state = ListingState.ASKED


class Toolbox:
    """The servers that a session has asked, the one that was needed last at the end."""

    def __init__(self, conversation: Conversation | None, limits: tuple[int, int], ids: Ids, emit: Emit) -> None:
        """`limits` are of servers and of all their tools. Without a conversation nobody is told of what is asked."""
        self._conversation = conversation
        self._max_servers, self._max_tools = limits
        self._ids = ids
        self._emit = emit
        self._listings: dict[ListingKey, Listing] = {}

    def expects(self, result: Result) -> bool:
        return self._asked(result.work) is not None

    def ask(self, servers: Sequence[McpServer], new_work: NewWork, *, again: bool) -> None:
        """List the tools of those that were not asked yet, or, with `again`, have failed. At most as many servers as
        the limit says."""
        wanted = {_key(server) for server in servers}
        for server in servers:
            made = self._listings.pop(_key(server), None)
            if made is None or (again and made.state is ListingState.FAILED):
                # One of the operator's that has failed is tried again beside the conversation, not before it.
                is_awaited = made is None or self._conversation is not None
                made = self._begin(server, new_work(), is_awaited=is_awaited)
            self._listings[_key(server)] = made
        surplus = max(0, len(self._listings) - self._max_servers)
        for key in [key for key in self._listings if key not in wanted][:surplus]:
            self._drop(self._listings.pop(key))

    def take(self, result: Result) -> None:
        """What a question has brought."""
        listing = self._asked(result.work)
        assert listing is not None
        match result:
            case McpToolsListed(tools=tools):
                self._listed(listing, tools)
            case WorkFailed(message=message):
                self._fail(listing, message)
            case _:
                raise TypeError(f"no listing expects {result!r}")

    def awaits(self, servers: Iterable[McpServer]) -> bool:
        """Whether any of these has still to say what it offers."""
        return any(made.state is ListingState.ASKED and made.is_awaited for made in self._of(servers))

    def offers(self, servers: Iterable[McpServer], taken: set[str]) -> tuple[RemoteTool, ...]:
        """The tools of these, each under a name that is not in `taken`, to which it is added."""
        return tuple(
            self._offer(listing.server.label, server, tool, taken)
            for server in servers
            for listing in self._of([server])
            for tool in listing.item.tools
        )

    def finish(self) -> None:
        """The session is over."""
        for listing in self._listings.values():
            if listing.state is ListingState.ASKED:
                self._emit(StopWork(listing.work))

    def _offer(self, label: str, server: McpServer, tool: McpTool, taken: set[str]) -> RemoteTool:
        function = FunctionTool(_free_name(label, tool.name, taken), tool.description, tool.parameters)
        taken.add(function.name)
        is_ours = self._conversation is None
        return RemoteTool(function, label, _address(server), tool.name, server.needs_approval(tool), is_ours)

    def _of(self, servers: Iterable[McpServer]) -> list[Listing]:
        return [self._listings[_key(server)] for server in servers if _key(server) in self._listings]

    def _asked(self, work: int) -> Listing | None:
        for made in self._listings.values():
            if made.work == work and made.state is ListingState.ASKED:
                return made
        return None

    def _begin(self, server: McpServer, work: int, *, is_awaited: bool) -> Listing:
        item = McpToolList(self._ids.make("item"), server.label, (), Status.IN_PROGRESS)
        listing = Listing(server, item, work, is_awaited=is_awaited)
        if self._conversation is not None:
            listing.previous = self._conversation.add(Entry(item))
            self._emit(ToolListingBegan(item, listing.previous))
        self._emit(ListMcpTools(work, _address(server)))
        return listing

    def _drop(self, listing: Listing) -> None:
        if listing.state is ListingState.ASKED:
            self._emit(StopWork(listing.work))
            self._end(listing, "fail", ())
        if not any(made.server.address == listing.server.address for made in self._listings.values()):
            self._emit(LeaveMcpServer(_address(listing.server)))

    def _listed(self, listing: Listing, tools: tuple[McpTool, ...]) -> None:
        allowed = listing.server.allowed or ToolFilter()
        tools = tuple(tool for tool in tools if allowed.matches(tool))
        total = len(tools) + sum(len(made.item.tools) for made in self._listings.values())
        if total > self._max_tools:
            self._fail(
                listing, f"It would make {total} tools; at most {self._max_tools} are allowed. Use allowed_tools."
            )
        else:
            self._end(listing, "list", tools)

    def _fail(self, listing: Listing, reason: str) -> None:
        """The notice of a failed listing has no room for the reason, so an error follows it."""
        self._end(listing, "fail", ())
        message = f"The tools of the MCP server '{listing.server.label}' are not available. {reason}"
        if self._conversation is None:
            self._emit(Remark(message))
        else:
            self._emit(Refused(None, None, message, "mcp_list_tools_failed", kind="server_error"))

    def _end(self, listing: Listing, move: str, tools: tuple[McpTool, ...]) -> None:
        listing.state = step(LISTING_MOVES, listing.state, move)
        is_listed = listing.state is ListingState.LISTED
        item = finished(listing.item, "complete" if is_listed else "cut")
        assert isinstance(item, McpToolList)
        listing.item = msgspec.structs.replace(item, tools=tools)
        if self._conversation is not None:
            self._conversation.replace(listing.item)
            self._conversation.weigh(listing.item.id, len(msgspec.json.encode(listing.item)))
            self._emit(ToolListingEnded(listing.item, listing.previous, is_listed))


def _key(server: McpServer) -> ListingKey:
    """What makes a listing another one. How calls are approved does not."""
    return server.label, _address(server), server.allowed


def _address(server: McpServer) -> int:
    assert server.address is not None, "labels are resolved before they get here"
    return server.address


def _free_name(label: str, tool: str, taken: set[str]) -> str:
    """The tool's own name if nobody has it, or else one with its server's label."""
    name = function_name(tool)
    if name not in taken:
        return name
    wanted = function_name(f"{label}_{tool}")
    name, number = wanted, 2
    while name in taken:
        name = f"{wanted[: LONGEST_NAME - 4]}_{number}"
        number += 1
    return name


def function_name(tool: str) -> str:
    """A name that every model's server accepts: letters, digits, "_" and "-"."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", tool)[:LONGEST_NAME] or "tool"


# --- what a client asks for ------------------------------------------------------------------------------------------


def servers_among(tools: Iterable[Tool]) -> tuple[McpServer, ...]:
    return tuple(tool for tool in tools if isinstance(tool, McpServer))


def resolved(tools: Sequence[Tool], known: Iterable[Tool], limit: int, param: str) -> tuple[Tool, ...]:
    """The tools, with labels that stand alone replaced by what they mean in `known`. At most `limit` servers. Raises
    `PeerError`; `param` is where the tools stand."""
    by_label = {server.label: server for server in servers_among(known)}
    labels = [tool.label for tool in tools if isinstance(tool, McpServer)]
    out: list[Tool] = []
    for index, tool in enumerate(tools):
        if not isinstance(tool, McpServer):
            out.append(tool)
            continue
        if labels.count(tool.label) > 1:
            raise _invalid(
                f"Duplicate server_label: '{tool.label}'.",
                "Give each MCP server a label of its own.",
                f"{param}[{index}].server_label",
            )
        out.append(_resolved(tool, by_label.get(tool.label), f"{param}[{index}]"))
    if len(labels) > limit:
        raise _invalid(
            f"Too many MCP servers: {len(labels)}; at most {limit} are allowed.",
            "Leave some out, or raise mcp.max_servers on the server.",
            param,
        )
    return tuple(out)


def _resolved(server: McpServer, known: McpServer | None, param: str) -> McpServer:
    if server.address is not None:
        return server
    if known is None:
        raise PeerError(
            f"Missing required parameter: '{param}.server_url'.",
            "A label may stand alone once a session.update has said where its server is.",
            code="missing_required_parameter",
            param=f"{param}.server_url",
        )
    return msgspec.structs.replace(server, address=known.address, url=known.url)


def check_choice(choice: str | Mapping[str, Any], tools: Iterable[Tool], param: str) -> None:
    """Raise `PeerError` if the choice is of a server that is not among the tools."""
    if isinstance(choice, str) or choice.get("type") != "mcp":
        return
    labels = [server.label for server in servers_among(tools)]
    if choice.get("server_label") not in labels:
        raise _invalid(
            f"Invalid value: '{choice.get('server_label')}'. There is no MCP server of this label.",
            f"Name one that is among the tools: {', '.join(labels) or 'there are none'}.",
            f"{param}.server_label",
        )


class Offer(Struct, frozen=True):
    """What a model may call in a round."""

    tools: tuple[FunctionTool, ...]
    choice: str | Mapping[str, Any]
    """Of functions: no model knows MCP servers."""
    remote: tuple[RemoteTool, ...]
    """Which of the tools are of MCP servers."""


def offered(own: tuple[FunctionTool, ...], remote: tuple[RemoteTool, ...], choice: str | Mapping[str, Any]) -> Offer:
    """All tools or, if a client's MCP server or one of its tools is chosen, only those. Raises `LookupError` if there
    are none."""
    if isinstance(choice, str) or choice.get("type") != "mcp":
        return Offer(own + tuple(tool.function for tool in remote), choice, remote)
    label, name = choice["server_label"], choice.get("name")
    wanted = tuple(tool for tool in remote if not tool.is_ours and tool.label == label and name in (None, tool.name))
    if not wanted:
        what = "any tool" if name is None else f"the tool '{name}'"
        raise LookupError(f"tool_choice asks for {what} of the MCP server '{label}', which has not offered it.")
    functions = tuple(tool.function for tool in wanted)
    return Offer(functions, "required" if name is None else {"type": "function", "name": functions[0].name}, wanted)


def _invalid(message: str, hint: str, param: str) -> PeerError:
    return PeerError(message, hint, code="invalid_value", param=param)


# --- what the person allows ------------------------------------------------------------------------------------------


class AwaitingCall(Struct, frozen=True):
    """A call that was written by a response and waits to be allowed."""

    item_id: str
    request: str
    """Id of the item that asks."""
    tool: RemoteTool
    arguments: str
    index: int
    """Its place in the response that wrote it."""
    previous: str | None


TellLater = Callable[[McpCall, str], None]


class Approvals:
    """Calls that wait to be allowed or, once they are, run outside of any response."""

    def __init__(self, conversation: Conversation, emit: Emit, tell_later: TellLater) -> None:
        """`tell_later` takes calls that the person was asked about aloud, and what the model is to read of each."""
        self._conversation = conversation
        self._emit = emit
        self._tell_later = tell_later
        self._awaiting: dict[str, AwaitingCall] = {}
        self._answered: set[str] = set()
        self._running: dict[int, AwaitingCall] = {}
        """By the number of their work."""

    @property
    def are_running(self) -> bool:
        return bool(self._running)

    @property
    def is_answering(self) -> bool:
        """Whether a call runs that the person has allowed aloud: what they are told next is what comes of it."""
        if not self._running:
            return False
        entries = (self._conversation.visible(call.item_id) for call in self._running.values())
        return any(isinstance(entry.item, McpCall) and entry.item.question for entry in entries if entry is not None)

    def ask_aloud(self, request: str) -> None:
        """The model is to ask the person about this call."""
        call = self._awaiting[request]
        entry = self._conversation.visible(call.item_id)
        assert entry is not None
        assert isinstance(entry.item, McpCall)
        asked = msgspec.structs.replace(entry.item, question=question_about(call.tool.function))
        self._conversation.replace(asked)

    def expects(self, result: Result) -> bool:
        return result.work in self._running

    def awaiting(self) -> tuple[str, ...]:
        """Ids of the items that ask and were not answered."""
        return tuple(self._awaiting)

    def add(self, call: AwaitingCall) -> None:
        self._awaiting[call.request] = call

    def check(self, answer: McpApprovalResponse) -> None:
        """Raise `PeerError` if nothing waits for this answer."""
        if answer.request in self._awaiting:
            return
        if answer.request in self._answered:
            message, hint = "was already answered", "A call can be allowed or forbidden once."
        elif answer.request in self._conversation:
            message, hint = "is not waiting any more", "Its call was deleted, or never made in this session."
        else:
            message, hint = "does not exist", "Name the id of an item of type mcp_approval_request."
        raise _invalid(
            f"Error adding item: the MCP approval request with id '{answer.request}' {message}.",
            hint,
            "item.approval_request_id",
        )

    def answer(self, answer: McpApprovalResponse, new_work: NewWork) -> bool:
        """Run the call, or settle it as forbidden. Returns whether it is settled already."""
        call = self._awaiting.pop(answer.request)
        self._answered.add(answer.request)
        if not answer.approve:
            why = f"{FORBIDDEN} {answer.why}".strip()
            self._settle(call, McpToolReturned(0, failure=McpFailure("tool", why)), not_done(why))
            return True
        work = new_work()
        self._running[work] = call
        self._emit(McpCallBegan(call.index, call.item_id))
        self._emit(CallMcpTool(work, call.tool.address, call.tool.name, call.arguments))
        return False

    def take(self, result: Result) -> None:
        """What a running call has brought."""
        outcome = outcome_of(result)
        self._settle(self._running.pop(result.work), outcome, told(outcome))

    def _settle(self, call: AwaitingCall, outcome: McpToolReturned, words: str) -> None:
        self._emit(McpCallEnded(call.index, call.item_id, outcome.failure is None))
        entry = self._conversation.visible(call.item_id)
        if entry is None:
            return
        assert isinstance(entry.item, McpCall)
        item = msgspec.structs.replace(
            entry.item, status=Status.COMPLETED, output=outcome.output, failure=outcome.failure
        )
        self._conversation.replace(item)
        self._emit(McpCallSettled(item, call.previous))
        if item.question:
            self._tell_later(item, words)

    def withdraw(self, item_id: str) -> list[str]:
        """The call was deleted from the conversation, or the question about it, which nobody can answer then. Returns
        the ids of the questions that are closed by that."""
        closed = []
        for request, call in list(self._awaiting.items()):
            if item_id in (call.item_id, request):
                del self._awaiting[request]
                closed.append(request)
            if item_id == request:
                self._settle(call, McpToolReturned(0, failure=McpFailure("tool", FORBIDDEN)), not_done(FORBIDDEN))
        for work, call in list(self._running.items()):
            if item_id == call.item_id:
                del self._running[work]
                self._emit(StopWork(work))
        return closed

    def finish(self) -> None:
        """The session is over."""
        for work in sorted(self._running):
            self._emit(StopWork(work))
        del self._tell_later  # it is the session's, which would wait for the garbage collector


def outcome_of(result: Result) -> McpToolReturned:
    """The outcome of a call, also if its work broke."""
    match result:
        case McpToolReturned():
            return result
        case WorkFailed(work=work, message=message):
            return McpToolReturned(work, failure=McpFailure("tool", message))
        case _:
            raise TypeError(f"no call expects {result!r}")


def told(outcome: McpToolReturned) -> str:
    """What the model reads of it."""
    if outcome.failure is not None:
        return msgspec.json.encode({"error": outcome.failure.message}).decode()
    return outcome.output or ""


# --- what is owed after a call ---------------------------------------------------------------------------------------


class FollowUp:
    """Whether the person is owed an answer to what MCP servers have brought, and since when.

    The client is to ask for it: official ones do so at once. This is for those that do not know.
    """

    def __init__(self, patience_s: float | None, limit: int) -> None:
        self._patience_s = patience_s
        self._limit = limit
        self._owed_since: Seconds | None = None
        self._in_a_row = 0

    def owe(self, now: Seconds) -> None:
        """A call has its outcome."""
        self._owed_since = now

    def put_off(self, now: Seconds) -> None:
        """A response has ended: from now on the next one can be asked for."""
        if self._owed_since is not None:
            self._owed_since = now

    def forget(self) -> None:
        """The person or the client wants no answer."""
        self._owed_since = None

    def began(self, *, by_itself: bool) -> None:
        """A response of the conversation was begun, which answers what was owed: for that reason or another one."""
        self._owed_since = None
        self._in_a_row = self._in_a_row + 1 if by_itself else 0

    @property
    def due(self) -> Seconds | None:
        """When we go on by ourselves. A model that cannot stop calling tools is not asked for ever."""
        if self._owed_since is None or self._patience_s is None or self._in_a_row >= self._limit:
            return None
        return self._owed_since + self._patience_s
