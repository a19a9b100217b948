"""The things a conversation consists of: messages, function calls and their outputs.

Items are values. A conversation replaces an item by a newer version of it; nobody changes one in place.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

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


class Foreign(Struct, frozen=True, tag="foreign"):
    """An item that a front end knows and the session only keeps in order, such as an MCP tool list."""

    id: str
    kind: str
    body: dict[str, Any]
    status: Status = Status.COMPLETED


Item = Message | FunctionCall | FunctionOutput | Foreign


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
