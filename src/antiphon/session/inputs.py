"""Everything that can happen to a session, as values.

An input says what happened and nothing about how it got here: no message, socket or task. Sound is never in one; it is
named by its position in the stream. All are frozen msgspec structs in one tagged union, so that a trace is a list of
them and replays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from antiphon.audio.units import Samples, Seconds
from antiphon.session.items import Item, McpFailure, McpTool
from antiphon.session.settings import ResponseOptions, SettingsPatch

# --- connections -----------------------------------------------------------------------------------------------------


class Attach(Struct, frozen=True, tag="attach"):
    """A connection joined the session and is to be told what the session is."""

    connection: str


class Detach(Struct, frozen=True, tag="detach"):
    """A connection is gone. The session stays: it may serve others, or be resumed."""

    connection: str


class LineLost(Struct, frozen=True, tag="line_lost"):
    """A connection broke, and may be taken up again: whom it serves hears nothing meanwhile."""

    connection: str


class LineRestored(Struct, frozen=True, tag="line_restored"):
    """It was taken up again. What its client missed it has been told by now."""

    connection: str


class Finish(Struct, frozen=True, tag="finish"):
    """The session is over: stop all work. Nothing may follow."""

    reason: str


# --- requests: what a connection asks for ----------------------------------------------------------------------------


class Request(Struct, frozen=True):
    """Asked by one connection, which alone hears if it is refused."""

    connection: str
    request: str | None
    """The client's own id for this request, echoed in a refusal."""


class Malformed(Request, frozen=True, tag="malformed"):
    """A message that could not be understood; refused with these words."""

    message: str
    code: str | None
    param: str | None = None


class UpdateSettings(Request, frozen=True, tag="update_settings"):
    patch: SettingsPatch


class CommitAudio(Request, frozen=True, tag="commit_audio"):
    """Make a user item of what was said since the last one."""

    end: Samples
    """How much the connection had sent when it asked."""


class ClearAudio(Request, frozen=True, tag="clear_audio"):
    """Forget what was said since the last item."""

    end: Samples


class CreateItem(Request, frozen=True, tag="create_item"):
    item: Item
    """With an empty id, the session gives one."""
    after: str | None = None
    """Id of the item that it follows; "root" for the front; None for the end."""
    consent: bool | None = None
    """Of a person's written words: a yes or a no, if they are one of both."""


class RetrieveItem(Request, frozen=True, tag="retrieve_item"):
    item_id: str


class DeleteItem(Request, frozen=True, tag="delete_item"):
    item_id: str


class TruncateItem(Request, frozen=True, tag="truncate_item"):
    """The person heard only this much of an assistant's audio."""

    item_id: str
    content_index: int
    audio_end_ms: int


class CreateResponse(Request, frozen=True, tag="create_response"):
    options: ResponseOptions


class CancelTool(Request, frozen=True, tag="cancel_tool"):
    """End a call of one of the server's tools, also one that goes on beside the conversation."""

    call_id: str


class AnswerApproval(Request, frozen=True, tag="answer_approval"):
    """Allow a call of one of the server's tools that waits for it, or forbid it."""

    call_id: str
    approve: bool


class CancelResponse(Request, frozen=True, tag="cancel_response"):
    response_id: str | None = None


class ClearPlayback(Request, frozen=True, tag="clear_playback"):
    """Stop playing, now: only where the server plays."""


# --- hearing: what the voice detector says ---------------------------------------------------------------------------


class VoiceBegan(Struct, frozen=True, tag="voice_began"):
    """Somebody speaks."""

    at: Samples
    """Start of the first voiced window."""
    heard: Samples
    """How far the stream has been scored."""
    arrived: Seconds
    """When the message that completed the last scored window came in."""


class VoicePaused(Struct, frozen=True, tag="voice_paused"):
    """The voice stopped, for a breath or for good."""

    at: Samples
    """End of the last voiced window."""
    heard: Samples
    arrived: Seconds


class SilenceTick(Struct, frozen=True, tag="silence_tick"):
    """Another window without a voice while a turn is open."""

    heard: Samples
    arrived: Seconds


