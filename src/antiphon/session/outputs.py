"""Everything that a session can ask for or tell, as values.

Two families. A *command* asks the runtime for work and carries a work number, which every result of it carries back. A
*notice* tells connections what happened; a front end such as `protocol` turns it into its own messages. Sound is
named by position in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from antiphon.audio.units import Samples
from antiphon.session.items import Item, McpCall, McpToolList
from antiphon.session.settings import AudioFormat, FunctionTool, Settings, TurnDetection

# --- commands --------------------------------------------------------------------------------------------------------


class Listen(Struct, frozen=True, tag="listen"):
    """Score the stream like this from now on; with None, do not score it."""

    detection: TurnDetection | None


class KeepAudio(Struct, frozen=True, tag="keep_audio"):
    """Everything from this position on may be asked for; what is older is not needed. None: only the pre-roll."""

    start: Samples | None


class TurnClosed(Struct, frozen=True, tag="turn_closed"):
    """The open turn ended: no more ticks, and the next voice begins another."""

    heard: Samples
    """Of the last thing that the detector said before."""


class Transcribe(Struct, frozen=True, tag="transcribe"):
    """Recognise this stretch of the stream. The audio has to be taken at once: it may be forgotten next."""

    work: int
    item_id: str
    start: Samples
    stop: Samples
    language: str | None = None
    prompt: str | None = None
    model: str | None = None
    answer: bool = True
    """Whether the words are for our own model, or only for the client to read."""
    logprobs: bool = False
    clip: int | None = None
    """The stretch is of this sound, which came with the request, and not of the stream."""
    is_provisional: bool = False
    """The person may go on speaking; then the words were for nothing."""
    awaits_consent: bool = False
    """The person was asked whether something may be done: a yes or a no is likely."""
    is_voice: bool = True
    """A detector listens to its stream. Else only the client says that there is something to recognise."""


class Follow(Struct, frozen=True, tag="follow"):
    """Recognise what is said from here on while it is being said, until `Followed` tells where it ended."""

    work: int
    item_id: str
    start: Samples
    is_turn: bool
    """It is one utterance, which the detector heard begin. Else it is whatever the client sends, silence included."""
    language: str | None = None
    prompt: str | None = None
    model: str | None = None
    logprobs: bool = False


class Followed(Struct, frozen=True, tag="followed"):
    """What this work follows is over: its transcript is wanted. The audio has to be taken at once."""

    work: int
    stop: Samples
    voiced_to: Samples
    """Between this and `stop` is no voice."""


class ScoreTurn(Struct, frozen=True, tag="score_turn"):
    """Ask the audio turn model whether the turn that this stretch ends is over."""

    work: int
    start: Samples
    stop: Samples


class RetainAudio(Struct, frozen=True, tag="retain_audio"):
    """Keep this sound under its item's name, for a connection may ask for it. The oldest are given up first."""

    item_id: str
    start: Samples
    stop: Samples
    work: int | None = None
    """It was made by this work; the stretch counts from its first sample."""
    clip: int | None = None
    """It is one of the sounds that came with the request. Without either it is part of the stream."""


class TrimAudio(Struct, frozen=True, tag="trim_audio"):
    """Of the item's sound, only what lies before `stop` is still wanted."""

    item_id: str
    stop: Samples


class ForgetAudio(Struct, frozen=True, tag="forget_audio"):
    item_id: str


class Generate(Struct, frozen=True, tag="generate"):
    """Write the next part of a response, and speak it if `voice` is given."""

    work: int
    response_id: str | None
    """None: the turn may not be over. Make the answer's beginning ready, and wait for `Release` with the rest."""
    context: tuple[Item, ...]
    """The conversation as the person knows it: interrupted answers end where they were cut off."""
    instructions: str
    tools: tuple[FunctionTool, ...]
    tool_choice: str | Mapping[str, Any]
    max_tokens: int | None
    model: str
    voice: str | None
    speed: float = 1.0
    output_format: AudioFormat = AudioFormat()
    hints: Mapping[str, Any] = {}
    """For models that know them: "parallel_tool_calls", "reasoning"."""
    language: str | None = None
    """That the answer is probably in, as an ISO-639-1 code, with or without a region; None if nobody knows."""
    summary: str = ""
    """Of what was said before `context`, if there is one."""


