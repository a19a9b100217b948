"""From a client's message to the session's input.

A translation, and the refusals that need no more than the message: what the wire can say and we cannot do. It
does not know whether ids exist or whether it is the moment; that is the session's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, assert_never
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import UNSET, Struct, UnsetType

from antiphon.audio.units import Samples, samples_from_ms
from antiphon.errors import PeerError
from antiphon.protocol import additions, client
from antiphon.protocol import items as wire
from antiphon.protocol import session_config as config
from antiphon.session import inputs
from antiphon.session.consent import consent_in
from antiphon.session.inputs import Input
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    McpApprovalResponse,
    Message,
    Part,
    Picture,
    Role,
    Speech,
    Text,
    text_of,
)
from antiphon.session.settings import (
    ApprovalFilter,
    AudioFormat,
    FunctionTool,
    McpServer,
    ResponseOptions,
    SettingsPatch,
    Tool,
    ToolFilter,
    Transcription,
    Truncation,
    TurnDetection,
)

Incoming = client.ClientMessage | additions.AdditionRequest

PICTURE_TYPES = tuple(f"data:image/{kind};base64," for kind in ("png", "jpeg", "jpg", "webp", "gif"))
LONGEST_TEXT = 1_000_000  # characters of one setting or item: more is no conversation


class Append(Struct, frozen=True):
    """More sound, in the session's input format. It goes to the ear, not to the session."""

    audio: bytes
    request: str | None = None
    """The client's own id for it."""


class Goodbye(Struct, frozen=True):
    """The client asks to hang up."""


class Addresses(Protocol):
    """Takes where MCP servers are and what they are shown: secrets do not enter the session."""

    def address(self, url: str, headers: Mapping[str, str], param: str) -> int:
        """The number by which the session knows these, the same for the same ones. Raises `PeerError`."""
        ...


class Luggage(Addresses, Protocol):
    """Takes what a message brings that does not enter the session, which sees neither sound nor secrets."""

    def sound(self, data: bytes, param: str) -> tuple[int, Samples]:
        """A whole sound in the session's input format. Returns its number and its length; raises `PeerError`."""
        ...


def read(message: Incoming, connection: str, heard: Samples, luggage: Luggage) -> Input | Append | Goodbye:
    """What the message asks for. `heard` is how much sound had come before it. Raises `PeerError`."""
    request = message.event_id
    match message:
        case client.AudioAppend(audio=audio):
            return Append(audio, request)
        case client.SessionUpdate(session=patch):
            return inputs.UpdateSettings(connection, request, patch_from(patch, luggage))
        case client.AudioCommit():
            return inputs.CommitAudio(connection, request, heard)
        case client.AudioClear():
            return inputs.ClearAudio(connection, request, heard)
        case client.ItemCreate(item=item, previous_item_id=after):
            made = item_from(item, luggage, "item")
            return inputs.CreateItem(connection, request, made, after, _consent_in(made))
        case client.ItemRetrieve(item_id=item_id):
            return inputs.RetrieveItem(connection, request, item_id)
        case client.ItemDelete(item_id=item_id):
            return inputs.DeleteItem(connection, request, item_id)
        case client.ItemTruncate(item_id=item_id, content_index=index, audio_end_ms=end_ms):
            return inputs.TruncateItem(connection, request, item_id, index, end_ms)
        case client.ResponseCreate(response=params):
            options = options_from(params or client.ResponseParams(), luggage)
            return inputs.CreateResponse(connection, request, options)
        case client.ResponseCancel(response_id=response_id):
            return inputs.CancelResponse(connection, request, response_id)
        case additions.Playout(item_id=item_id, played_ms=played_ms):
            return inputs.AudioPlayed(item_id, samples_from_ms(played_ms))
        case additions.ToolCancel(call_id=call_id):
            return inputs.CancelTool(connection, request, call_id)
        case additions.ApprovalAnswer(call_id=call_id, approve=approve):
            return inputs.AnswerApproval(connection, request, call_id, approve)
        case client.SessionClose():
            return Goodbye()
        case client.OutputAudioClear():
            return inputs.ClearPlayback(connection, request)
        case _:
            assert_never(message)


def _consent_in(item: Item) -> bool | None:
    """A yes or a no that the person has written."""
    if not isinstance(item, Message) or item.role is not Role.USER:
        return None
    return consent_in(text_of(item), None)


# --- settings --------------------------------------------------------------------------------------------------------


