"""One message of every kind with every field that it can have, for the tests of this folder.

What a field holds is chosen so that mixing two up would show: no two ids and no two numbers of a message are equal.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from antiphon.protocol import items, server, session_config

Json = dict[str, Any]

IN_PART: Json = {"item_id": "item_1", "content_index": 2}
OUT_ITEM: Json = {"response_id": "resp_1", "item_id": "item_1", "output_index": 3}

# --- items -----------------------------------------------------------------------------------------------------------

SYSTEM = items.Message(id="item_s", status="completed", role="system", content=(items.InputText("Be brief."),))
USER = items.Message(
    id="item_u",
    status="completed",
    role="user",
    content=(
        items.InputText("Look:"),
        items.InputAudio(audio=b"\x01\x02", transcript="what is it"),
        items.InputImage("data:image/png;base64,AAAA", detail="high"),
    ),
)
ASSISTANT = items.Message(
    id="item_a",
    status="incomplete",
    role="assistant",
    content=(items.OutputText("A cat."), items.OutputAudio(audio=b"\x03\x04", transcript="a cat")),
)
CALL = items.FunctionCall(id="item_c", status="in_progress", call_id="call_1", name="look", arguments='{"at": "cat"}')
OUTPUT = items.FunctionCallOutput(id="item_o", status="completed", call_id="call_1", output="a tabby")
LIST_TOOLS = items.McpListTools(
    id="mcpl_1",
    server_label="zoo",
    tools=(
        items.McpToolInfo(
            name="feed",
            input_schema={"type": "object"},
            description="Feed an animal.",
            annotations={"readOnlyHint": False},
        ),
    ),
)
MCP_CALL = items.McpCall(
    id="mcp_1", server_label="zoo", name="feed", arguments="{}", approval_request_id="mcpr_1", output="done"
)
APPROVAL_REQUEST = items.McpApprovalRequest(id="mcpr_1", server_label="zoo", name="feed", arguments="{}")
APPROVAL_RESPONSE = items.McpApprovalResponse(
    id="mcpa_1", approval_request_id="mcpr_1", approve=False, reason="it is full"
)
FAILED_MCP_CALLS = tuple(
    items.McpCall(id="mcp_2", server_label="zoo", name="feed", arguments="{}", error=error)
    for error in (
        items.McpProtocolError(code=-32_600, message="no such method"),
        items.McpToolExecutionError(message="the tiger is out"),
        items.McpHttpError(code=502, message="bad gateway"),
    )
)
NINE_KINDS: tuple[items.Item, ...] = (
    SYSTEM,
    USER,
    ASSISTANT,
    CALL,
    OUTPUT,
    LIST_TOOLS,
    MCP_CALL,
    APPROVAL_REQUEST,
    APPROVAL_RESPONSE,
)

# --- responses -------------------------------------------------------------------------------------------------------

USAGE = items.Usage(
    total_tokens=30,
    input_tokens=20,
    output_tokens=10,
    input_token_details=items.InputTokens(
        text_tokens=11,
        audio_tokens=8,
        image_tokens=1,
        cached_tokens=6,
        cached_tokens_details=items.CachedTokens(text_tokens=3, audio_tokens=2, image_tokens=1),
    ),
    output_token_details=items.OutputTokens(text_tokens=4, audio_tokens=6),
)


def response(**changes: Any) -> items.Response:
    fields: dict[str, Any] = {
        "id": "resp_1",
        "status": "completed",
        "output": NINE_KINDS,
        "conversation_id": "conv_1",
        "output_modalities": ("audio",),
        "max_output_tokens": 900,
        "audio": items.ResponseAudio(output=items.ResponseAudioOutput(format=items.AudioPcm(), voice="marin")),
        "usage": USAGE,
        "metadata": {"client_event_id": "response_create_1"},
    }
    return items.Response(**fields | changes)


RESPONSES = (
    response(),
    response(status="in_progress", output=(), usage=None, metadata=None, conversation_id=None, max_output_tokens="inf"),
    response(
        status="cancelled",
        status_details=items.StatusDetails(type="cancelled", reason="turn_detected"),
        audio=items.ResponseAudio(output=items.ResponseAudioOutput(format=items.AudioPcmu(), voice="ash")),
    ),
    response(
        status="failed",
        status_details=items.StatusDetails(
            type="failed",
            error=items.FailureDetails(type="server_error", code="engine_failed", message="The model is away."),
        ),
        audio=items.ResponseAudio(output=items.ResponseAudioOutput(format=items.AudioPcma(), voice="ash")),
    ),
    response(
        status="incomplete",
        status_details=items.StatusDetails(type="incomplete", reason="max_output_tokens"),
        output_modalities=("text",),
        audio=UNSET,
    ),
)

# --- sessions --------------------------------------------------------------------------------------------------------

FUNCTION = session_config.FunctionTool(name="look", description="Look at it.", parameters={"type": "object"})
MCP = session_config.McpTool(
    server_label="zoo",
    server_url="https://zoo.example/mcp",
    connector_id="connector_gmail",
    tunnel_id="tunnel_1",
    authorization="Bearer x",
    headers={"X-Zoo": "1"},
    allowed_tools=session_config.McpToolFilter(read_only=True, tool_names=("feed",)),
    require_approval=session_config.McpApprovalFilter(
        always=session_config.McpToolFilter(read_only=False, tool_names=("feed",)),
        never=session_config.McpToolFilter(read_only=True, tool_names=("look",)),
    ),
    server_description="Animals.",
    defer_loading=True,
    allowed_callers=("direct", "programmatic"),
)
EVERY_TRANSCRIPTION_KEY = session_config.Transcription(
    model="gpt-transcribe",
    language="en",
    prompt="Zoo words.",
    languages=("en", "de"),
    keywords=("tabby",),
    delay="low",
)
HEARING = session_config.AudioInput(
    format=items.AudioPcmu(),
    noise_reduction=session_config.NoiseReduction(type="near_field", strength=0.5),
    transcription=EVERY_TRANSCRIPTION_KEY,
    turn_detection=session_config.ServerVad(idle_timeout_ms=6000),
)
DEFAULT_SESSION = session_config.RealtimeSession(id="sess_1", expires_at=1_790_000_000, model="gpt-realtime")
FULL_SESSION = session_config.RealtimeSession(
    id="sess_1",
    expires_at=1_790_000_000,
    model="gpt-realtime",
    instructions="Be brief.",
    output_modalities=("text",),
    audio=session_config.Audio(
        input=HEARING,
        output=session_config.AudioOutput(
            format=items.AudioPcma(), voice=session_config.VoiceId("voice_1"), speed=1.25
        ),
    ),
    tools=(FUNCTION, MCP),
    tool_choice=session_config.ToolChoiceMcp(server_label="zoo", name="feed"),
    parallel_tool_calls=False,
    max_output_tokens=900,
    truncation=session_config.RetentionRatio(
        retention_ratio=0.8, token_limits=session_config.TokenLimits(post_instructions=8000)
    ),
    tracing=session_config.Tracing(workflow_name="zoo", group_id="g", metadata={"a": 1}),
    prompt=session_config.Prompt(id="pmpt_1", version="2", variables={"animal": "cat"}),
    reasoning=session_config.Reasoning(effort="low"),
    include=("item.input_audio_transcription.logprobs",),
)
SEMANTIC_SESSION = session_config.RealtimeSession(
    id="sess_2",
    expires_at=1_790_000_000,
    model="gpt-realtime",
    audio=session_config.Audio(
        input=session_config.AudioInput(turn_detection=session_config.SemanticVad(eagerness="high"))
    ),
    tool_choice=session_config.ToolChoiceFunction("look"),
    tracing="auto",
    truncation="disabled",
)
DEAF_SESSION = session_config.RealtimeSession(
    id="sess_3",
    expires_at=1_790_000_000,
    model="gpt-realtime",
    audio=session_config.Audio(input=session_config.AudioInput(turn_detection=None)),
)
TRANSCRIPTION_SESSION = session_config.TranscriptionSession(
    id="sess_4",
    expires_at=1_790_000_000,
    audio=session_config.TranscriptionAudio(input=HEARING),
    include=("item.input_audio_transcription.logprobs",),
)
SEMANTIC_TRANSCRIPTION_SESSION = session_config.TranscriptionSession(
    id="sess_5",
    expires_at=1_790_000_000,
    audio=session_config.TranscriptionAudio(
        input=session_config.AudioInput(turn_detection=session_config.SemanticVad())
    ),
)
SESSIONS: tuple[session_config.Session, ...] = (
    DEFAULT_SESSION,
    FULL_SESSION,
    SEMANTIC_SESSION,
    DEAF_SESSION,
    TRANSCRIPTION_SESSION,
    SEMANTIC_TRANSCRIPTION_SESSION,
)

# --- what we send ----------------------------------------------------------------------------------------------------

LOGPROBS = (items.LogProb(token="cat", logprob=-0.25, bytes=(99, 97, 116)),)

SENT: tuple[server.ServerMessage, ...] = (
    *(server.SessionCreated(event_id="event_1", session=session) for session in SESSIONS),
    *(server.SessionUpdated(event_id="event_1", session=session) for session in SESSIONS),
    server.Error(
        event_id="event_1",
        error=items.ErrorDetails(
            type="invalid_request_error", code="invalid_value", message="No.", param="session.voice", event_id="mine"
        ),
    ),
    server.Error(event_id="event_1", error=items.ErrorDetails(type="server_error", message="We failed.")),
    server.RateLimitsUpdated(
        event_id="event_1",
        rate_limits=(items.RateLimit(name="tokens", limit=4000, remaining=3000, reset_seconds=1.5),),
    ),
    server.ConversationCreated(event_id="event_1", conversation=items.Conversation("conv_1")),
    *(
        server.ItemAdded(event_id="event_1", previous_item_id="item_0", item=item)
        for item in NINE_KINDS + FAILED_MCP_CALLS
    ),
    *(server.ItemDone(event_id="event_1", previous_item_id="item_0", item=item) for item in NINE_KINDS),
    *(server.ItemRetrieved(event_id="event_1", item=item) for item in NINE_KINDS),
    server.ItemDeleted(event_id="event_1", item_id="item_1"),
    server.ItemTruncated(event_id="event_1", **IN_PART, audio_end_ms=1234),
    server.TranscriptionDelta(event_id="event_1", **IN_PART, delta="cat", logprobs=LOGPROBS),
    server.TranscriptionDelta(event_id="event_1", **IN_PART, delta="cat"),
    server.TranscriptionSegment(
        event_id="event_1", **IN_PART, id="seg_1", speaker="A", start=0.5, end=1.5, text="a cat"
    ),
    server.TranscriptionCompleted(
        event_id="event_1",
        **IN_PART,
        transcript="a cat",
        usage=items.TranscriptionDuration(1.5),
        languages=(items.TranscriptionLanguage("en"),),
        logprobs=LOGPROBS,
    ),
    server.TranscriptionCompleted(
        event_id="event_1",
        **IN_PART,
        transcript="a cat",
        usage=items.TranscriptionTokens(
            total_tokens=7,
            input_tokens=5,
            output_tokens=2,
            input_token_details=items.TranscriptionInputTokens(text_tokens=1, audio_tokens=4),
        ),
    ),
    server.TranscriptionFailed(
        event_id="event_1",
        **IN_PART,
        error=items.TranscriptionFailure(type="server_error", code="engine_failed", message="No words.", param="audio"),
    ),
    server.SpeechStarted(event_id="event_1", item_id="item_1", audio_start_ms=100),
    server.SpeechStopped(event_id="event_1", item_id="item_1", audio_end_ms=900),
    server.AudioCommitted(event_id="event_1", item_id="item_1", previous_item_id="item_0"),
    server.AudioCommitted(event_id="event_1", item_id="item_1", previous_item_id=None),
    server.AudioCleared(event_id="event_1"),
    server.TimeoutTriggered(event_id="event_1", item_id="item_1", audio_start_ms=100, audio_end_ms=900),
    server.DtmfReceived(event="5", received_at=1_790_000_000),
    server.OutputAudioStarted(event_id="event_1", response_id="resp_1"),
    server.OutputAudioStopped(event_id="event_1", response_id="resp_1"),
    server.OutputAudioCleared(event_id="event_1", response_id="resp_1"),
    *(server.ResponseCreated(event_id="event_1", response=response) for response in RESPONSES),
    *(server.ResponseDone(event_id="event_1", response=response) for response in RESPONSES),
    *(
        kind(event_id="event_1", response_id="resp_1", output_index=3, item=item)
        for kind in (server.OutputItemAdded, server.OutputItemDone)
        for item in NINE_KINDS
    ),
    *(
        kind(event_id="event_1", **OUT_ITEM, content_index=2, part=part)
        for kind in (server.ContentPartAdded, server.ContentPartDone)
        for part in (items.TextPart("a cat"), items.AudioPart("a cat"))
    ),
    server.TextDelta(event_id="event_1", **OUT_ITEM, content_index=2, delta="a "),
    server.TextDone(event_id="event_1", **OUT_ITEM, content_index=2, text="a cat"),
    server.AudioDelta(event_id="event_1", **OUT_ITEM, content_index=2, delta=bytes(range(6))),
    server.AudioDone(event_id="event_1", **OUT_ITEM, content_index=2),
    server.TranscriptDelta(event_id="event_1", **OUT_ITEM, content_index=2, delta="a "),
    server.TranscriptDone(event_id="event_1", **OUT_ITEM, content_index=2, transcript="a cat"),
    server.ArgumentsDelta(event_id="event_1", **OUT_ITEM, call_id="call_1", delta="{"),
    server.ArgumentsDone(event_id="event_1", **OUT_ITEM, call_id="call_1", name="look", arguments="{}"),
    server.McpListToolsInProgress(event_id="event_1", item_id="mcpl_1"),
    server.McpListToolsCompleted(event_id="event_1", item_id="mcpl_1"),
    server.McpListToolsFailed(event_id="event_1", item_id="mcpl_1"),
    server.McpArgumentsDelta(event_id="event_1", **OUT_ITEM, delta="{", obfuscation="xyz"),
    server.McpArgumentsDone(event_id="event_1", **OUT_ITEM, arguments="{}"),
    server.McpCallInProgress(event_id="event_1", item_id="mcp_1", output_index=3),
    server.McpCallCompleted(event_id="event_1", item_id="mcp_1", output_index=3),
    server.McpCallFailed(event_id="event_1", item_id="mcp_1", output_index=3),
)

# --- what clients send: JSON, as they write it -----------------------------------------------------------------------

_FILTER = {"read_only": True, "tool_names": ["feed"]}
_TOOLS: list[Json] = [
    {"type": "function", "name": "look", "description": "Look at it.", "parameters": {"type": "object"}},
    {
        "type": "mcp",
        "server_label": "zoo",
        "server_url": "https://zoo.example/mcp",
        "connector_id": "connector_gmail",
        "tunnel_id": "tunnel_1",
        "authorization": "Bearer x",
        "headers": {"X-Zoo": "1"},
        "allowed_tools": _FILTER,
        "require_approval": {"always": _FILTER, "never": _FILTER},
        "server_description": "Animals.",
        "defer_loading": True,
        "allowed_callers": ["direct"],
    },
    {"type": "mcp", "server_label": "farm", "allowed_tools": ["milk"], "require_approval": "never"},
]
_PROMPT: Json = {"id": "pmpt_1", "version": "2", "variables": {"animal": "cat"}}
_HEARING: Json = {
    "format": {"type": "audio/pcm", "rate": 24000},
    "noise_reduction": {"type": "far_field", "strength": 0.5},
    "transcription": {
        "model": "gpt-transcribe",
        "language": "en",
        "prompt": "Zoo words.",
        "languages": ["en"],
        "keywords": ["tabby"],
        "delay": "low",
    },
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.6,
        "prefix_padding_ms": 200,
        "silence_duration_ms": 400,
        "idle_timeout_ms": 6000,
        "create_response": False,
        "interrupt_response": False,
    },
}
_SEMANTIC: Json = {
    "type": "semantic_vad",
    "eagerness": "low",
    "create_response": True,
    "interrupt_response": True,
}
_SESSION: Json = {
    "type": "realtime",
    "model": "gpt-realtime",
    "instructions": "Be brief.",
    "output_modalities": ["audio"],
    "audio": {
        "input": _HEARING,
        "output": {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_1"}, "speed": 1.25},
    },
    "tools": _TOOLS,
    "tool_choice": {"type": "function", "name": "look"},
    "parallel_tool_calls": False,
    "max_output_tokens": 900,
    "truncation": {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 8000},
    },
    "tracing": {"workflow_name": "zoo", "group_id": "g", "metadata": {"a": 1}},
    "prompt": _PROMPT,
    "reasoning": {"effort": "low"},
    "include": ["item.input_audio_transcription.logprobs"],
}
_ITEM: Json = {"object": "realtime.item", "status": "completed"}
ITEMS: list[Json] = [
    {
        "type": "message",
        "role": "system",
        "id": "s",
        **_ITEM,
        "content": [{"type": "input_text", "text": "Be brief."}],
    },
    {
        "type": "message",
        "role": "user",
        "id": "u",
        **_ITEM,
        "content": [
            {"type": "input_text", "text": "Look:"},
            {"type": "input_audio", "audio": "AQI=", "transcript": "what is it"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        ],
    },
    {
        "type": "message",
        "role": "assistant",
        "id": "a",
        **_ITEM,
        "content": [
            {"type": "output_text", "text": "A cat."},
            {"type": "output_audio", "audio": "AwQ=", "transcript": "a cat"},
        ],
    },
    {"type": "function_call", "id": "c", **_ITEM, "call_id": "call_1", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "id": "o", **_ITEM, "call_id": "call_1", "output": "a tabby"},
    {
        "type": "mcp_list_tools",
        "id": "l",
        "server_label": "zoo",
        "tools": [{"name": "feed", "input_schema": {}, "description": "Feed.", "annotations": {"readOnlyHint": False}}],
    },
    *(
        {
            "type": "mcp_call",
            "id": "m",
            "server_label": "zoo",
            "name": "feed",
            "arguments": "{}",
            "approval_request_id": "r",
            "output": "done",
            "error": error,
        }
        for error in (
            {"type": "protocol_error", "code": -32600, "message": "no such method"},
            {"type": "tool_execution_error", "message": "the tiger is out"},
            {"type": "http_error", "code": 502, "message": "bad gateway"},
        )
    ),
    {"type": "mcp_approval_request", "id": "r", "server_label": "zoo", "name": "feed", "arguments": "{}"},
    {
        "type": "mcp_approval_response",
        "id": "p",
        "approval_request_id": "r",
        "approve": True,
        "reason": "it is hungry",
    },
]

RECEIVED: list[Json] = [
    {"type": "session.update", "event_id": "mine", "session": _SESSION},
    {
        "type": "session.update",
        "event_id": "mine",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {"format": {"type": "audio/pcma"}, "turn_detection": _SEMANTIC},
                "output": {"voice": "marin"},
            },
            "tool_choice": {"type": "mcp", "server_label": "zoo", "name": "feed"},
            "max_output_tokens": "inf",
            "truncation": "auto",
            "tracing": "auto",
        },
    },
    {
        "type": "session.update",
        "event_id": "mine",
        "session": {"type": "transcription", "audio": {"input": _HEARING}, "include": _SESSION["include"]},
    },
    {
        "type": "session.update",
        "event_id": "mine",
        "session": {"type": "transcription", "audio": {"input": {"turn_detection": _SEMANTIC}}},
    },
    {"type": "input_audio_buffer.append", "event_id": "mine", "audio": "AAECAw=="},
    {"type": "input_audio_buffer.commit", "event_id": "mine"},
    {"type": "input_audio_buffer.clear", "event_id": "mine"},
    {"type": "output_audio_buffer.clear", "event_id": "mine"},
    *(
        {"type": "conversation.item.create", "event_id": "mine", "previous_item_id": "root", "item": item}
        for item in ITEMS
    ),
    {"type": "conversation.item.retrieve", "event_id": "mine", "item_id": "item_1"},
    {
        "type": "conversation.item.truncate",
        "event_id": "mine",
        "item_id": "item_1",
        "content_index": 0,
        "audio_end_ms": 1500,
    },
    {"type": "conversation.item.delete", "event_id": "mine", "item_id": "item_1"},
    {
        "type": "response.create",
        "event_id": "mine",
        "response": {
            "conversation": "none",
            "input": ITEMS,
            "instructions": "Sum up.",
            "output_modalities": ["text"],
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": {"id": "voice_1"}}},
            "tools": _TOOLS,
            "tool_choice": "required",
            "parallel_tool_calls": True,
            "max_output_tokens": 500,
            "metadata": {"topic": "cats"},
            "prompt": _PROMPT,
            "reasoning": {"effort": "high"},
        },
    },
    {"type": "response.create"},
    {"type": "response.cancel", "event_id": "mine", "response_id": "resp_1"},
]