class Summarise(Struct, frozen=True, tag="summarise"):
    """Write down, for the model itself, what matters of these items, in place of the summary before. Nobody waits."""

    work: int
    context: tuple[Item, ...]
    """What the summary does not know yet, as the person knows it."""
    summary: str
    """The one before; empty if there is none."""
    model: str
    max_tokens: int


class Release(Struct, frozen=True, tag="release"):
    """What was made ready under this number is this response's; go on with it."""

    work: int
    response_id: str


class Say(Struct, frozen=True, tag="say"):
    """Speak this text; there is no model to ask."""

    work: int
    response_id: str
    text: str
    voice: str | None
    speed: float = 1.0
    output_format: AudioFormat = AudioFormat()
    language: str | None = None
    """As for `Generate`."""
    is_fixed: bool = False
    """It is said again and again, so its sound is worth keeping."""


class RunTool(Struct, frozen=True, tag="run_tool"):
    work: int
    response_id: str
    call_id: str
    name: str
    arguments: str


class StopTool(Struct, frozen=True, tag="stop_tool"):
    """End this call, wherever it is. If there is none, its connection is to be told."""

    call_id: str
    connection: str
    request: str | None


class ListMcpTools(Struct, frozen=True, tag="list_mcp_tools"):
    """Ask an MCP server what it can do."""

    work: int
    address: int


class CallMcpTool(Struct, frozen=True, tag="call_mcp_tool"):
    """Have an MCP server run one of its tools."""

    work: int
    address: int
    name: str
    arguments: str


class LeaveMcpServer(Struct, frozen=True, tag="leave_mcp_server"):
    """Nothing of the server at this address is wanted any more."""

    address: int


class StopWork(Struct, frozen=True, tag="stop_work"):
    """Its results are not wanted any more: cancel it, close its upstream requests."""

    work: int


class DropAudio(Struct, frozen=True, tag="drop_audio"):
    """The audio that this work has made is not needed any more."""

    work: int


class OfUpstream(Struct, frozen=True):
    """For the connection to the server that is the session's voice, if that is another one."""


class ToUpstream(OfUpstream, frozen=True, tag="to_upstream"):
    """Say this to the server that is the session's voice."""

    event: Mapping[str, Any]
    sound: int | str | None = None
    """What the one part of the item is that is audio: a sound that came with the request, by its number, or that of the
    item of this id."""


class ResendAudio(OfUpstream, frozen=True, tag="resend_audio"):
    """Let that server hear the person from here on; what comes from now on it hears by itself."""

    start: Samples


class LeaveUpstream(OfUpstream, frozen=True, tag="leave_upstream"):
    """Its connection is of no use any more: drop it, and make another."""

    reason: str


class Close(Struct, frozen=True, tag="close"):
    """End every connection of this session."""

    reason: str


# --- notices ---------------------------------------------------------------------------------------------------------


class Refused(Struct, frozen=True, tag="refused"):
    """A request was not carried out, and changed nothing."""

    to: str | None
    """The connection that asked; None tells all."""
    request: str | None
    message: str
    code: str | None
    param: str | None = None
    kind: str = "invalid_request_error"


class Welcomed(Struct, frozen=True, tag="welcomed"):
    """A connection has joined; this is the session as it stands."""

    to: str
    session_id: str
    conversation_id: str
    settings: Settings
    expires_in_s: float


class SettingsChanged(Struct, frozen=True, tag="settings_changed"):
    session_id: str
    settings: Settings
    expires_in_s: float


class SpeechStarted(Struct, frozen=True, tag="speech_started"):
    item_id: str
    at: Samples


class SpeechStopped(Struct, frozen=True, tag="speech_stopped"):
    item_id: str
    at: Samples


class AudioCommitted(Struct, frozen=True, tag="audio_committed"):
    item_id: str
    previous: str | None


class TimedOut(Struct, frozen=True, tag="timed_out"):
    """The person has said nothing for so long that this silence counts as a turn."""

    item_id: str
    start: Samples
    stop: Samples


class AudioCleared(Struct, frozen=True, tag="audio_cleared"):
    pass


class ItemAdded(Struct, frozen=True, tag="item_added"):
    """An item that is complete from the start entered the conversation."""

    item: Item
    previous: str | None