class VoiceTick(Struct, frozen=True, tag="voice_tick"):
    """The voice goes on: about once a second, so that a turn without a pause can be bounded."""

    heard: Samples
    arrived: Seconds


class VoiceSuspected(Struct, frozen=True, tag="voice_suspected"):
    """One voiced window in quiet: no voice yet, but no silence either."""

    at: Samples
    """Start of the window."""
    heard: Samples
    arrived: Seconds


class VoiceDismissed(Struct, frozen=True, tag="voice_dismissed"):
    """Nothing came of the suspicion."""

    heard: Samples
    arrived: Seconds


class Prosody(Struct, frozen=True, tag="prosody"):
    """How the last voiced half second before a pause sounded: see `hearing.prosody`."""

    heard: Samples
    """End of the voice that it describes."""
    pitch_fall: float | None
    """Octaves by which the pitch fell towards the end; negative if it rose; None where no pitch was found."""
    energy_fall_db: float
    """How much quieter its last fifth was than the rest."""


class HearingFailed(Struct, frozen=True, tag="hearing_failed"):
    """The voice detector broke, or audio came faster than it may be kept."""

    code: str
    message: str


# --- results: what the work that the session asked for has brought ---------------------------------------------------


class Result(Struct, frozen=True):
    """Came from a piece of work that the session started. If that work is no longer wanted, the result is dropped."""

    work: int


class Reading(Struct, frozen=True, omit_defaults=True):
    """What an utterance's words say about the turn, as figures: the session judges by them and never reads the words,
    so that a trace replays with its words crossed out. See `hearing.words`.
    """

    words: int = 0
    """The same for texts of the same words, whatever their case and punctuation. 0 is of no words."""
    over: float | None = None
    """P(the sentence is whole) in [0, 1]; None if the language is not known well enough to say."""
    is_backchannel: bool = False
    """Nothing but "mm-hm", "right", and the like."""
    echoed: float = 0.0
    """Share of the words, in [0, 1], that we said ourselves in this order within the last seconds."""
    consent: bool | None = None
    """A yes or a no, if it is one of both."""


class TranscriptGrew(Result, frozen=True, tag="transcript_grew"):
    text: str
    logprobs: tuple[tuple[str, float], ...] = ()
    """Tokens and the natural logarithms of their probabilities, where the recogniser has them."""
    tail: str | None = None
    """What seems to follow it, and may change; None if the recogniser does not look ahead."""


class TranscriptReady(Result, frozen=True, tag="transcript_ready"):
    text: str
    language: str | None = None
    seconds: float = 0.0
    """Length of the audio that was recognised."""
    logprobs: tuple[tuple[str, float], ...] = ()
    reading: Reading = Reading()


class TurnScored(Result, frozen=True, tag="turn_scored"):
    """What the audio turn model says."""

    probability: float
    """That the turn is over, in [0, 1]."""


class TextWritten(Result, frozen=True, tag="text_written"):
    text: str


class CallWritten(Result, frozen=True, tag="call_written"):
    """More of the arguments of the function call with this index."""

    index: int
    call_id: str
    name: str
    arguments: str


class WritingEnded(Result, frozen=True, tag="writing_ended"):
    """The model has said all; its voice may still be at work."""

    reason: str
    """"stop", "length", "tool_calls" or "content_filter"."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class Summarised(Result, frozen=True, tag="summarised"):
    """A summary has been written, whole."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


class ClauseBegan(Result, frozen=True, tag="clause_began"):
    """The next stretch of text goes to the voice; the audio that follows belongs to it."""

    text: str
    """As written, white space included: clauses join to the whole text."""


class AudioMade(Result, frozen=True, tag="audio_made"):
    """More audio of the current clause lies ready."""

    samples: int


class WordsMarked(Result, frozen=True, tag="words_marked"):
    """The voice says when words of the current clause begin."""

    marks: tuple[tuple[int, int], ...]
    """Letters of the clause before the word, and samples of its audio before the word's."""


