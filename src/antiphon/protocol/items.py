"""The nouns of the Realtime wire: conversation items and their parts, responses, usage, errors.

They are what the JSON says and nothing more: whether an id exists, whether a status may follow another, whether a
client may send an item at all, is not known here. The same item structs are read from clients and written to them, so
what only one side must give (ids, status) is optional here.

Two vocabularies meet: the content of an *item* is made of input_text, input_audio, input_image, output_text and
output_audio; the `part` of a `response.content_part.*` message is "text" or "audio" (`TextPart`, `AudioPart`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

JsonObject = Mapping[str, Any]
"""An object that we carry and do not look into, such as a JSON schema."""

Metadata = Annotated[
    Mapping[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]
"""A client's own notes on a response, returned with it verbatim."""

ItemStatus = Literal["in_progress", "completed", "incomplete"]
Modality = Literal["text", "audio"]

# --- content of messages ---------------------------------------------------------------------------------------------


class InputText(Struct, frozen=True, tag_field="type", tag="input_text"):
    text: str


class InputAudio(Struct, frozen=True, tag_field="type", tag="input_audio"):
    audio: bytes | UnsetType | None = UNSET
    """Sound in the session's input format. We write it only in `conversation.item.retrieved`."""
    transcript: str | None = None


class InputImage(Struct, frozen=True, tag_field="type", tag="input_image"):
    image_url: str
    """A data URL."""
    detail: Literal["auto", "low", "high"] | None = "auto"


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    text: str


class OutputAudio(Struct, frozen=True, tag_field="type", tag="output_audio"):
    audio: bytes | UnsetType | None = UNSET
    """Sound in the response's output format. We write it only in `conversation.item.retrieved`."""
    transcript: str | None = None


Content = InputText | InputAudio | InputImage | OutputText | OutputAudio

PARTS_OF: Mapping[str, tuple[type[Content], ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio),
}
"""Which parts a message of each role may contain."""

# --- conversation items ----------------------------------------------------------------------------------------------