def patch_from(patch: config.SessionPatch, addresses: Addresses) -> SettingsPatch:
    """The change in the session's words. null clears what can be cleared, and is ignored elsewhere."""
    audio = given(patch.audio) or config.AudioPatch()
    heard = given(audio.input) or config.AudioInputPatch()
    spoken = given(audio.output) or config.AudioOutputPatch()
    return SettingsPatch(
        kind=_value(patch.type),
        model=_value(patch.model),
        instructions=_cleared(patch.instructions, ""),
        speaks=_speaks(patch.output_modalities),
        voice=_voice(spoken.voice),
        speed=_cleared(spoken.speed, 1.0),
        input_format=_format(heard.format),
        output_format=_format(spoken.format),
        transcription=_transcription(heard.transcription),
        logprobs=UNSET if patch.include is UNSET else config.LOGPROBS in (patch.include or ()),
        turn_detection=_turn_detection(heard.turn_detection),
        tools=_tools(patch.tools, addresses, "session.tools"),
        tool_choice=_tool_choice(patch.tool_choice),
        max_output_tokens=_token_limit(patch.max_output_tokens),
        truncation=_truncation(patch.truncation),
        hints=_hints(patch),
        reflected=_reflected(patch, heard),
    )


REFLECTED = ("tracing", "prompt")
"""Settings that are accepted and echoed. What they ask for is not done yet, or is nothing that a cascade could do."""
HINTS = ("parallel_tool_calls", "reasoning")
"""Settings that are handed to the model, which may know them."""


def _hints(patch: config.SessionPatch) -> dict[str, Any] | UnsetType:
    found = {name: msgspec.to_builtins(value) for name in HINTS if (value := getattr(patch, name)) is not UNSET}
    return found or UNSET


def _reflected(patch: config.SessionPatch, heard: config.AudioInputPatch) -> dict[str, Any] | UnsetType:
    found = {name: msgspec.to_builtins(value) for name in REFLECTED if (value := getattr(patch, name)) is not UNSET}
    if heard.noise_reduction is not UNSET:
        found["noise_reduction"] = msgspec.to_builtins(heard.noise_reduction)
    return found or UNSET


def given(value: Any) -> Any:
    """The value, or None if it is absent or null."""
    return None if value is UNSET else value


def _value(value: Any) -> Any:
    """The value; null says nothing here and counts as absent."""
    return UNSET if value is None else value


def _cleared(value: Any, default: Any) -> Any:
    return default if value is None else value


def _speaks(modalities: config.Maybe[tuple[wire.Modality, ...]]) -> bool | UnsetType:
    if modalities is UNSET or modalities is None:
        return UNSET
    if len(set(modalities)) != 1:
        raise PeerError(
            f"Invalid modalities: {list(modalities)!r}. Supported combinations are: ['text'] and ['audio'].",
            "Choose one. Audio comes with its transcript.",
            code="invalid_value",
            param="session.output_modalities",
        )
    return modalities[0] == "audio"


def _voice(voice: config.Maybe[str | config.VoiceId]) -> str | UnsetType:
    match voice:
        case config.VoiceId(id):
            return id
        case str():
            return voice
        case _:
            return UNSET


def _format(format: config.Maybe[wire.AudioFormat]) -> AudioFormat | UnsetType:
    match format:
        case wire.AudioPcm():
            return AudioFormat("pcm", 24_000)
        case wire.AudioPcmu():
            return AudioFormat("pcmu", 8_000)
        case wire.AudioPcma():
            return AudioFormat("pcma", 8_000)
        case _:
            return UNSET


def _truncation(wish: config.Maybe[config.Truncation]) -> Truncation | UnsetType:
    match wish:
        case "auto" | "disabled":
            return Truncation(wish)
        case config.RetentionRatio(retention_ratio=ratio, token_limits=limits):
            limit = given((given(limits) or config.TokenLimits()).post_instructions)
            return Truncation("retention_ratio", ratio, limit)
        case None:
            return Truncation()
        case _:
            return UNSET


def _transcription(wish: config.Maybe[config.Transcription]) -> Transcription | UnsetType | None:
    if wish is UNSET or wish is None:
        return wish
    extra = {
        name: msgspec.to_builtins(value)
        for name in ("languages", "keywords", "delay")
        if (value := getattr(wish, name)) is not UNSET and value is not None
    }
    languages: tuple[str, ...] = given(wish.languages) or ()
    language = given(wish.language) or (languages[0] if len(languages) == 1 else None)
    return Transcription(given(wish.model), language, given(wish.prompt), extra)


