"""The messages that we send: all 45 of the Realtime protocol.

One frozen struct each, told apart by "type". In which order they come, and who gets them, is not known here.
`conversation.item.created` is not among them: it belongs to the beta, and clients of today hang up on it.

A field that may be null is written as null. What is better left out when it is not known has UNSET as its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from msgspec import UNSET, Struct, UnsetType

from antiphon.protocol.items import (
    ContentPart,
    Conversation,
    ErrorDetails,
    Item,
    LogProb,
    RateLimit,
    Response,
    TranscriptionFailure,
    TranscriptionLanguage,
    TranscriptionUsage,
)
from antiphon.protocol.session_config import Session


class Sent(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every server message but one carries."""

    event_id: str
    """Ours, unique in the session."""


class OfItem(Sent, frozen=True, kw_only=True):
    """About an item of the conversation."""

    item_id: str


class OfInputPart(OfItem, frozen=True, kw_only=True):
    """About what a person said, one part of one item."""

    content_index: int = 0


class OfOutputItem(Sent, frozen=True, kw_only=True):
    """About an item that a response is writing."""

    response_id: str
    item_id: str
    output_index: int


class OfOutputPart(OfOutputItem, frozen=True, kw_only=True):
    """About one part of an item that a response is writing."""

    content_index: int


# --- the session -----------------------------------------------------------------------------------------------------


class SessionCreated(Sent, frozen=True, kw_only=True, tag="session.created"):
    """The first message of every connection."""

    session: Session


class SessionUpdated(Sent, frozen=True, kw_only=True, tag="session.updated"):
    """Answers `session.update` with the whole configuration that now holds."""

    session: Session


class Error(Sent, frozen=True, kw_only=True, tag="error"):
    """A message could not be acted on, or we failed. The session goes on unless the connection closes after it."""

    error: ErrorDetails


class RateLimitsUpdated(Sent, frozen=True, kw_only=True, tag="rate_limits.updated"):
    rate_limits: tuple[RateLimit, ...]


# --- the conversation ------------------------------------------------------------------------------------------------


class ConversationCreated(Sent, frozen=True, kw_only=True, tag="conversation.created"):
    conversation: Conversation


class ItemAdded(Sent, frozen=True, kw_only=True, tag="conversation.item.added"):
    """An item entered the conversation; the model's own come `in_progress` and empty."""

    previous_item_id: str | None
    """An item that was announced before, or None for the front: clients insert by it."""
    item: Item


class ItemDone(Sent, frozen=True, kw_only=True, tag="conversation.item.done"):
    """An item has its final form. Without audio bytes."""

    previous_item_id: str | None
    item: Item


class ItemDeleted(OfItem, frozen=True, kw_only=True, tag="conversation.item.deleted"):
    pass


class ItemRetrieved(Sent, frozen=True, kw_only=True, tag="conversation.item.retrieved"):
    """The only message that carries the audio bytes of an item."""

    item: Item


class ItemTruncated(OfItem, frozen=True, kw_only=True, tag="conversation.item.truncated"):
    content_index: int
    audio_end_ms: int


class TranscriptionDelta(
    OfInputPart, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.delta"
):
    """More words of what the person said; none is ever taken back."""

    delta: str
    logprobs: tuple[LogProb, ...] | UnsetType = UNSET


class TranscriptionSegment(
    OfInputPart, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.segment"
):
    """Who said what, and when, in an utterance of several people."""

    id: str
    speaker: str
    start: float
    """Seconds from the start of the item's audio."""
    end: float
    """Seconds from the start of the item's audio."""
    text: str


