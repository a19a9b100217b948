"""The things a conversation consists of: messages, function calls and their outputs, and what MCP servers add.

Items are values. A conversation replaces an item by a newer version of it; nobody changes one in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

from msgspec import Struct

from antiphon.audio.units import Samples


class Status(Enum):
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class Role(Enum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Text(Struct, frozen=True, tag="text"):
    """Written words."""

    text: str


class Speech(Struct, frozen=True, tag="speech"):
    """Spoken words: a stretch of audio and what is known of its text."""

    start: Samples
    """Of a user's speech: position in the session's stream. Of an assistant's: 0."""
    stop: Samples
    transcript: str | None = None
    """None until it is known."""
    clip: int | None = None
    """Which of the sounds that came with the request it is; None: it is part of the stream, or was made here."""


class Picture(Struct, frozen=True, tag="picture"):
    """An image, as a data URL."""

    url: str
    detail: str = "auto"


Part = Text | Speech | Picture


class Message(Struct, frozen=True, tag="message"):
    id: str
    role: Role
    content: tuple[Part, ...]
    status: Status = Status.COMPLETED


class FunctionCall(Struct, frozen=True, tag="function_call"):
    id: str
    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""
    status: Status = Status.COMPLETED


class FunctionOutput(Struct, frozen=True, tag="function_output"):
    id: str
    call_id: str
    output: str
    status: Status = Status.COMPLETED


class McpTool(Struct, frozen=True):
    """One tool of an MCP server, as the server describes it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of its arguments."""
    read_only: bool = False
    """Whether the server says that a call changes nothing. A hint: nobody checks it."""
    destroys: bool = False
    """Whether the server says that a call may lose what cannot be had again. Likewise."""


class McpToolList(Struct, frozen=True, tag="mcp_tool_list"):
    """What an MCP server offered when it was asked."""

    id: str
    server: str
    """Its label."""
    tools: tuple[McpTool, ...]
    status: Status = Status.COMPLETED


class McpFailure(Struct, frozen=True):
    """Why a call has no output."""

    kind: Literal["protocol", "tool", "http"]
    """Who said no: the MCP server, its tool, or what lies between."""
    message: str
    code: int = 0
    """Of a protocol error its JSON-RPC code, of an HTTP error its status."""


class McpCall(Struct, frozen=True, tag="mcp_call"):
    """A tool that we run at an MCP server, and what came of it."""

    id: str
    server: str
    name: str
    """The tool's, at its server."""
    function: str
    """What the model calls it."""
    arguments: str
    """JSON text, as the model wrote it."""
    approval: str | None = None
    """Id of the item that asked whether it may run, if anybody was asked."""
    question: str = ""
    """What the model reads in place of an outcome where the person was asked aloud: that it told later."""
    output: str | None = None
    failure: McpFailure | None = None
    status: Status = Status.COMPLETED


class McpApprovalRequest(Struct, frozen=True, tag="mcp_approval_request"):
    """Asks whether a call may be made."""

    id: str
    server: str
    name: str
    arguments: str
    status: Status = Status.COMPLETED


class McpApprovalResponse(Struct, frozen=True, tag="mcp_approval_response"):
    """Allows a call, or forbids it."""

    id: str
    request: str
    """Id of the item that asked."""
    approve: bool
    why: str = ""
    status: Status = Status.COMPLETED


Item = Message | FunctionCall | FunctionOutput | McpToolList | McpCall | McpApprovalRequest | McpApprovalResponse


def text_of(message: Message) -> str:
    """All its words, written or spoken; what is not known yet is left out."""
    words = []
    for part in message.content:
        match part:
            case Text(text):
                words.append(text)
            case Speech(transcript=transcript):
                words.append(transcript or "")
            case Picture():
                pass
    return " ".join(word for word in words if word)


def clip_of(item: Item) -> Speech | None:
    """The sound that came with this item, if one did."""
    parts = item.content if isinstance(item, Message) else ()
    return next((part for part in parts if isinstance(part, Speech) and part.clip is not None), None)
