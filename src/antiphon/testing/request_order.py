"""The opening, requests and their answers, and what only some connections have: rules R1, R11, R13, R14 and R15."""

from __future__ import annotations

from collections import deque

from msgspec import UNSET

from antiphon.protocol import client, server
from antiphon.protocol.client import ClientMessage
from antiphon.protocol.items import McpApprovalRequest, McpCall, McpListTools
from antiphon.protocol.server import ServerMessage
from antiphon.protocol.session_config import AudioInputPatch, AudioPatch, Session, SessionPatch
from antiphon.testing.watcher import Complaints, Transport, Watcher, item_of, kind_of


class Opening(Watcher):
    """R1, and that no two messages bear the same id."""

    def __init__(self) -> None:
        self._is_open = False
        self._ids: set[str] = set()

    def received(self, message: ServerMessage) -> Complaints:
        is_welcome = isinstance(message, server.SessionCreated)
        if not self._is_open and not is_welcome:
            yield "R1", "the first message is not session.created"
        if self._is_open and is_welcome:
            yield "R1", "session.created came a second time"
        self._is_open = True
        event_id: str | None = getattr(message, "event_id", None)
        if event_id is None:
            return
        if event_id in self._ids:
            yield "ids", f"the event_id {event_id!r} was used before"
        self._ids.add(event_id)


# --- requests and what answers them ----------------------------------------------------------------------------------

ANSWERED_BY: dict[type[ClientMessage], type[ServerMessage]] = {
    client.SessionUpdate: server.SessionUpdated,
    client.AudioClear: server.AudioCleared,
    client.ItemRetrieve: server.ItemRetrieved,
    client.ItemDelete: server.ItemDeleted,
    client.ItemTruncate: server.ItemTruncated,
}
"""Requests whose answer comes for nothing else."""


class Answers(Watcher):
    """R11 and R15: every request is answered once, in order, or refused by the name that its sender gave it.

    Knows nothing where the recording does not say what was sent. On a call the server truncates unasked what it has
    not played.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._waiting: dict[type[ServerMessage], deque[ClientMessage]] = {
            answer: deque() for answer in ANSWERED_BY.values()
        }
        self._names: set[str] = set()
        self._knows_sent = False
        self._refusals = 0
        """Errors that name nobody: any request without a name may be the one that was refused."""
        self._doubts = 0
        """Answers that were taken for those of such requests, and may be those of later ones."""

    def sent(self, message: ClientMessage) -> Complaints:
        self._knows_sent = True
        if message.event_id is not None:
            self._names.add(message.event_id)
        answer = ANSWERED_BY.get(type(message))
        if answer is not None:
            self._waiting[answer].append(message)
        yield from ()

    def unreadable(self, event_id: str | None) -> None:
        self._knows_sent = True
        if event_id is not None:
            self._names.add(event_id)

    def received(self, message: ServerMessage) -> Complaints:
        if not self._knows_sent:
            return
        if isinstance(message, server.Error):
            yield from self._refused(message.error.event_id)
            return
        waiting = self._waiting.get(type(message))
        if waiting is None:
            return
        rule = _rule_of(message)
        found = next((request for request in waiting if _fits(request, message)), None)
        while waiting and found is not None and waiting[0] is not found:
            passed = waiting.popleft()
            if self._may_be_settled(passed):
                continue
            yield rule, f"{kind_of(message)} came before the answer to an earlier {_request_name(passed)}"
        if found is None:
            if isinstance(message, server.ItemTruncated) and self._transport == "webrtc":
                return
            yield rule, f"{kind_of(message)} answers nothing that was sent"
            return
        waiting.popleft()
        if self._refusals:  # which request this answers is uncertain
            self._doubts += found.event_id is None
            return
        if isinstance(found, client.SessionUpdate) and isinstance(message, server.SessionUpdated):
            yield from _ineffective(found.session, message.session)

    def finished(self) -> Complaints:
        for answer, waiting in self._waiting.items():
            for request in waiting:
                if self._may_be_settled(request):
                    continue
                rule = "R11" if answer is server.SessionUpdated else "R15"
                yield rule, f"{_request_name(request)} was not answered"

    def _may_be_settled(self, request: ClientMessage) -> bool:
        """Whether it may have been refused, or answered where another one was taken to be."""
        if request.event_id is None and self._refusals:
            self._refusals -= 1
            return True
        if self._doubts:
            self._doubts -= 1
            self._refusals = max(0, self._refusals - 1)
            return True
        return False

    def _refused(self, event_id: str | None) -> Complaints:
        if event_id is None:
            self._refusals += 1
            return
        if event_id not in self._names:
            yield "R15", f"error.event_id is {event_id!r}, which the client never used"
            return
        for waiting in self._waiting.values():
            refused = next((request for request in waiting if request.event_id == event_id), None)
            if refused is not None:
                waiting.remove(refused)
                return


def _fits(request: ClientMessage, answer: ServerMessage) -> bool:
    """Whether this may be the answer: what it names is what was asked for."""
    wanted: str | None = getattr(request, "item_id", None)
    if wanted is not None and wanted != item_of(answer):
        return False
    return all(
        getattr(request, name, None) == getattr(answer, name, None) for name in ("content_index", "audio_end_ms")
    )


def _rule_of(answer: ServerMessage) -> str:
    return "R11" if isinstance(answer, server.SessionUpdated) else "R15"


def _request_name(request: ClientMessage) -> str:
    name = str(type(request).__struct_config__.tag)
    return f"{name} {request.event_id!r}" if request.event_id else name


def _ineffective(asked: SessionPatch, holds: Session) -> Complaints:
    """What was accepted, and does not hold: clients act on the echo."""
    audio = asked.audio if isinstance(asked.audio, AudioPatch) else AudioPatch()
    heard = audio.input if isinstance(audio.input, AudioInputPatch) else AudioInputPatch()
    for name in ("turn_detection", "transcription"):
        wish, effect = getattr(heard, name), getattr(holds.audio.input, name)
        if wish is not UNSET and (wish is None) != (effect is None):
            yield "R11", f"session.updated does not show the {name} that was asked for"
    wished, given = asked.instructions, getattr(holds, "instructions", None)
    if isinstance(wished, str) and given is not None and wished != given:
        yield "R11", "session.updated does not show the instructions that were asked for"


# --- where the server plays ------------------------------------------------------------------------------------------


class Playback(Watcher):
    """R13: on a call the server plays and says so; on a WebSocket it sends sound, and knows nothing of playing."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._has_part: set[str] = set()
        self._is_done: set[str] = set()
        self._playing: set[str] = set()

    def received(self, message: ServerMessage) -> Complaints:
        match message:
            case server.ContentPartAdded(response_id=response_id):
                self._has_part.add(response_id)
            case server.ResponseDone(response=response):
                self._is_done.add(response.id)
            case server.AudioDelta() if self._transport == "webrtc":
                yield "R13", "response.output_audio.delta on a data channel"
            case server.OutputAudioStarted() | server.OutputAudioStopped() | server.OutputAudioCleared():
                if self._transport == "websocket":
                    yield "R13", f"{kind_of(message)} on a WebSocket"
                else:
                    yield from self._played(message, message.response_id)
            case _:
                pass

    def _played(self, message: ServerMessage, response_id: str) -> Complaints:
        if isinstance(message, server.OutputAudioStarted):
            if response_id not in self._has_part or response_id in self._playing:
                yield "R13", f"output_audio_buffer.started of {response_id}, which has no new content part"
            self._playing.add(response_id)
            return
        if response_id not in self._playing:
            yield "R13", f"{kind_of(message)} of {response_id}, which was not playing"
        self._playing.discard(response_id)
        if isinstance(message, server.OutputAudioStopped) and response_id not in self._is_done:
            yield "R13", f"output_audio_buffer.stopped came before the response.done of {response_id}"


