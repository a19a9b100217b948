"""The protocol from its client's side: what another Realtime server tells us, and what we ask of it.

`server` says what we write, to the letter; this reads what others write, and asks for no more than what is acted on.
What may be missing has a default, what nobody here acts on is `Ignored`, and what cannot be read is too, with the
reason. Which server it is and what becomes of its words is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from msgspec import UNSET, Struct

from antiphon.protocol import outbound
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message, Picture, Role, Speech, Text
from antiphon.session.settings import AudioFormat, FunctionTool, ResponseOptions, Settings

JsonObject = dict[str, Any]

# --- what it tells us ------------------------------------------------------------------------------------------------


class Told(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Any message of the server."""


class Tool(Struct, frozen=True, kw_only=True):
    """A function, or what else a model can call."""

    type: str = "function"
    name: str | None = None
    description: str | None = None
    parameters: JsonObject | None = None


class Session(Struct, frozen=True, kw_only=True):
    id: str = ""
    tools: tuple[Tool, ...] | None = None
    expires_at: float | None = None
    """Seconds since 1970."""


class SessionCreated(Told, frozen=True, kw_only=True, tag="session.created"):
    session: Session = Session()


class SessionUpdated(Told, frozen=True, kw_only=True, tag="session.updated"):
    session: Session = Session()


class Details(Struct, frozen=True, kw_only=True):
    """What went wrong."""

    type: str = "server_error"
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None
    """Of the message of ours that it is about."""


class Error(Told, frozen=True, kw_only=True, tag="error"):
    error: Details = Details()


class Part(Struct, frozen=True, kw_only=True):
    type: str = ""
    text: str | None = None
    transcript: str | None = None


class UpstreamItem(Struct, frozen=True, kw_only=True):
    """An item of any kind; of each kind some fields are there."""

    id: str = ""
    type: str = "message"
    role: str | None = None
    status: str | None = None
    content: tuple[Part, ...] | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    output: str | None = None


class ItemAdded(Told, frozen=True, kw_only=True, tag="conversation.item.added"):
    item: UpstreamItem


class ItemCreated(Told, frozen=True, kw_only=True, tag="conversation.item.created"):
    """What the beta, and some servers that have its other names no more, say for `ItemAdded`."""

    item: UpstreamItem


class ItemDeleted(Told, frozen=True, kw_only=True, tag="conversation.item.deleted"):
    item_id: str


class ItemTruncated(Told, frozen=True, kw_only=True, tag="conversation.item.truncated"):
    item_id: str
    content_index: int = 0
    audio_end_ms: float = 0


