"""A session's configuration on the wire: the change that a client asks for, and the whole that we echo.

A `SessionPatch` has every field optional, with UNSET for absent, so that three things stay apart: left out (keep what
is), null (clear, or back to the default) and a value. A `RealtimeSession` or `TranscriptionSession` is the *effective*
whole. How the one is applied to the other, and what may change when, is not known here.

The echo has one rule, which is what all official clients accept together: every key is written, with null or the
default where nothing was set; but inside `audio.input.transcription` only the keys that were set.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from antiphon.protocol.items import AudioFormat, AudioPcm, JsonObject, Modality

T = TypeVar("T")

Maybe: TypeAlias = T | UnsetType | None
"""Absent, null, or a value: each means something else in a patch."""

LONGEST_MS = 2**31 - 1  # 24 days: far beyond any session, and small enough to be converted to samples anywhere

Milliseconds = Annotated[int, Meta(ge=0, le=LONGEST_MS)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Speed = Annotated[float, Meta(ge=0.25, le=1.5)]
TokenLimit = Annotated[int, Meta(ge=1, le=2**31 - 1)] | Literal["inf"]

Include = Literal["item.input_audio_transcription.logprobs"]
LOGPROBS: Include = "item.input_audio_transcription.logprobs"
Eagerness = Literal["low", "medium", "high", "auto"]

# --- tools -----------------------------------------------------------------------------------------------------------


class FunctionTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function that the client runs when the model calls it."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    """JSON schema of its arguments."""


class McpToolFilter(Struct, frozen=True, kw_only=True):
    read_only: Maybe[bool] = UNSET
    tool_names: Maybe[tuple[str, ...]] = UNSET


class McpApprovalFilter(Struct, frozen=True, kw_only=True):
    always: Maybe[McpToolFilter] = UNSET
    never: Maybe[McpToolFilter] = UNSET


class McpTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="mcp"):
    """All tools of an MCP server, which our server calls itself."""

    server_label: str
    server_url: Maybe[str] = UNSET
    connector_id: Maybe[str] = UNSET
    tunnel_id: Maybe[str] = UNSET
    authorization: Maybe[str] = UNSET
    """A secret: used, never echoed, never logged."""
    headers: Maybe[dict[str, str]] = UNSET
    """May hold secrets: used, never echoed, never logged."""
    allowed_tools: Maybe[tuple[str, ...] | McpToolFilter] = UNSET
    require_approval: Maybe[Literal["always", "never"] | McpApprovalFilter] = UNSET
    server_description: Maybe[str] = UNSET
    defer_loading: Maybe[bool] = UNSET
    allowed_callers: Maybe[tuple[Literal["direct", "programmatic"], ...]] = UNSET


Tool = FunctionTool | McpTool


class ToolChoiceFunction(Struct, frozen=True, tag_field="type", tag="function"):
    name: str


class ToolChoiceMcp(Struct, frozen=True, tag_field="type", tag="mcp"):
    server_label: str
    name: Maybe[str] = UNSET


ToolChoice = Literal["none", "auto", "required"] | ToolChoiceFunction | ToolChoiceMcp

# --- small settings that patch and echo share ------------------------------------------------------------------------


class VoiceId(Struct, frozen=True):
    """A custom voice."""

    id: str


class Tracing(Struct, frozen=True, kw_only=True):
    workflow_name: Maybe[str] = UNSET
    group_id: Maybe[str] = UNSET
    metadata: Maybe[JsonObject] = UNSET


class TokenLimits(Struct, frozen=True, kw_only=True):
    post_instructions: Maybe[Annotated[int, Meta(ge=0, le=2**31 - 1)]] = UNSET


class RetentionRatio(Struct, frozen=True, kw_only=True, tag_field="type", tag="retention_ratio"):
    """On overflow, drop the oldest items until this share of the limit is used."""

    retention_ratio: Fraction
    token_limits: Maybe[TokenLimits] = UNSET


Truncation = Literal["auto", "disabled"] | RetentionRatio


class Prompt(Struct, frozen=True, kw_only=True):
    """A stored prompt."""

    id: str
    version: Maybe[str] = UNSET
    variables: Maybe[JsonObject] = UNSET


class Reasoning(Struct, frozen=True, kw_only=True):
    effort: Maybe[Literal["minimal", "low", "medium", "high", "xhigh"]] = UNSET


class NoiseReduction(Struct, frozen=True, kw_only=True):
    type: Literal["near_field", "far_field"] | UnsetType = UNSET
    strength: Maybe[Fraction] = UNSET
    """Left out of a patch, it stays as it was; 1 when noise reduction is first enabled."""


class Transcription(Struct, frozen=True, kw_only=True):
    """What the words of a person are recognised with.

    In an echo, only keys that were set may be there, and none may be null: one official client knows three of them
    and fails on any other.
    """

    model: Maybe[str] = UNSET
    language: Maybe[str] = UNSET
    prompt: Maybe[str] = UNSET
    languages: Maybe[tuple[str, ...]] = UNSET
    keywords: Maybe[tuple[str, ...]] = UNSET
    delay: Maybe[Literal["minimal", "low", "medium", "high", "xhigh"]] = UNSET


# --- the change that a client asks for -------------------------------------------------------------------------------


class ServerVadPatch(Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    threshold: Maybe[Fraction] = UNSET
    prefix_padding_ms: Maybe[Milliseconds] = UNSET
    silence_duration_ms: Maybe[Milliseconds] = UNSET
    idle_timeout_ms: Maybe[Milliseconds] = UNSET
    create_response: Maybe[bool] = UNSET
    interrupt_response: Maybe[bool] = UNSET


class SemanticVadPatch(Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"):
    eagerness: Maybe[Eagerness] = UNSET
    create_response: Maybe[bool] = UNSET
    interrupt_response: Maybe[bool] = UNSET


class AudioInputPatch(Struct, frozen=True, kw_only=True):
    format: Maybe[AudioFormat] = UNSET
    noise_reduction: Maybe[NoiseReduction] = UNSET
    transcription: Maybe[Transcription] = UNSET
    turn_detection: Maybe[ServerVadPatch | SemanticVadPatch] = UNSET


class AudioOutputPatch(Struct, frozen=True, kw_only=True):
    format: Maybe[AudioFormat] = UNSET
    voice: Maybe[str | VoiceId] = UNSET
    speed: Maybe[Speed] = UNSET


class AudioPatch(Struct, frozen=True, kw_only=True):
    input: Maybe[AudioInputPatch] = UNSET
    output: Maybe[AudioOutputPatch] = UNSET


class SessionPatch(Struct, frozen=True, kw_only=True):
    """What `session.update` carries, and the session that a client secret or a call is made with.

    One struct for both types of session: a transcription session uses `audio.input` and `include`, and ignores the
    rest. OpenAI insists on `type`; here it may be left out, and is then the type of the connection.
    """

    type: Maybe[Literal["realtime", "transcription"]] = UNSET
    model: Maybe[str] = UNSET
    instructions: Maybe[str] = UNSET
    output_modalities: Maybe[tuple[Modality, ...]] = UNSET
    audio: Maybe[AudioPatch] = UNSET
    tools: Maybe[tuple[Tool, ...]] = UNSET
    tool_choice: Maybe[ToolChoice] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    max_output_tokens: Maybe[TokenLimit] = UNSET
    truncation: Maybe[Truncation] = UNSET
    tracing: Maybe[Literal["auto"] | Tracing] = UNSET
    prompt: Maybe[Prompt] = UNSET
    reasoning: Maybe[Reasoning] = UNSET
    include: Maybe[tuple[Include, ...]] = UNSET


# --- the whole that we echo ------------------------------------------------------------------------------------------


class ServerVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    """Turns by silence. Clients read `interrupt_response` from the echo, so every default is filled in."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"):
    """Turns by meaning. Clients read `interrupt_response` from the echo, so every default is filled in."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad


class AudioInput(Struct, frozen=True, kw_only=True):
    format: AudioFormat = AudioPcm()
    noise_reduction: NoiseReduction | None = None
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = ServerVad()


class AudioOutput(Struct, frozen=True, kw_only=True):
    format: AudioFormat = AudioPcm()
    voice: str | VoiceId = "marin"
    speed: float = 1.0


class Audio(Struct, frozen=True, kw_only=True):
    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class RealtimeSession(Struct, frozen=True, kw_only=True, tag_field="type", tag="realtime"):
    """A session that talks, as `session.created` and `session.updated` show it."""

    id: str
    object: Literal["realtime.session"] = "realtime.session"
    expires_at: int
    """Seconds since 1970, UTC."""
    model: str
    instructions: str = ""
    output_modalities: tuple[Modality, ...] = ("audio",)
    audio: Audio = Audio()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    max_output_tokens: TokenLimit = "inf"
    truncation: Truncation = "auto"
    tracing: Literal["auto"] | Tracing | None = None
    prompt: Prompt | None = None
    reasoning: Reasoning | None = None
    include: tuple[Include, ...] | None = None


class TranscriptionAudio(Struct, frozen=True, kw_only=True):
    input: AudioInput = AudioInput()


class TranscriptionSession(Struct, frozen=True, kw_only=True, tag_field="type", tag="transcription"):
    """A session that only writes down what it hears, as `session.created` and `session.updated` show it."""

    id: str
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    expires_at: int
    """Seconds since 1970, UTC."""
    audio: TranscriptionAudio = TranscriptionAudio()
    include: tuple[Include, ...] | None = None


Session = RealtimeSession | TranscriptionSession