# --- MCP -------------------------------------------------------------------------------------------------------------

_AFTER: dict[str, set[str]] = {
    "mcp_list_tools": {"in_progress"},
    "in_progress": {"completed", "failed"},
    "mcp_call": {"arguments.delta", "arguments.done"},
    "arguments.delta": {"arguments.delta", "arguments.done"},
    "arguments.done": {"in_progress", "failed", "done"},
    "completed": {"done", "settled"},
    "failed": {"done", "settled"},
    "done": {"settled"},
    "asks": {"in_progress", "failed", "settled"},
}
"""What may follow what in the life of an MCP item. A call that is never made is done after its arguments; one that
waits to be allowed is done for its response before it is made, and settled in the conversation after it."""


class Mcp(Watcher):
    """R14: the lists and calls of MCP servers."""

    def __init__(self) -> None:
        self._stage: dict[str, str] = {}
        self._asking: set[str] = set()
        """Items that ask whether a call may be made."""

    def received(self, message: ServerMessage) -> Complaints:
        match message:
            case server.ItemAdded(item=McpListTools(id=item_id, tools=tools)):
                if item_id in self._stage or tools:
                    yield "R14", f"mcp_list_tools {item_id} was not added once and empty"
                self._stage[item_id or ""] = "mcp_list_tools"
            case server.OutputItemAdded(item=McpCall(id=item_id)):
                self._stage[item_id or ""] = "mcp_call"
            case server.ItemDone(item=McpListTools(id=item_id)):
                yield from self._step(item_id or "", "done", message)
            case server.OutputItemDone(
                item=McpCall(id=item_id, approval_request_id=request, output=None, error=None)
            ) if request is not None:
                yield from self._step(item_id or "", "done", message)
                self._stage[item_id or ""] = "asks"
                self._asking.add(request)
            case server.OutputItemDone(item=McpCall(id=item_id)):
                yield from self._step(item_id or "", "done", message)
            case server.OutputItemAdded(item=McpApprovalRequest(id=item_id)):
                if item_id not in self._asking:
                    yield "R14", f"mcp_approval_request {item_id} asks for no call that waits"
            case server.ItemDone(item=McpCall(id=item_id)):
                yield from self._step(item_id or "", "settled", message)
            case _:
                name = kind_of(message)
                if name.startswith(("mcp_list_tools.", "response.mcp_call")):
                    yield from self._step(item_of(message) or "", _MOVES[name.rpartition("mcp_")[2]], message)

    def _step(self, item_id: str, move: str, message: ServerMessage) -> Complaints:
        stage = self._stage.get(item_id)
        if stage is None or move not in _AFTER.get(stage, ()):
            yield "R14", f"{kind_of(message)} of {item_id} came {f'after {stage}' if stage else 'before the item'}"
        self._stage[item_id] = move


_MOVES = {
    f"{what}.{move}": move for what in ("list_tools", "call") for move in ("in_progress", "completed", "failed")
} | {f"call_{move}": move for move in ("arguments.delta", "arguments.done")}
