"""Our own messages, beside the protocol's: named `antiphon.*`, and sent only to a connection that asked for them.

Some official clients hang up on a message that they do not know, so `?antiphon=1` in the URL turns them on; the
number is the version of what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_args

from msgspec import Meta, Struct

VERSION = 1

# --- from the client -------------------------------------------------------------------------------------------------


class Playout(Struct, frozen=True, kw_only=True, tag_field="type", tag="antiphon.playout"):
    """How much of an answer's sound a person has heard by now, from a client that plays it itself.

    Said every few hundred milliseconds while it plays, and whenever it stops. Without it a clock has to guess. Never
    answered; an item that is not being spoken is ignored, for the report may have been under way when it was cut.
    """

    event_id: str | None = None
    item_id: str
    played_ms: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class ToolCancel(Struct, frozen=True, kw_only=True, tag_field="type", tag="antiphon.tool.cancel"):
    """End a call of one of the server's tools, also one that goes on beside the conversation. The model is told."""

    event_id: str | None = None
    call_id: str


class ApprovalAnswer(Struct, frozen=True, kw_only=True, tag_field="type", tag="antiphon.approval.answer"):
    """The person allows a call of one of the server's tools, or forbids it, by hand. They may also just say so."""

    event_id: str | None = None
    call_id: str
    approve: bool


AdditionRequest = Playout | ToolCancel | ApprovalAnswer

REQUESTS: Mapping[str, type[AdditionRequest]] = {
    "antiphon.playout": Playout,
    "antiphon.tool.cancel": ToolCancel,
    "antiphon.approval.answer": ApprovalAnswer,
}
"""Every message of ours that we understand, by its "type"."""

# --- to the client ---------------------------------------------------------------------------------------------------


class SessionResumable(Struct, frozen=True, tag_field="type", tag="antiphon.session.resumable", kw_only=True):
    """Whoever asked for it with `resumable=1` may come back after the connection broke: open another one in time, with
    `?antiphon=1&resume=TOKEN&after=EVENT`, the last event that came."""

    event_id: str
    session_id: str
    token: str
    """For nobody else: with it and the key the session can be taken over."""
    within_s: float


class SessionResumed(Struct, frozen=True, tag_field="type", tag="antiphon.session.resumed", kw_only=True):
    """The first message of a connection that goes on where another one broke. What that one missed follows, as it
    would have come."""

    event_id: str
    session_id: str
    missed: int
    """Messages that follow from before."""
    is_complete: bool
    """False: there were more of them than are kept, and the first are lost."""
    heard_ms: int
    """How much of the client's sound has come, since the session began. What was sent after it is to be sent again, if
    it is to be heard."""


class ToolStarted(Struct, frozen=True, tag_field="type", tag="antiphon.tool.started", kw_only=True):
    """The server runs one of its own tools for this response."""

    event_id: str
    response_id: str
    call_id: str
    name: str
    arguments: str


class ToolDone(Struct, frozen=True, tag_field="type", tag="antiphon.tool.done", kw_only=True):
    """It has answered."""

    event_id: str
    response_id: str
    call_id: str
    name: str
    output: str
    ok: bool


class OutputAudioHeard(Struct, frozen=True, tag_field="type", tag="antiphon.output_audio.heard", kw_only=True):
    """How far the server, where it plays, has come with an item: about twice a second, and at its end."""

    event_id: str
    response_id: str
    item_id: str
    played_ms: int
    letters: int
    """Of its transcript that were spoken by then, from the beginning: Unicode code points."""


class ApprovalRequested(Struct, frozen=True, tag_field="type", tag="antiphon.approval.requested", kw_only=True):
    """This call of one of the server's tools runs only if the person allows it. The answer that follows asks them."""

    event_id: str
    call_id: str
    name: str
    arguments: str
    expires_in_s: float


class ApprovalDone(Struct, frozen=True, tag_field="type", tag="antiphon.approval.done", kw_only=True):
    """The person has said yes or no, or nothing in time."""

    event_id: str
    call_id: str
    name: str
    outcome: str
    """"allowed", "refused" or "expired"."""


class ToolProgress(Struct, frozen=True, tag_field="type", tag="antiphon.tool.progress", kw_only=True):
    """How far it is, in a few words that can be shown or said."""

    event_id: str
    call_id: str
    name: str
    text: str


class TaskDone(Struct, frozen=True, tag_field="type", tag="antiphon.task.done", kw_only=True):
    """A tool that had gone on after its `antiphon.tool.done`, beside the conversation, has its result. An answer that
    tells it follows when nobody speaks."""

    event_id: str
    call_id: str
    name: str
    output: str
    ok: bool


class TranscriptionTail(Struct, frozen=True, tag_field="type", tag="antiphon.transcription.tail", kw_only=True):
    """What seems to follow the words that were told of an item so far, in `...input_audio_transcription.delta`. Those
    stay; this may change or go, and the next one takes its place."""

    event_id: str
    item_id: str
    tail: str


class Stage(Struct, frozen=True):
    """One stretch of the wait for an answer."""

    name: str
    """"silence_complete", "committed", "transcript", "first_token", "first_clause" or "first_audio": how it ended."""
    ms: float


class ToolSpan(Struct, frozen=True):
    """One tool that the server ran."""

    call_id: str
    name: str
    start_ms: float
    """From the beginning of the wait."""
    ms: float


class Timeline(Struct, frozen=True, tag_field="type", tag="antiphon.timeline", kw_only=True):
    """Where the time of one answer went. Follows its `response.done`."""

    event_id: str
    response_id: str
    item_id: str | None
    """Of what the person said; null when nobody had spoken."""
    status: str
    reason: str | None
    stages: tuple[Stage, ...]
    """In order, without gaps: from the end of speech, or from the request, to the first sound that was sent."""
    wait_ms: float | None
    """Their sum; null if no sound was sent."""
    was_prepared: bool
    """The answer was begun before the turn was over: what was done until then took nobody's time."""
    tools: tuple[ToolSpan, ...]


AdditionMessage = (
    SessionResumable
    | SessionResumed
    | ToolStarted
    | ToolProgress
    | ToolDone
    | TaskDone
    | OutputAudioHeard
    | ApprovalRequested
    | ApprovalDone
    | TranscriptionTail
    | Timeline
)

TYPES: Mapping[str, type[AdditionMessage]] = {
    str(message.__struct_config__.tag): message for message in get_args(AdditionMessage)
}
"""Every message of ours that we can send, by its "type"."""
