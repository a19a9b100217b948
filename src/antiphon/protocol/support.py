"""What of the protocol is done, field by field, and why the rest is not: the data behind docs/coverage.md.

A test fails when a message or field is missing here, when a reason is missing, or when the document is stale
(`make docs` writes it). Nothing at run time reads this. Whoever implements something changes its line here: a field
moves from `reflected(...)`, `refused(...)` or `unsent(...)` to `works("...")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from antiphon.protocol import additions, client, items, server
from antiphon.protocol import session_config as config


class State(StrEnum):
    """What becomes of a field that a client sends, or how we send it."""

    WORKS = "implemented"
    LIMITED = "in part"
    REFLECTED = "accepted and reflected"
    IGNORED = "accepted and ignored"
    REFUSED = "refused"
    FIXED = "always the same"
    UNSENT = "never sent"


class Entry(Struct, frozen=True):
    """What is done with one message or field."""

    state: State
    why: str = ""
    """A sentence without its capital and full stop; empty only for what is implemented."""


Fields = dict[str, Entry]


def works(names: str) -> Fields:
    """These fields, separated by spaces, do what the protocol says."""
    return {name: Entry(State.WORKS) for name in names.split()}


def limited(**why: str) -> Fields:
    """Done, except for what is said."""
    return {name: Entry(State.LIMITED, reason) for name, reason in why.items()}


def reflected(**why: str) -> Fields:
    """Accepted, shown again in the session, and without effect."""
    return {name: Entry(State.REFLECTED, reason) for name, reason in why.items()}


def ignored(**why: str) -> Fields:
    """Accepted, without effect, and shown nowhere."""
    return {name: Entry(State.IGNORED, reason) for name, reason in why.items()}


def refused(**why: str) -> Fields:
    """Answered with an error that says so."""
    return {name: Entry(State.REFUSED, reason) for name, reason in why.items()}


def fixed(**why: str) -> Fields:
    """Sent, and always the same."""
    return {name: Entry(State.FIXED, reason) for name, reason in why.items()}


def every(state: State, names: str, why: str) -> Fields:
    """All of these fields are in this state, for one reason."""
    return {name: Entry(state, why) for name in names.split()}


def unsent(**why: str) -> Fields:
    """Never sent."""
    return {name: Entry(State.UNSENT, reason) for name, reason in why.items()}


# --- messages --------------------------------------------------------------------------------------------------------

_PLAYS = Entry(State.WORKS, "where the server plays: WebRTC")

MESSAGES: Mapping[type[Struct], Entry] = {
    **dict.fromkeys((*client.TYPES.values(), *server.TYPES.values()), Entry(State.WORKS)),
    **dict.fromkeys((*additions.REQUESTS.values(), *additions.TYPES.values()), Entry(State.WORKS)),
    client.SessionClose: Entry(State.WORKS, "in no published schema, yet accepted by OpenAI's service"),
    client.OutputAudioClear: Entry(State.WORKS, "where the server plays: WebRTC; refused on a WebSocket"),
    client.AudioAppend: Entry(State.WORKS, "refused on WebRTC, where sound comes on its track"),
    server.ConversationCreated: Entry(State.UNSENT, "OpenAI's service does not send it either, and no client needs it"),
    server.RateLimitsUpdated: Entry(State.FIXED, "after every response, without limits, as there are none"),
    server.DtmfReceived: Entry(State.UNSENT, "there is no telephone"),
    server.TranscriptionSegment: Entry(State.UNSENT, "no recogniser tells speakers apart"),
    server.AudioDelta: Entry(State.WORKS, "not where the server plays: there the sound is on the track"),
    server.OutputAudioStarted: _PLAYS,
    server.OutputAudioStopped: _PLAYS,
    server.OutputAudioCleared: _PLAYS,
}
"""Every message of both sides."""

# --- fields ----------------------------------------------------------------------------------------------------------

_ID = works("event_id")
_OF_ITEM = _ID | works("item_id")
_OF_OUTPUT = _OF_ITEM | works("response_id output_index")
_OF_PART = _OF_OUTPUT | works("content_index")
_OF_SPEECH = _OF_ITEM | fixed(content_index="0: what a person says is one part")
_OF_MCP_CALL = _OF_ITEM | works("output_index")
_STATUS_OF_ITEM = limited(
    object="always shown; ignored from a client",
    status="always shown; what a client adds is completed, whatever it says",
)
_NO_TRACING = "our traces are the server's own, for its operator: see `antiphon serve --trace`"
_NO_PROMPTS = "stored prompts are at OpenAI; send `instructions`"
_LOGPROBS = "a recogniser's server may give them; PocketSphinx does not"
_MADE_HERE = "sent; from a client it is refused, for only a server makes it"

FIELDS: Mapping[type[Struct], Fields] = {
    # --- from the client
    client.SessionUpdate: _ID | works("session"),
    client.SessionClose: _ID,
    client.AudioAppend: _ID | works("audio"),
    client.AudioCommit: _ID,
    client.AudioClear: _ID,
    client.OutputAudioClear: _ID,
    client.ItemCreate: _ID | works("item previous_item_id"),
    client.ItemRetrieve: _OF_ITEM,
    client.ItemTruncate: _OF_ITEM | works("content_index audio_end_ms"),
    client.ItemDelete: _OF_ITEM,
    client.ResponseCreate: _ID | works("response"),
    client.ResponseCancel: _ID | works("response_id"),
    client.ResponseParams: (
        works("conversation input instructions output_modalities audio tools tool_choice max_output_tokens metadata")
        | limited(
            parallel_tool_calls="passed on to models that know it; the offline assistant makes one call at a time",
            reasoning="passed on to models that know it; the offline assistant does not reason",
        )
        | ignored(prompt=_NO_PROMPTS)
    ),
    client.ResponseAudioParams: works("output"),
    client.ResponseAudioOutputParams: works("format voice"),
    # --- the session, as a client asks for it
    config.SessionPatch: (
        works("type instructions output_modalities audio tools tool_choice max_output_tokens truncation")
        | limited(
            model="passed on to the model's server, unless the operator has set one",
            parallel_tool_calls="passed on to models that know it; the offline assistant makes one call at a time",
            reasoning="passed on to models that know it; the offline assistant does not reason",
            include=_LOGPROBS,
        )
        | reflected(tracing=_NO_TRACING, prompt=_NO_PROMPTS)
    ),
    config.AudioPatch: works("input output"),
    config.AudioInputPatch: (
        works("format transcription turn_detection") | reflected(noise_reduction="sound is heard as it comes")
    ),
    config.AudioOutputPatch: works("format voice speed"),
    config.ServerVadPatch: works(
        "threshold prefix_padding_ms silence_duration_ms idle_timeout_ms create_response interrupt_response"
    ),
    config.SemanticVadPatch: works("eagerness create_response interrupt_response"),
    # --- what both directions share
    config.NoiseReduction: every(State.REFLECTED, "type strength", "sound is heard as it comes"),
    config.Transcription: (
        works("language")
        | limited(
            model="passed on to the recogniser's server, unless the operator has set one",
            prompt="passed on to the recogniser's server; PocketSphinx takes none",
            languages="one of them is the language; several are only shown",
        )
        | reflected(
            keywords="no recogniser takes any",
            delay="a transcript is made at once, of the whole turn",
        )
    ),
    config.FunctionTool: works("name description parameters"),
    config.McpTool: (
        works("server_label allowed_tools require_approval")
        | limited(
            server_url="only hosts that the operator has allowed; shown without its query",
            authorization="secret: used, shown nowhere",
            headers="may be secret: used, shown nowhere",
        )
        | reflected(
            server_description="models are told of tools, not of servers",
            defer_loading="all tools are listed at once",
            allowed_callers="there are no programs that could call",
        )
        | refused(connector_id="connectors are OpenAI's own servers", tunnel_id="tunnels end at OpenAI")
    ),
    config.McpToolFilter: works("read_only tool_names"),
    config.McpApprovalFilter: works("always never"),
    config.ToolChoiceFunction: works("name"),
    config.ToolChoiceMcp: works("server_label name"),
    config.VoiceId: limited(id="the voice of this name, if the voice engine has one; the echo is the plain name"),
    config.Tracing: every(State.REFLECTED, "workflow_name group_id metadata", _NO_TRACING),
    config.TokenLimits: works("post_instructions"),
    config.RetentionRatio: works("retention_ratio token_limits"),
    config.Prompt: every(State.REFLECTED, "id version variables", _NO_PROMPTS),
    config.Reasoning: limited(effort="passed on to models that know it"),
    # --- the session, as it is shown
    config.RealtimeSession: works(
        "id object expires_at model instructions output_modalities audio tools tool_choice parallel_tool_calls "
        "max_output_tokens truncation tracing prompt reasoning include"
    ),
    config.Audio: works("input output"),
    config.AudioInput: works("format noise_reduction transcription turn_detection"),
    config.AudioOutput: works("format voice speed"),
    config.ServerVad: works(
        "threshold prefix_padding_ms silence_duration_ms idle_timeout_ms create_response interrupt_response"
    ),
    config.SemanticVad: works("eagerness create_response interrupt_response"),
    config.TranscriptionSession: works("id object expires_at audio include"),
    config.TranscriptionAudio: works("input"),
    # --- items
    items.Message: works("id role content") | _STATUS_OF_ITEM,
    items.InputText: works("text"),
    items.InputAudio: limited(
        audio="one part with sound in a message; sent in conversation.item.retrieved only, as long as it is kept",
        transcript="with sound, it is believed and nothing is recognised",
    ),
    items.InputImage: (
        limited(image_url="data URLs only: nobody makes our server fetch from where a client points")
        | limited(detail="passed on to the model")
    ),
    items.OutputText: works("text"),
    items.OutputAudio: (
        limited(audio="refused from a client, as by OpenAI; sent in conversation.item.retrieved only")
        | works("transcript")
    ),
    items.FunctionCall: works("id call_id name arguments") | _STATUS_OF_ITEM,
    items.FunctionCallOutput: works("id call_id output") | _STATUS_OF_ITEM,
    items.McpListTools: every(State.REFUSED, "id server_label tools", _MADE_HERE),
    items.McpToolInfo: works("name input_schema description")
    | limited(annotations="only readOnlyHint, where the MCP server says so"),
    items.McpCall: every(State.REFUSED, "id server_label name arguments approval_request_id output error", _MADE_HERE),
    items.McpProtocolError: works("code message"),
    items.McpToolExecutionError: works("message"),
    items.McpHttpError: works("code message"),
    items.McpApprovalRequest: every(State.REFUSED, "id server_label name arguments", _MADE_HERE),
    items.McpApprovalResponse: works("id approval_request_id approve reason"),
    items.ItemReference: works("id"),
    # --- sound
    items.AudioPcm: works("rate"),
    items.AudioPcmu: {},
    items.AudioPcma: {},
    # --- to the client
    server.SessionCreated: _ID | works("session"),
    server.SessionUpdated: _ID | works("session"),
    server.Error: _ID | works("error"),
    server.RateLimitsUpdated: _ID | fixed(rate_limits="an empty list"),
    server.ConversationCreated: _ID | works("conversation"),
    server.ItemAdded: _ID | works("previous_item_id item"),
    server.ItemDone: _ID | works("previous_item_id item"),
    server.ItemDeleted: _OF_ITEM,
    server.ItemRetrieved: _ID | works("item"),
    server.ItemTruncated: _OF_ITEM | works("content_index audio_end_ms"),
    server.TranscriptionDelta: _OF_SPEECH | works("delta") | limited(logprobs=_LOGPROBS),
    server.TranscriptionSegment: _OF_SPEECH | works("id speaker start end text"),
    server.TranscriptionCompleted: (_OF_SPEECH | works("transcript usage languages") | limited(logprobs=_LOGPROBS)),
    server.TranscriptionFailed: _OF_SPEECH | works("error"),
    server.SpeechStarted: _OF_ITEM | works("audio_start_ms"),
    server.SpeechStopped: _OF_ITEM | works("audio_end_ms"),
    server.AudioCommitted: _OF_ITEM | works("previous_item_id"),
    server.AudioCleared: _ID,
    server.TimeoutTriggered: _OF_ITEM | works("audio_start_ms audio_end_ms"),
    server.DtmfReceived: works("event received_at"),
    server.OutputAudioStarted: _ID | works("response_id"),
    server.OutputAudioStopped: _ID | works("response_id"),
    server.OutputAudioCleared: _ID | works("response_id"),
    server.ResponseCreated: _ID | works("response"),
    server.ResponseDone: _ID | works("response"),
    server.OutputItemAdded: _ID | works("response_id output_index item"),
    server.OutputItemDone: _ID | works("response_id output_index item"),
    server.ContentPartAdded: _OF_PART | works("part"),
    server.ContentPartDone: _OF_PART | works("part"),
    server.TextDelta: _OF_PART | works("delta"),
    server.TextDone: _OF_PART | works("text"),
    server.AudioDelta: _OF_PART | works("delta sent_ms"),
    server.AudioDone: _OF_PART,
    server.TranscriptDelta: _OF_PART | works("delta"),
    server.TranscriptDone: _OF_PART | works("transcript"),
    server.ArgumentsDelta: _OF_OUTPUT | works("call_id delta"),
    server.ArgumentsDone: _OF_OUTPUT | works("call_id name arguments"),
    server.McpListToolsInProgress: _OF_ITEM,
    server.McpListToolsCompleted: _OF_ITEM,
    server.McpListToolsFailed: _OF_ITEM,
    server.McpArgumentsDelta: (
        _OF_OUTPUT | works("delta") | fixed(obfuscation="empty: one official client drops the message without it")
    ),
    server.McpArgumentsDone: _OF_OUTPUT | works("arguments"),
    server.McpCallInProgress: _OF_MCP_CALL,
    server.McpCallCompleted: _OF_MCP_CALL,
    server.McpCallFailed: _OF_MCP_CALL,
    # --- what those speak of
    items.ErrorDetails: works("type code message param event_id"),
    items.RateLimit: every(State.UNSENT, "name limit remaining reset_seconds", "there are no limits"),
    items.Conversation: every(State.UNSENT, "id object", "see conversation.created"),
    items.LogProb: works("token logprob bytes"),
    items.TranscriptionTokens: every(
        State.UNSENT, "total_tokens input_tokens output_tokens input_token_details", "recognition is counted in seconds"
    ),
    items.TranscriptionInputTokens: every(
        State.UNSENT, "text_tokens audio_tokens", "recognition is counted in seconds"
    ),
    items.TranscriptionDuration: works("seconds"),
    items.TranscriptionLanguage: works("code"),
    items.TranscriptionFailure: works("code message") | fixed(type="transcription_error", param="null"),
    items.Response: works(
        "id object status status_details output conversation_id output_modalities max_output_tokens audio usage "
        "metadata"
    ),
    items.StatusDetails: works("type reason error"),
    items.FailureDetails: works("code message") | fixed(type="server_error"),
    items.ResponseAudio: works("output"),
    items.ResponseAudioOutput: works("format voice"),
    items.Usage: works("total_tokens input_tokens output_tokens input_token_details output_token_details"),
    items.InputTokens: (
        works("text_tokens cached_tokens cached_tokens_details")
        | fixed(audio_tokens="0: the model reads words", image_tokens="0: counted with the text, as models report it")
    ),
    items.CachedTokens: works("text_tokens") | fixed(audio_tokens="0: see above", image_tokens="0: see above"),
    items.OutputTokens: works("text_tokens") | fixed(audio_tokens="0: the model writes words"),
    items.TextPart: works("text"),
    items.AudioPart: works("transcript"),
    # --- our own
    additions.SessionResumable: _ID | works("session_id token within_s"),
    additions.SessionResumed: _ID | works("session_id missed is_complete heard_ms"),
    additions.Playout: _OF_ITEM | works("played_ms"),
    additions.ApprovalAnswer: _ID | works("call_id approve"),
    additions.ApprovalRequested: _ID | works("call_id name arguments expires_in_s"),
    additions.ApprovalDone: _ID | works("call_id name outcome"),
    additions.ToolCancel: _ID | works("call_id"),
    additions.ToolProgress: _ID | works("call_id name text"),
    additions.TaskDone: _ID | works("call_id name output ok"),
    additions.ToolStarted: _ID | works("response_id call_id name arguments"),
    additions.ToolDone: _ID | works("response_id call_id name output ok"),
    additions.OutputAudioHeard: _OF_ITEM | works("response_id played_ms letters"),
    additions.TranscriptionTail: _OF_ITEM | works("tail"),
    additions.Timeline: _ID | works("response_id item_id status reason stages wait_ms was_prepared tools"),
    additions.Stage: works("name ms"),
    additions.ToolSpan: works("call_id name start_ms ms"),
}
"""Every field of every message and of whatever a message can hold. Those of a message that is never sent count no more
than the message does."""