class TranscriptionCompleted(
    OfInputPart, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    transcript: str
    usage: TranscriptionUsage
    languages: tuple[TranscriptionLanguage, ...] | UnsetType = UNSET
    logprobs: tuple[LogProb, ...] | UnsetType = UNSET


class TranscriptionFailed(
    OfInputPart, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed"
):
    """In place of `completed`; not an `error`."""

    error: TranscriptionFailure


# --- sound in --------------------------------------------------------------------------------------------------------


class SpeechStarted(OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    """The person speaks. Clients throw away what they have not yet played."""

    audio_start_ms: int
    """From the start of the session, with the prefix padding."""


class SpeechStopped(OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    """From the start of the session."""


class AudioCommitted(OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    """What was heard becomes the item `item_id`."""

    previous_item_id: str | None


class AudioCleared(Sent, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    pass


class TimeoutTriggered(OfItem, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered"):
    """Nobody spoke for `idle_timeout_ms`; the silence becomes the item `item_id`."""

    audio_start_ms: int
    audio_end_ms: int


class DtmfReceived(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio_buffer.dtmf_event_received"):
    """A key of a telephone. The one message that has no `event_id`."""

    event: str
    """The key: 0-9, *, #, A-D."""
    received_at: int
    """Seconds since 1970, UTC."""


# --- sound out, where the server plays -------------------------------------------------------------------------------


class OutputAudioStarted(Sent, frozen=True, kw_only=True, tag="output_audio_buffer.started"):
    response_id: str


class OutputAudioStopped(Sent, frozen=True, kw_only=True, tag="output_audio_buffer.stopped"):
    """All of it was played."""

    response_id: str


class OutputAudioCleared(Sent, frozen=True, kw_only=True, tag="output_audio_buffer.cleared"):
    """In place of `stopped`: the rest will not be played."""

    response_id: str


# --- responses -------------------------------------------------------------------------------------------------------


class ResponseCreated(Sent, frozen=True, kw_only=True, tag="response.created"):
    response: Response


class ResponseDone(Sent, frozen=True, kw_only=True, tag="response.done"):
    """The last message of a response, in every outcome."""

    response: Response


class OutputItemAdded(Sent, frozen=True, kw_only=True, tag="response.output_item.added"):
    response_id: str
    output_index: int
    item: Item
    """`in_progress`: a client would run a function call that says "completed" here, and again when it is done."""


class OutputItemDone(Sent, frozen=True, kw_only=True, tag="response.output_item.done"):
    response_id: str
    output_index: int
    item: Item


class ContentPartAdded(OfOutputPart, frozen=True, kw_only=True, tag="response.content_part.added"):
    part: ContentPart


class ContentPartDone(OfOutputPart, frozen=True, kw_only=True, tag="response.content_part.done"):
    part: ContentPart


class TextDelta(OfOutputPart, frozen=True, kw_only=True, tag="response.output_text.delta"):
    delta: str


class TextDone(OfOutputPart, frozen=True, kw_only=True, tag="response.output_text.done"):
    text: str


class AudioDelta(OfOutputPart, frozen=True, kw_only=True, tag="response.output_audio.delta"):
    """More sound. Never on a data channel, where it has a track of its own."""

    delta: bytes
    """In the response's output format."""
    sent_ms: int | UnsetType = UNSET
    """Of ours, for connections that asked for such: when it was sent, by a clock that only runs on. What took longer
    than others on its way is the network's doing; what was sent late is not."""


class AudioDone(OfOutputPart, frozen=True, kw_only=True, tag="response.output_audio.done"):
    pass


class TranscriptDelta(OfOutputPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta"):
    """More words of what is being said; may run ahead of the sound."""

    delta: str


class TranscriptDone(OfOutputPart, frozen=True, kw_only=True, tag="response.output_audio_transcript.done"):
    transcript: str


class ArgumentsDelta(OfOutputItem, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    call_id: str
    delta: str


class ArgumentsDone(OfOutputItem, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    call_id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


# --- MCP -------------------------------------------------------------------------------------------------------------


class McpListToolsInProgress(OfItem, frozen=True, kw_only=True, tag="mcp_list_tools.in_progress"):
    pass


class McpListToolsCompleted(OfItem, frozen=True, kw_only=True, tag="mcp_list_tools.completed"):
    pass


class McpListToolsFailed(OfItem, frozen=True, kw_only=True, tag="mcp_list_tools.failed"):
    pass


class McpArgumentsDelta(OfOutputItem, frozen=True, kw_only=True, tag="response.mcp_call_arguments.delta"):
    delta: str
    obfuscation: str = ""
    """Padding, optional in the protocol. One official client drops the message when it is not there."""


class McpArgumentsDone(OfOutputItem, frozen=True, kw_only=True, tag="response.mcp_call_arguments.done"):
    arguments: str


class McpCallInProgress(OfItem, frozen=True, kw_only=True, tag="response.mcp_call.in_progress"):
    output_index: int


class McpCallCompleted(OfItem, frozen=True, kw_only=True, tag="response.mcp_call.completed"):
    output_index: int


class McpCallFailed(OfItem, frozen=True, kw_only=True, tag="response.mcp_call.failed"):
    output_index: int


ServerMessage = (
    SessionCreated
    | SessionUpdated
    | Error
    | RateLimitsUpdated
    | ConversationCreated
    | ItemAdded
    | ItemDone
    | ItemDeleted
    | ItemRetrieved
    | ItemTruncated
    | TranscriptionDelta
    | TranscriptionSegment
    | TranscriptionCompleted
    | TranscriptionFailed
    | SpeechStarted
    | SpeechStopped
    | AudioCommitted
    | AudioCleared
    | TimeoutTriggered
    | DtmfReceived
    | OutputAudioStarted
    | OutputAudioStopped
    | OutputAudioCleared
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
    | ArgumentsDelta
    | ArgumentsDone
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpArgumentsDelta
    | McpArgumentsDone
    | McpCallInProgress
    | McpCallCompleted
    | McpCallFailed
)

TYPES: Mapping[str, type[ServerMessage]] = {
    str(message.__struct_config__.tag): message for message in get_args(ServerMessage)
}
"""Every message that we can send, by its "type"."""

Circumstance = Literal["websocket", "webrtc or telephone", "telephone", "mcp", "diarisation"]

ONLY_WITH: Mapping[type[ServerMessage], Circumstance] = {
    AudioDelta: "websocket",
    OutputAudioStarted: "webrtc or telephone",
    OutputAudioStopped: "webrtc or telephone",
    OutputAudioCleared: "webrtc or telephone",
    DtmfReceived: "telephone",
    TranscriptionSegment: "diarisation",
    McpListToolsInProgress: "mcp",
    McpListToolsCompleted: "mcp",
    McpListToolsFailed: "mcp",
    McpArgumentsDelta: "mcp",
    McpArgumentsDone: "mcp",
    McpCallInProgress: "mcp",
    McpCallCompleted: "mcp",
    McpCallFailed: "mcp",
}
"""What a session must have for a message to occur. A message that is not listed occurs in any."""
