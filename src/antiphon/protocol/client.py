"""The messages that a client may send: the 11 of the Realtime protocol, and `session.close`.

One frozen struct each, told apart by "type". What a message does, and whether it may come now, is not known here.
Fields that the protocol does not have are ignored: several clients send some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_args

from msgspec import UNSET, Meta, Struct

from antiphon.protocol.items import AudioFormat, Item, ItemReference, Metadata, Modality
from antiphon.protocol.session_config import (
    Maybe,
    Milliseconds,
    Prompt,
    Reasoning,
    SessionPatch,
    TokenLimit,
    Tool,
    ToolChoice,
    VoiceId,
)

MAX_APPEND_BYTES = 15 * 1024 * 1024  # of sound, decoded: the protocol's own limit for one append

Index = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Received(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every client message may carry."""

    event_id: str | None = None
    """The client's own name for this message. Every error that it causes carries it back."""


# --- the session -----------------------------------------------------------------------------------------------------


class SessionUpdate(Received, frozen=True, kw_only=True, tag="session.update"):
    """Change the configuration: all of it, or nothing."""

    session: SessionPatch


class SessionClose(Received, frozen=True, kw_only=True, tag="session.close"):
    """Hang up. In no published schema of this protocol, yet accepted by the service, so we do."""


# --- sound in and out ------------------------------------------------------------------------------------------------


class AudioAppend(Received, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """More of what the microphone hears. Never answered."""

    audio: Annotated[bytes, Meta(max_length=MAX_APPEND_BYTES)]
    """In the session's input format. Whether it is whole samples is for the reader of that format to say."""


class AudioCommit(Received, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Make an item of what was appended."""


class AudioClear(Received, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Forget what was appended."""


class OutputAudioClear(Received, frozen=True, kw_only=True, tag="output_audio_buffer.clear"):
    """Stop playing, now. Only where the server plays: WebRTC and telephony."""


# --- the conversation ------------------------------------------------------------------------------------------------


class ItemCreate(Received, frozen=True, kw_only=True, tag="conversation.item.create"):
    item: Item
    previous_item_id: str | None = None
    """Insert after this item; None appends, "root" puts it first."""


class ItemRetrieve(Received, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    item_id: str


class ItemTruncate(Received, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """The person heard no more than this of a spoken answer."""

    item_id: str
    content_index: Index
    audio_end_ms: Milliseconds


class ItemDelete(Received, frozen=True, kw_only=True, tag="conversation.item.delete"):
    item_id: str


# --- responses -------------------------------------------------------------------------------------------------------


class ResponseAudioOutputParams(Struct, frozen=True, kw_only=True):
    format: Maybe[AudioFormat] = UNSET
    voice: Maybe[str | VoiceId] = UNSET


class ResponseAudioParams(Struct, frozen=True, kw_only=True):
    output: Maybe[ResponseAudioOutputParams] = UNSET


class ResponseParams(Struct, frozen=True, kw_only=True):
    """What one response does differently from its session. What is absent or null follows the session."""

    conversation: Maybe[str] = UNSET
    """"auto", or "none" for a response that adds nothing to the conversation."""
    input: Maybe[tuple[Item | ItemReference, ...]] = UNSET
    """The context in place of the conversation. () is an empty context, not an absent one."""
    instructions: Maybe[str] = UNSET
    output_modalities: Maybe[tuple[Modality, ...]] = UNSET
    audio: Maybe[ResponseAudioParams] = UNSET
    tools: Maybe[tuple[Tool, ...]] = UNSET
    tool_choice: Maybe[ToolChoice] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    max_output_tokens: Maybe[TokenLimit] = UNSET
    metadata: Maybe[Metadata] = UNSET
    prompt: Maybe[Prompt] = UNSET
    reasoning: Maybe[Reasoning] = UNSET


class ResponseCreate(Received, frozen=True, kw_only=True, tag="response.create"):
    response: ResponseParams | None = None


class ResponseCancel(Received, frozen=True, kw_only=True, tag="response.cancel"):
    response_id: str | None = None
    """None cancels the one that is part of the conversation."""


ClientMessage = (
    SessionUpdate
    | SessionClose
    | AudioAppend
    | AudioCommit
    | AudioClear
    | OutputAudioClear
    | ItemCreate
    | ItemRetrieve
    | ItemTruncate
    | ItemDelete
    | ResponseCreate
    | ResponseCancel
)

TYPES: Mapping[str, type[ClientMessage]] = {
    str(message.__struct_config__.tag): message for message in get_args(ClientMessage)
}
"""Every message that we understand, by its "type"."""

NOT_PUBLISHED: frozenset[type[ClientMessage]] = frozenset({SessionClose})
"""Understood, though no published schema has them."""
