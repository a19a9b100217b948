"""What can be set about a session: by its client at any time, by its operator once, and for one response.

The words are the session's own. `protocol` translates a wire configuration into a `SettingsPatch` and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from antiphon.session.items import Item, McpTool


class AudioFormat(Struct, frozen=True):
    """How sound is written on the wire. The session's own ruler stays 24 kHz whatever this says."""

    kind: Literal["pcm", "pcmu", "pcma"] = "pcm"
    rate: int = 24_000
    """Hertz: 24,000 for pcm, 8,000 for the two telephone formats."""


class TurnDetection(Struct, frozen=True):
    """When the person's turn begins and ends, and what follows from it."""

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5
    """P(speech) from which a window counts as voiced: how noisy the place is."""
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    """Silence that ends a turn: how fast the person wants to be answered."""
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"


class Transcription(Struct, frozen=True):
    """Asks for the words of what the person said, on the wire. The session itself always needs them."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    extra: Mapping[str, Any] = {}
    """Keys that were set and change nothing here; echoed as they came."""


class FunctionTool(Struct, frozen=True, tag="function"):
    """A function that the client runs when the model calls it."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = {}


class ToolFilter(Struct, frozen=True, omit_defaults=True):
    """Tools of an MCP server: those that match all that is given. An empty filter matches every tool."""

    names: tuple[str, ...] | None = None
    read_only: bool | None = None
    destroys: bool | None = None

    def matches(self, tool: McpTool) -> bool:
        if self.names is not None and tool.name not in self.names:
            return False
        if self.destroys is not None and tool.destroys != self.destroys:
            return False
        return self.read_only is None or tool.read_only == self.read_only


class ApprovalFilter(Struct, frozen=True, omit_defaults=True):
    """Which tools need approval. What neither filter names does, and so does what both name."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None


class McpServer(Struct, frozen=True, tag="mcp"):
    """All tools of an MCP server, which our server calls itself."""

    label: str
    address: int | None = None
    """Number by which the runtime knows where the server is and what it is shown to be let in: secrets never come in
    here. None in a request: what the label meant before."""
    url: str = ""
    """To be echoed: without what may be secret, its query."""
    description: str = ""
    allowed: ToolFilter | None = None
    approval: Literal["always", "never"] | ApprovalFilter = "always"
    reflected: Mapping[str, Any] = {}
    """Keys that are echoed and change nothing."""

    def needs_approval(self, tool: McpTool) -> bool:
        if isinstance(self.approval, str):
            return self.approval == "always"
        if self.approval.always is not None and self.approval.always.matches(tool):
            return True
        return self.approval.never is None or not self.approval.never.matches(tool)


Tool = FunctionTool | McpServer


class Truncation(Struct, frozen=True):
    """What happens when the conversation outgrows the model's context."""

    kind: Literal["auto", "disabled", "retention_ratio"] = "auto"
    """Drop as much as needed; drop nothing and fail the response; or drop until `ratio` of the limit is used."""
    ratio: float = 1.0
    limit: int | None = None
    """Tokens that the conversation may take, instructions and tools apart; None: what the model's context allows."""


class Settings(Struct, frozen=True):
    """What a client may change while the session lives."""

    kind: Literal["realtime", "transcription"] = "realtime"
    model: str = "antiphon"
    instructions: str = ""
    speaks: bool = True
    """Whether responses are spoken, or only written."""
    voice: str = "marin"
    speed: float = 1.0
    input_format: AudioFormat = AudioFormat()
    output_format: AudioFormat = AudioFormat()
    transcription: Transcription | None = None
    logprobs: bool = False
    """Whether the client is told how sure the recogniser is of each token."""
    turn_detection: TurnDetection | None = TurnDetection()
    tools: tuple[Tool, ...] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    max_output_tokens: int | None = None
    """None is without limit."""
    truncation: Truncation = Truncation()
    hints: Mapping[str, Any] = {}
    """Wishes for the model that only some models know: "parallel_tool_calls", "reasoning"."""
    reflected: Mapping[str, Any] = {}
    """Settings that are accepted, echoed, and change nothing in the core: tracing, prompt, and the like."""


class SettingsPatch(Struct, frozen=True, omit_defaults=True):
    """A change of `Settings`: what is UNSET stays as it is."""

    kind: Literal["realtime", "transcription"] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    speaks: bool | UnsetType = UNSET
    voice: str | UnsetType = UNSET
    speed: float | UnsetType = UNSET
    input_format: AudioFormat | UnsetType = UNSET
    output_format: AudioFormat | UnsetType = UNSET
    transcription: Transcription | UnsetType | None = UNSET
    logprobs: bool | UnsetType = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_choice: str | Mapping[str, Any] | UnsetType = UNSET
    max_output_tokens: int | UnsetType | None = UNSET
    truncation: Truncation | UnsetType = UNSET
    hints: Mapping[str, Any] | UnsetType = UNSET
    """Merged key by key into what is there, as `reflected` is."""
    reflected: Mapping[str, Any] | UnsetType = UNSET


def patched(settings: Settings, patch: SettingsPatch) -> Settings:
    """`settings` with the patch applied. Whether the change is allowed is for the caller to have asked."""
    changes = {name: value for name in patch.__struct_fields__ if (value := getattr(patch, name)) is not UNSET}
    for merged in ("hints", "reflected"):
        if merged in changes:
            changes[merged] = {**getattr(settings, merged), **changes[merged]}
    return msgspec.structs.replace(settings, **changes)