class TranscriptionDelta(Told, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.delta"):
    item_id: str
    delta: str = ""


class TranscriptionCompleted(
    Told, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    item_id: str
    transcript: str = ""


class TranscriptionFailed(Told, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed"):
    item_id: str
    error: Details = Details()


class SpeechStarted(Told, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    item_id: str
    audio_start_ms: float = 0


class SpeechStopped(Told, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    item_id: str
    audio_end_ms: float = 0


class AudioCommitted(Told, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    item_id: str


class AudioCleared(Told, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    pass


class TimeoutTriggered(Told, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered"):
    item_id: str
    audio_start_ms: float = 0
    audio_end_ms: float = 0


class StatusDetails(Struct, frozen=True, kw_only=True):
    reason: str | None = None
    error: Details | None = None


class CachedDetails(Struct, frozen=True, kw_only=True):
    cached_tokens: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: CachedDetails | None = None


class UpstreamResponse(Struct, frozen=True, kw_only=True):
    id: str
    status: str | None = None
    status_details: StatusDetails | None = None
    conversation_id: str | None = None
    output_modalities: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    usage: Usage | None = None


class ResponseCreated(Told, frozen=True, kw_only=True, tag="response.created"):
    response: UpstreamResponse


class ResponseDone(Told, frozen=True, kw_only=True, tag="response.done"):
    response: UpstreamResponse


class OfResponse(Told, frozen=True, kw_only=True):
    """About something that a response is writing."""

    response_id: str


class OutputItemAdded(OfResponse, frozen=True, kw_only=True, tag="response.output_item.added"):
    item: UpstreamItem


class OutputItemDone(OfResponse, frozen=True, kw_only=True, tag="response.output_item.done"):
    item: UpstreamItem


class PartAdded(OfResponse, frozen=True, kw_only=True, tag="response.content_part.added"):
    item_id: str
    part: Part


class TextDelta(OfResponse, frozen=True, kw_only=True, tag="response.output_text.delta"):
    item_id: str
    delta: str = ""


class TranscriptDelta(OfResponse, frozen=True, kw_only=True, tag="response.output_audio_transcript.delta"):
    item_id: str
    delta: str = ""


class ArgumentsDelta(OfResponse, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    item_id: str
    delta: str = ""


class ArgumentsDone(OfResponse, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    item_id: str
    arguments: str = ""


class PlaybackStarted(OfResponse, frozen=True, kw_only=True, tag="output_audio_buffer.started"):
    """Where it plays by itself: in a call."""


class AudioDelta(OfResponse, frozen=True, kw_only=True, tag="response.output_audio.delta"):
    """Sound: it never enters a session, so it is not among the messages that `read` returns."""

    item_id: str
    delta: bytes


class Ignored(Struct, frozen=True):
    """Nothing to act on."""

    kind: str
    complaint: str = ""
    """Why it could not be read; empty if nobody here needs messages of this kind."""


ToldMessage = (
    SessionCreated
    | SessionUpdated
    | Error
    | ItemAdded
    | ItemCreated
    | ItemDeleted
    | ItemTruncated
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | SpeechStarted
    | SpeechStopped
    | AudioCommitted
    | AudioCleared
    | TimeoutTriggered
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | PartAdded
    | TextDelta
    | TranscriptDelta
    | ArgumentsDelta
    | ArgumentsDone
    | PlaybackStarted
)
KINDS = frozenset(str(message.__struct_config__.tag) for message in get_args(ToldMessage))
SOUND = str(AudioDelta.__struct_config__.tag)


class _Envelope(Struct, frozen=True):
    type: Any = None


_envelopes = msgspec.json.Decoder(_Envelope)
_sounds = msgspec.json.Decoder(AudioDelta)
_objects = msgspec.json.Decoder(JsonObject)


def decode(frame: str | bytes) -> AudioDelta | JsonObject | Ignored:
    """One frame: its sound, or the message as JSON, or what is wrong with it. Never raises."""
    try:
        kind = _envelopes.decode(frame).type
        if kind == SOUND:
            return _sounds.decode(frame)
        if kind not in KINDS:
            return Ignored(str(kind)[:80])
        return _objects.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as fault:
        return Ignored("unreadable", str(fault)[:200])


def read(event: Mapping[str, Any]) -> ToldMessage | Ignored:
    """What a message of `decode` says. Never raises."""
    try:
        message: ToldMessage = msgspec.convert(event, ToldMessage)
    except msgspec.ValidationError as fault:
        return Ignored(str(event.get("type"))[:80], str(fault)[:200])
    return message


# --- what we ask of it -----------------------------------------------------------------------------------------------

PCM: JsonObject = {"type": "audio/pcm", "rate": 24_000}
"""What is spoken on this side, both ways; a client's own format is its own connection's business."""
NOT_ASKED = frozenset({"id", "object", "expires_at", "model", "include"})
"""Keys of a session that a server says and nobody asks for."""
NESTED = frozenset({"audio", "input", "output"})
"""Keys of a session whose values are changed key by key. All others are replaced as a whole."""


def session_of(settings: Settings, tools: tuple[FunctionTool, ...]) -> JsonObject:
    """The whole configuration that an upstream session is to have."""
    plain = AudioFormat()
    settings = msgspec.structs.replace(settings, input_format=plain, output_format=plain, tools=tools)
    whole: JsonObject = msgspec.to_builtins(outbound.session_from("", settings, 0))
    return {key: value for key, value in whole.items() if key not in NOT_ASKED}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> JsonObject:
    """What has to be asked for, so that a session of the one configuration has the other."""
    found: JsonObject = {}
    for key, value in after.items():
        if key in NESTED and isinstance(value, Mapping) and isinstance(before.get(key), Mapping):
            inner = changes(before[key], value)
            if inner:
                found[key] = inner
        elif key not in before or before[key] != value:
            found[key] = value
    return found


def item_of(item: Item) -> JsonObject | None:
    """An item as a server takes it from its client; None for one that it does not take. Of a person's speech that is
    over, and of an answer, only the words are there; a sound that came with a request is left for whoever has it."""
    match item:
        case Message(id=id, role=role, content=content):
            parts = [part for each in content if (part := _part_of(each, role)) is not None]
            return {"id": id, "type": "message", "role": role.value, "content": parts} if parts else None
        case FunctionCall(id=id, call_id=call_id, name=name, arguments=arguments):
            return {"id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case FunctionOutput(id=id, call_id=call_id, output=output):
            return {"id": id, "type": "function_call_output", "call_id": call_id, "output": output}
        case _:
            return None


def _part_of(part: Text | Speech | Picture, role: Role) -> JsonObject | None:
    kind = "output_text" if role is Role.ASSISTANT else "input_text"
    match part:
        case Text(text):
            return {"type": kind, "text": text}
        case Speech(clip=int()):
            return {"type": "input_audio"}
        case Speech(transcript=transcript):
            return {"type": kind, "text": transcript} if transcript else None
        case Picture(url=url, detail=detail):
            return {"type": "input_image", "image_url": url, "detail": detail}


def tool_of(tool: FunctionTool) -> JsonObject:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": msgspec.to_builtins(tool.parameters),
    }


def response_of(options: ResponseOptions, tools: tuple[FunctionTool, ...] | None) -> JsonObject:
    """What a response is asked for with. `tools` are all that it may call, if they are not its session's."""
    asked: JsonObject = msgspec.to_builtins(options.hints)
    for name in ("instructions", "tool_choice"):
        if (value := getattr(options, name)) is not UNSET:
            asked[name] = msgspec.to_builtins(value)
    if options.max_output_tokens is not UNSET:
        asked["max_output_tokens"] = "inf" if options.max_output_tokens is None else options.max_output_tokens
    if options.speaks is not UNSET:
        asked["output_modalities"] = ["audio"] if options.speaks else ["text"]
    if options.voice is not UNSET:
        asked["audio"] = {"output": {"voice": options.voice}}
    if tools is not None:
        asked["tools"] = [tool_of(tool) for tool in tools]
    if options.detached:
        asked["conversation"] = "none"
    if options.input is not None:
        parts = (_context_of(part) for part in options.input)
        asked["input"] = [part for part in parts if part is not None]
    if options.metadata:
        asked["metadata"] = dict(options.metadata)
    return asked


def _context_of(part: Item | str) -> JsonObject | None:
    if isinstance(part, str):
        return {"type": "item_reference", "id": part}
    item = item_of(part)
    return None if item is None else {key: value for key, value in item.items() if key != "id" or value}