class ClauseEnded(Result, frozen=True, tag="clause_ended"):
    """The current clause has all its audio."""


class SpeakingEnded(Result, frozen=True, tag="speaking_ended"):
    """There will be no more audio from this work."""


class ToolReturned(Result, frozen=True, tag="tool_returned"):
    output: str
    ok: bool = True


class McpToolsListed(Result, frozen=True, tag="mcp_tools_listed"):
    tools: tuple[McpTool, ...]


class McpToolReturned(Result, frozen=True, tag="mcp_tool_returned"):
    """Exactly one of the two is given."""

    output: str | None = None
    failure: McpFailure | None = None


class WorkFailed(Result, frozen=True, tag="work_failed"):
    code: str
    message: str


# --- playing: what the speaker says ---------------------------------------------------------------------------------


class Played(Struct, frozen=True, tag="played"):
    """So much of a response's sound has been played by now. The first report says that it began."""

    response_id: str
    samples: Samples
    """Over all its items, from the first one's first sample."""


class AudioPlayed(Struct, frozen=True, tag="audio_played"):
    """The same from a connection that plays for itself: a person has heard this much of an item's sound."""

    item_id: str
    played: Samples


# --- another server: where the voice of a session is one of its own --------------------------------------------------


class UpstreamOpened(Struct, frozen=True, tag="upstream_opened"):
    """There is a connection to it, on which we have said nothing yet."""

    heard: Samples
    """How much sound had come from the person by then."""


class UpstreamLost(Struct, frozen=True, tag="upstream_lost"):
    """The connection is gone, or could not be made."""

    code: str
    message: str
    heard: Samples
    """How much sound had come from the person by then."""
    comes_back: bool = True
    """Whether another one is being made."""


class UpstreamSaid(Struct, frozen=True, tag="upstream_said"):
    """A message of it, without sound. Only `relay` can read it."""

    event: Mapping[str, Any]
    heard: Samples
    """How much sound had come from the person by then."""


class UpstreamSpoke(Struct, frozen=True, tag="upstream_spoke"):
    """Sound of an answer has come, and lies ready under this number."""

    response_id: str
    """What the other server calls it, and the item."""
    item_id: str
    work: int
    samples: Samples


# --- the rest --------------------------------------------------------------------------------------------------------


class Announce(Struct, frozen=True, tag="announce"):
    """Say this as soon as nobody speaks: a timer rang, a slow tool has its answer."""

    text: str


class ToolProgressed(Struct, frozen=True, tag="tool_progressed"):
    """A tool of the server says how far it is."""

    call_id: str
    name: str
    text: str


class TaskEnded(Struct, frozen=True, tag="task_ended"):
    """A call of a server's tool that had gone on beside the conversation has its result."""

    call_id: str
    name: str
    arguments: str
    output: str
    ok: bool


class TimePassed(Struct, frozen=True, tag="time_passed"):
    """The deadline was reached."""

    heard: Samples = 0
    """How much sound had come by then."""


Input = (
    Attach
    | Detach
    | LineLost
    | LineRestored
    | Finish
    | Malformed
    | UpdateSettings
    | CommitAudio
    | ClearAudio
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | TruncateItem
    | CreateResponse
    | CancelResponse
    | ClearPlayback
    | AudioPlayed
    | VoiceBegan
    | VoicePaused
    | SilenceTick
    | VoiceTick
    | VoiceSuspected
    | VoiceDismissed
    | Prosody
    | HearingFailed
    | TranscriptGrew
    | TranscriptReady
    | TurnScored
    | TextWritten
    | CallWritten
    | WritingEnded
    | Summarised
    | ClauseBegan
    | AudioMade
    | WordsMarked
    | ClauseEnded
    | SpeakingEnded
    | ToolReturned
    | McpToolsListed
    | McpToolReturned
    | WorkFailed
    | Played
    | Announce
    | ToolProgressed
    | TaskEnded
    | CancelTool
    | AnswerApproval
    | TimePassed
    | UpstreamOpened
    | UpstreamLost
    | UpstreamSaid
    | UpstreamSpoke
)