class ResponseOptions(Struct, frozen=True, omit_defaults=True):
    """What one response does differently from the session's settings; UNSET follows them."""

    instructions: str | UnsetType = UNSET
    speaks: bool | UnsetType = UNSET
    voice: str | UnsetType = UNSET
    output_format: AudioFormat | UnsetType = UNSET
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_choice: str | Mapping[str, Any] | UnsetType = UNSET
    max_output_tokens: int | UnsetType | None = UNSET
    hints: Mapping[str, Any] = {}
    """Over the session's, key by key."""
    metadata: Mapping[str, str] | None = None
    """Carried through, and returned with the response."""
    detached: bool = False
    """Out of band: hears nothing of the conversation unless given it, and adds nothing to it."""
    input: tuple[Item | str, ...] | None = None
    """The context in place of the conversation: items, or ids of items that are in it."""


class Speculating(Struct, frozen=True):
    """How much may be prepared before it is certain that it is wanted."""

    answers: bool = False
    """Prepare the answer, and not only the words that judge the pause."""
    after_ms: int = 160
    """Silence after which it begins."""
    attempts: int = 4
    """In one turn: a person who pauses often is not worth more."""
    most_wasted: int = 50_000
    """Tokens written for nothing in a session, after which it stops trying."""


class Fillers(Struct, frozen=True):
    """What is said while tools take their time, so that nobody thinks the line is dead."""

    after_s: float = 2.5
    """Silence of one response after which it says so, once."""
    phrases: Mapping[str, str] = {}
    """By ISO-639-1 code; in other languages nothing is said."""


class Relaying(Struct, frozen=True):
    """The voice is another Realtime server: see `relay.session`."""

    recogniser: str | None = None
    """What it is asked to write down the person's words with, where the client names none."""
    joins: bool = False
    """The sound goes straight between the person and that server; we are beside."""
    patience_s: float = 20.0
    """For its next word, when it owes one: after that its connection counts as lost."""


class SessionConfig(Struct, frozen=True):
    """What a session starts with. Only `settings` can change later, and only through the session."""

    settings: Settings = Settings()
    earlier: tuple[Item, ...] = ()
    """What was said before, in a session that this one continues: words without sound."""
    server_tools: tuple[FunctionTool, ...] = ()
    """Functions that the server runs itself. A client that offers one of the same name takes it over."""
    withheld_tools: tuple[str, ...] = ()
    """Names of functions that the server has and this session may not use. A model that calls one is told so."""
    asks_before: tuple[str, ...] = ()
    """Names of server tools that run only when the person has allowed the call."""
    approval_s: float = 60.0
    """How long a call waits to be allowed, one of an MCP server included; then the answer is no."""
    lead_ms: int = 500
    """How far audio may be sent ahead of the moment in which it is played: what a jittery network needs, and what an
    interruption must throw away."""
    delta_ms: int = 100
    """Length of one audio delta: ten messages a second and response is enough once a lead exists."""
    max_turn_s: float = 60.0
    """A turn is committed when it gets this long, pause or no pause: the stream keeps no more."""
    lifetime_s: float = 3600.0
    context_tokens: int = 28_672
    """What a model may be told at once: instructions, tools and conversation. Of 32,768, an answer takes 4,096."""
    summarise: bool = False
    """Whether a model sums up what it can no longer be told of."""
    max_items: int = 10_000
    """That a client may add to: a day of talking. Each is looked at with every answer."""
    max_item_bytes: int = 32_000_000
    """Of all that a client adds together: the largest message holds one picture of 22 million in base64."""
    retained_bytes: int = 4_000_000
    """Of the sound of items, kept to be retrieved; the oldest is given up first."""
    max_responses: int = 16
    """At a time: the one of the conversation, and others beside it."""
    sees: bool = True
    """Whether the model takes pictures."""
    plays: bool = False
    """The server plays the answers itself and says how far it got (`inputs.Played`); connections are told of it."""
    mcp_servers: tuple[McpServer, ...] = ()
    """Of the operator: their tools are the server's own, and no connection is told of them."""
    max_mcp_servers: int = 8
    """Of a client, listed at a time. The one that was not used for longest gives way."""
    max_mcp_tools: int = 128
    """Of all MCP servers of a client: more than any model chooses well from. As many again of the operator's."""
    follow_up_s: float | None = 1.0
    """Once its MCP calls have answered, a response is over and the client asks for the next one. If it has not done so
    by then, we go on by ourselves; None: never."""
    max_tool_rounds: int = 8
    """Model, tools, model, tools ...: after this many the response ends, so that a confused model cannot loop."""
    follows: bool = False
    """Whether a session that only writes down tells the words while they are spoken."""
    follows_conversation: bool = False
    """Whether any other tells them then, if it tells them at all."""
    fillers: Fillers = Fillers()
    greeting: str = ""
    """Said to the first connection, unasked."""
    apologies: Mapping[str, str] = {}
    """Said when a spoken turn could not be answered, by ISO-639-1 code; in other languages nothing is said."""
    unreachable: Mapping[str, str] = {}
    """Said instead where a server that the answer depends on failed."""
    speculation: Speculating = Speculating()
    continuous_endpoint: bool = False
    """Judge the pauses of server_vad as those of semantic_vad: its silence is then the usual wait, not the only one."""
    barge_in: Literal["auto", "voice", "words"] = "auto"
    """What interrupts an answer: any voice, or words that are meant for us. By itself a voice for server_vad."""
    knows_echo: bool = True
    """Whether our own words, coming back through the microphone, are taken for an echo."""
    voiced_from: float = 0.5
    """P(speech) from which a window counts as voiced under semantic_vad, whose clients cannot say how noisy it is."""
    scores_turns: bool = False
    """Whether there is an audio turn model to ask."""
    relay: Relaying | None = None
    """How another server is the voice; None: the engines here are."""