def _turn_detection(
    wish: config.ServerVadPatch | config.SemanticVadPatch | UnsetType | None,
) -> TurnDetection | UnsetType | None:
    if wish is UNSET or wish is None:
        return wish
    said = {
        name: value
        for name in wish.__struct_fields__
        if (value := getattr(wish, name)) is not UNSET and value is not None
    }
    is_fixed = isinstance(wish, config.ServerVadPatch)
    return TurnDetection(kind="server_vad" if is_fixed else "semantic_vad", **said)


def _tools(
    tools: config.Maybe[tuple[config.Tool, ...]], addresses: Addresses, param: str
) -> tuple[Tool, ...] | UnsetType:
    if tools is UNSET:
        return UNSET
    return tuple(_tool(tool, addresses, f"{param}[{index}]") for index, tool in enumerate(tools or ()))


def _tool(tool: config.Tool, addresses: Addresses, param: str) -> Tool:
    match tool:
        case config.FunctionTool(name=name, description=description, parameters=parameters):
            return FunctionTool(name, description or "", parameters or {"type": "object", "properties": {}})
        case config.McpTool():
            return _mcp_server(tool, addresses, param)
        case _:
            assert_never(tool)


# --- MCP servers -----------------------------------------------------------------------------------------------------

MCP_REFLECTED = ("defer_loading", "allowed_callers")
"""Keys of an MCP tool that are echoed. What they ask for is the only thing that we do."""


def _mcp_server(tool: config.McpTool, addresses: Addresses, param: str) -> McpServer:
    for name in ("connector_id", "tunnel_id"):
        if given(getattr(tool, name)):
            raise PeerError(
                f"Invalid value: '{param}.{name}'. This server has neither connectors nor tunnels.",
                "Give the address of an MCP server as 'server_url'.",
                code="invalid_value",
                param=f"{param}.{name}",
            )
    approval = given(tool.require_approval)
    url = given(tool.server_url)
    return McpServer(
        label=tool.server_label,
        address=None if url is None else addresses.address(url, _headers(tool), f"{param}.server_url"),
        url="" if url is None else _public(url),
        description=given(tool.server_description) or "",
        allowed=_allowed(given(tool.allowed_tools)),
        approval=_approval(approval),
        reflected={name: msgspec.to_builtins(value) for name in MCP_REFLECTED if (value := given(getattr(tool, name)))},
    )


def _headers(tool: config.McpTool) -> dict[str, str]:
    """What the server is shown. `authorization` is a token of OAuth, or a whole header's value."""
    headers: dict[str, str] = dict(given(tool.headers) or {})
    token: str | None = given(tool.authorization)
    if token:
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        headers["Authorization"] = token if " " in token.strip() else f"Bearer {token.strip()}"
    return headers