class ItemRetrieved(Struct, frozen=True, tag="item_retrieved"):
    to: str
    item: Item


class ItemDeleted(Struct, frozen=True, tag="item_deleted"):
    item_id: str


class ItemTruncated(Struct, frozen=True, tag="item_truncated"):
    item_id: str
    content_index: int
    audio_end_ms: int


class TranscriptionGrew(Struct, frozen=True, tag="transcription_grew"):
    item_id: str
    text: str
    """Append-only: never taken back."""
    logprobs: tuple[tuple[str, float], ...] = ()
    tail: str | None = None
    """What seems to follow it, and may change; None where nobody can know."""


class TranscriptionDone(Struct, frozen=True, tag="transcription_done"):
    item_id: str
    text: str
    seconds: float
    language: str | None = None
    logprobs: tuple[tuple[str, float], ...] = ()
    """Tokens and the natural logarithms of their probabilities, if the client wants them and the recogniser has them.
    """


class TranscriptionFailed(Struct, frozen=True, tag="transcription_failed"):
    item_id: str
    code: str
    message: str


class ResponseInfo(Struct, frozen=True):
    """A response as it stands."""

    id: str
    conversation_id: str | None
    status: str
    """"in_progress", "completed", "cancelled", "failed" or "incomplete"."""
    speaks: bool
    voice: str
    output_format: AudioFormat
    max_output_tokens: int | None
    metadata: Mapping[str, str] | None = None
    reason: str | None = None
    """Why it did not complete: "turn_detected", "client_cancelled", "max_output_tokens", "content_filter"."""
    error_code: str | None = None
    error_message: str | None = None
    output: tuple[Item, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class ResponseBegan(Struct, frozen=True, tag="response_began"):
    response: ResponseInfo


class OutputBegan(Struct, frozen=True, tag="output_began"):
    """The response started another item; its content follows."""

    response_id: str
    index: int
    item: Item
    speaks: bool
    previous: str | None = None
    detached: bool = False


class TextSent(Struct, frozen=True, tag="text_sent"):
    """More words of an item: written, or the words of the audio that follows."""

    response_id: str
    index: int
    item_id: str
    text: str
    spoken: bool


class AudioSent(Struct, frozen=True, tag="audio_sent"):
    """This stretch of the item's audio goes out now."""

    response_id: str
    index: int
    item_id: str
    work: int
    """Which work made the audio; the stretch counts from its first sample."""
    start: Samples
    stop: Samples


class ArgumentsSent(Struct, frozen=True, tag="arguments_sent"):
    response_id: str
    index: int
    item_id: str
    call_id: str
    text: str


class OutputEnded(Struct, frozen=True, tag="output_ended"):
    """The item is final: complete, or cut off."""

    response_id: str
    index: int
    item: Item
    speaks: bool
    previous: str | None = None
    detached: bool = False


class ResponseEnded(Struct, frozen=True, tag="response_ended"):
    response: ResponseInfo


class PlaybackBegan(Struct, frozen=True, tag="playback_began"):
    """The server plays the first sound of this response."""

    response_id: str


class PlaybackReached(Struct, frozen=True, tag="playback_reached"):
    """So far the server has come with playing this item."""

    response_id: str
    item_id: str
    played: Samples
    letters: int
    """Of its words, from the beginning, that were spoken by then."""


class PlaybackEnded(Struct, frozen=True, tag="playback_ended"):
    """The response is over and was played to its end."""

    response_id: str


class PlaybackCleared(Struct, frozen=True, tag="playback_cleared"):
    """In place of `PlaybackEnded`: what was not played yet will not be."""

    response_id: str
    began: bool
    """Whether anything of it was played."""


class ToolBegan(Struct, frozen=True, tag="tool_began"):
    """The server runs one of its own tools."""

    response_id: str
    call_id: str
    name: str
    arguments: str


class ApprovalAsked(Struct, frozen=True, tag="approval_asked"):
    """The person has to allow this call of a tool of the server; the model asks aloud."""

    call_id: str
    name: str
    arguments: str
    expires_in_s: float


class ApprovalSettled(Struct, frozen=True, tag="approval_settled"):
    """By the person, or by the time that was over."""

    call_id: str
    name: str
    outcome: str
    """"allowed", "refused" or "expired"."""


class ToolReported(Struct, frozen=True, tag="tool_reported"):
    """How far a tool of the server is, in its own words."""

    call_id: str
    name: str
    text: str


class TaskDone(Struct, frozen=True, tag="task_done"):
    """A call that had gone on beside the conversation has its result."""

    call_id: str
    name: str
    output: str
    ok: bool


class ToolEnded(Struct, frozen=True, tag="tool_ended"):
    response_id: str
    call_id: str
    name: str
    output: str
    ok: bool


class SpeculationEnded(Struct, frozen=True, tag="speculation_ended"):
    """What came of an answer that was prepared before its turn was over: for the trace and the metrics."""

    outcome: Literal["hit", "miss", "failed"]
    tokens: int
    """That the model had written by then. Of a miss they were for nothing."""


class BargeInJudged(Struct, frozen=True, tag="barge_in_judged"):
    """Whether a voice over our answer was meant for us: for the trace and the metrics."""

    outcome: Literal["confirmed", "dismissed", "backchannel", "echo", "brief"]
    held_ms: int
    """How long the answer was held back for it."""


class ToolListingBegan(Struct, frozen=True, tag="tool_listing_began"):
    """An MCP server is being asked for its tools."""

    item: McpToolList
    previous: str | None


class ToolListingEnded(Struct, frozen=True, tag="tool_listing_ended"):
    item: McpToolList
    previous: str | None
    ok: bool


class McpArgumentsSent(Struct, frozen=True, tag="mcp_arguments_sent"):
    response_id: str
    index: int
    item_id: str
    text: str


class McpArgumentsEnded(Struct, frozen=True, tag="mcp_arguments_ended"):
    response_id: str
    index: int
    item_id: str
    arguments: str


class McpCallAwaits(Struct, frozen=True, tag="mcp_call_awaits"):
    """The response is done with the call and the conversation is not: it waits to be allowed."""

    response_id: str
    index: int
    item: McpCall


class McpCallBegan(Struct, frozen=True, tag="mcp_call_began"):
    """The MCP server has been asked."""

    index: int
    item_id: str


class McpCallEnded(Struct, frozen=True, tag="mcp_call_ended"):
    index: int
    item_id: str
    ok: bool


class McpCallSettled(Struct, frozen=True, tag="mcp_call_settled"):
    """A call that outlived its response has its outcome."""

    item: McpCall
    previous: str | None


class Remark(Struct, frozen=True, tag="remark"):
    """Why nothing was said, or what was dropped: for the trace, never for the wire."""

    text: str
    warns: bool = False
    """Also for the log: whoever runs the server may want to change something."""


Command = (
    Listen
    | KeepAudio
    | TurnClosed
    | Transcribe
    | Follow
    | Followed
    | RetainAudio
    | TrimAudio
    | ForgetAudio
    | Generate
    | Summarise
    | Release
    | ScoreTurn
    | Say
    | RunTool
    | StopTool
    | ListMcpTools
    | CallMcpTool
    | LeaveMcpServer
    | StopWork
    | DropAudio
    | ToUpstream
    | ResendAudio
    | LeaveUpstream
    | Close
)
Notice = (
    Refused
    | Welcomed
    | SettingsChanged
    | SpeechStarted
    | SpeechStopped
    | AudioCommitted
    | TimedOut
    | AudioCleared
    | ItemAdded
    | ItemRetrieved
    | ItemDeleted
    | ItemTruncated
    | TranscriptionGrew
    | TranscriptionDone
    | TranscriptionFailed
    | ResponseBegan
    | OutputBegan
    | TextSent
    | AudioSent
    | ArgumentsSent
    | OutputEnded
    | ResponseEnded
    | PlaybackBegan
    | PlaybackReached
    | PlaybackEnded
    | PlaybackCleared
    | ToolBegan
    | ToolEnded
    | ApprovalAsked
    | ApprovalSettled
    | ToolReported
    | TaskDone
    | ToolListingBegan
    | ToolListingEnded
    | McpArgumentsSent
    | McpArgumentsEnded
    | McpCallAwaits
    | McpCallBegan
    | McpCallEnded
    | McpCallSettled
)
Output = Command | Notice | SpeculationEnded | BargeInJudged | Remark