class Message(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """Something said or shown; three of the nine kinds of item, told apart by `role`."""

    id: str | None = None
    object: Literal["realtime.item"] | None = "realtime.item"
    status: ItemStatus | None = None
    role: Literal["system", "user", "assistant"]
    content: tuple[Content, ...]

    def __post_init__(self) -> None:
        # ValueError, because that is what msgspec catches and gives a path while it decodes.
        allowed = PARTS_OF[self.role]
        for index, part in enumerate(self.content):
            if not isinstance(part, allowed):
                raise ValueError(  # noqa: TRY004 - the value of "type" is wrong, not its JSON type
                    f"content[{index}] of a {self.role!r} message cannot be {_tag(type(part))}. "
                    f"Supported values are: {', '.join(_tag(kind) for kind in allowed)}."
                )


def _tag(kind: type[Struct]) -> str:
    return repr(kind.__struct_config__.tag)


class FunctionCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """The model wants a function of the client to be run."""

    id: str | None = None
    object: Literal["realtime.item"] | None = "realtime.item"
    status: ItemStatus | None = None
    call_id: str | None = None
    """Names the call in its output. A client that replays history may leave it out; we never do."""
    name: str
    arguments: str
    """JSON text, as the model wrote it."""


class FunctionCallOutput(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call_output"):
    id: str | None = None
    object: Literal["realtime.item"] | None = "realtime.item"
    status: ItemStatus | None = None
    call_id: str
    output: str
    """Free text, by custom JSON."""


class McpToolInfo(Struct, frozen=True, kw_only=True):
    """One tool of an MCP server, as the server describes it."""

    name: str
    input_schema: JsonObject
    description: str | None = None
    annotations: JsonObject | None = None


class McpListTools(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_list_tools"):
    id: str | None = None
    server_label: str
    tools: tuple[McpToolInfo, ...]


class McpProtocolError(Struct, frozen=True, tag_field="type", tag="protocol_error"):
    code: int
    """JSON-RPC error code."""
    message: str


class McpToolExecutionError(Struct, frozen=True, tag_field="type", tag="tool_execution_error"):
    message: str


class McpHttpError(Struct, frozen=True, tag_field="type", tag="http_error"):
    code: int
    """HTTP status."""
    message: str


McpError = McpProtocolError | McpToolExecutionError | McpHttpError


class McpCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_call"):
    """A tool that the server runs at an MCP server, and what came of it."""

    id: str | None = None
    server_label: str
    name: str
    arguments: str
    """JSON text."""
    approval_request_id: str | None = None
    output: str | None = None
    error: McpError | None = None


class McpApprovalRequest(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_request"):
    """Asks the client whether a call may be made."""

    id: str | None = None
    server_label: str
    name: str
    arguments: str
    """JSON text."""


class McpApprovalResponse(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp_approval_response"):
    id: str | None = None
    approval_request_id: str
    approve: bool
    reason: str | None = None


Item = Message | FunctionCall | FunctionCallOutput | McpListTools | McpCall | McpApprovalRequest | McpApprovalResponse


class ItemReference(Struct, frozen=True, tag_field="type", tag="item_reference"):
    """In the input of a response: an item that the conversation already has."""

    id: str


# --- parts of responses ----------------------------------------------------------------------------------------------


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """Written output in `response.content_part.*`; in an item the same part is an `OutputText`."""

    text: str = ""


class AudioPart(Struct, frozen=True, tag_field="type", tag="audio"):
    """Spoken output in `response.content_part.*`; in an item the same part is an `OutputAudio`."""

    transcript: str = ""


ContentPart = TextPart | AudioPart

# --- sound -----------------------------------------------------------------------------------------------------------


class AudioPcm(Struct, frozen=True, tag_field="type", tag="audio/pcm"):
    """Mono int16, little-endian."""

    rate: Literal[24_000] | None = 24_000
    """Hertz. Official clients reject any other value, so do we; we always write it."""


class AudioPcmu(Struct, frozen=True, tag_field="type", tag="audio/pcmu"):
    """G.711 µ-law at 8 kHz."""


class AudioPcma(Struct, frozen=True, tag_field="type", tag="audio/pcma"):
    """G.711 A-law at 8 kHz."""


AudioFormat = AudioPcm | AudioPcmu | AudioPcma

# --- responses -------------------------------------------------------------------------------------------------------


class CachedTokens(Struct, frozen=True, kw_only=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputTokens(Struct, frozen=True, kw_only=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0
    cached_tokens_details: CachedTokens = CachedTokens()


class OutputTokens(Struct, frozen=True, kw_only=True):
    text_tokens: int = 0
    audio_tokens: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """What a response cost; every count is written, as some clients cannot do without."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokens = InputTokens()
    output_token_details: OutputTokens = OutputTokens()


class FailureDetails(Struct, frozen=True, kw_only=True):
    """Why a response failed."""

    type: str
    code: str | None = None
    message: str | None = None


class StatusDetails(Struct, frozen=True, kw_only=True):
    """Why a response ended as it did."""

    type: Literal["completed", "cancelled", "failed", "incomplete"]
    reason: Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"] | UnsetType = UNSET
    error: FailureDetails | UnsetType = UNSET


class ResponseAudioOutput(Struct, frozen=True, kw_only=True):
    format: AudioFormat
    voice: str
    """Never an object here: official clients take custom voices by their plain id in responses."""


class ResponseAudio(Struct, frozen=True, kw_only=True):
    output: ResponseAudioOutput


class Response(Struct, frozen=True, kw_only=True):
    """One answer, as `response.created` and `response.done` show it."""

    id: str
    object: Literal["realtime.response"] = "realtime.response"
    status: Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    """Without audio bytes. Empty in `response.created`."""
    conversation_id: str | None
    """None for a response outside the conversation."""
    output_modalities: tuple[Modality, ...]
    max_output_tokens: int | Literal["inf"] = "inf"
    audio: ResponseAudio | UnsetType = UNSET
    """Left out of a response that is only written."""
    usage: Usage | None = None
    """None until it is done."""
    metadata: Metadata | None = None


# --- transcription ---------------------------------------------------------------------------------------------------


class LogProb(Struct, frozen=True, kw_only=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]
    """The token's UTF-8, as numbers."""


class TranscriptionLanguage(Struct, frozen=True):
    code: str
    """ISO-639-1, such as "en"."""


class TranscriptionInputTokens(Struct, frozen=True, kw_only=True):
    text_tokens: int
    audio_tokens: int


class TranscriptionTokens(Struct, frozen=True, kw_only=True, tag_field="type", tag="tokens"):
    """What a transcript cost at a recogniser that counts tokens."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: TranscriptionInputTokens
    """Optional in the protocol; one official client drops the whole transcript without it."""


class TranscriptionDuration(Struct, frozen=True, tag_field="type", tag="duration"):
    """What a transcript cost at a recogniser that counts time."""

    seconds: float


TranscriptionUsage = TranscriptionTokens | TranscriptionDuration


class TranscriptionFailure(Struct, frozen=True, kw_only=True):
    type: str
    code: str | None = None
    message: str
    param: str | None = None


# --- the rest --------------------------------------------------------------------------------------------------------


class Conversation(Struct, frozen=True):
    id: str
    object: Literal["realtime.conversation"] = "realtime.conversation"


class RateLimit(Struct, frozen=True, kw_only=True):
    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class ErrorDetails(Struct, frozen=True, kw_only=True):
    """What went wrong, and because of which message."""

    type: str
    """"invalid_request_error" when the client must act, "server_error" when we must."""
    code: str | None = None
    message: str
    param: str | None = None
    """Path of the offending field, such as "session.audio.input.format.rate"."""
    event_id: str | None = None
    """The client's own id of the message that caused it. Clients key their recovery on it, so it is never dropped
    when they gave one."""