def _public(url: str) -> str:
    """The address without its query, which may hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def _allowed(filter: tuple[str, ...] | config.McpToolFilter | None) -> ToolFilter | None:
    if filter is None:
        return None
    if isinstance(filter, config.McpToolFilter):
        return ToolFilter(given(filter.tool_names), given(filter.read_only))
    return ToolFilter(filter)


def _approval(
    wish: Literal["always", "never"] | config.McpApprovalFilter | None,
) -> Literal["always", "never"] | ApprovalFilter:
    if isinstance(wish, config.McpApprovalFilter):
        return ApprovalFilter(_allowed(given(wish.always)), _allowed(given(wish.never)))
    return "always" if wish is None else wish


def _tool_choice(choice: config.Maybe[config.ToolChoice]) -> Any:
    if choice is UNSET:
        return UNSET
    return "auto" if choice is None else msgspec.to_builtins(choice)


def _token_limit(limit: Any) -> int | UnsetType | None:
    return limit if limit is UNSET or isinstance(limit, int) else None


# --- items -----------------------------------------------------------------------------------------------------------


def item_from(item: wire.Item, luggage: Luggage, param: str) -> Item:
    """A client's item in the session's words; its id is empty if it gave none. `param` is where it stands."""
    name = item.id or ""
    match item:
        case wire.Message(role=role, content=content):
            _check_sounds(content, param)
            parts = (_part(part, luggage, f"{param}.content[{index}]") for index, part in enumerate(content))
            return Message(name, Role(role), tuple(parts))
        case wire.FunctionCall(call_id=call_id, name=function, arguments=arguments):
            return FunctionCall(name, call_id or "", function, arguments)
        case wire.FunctionCallOutput(call_id=call_id, output=output):
            return FunctionOutput(name, call_id, output)
        case wire.McpApprovalResponse(approval_request_id=request, approve=approve, reason=reason):
            return McpApprovalResponse(name, request, approve, _bounded(reason or "", f"{param}.reason"))
        case wire.McpListTools() | wire.McpCall() | wire.McpApprovalRequest():
            raise PeerError(
                f"Invalid value: '{type(item).__struct_config__.tag}'. Items of this type are made by the server.",
                "Name the MCP server in session.tools; of MCP items, send only 'mcp_approval_response'.",
                code="invalid_value",
                param=f"{param}.type",
            )
        case _:
            assert_never(item)


def _check_sounds(content: tuple[wire.Content, ...], param: str) -> None:
    """One item keeps one sound: that is how it is retrieved."""
    sounds = [index for index, part in enumerate(content) if isinstance(part, wire.InputAudio) and given(part.audio)]
    if len(sounds) > 1:
        raise PeerError(
            "A message can hold one part with audio.",
            "Create an item for each sound.",
            code="invalid_value",
            param=f"{param}.content[{sounds[1]}].audio",
        )


def _part(part: wire.Content, luggage: Luggage, param: str) -> Part:
    match part:
        case wire.InputText(text) | wire.OutputText(text):
            return Text(_bounded(text, f"{param}.text"))
        case wire.InputAudio(audio=audio, transcript=transcript):
            return _speech(given(audio), transcript, luggage, param)
        case wire.OutputAudio(audio=audio, transcript=transcript):
            if given(audio):
                raise PeerError(
                    "Audio of the assistant cannot be added to a conversation.",
                    "Give its transcript alone, or the text as a part of type 'output_text'.",
                    code="invalid_value",
                    param=f"{param}.audio",
                )
            return Speech(0, 0, transcript or "")
        case wire.InputImage(image_url=url, detail=detail):
            return Picture(_picture(url, f"{param}.image_url"), detail or "auto")
        case _:
            assert_never(part)


def _speech(audio: bytes | None, transcript: str | None, luggage: Luggage, param: str) -> Speech:
    if audio:
        clip, length = luggage.sound(audio, f"{param}.audio")
        return Speech(0, length, transcript, clip)
    if transcript is None:
        raise PeerError(
            "This part has neither audio nor a transcript.",
            "Give the sound as base64 in the session's input format, or its words as 'transcript'.",
            code="missing_required_parameter",
            param=f"{param}.audio",
        )
    return Speech(0, 0, transcript)


def _picture(url: str, param: str) -> str:
    """Only what the message itself holds: nobody makes a model's server fetch from where a client points."""
    if url.startswith(PICTURE_TYPES):
        return url
    raise PeerError(
        "Invalid image_url: it must be a data URL of a PNG or JPEG image.",
        "Send the image itself: data:image/png;base64,...",
        code="invalid_value",
        param=param,
    )


def _bounded(text: str, param: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    raise PeerError(
        f"String too long: {len(text)} characters; at most {LONGEST_TEXT} are allowed.",
        "Shorten it, or split it into several items.",
        code="string_above_max_length",
        param=param,
    )


# --- responses -------------------------------------------------------------------------------------------------------


def options_from(params: client.ResponseParams, luggage: Luggage) -> ResponseOptions:
    """One response's own options; what is absent or null follows the session."""
    output = given((given(params.audio) or client.ResponseAudioParams()).output) or client.ResponseAudioOutputParams()
    given_input = given(params.input)
    context = None
    if given_input is not None:
        context = tuple(_context_part(part, luggage, f"response.input[{n}]") for n, part in enumerate(given_input))
    hints = {name: value for name in HINTS if (value := msgspec.to_builtins(given(getattr(params, name)))) is not None}
    return ResponseOptions(
        instructions=_value(params.instructions),
        speaks=_speaks(params.output_modalities),
        voice=_voice(output.voice),
        output_format=_format(output.format),
        tools=_tools(_value(params.tools), luggage, "response.tools"),
        tool_choice=_tool_choice(_value(params.tool_choice)),
        max_output_tokens=_token_limit(_value(params.max_output_tokens)),
        hints=hints,
        metadata=given(params.metadata),
        detached=params.conversation == "none",
        input=context,
    )


def _context_part(part: wire.Item | wire.ItemReference, luggage: Luggage, param: str) -> Item | str:
    return part.id if isinstance(part, wire.ItemReference) else item_from(part, luggage, param)
