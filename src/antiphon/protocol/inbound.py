"""From a client's message to the session's input.

A translation, and the refusals that need no more than the message: what the wire can say and we cannot do. It
does not know whether ids exist or whether it is the moment; that is the session's to say.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec
from msgspec import UNSET, Struct, UnsetType

from antiphon.audio.units import Samples
from antiphon.errors import PeerError
from antiphon.protocol import client
from antiphon.protocol import items as wire
from antiphon.protocol import session_config as config
from antiphon.session import inputs
from antiphon.session.inputs import Input
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message, Part, Picture, Role, Speech, Text
from antiphon.session.settings import (
    AudioFormat,
    ForeignTool,
    FunctionTool,
    ResponseOptions,
    SettingsPatch,
    Tool,
    Transcription,
    TurnDetection,
)

LONGEST_TEXT = 1_000_000  # characters of one setting or item: more is no conversation


class Append(Struct, frozen=True):
    """More sound, in the session's input format. It goes to the ear, not to the session."""

    audio: bytes


class Goodbye(Struct, frozen=True):
    """The client asks to hang up."""


def read(message: client.ClientMessage, connection: str, heard: Samples) -> Input | Append | Goodbye:
    """What the message asks for. `heard` is how much sound had come before it. Raises `PeerError`."""
    request = message.event_id
    match message:
        case client.AudioAppend(audio=audio):
            return Append(audio)
        case client.SessionUpdate(session=patch):
            return inputs.UpdateSettings(connection, request, patch_from(patch))
        case client.AudioCommit():
            return inputs.CommitAudio(connection, request, heard)
        case client.AudioClear():
            return inputs.ClearAudio(connection, request, heard)
        case client.ItemCreate(item=item, previous_item_id=after):
            return inputs.CreateItem(connection, request, item_from(item), after)
        case client.ItemRetrieve(item_id=item_id):
            return inputs.RetrieveItem(connection, request, item_id)
        case client.ItemDelete(item_id=item_id):
            return inputs.DeleteItem(connection, request, item_id)
        case client.ItemTruncate(item_id=item_id, content_index=index, audio_end_ms=end_ms):
            return inputs.TruncateItem(connection, request, item_id, index, end_ms)
        case client.ResponseCreate(response=params):
            return inputs.CreateResponse(connection, request, options_from(params or client.ResponseParams()))
        case client.ResponseCancel(response_id=response_id):
            return inputs.CancelResponse(connection, request, response_id)
        case client.SessionClose():
            return Goodbye()
        case client.OutputAudioClear():
            raise PeerError(
                "Invalid value: 'output_audio_buffer.clear'. It is only for connections where the server plays.",
                "On a WebSocket, stop playing and send response.cancel and conversation.item.truncate.",
                code="invalid_value",
                param="type",
            )
        case _:
            assert_never(message)


# --- settings --------------------------------------------------------------------------------------------------------


def patch_from(patch: config.SessionPatch) -> SettingsPatch:
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
        input_format=_format(heard.format, "session.audio.input.format"),
        output_format=_format(spoken.format, "session.audio.output.format"),
        transcription=_transcription(heard.transcription),
        turn_detection=_turn_detection(heard.turn_detection),
        tools=_tools(patch.tools),
        tool_choice=_tool_choice(patch.tool_choice),
        max_output_tokens=_token_limit(patch.max_output_tokens),
        reflected=_reflected(patch, heard),
    )


REFLECTED = ("parallel_tool_calls", "truncation", "tracing", "prompt", "reasoning", "include")
"""Settings that are accepted and echoed. What they ask for is not done yet, or is nothing that a cascade could do."""


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


def _format(format: config.Maybe[wire.AudioFormat], param: str) -> AudioFormat | UnsetType:
    match format:
        case wire.AudioPcm():
            return AudioFormat("pcm", 24_000)
        case wire.AudioPcmu() | wire.AudioPcma():
            name = str(type(format).__struct_config__.tag)
            raise PeerError(
                f"Invalid value: '{name}'. Supported values are: 'audio/pcm'.",
                "Send 24 kHz PCM, 16 bits, mono. Telephone formats are not supported yet.",
                code="invalid_value",
                param=f"{param}.type",
            )
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


def _tools(tools: config.Maybe[tuple[config.Tool, ...]]) -> tuple[Tool, ...] | UnsetType:
    if tools is UNSET:
        return UNSET
    return tuple(_tool(tool) for tool in tools or ())


def _tool(tool: config.Tool) -> Tool:
    match tool:
        case config.FunctionTool(name=name, description=description, parameters=parameters):
            return FunctionTool(name, description or "", parameters or {"type": "object", "properties": {}})
        case config.McpTool():
            # Its secrets are used by nobody yet, and so are not kept either.
            public = msgspec.structs.replace(tool, authorization=UNSET, headers=UNSET)
            return ForeignTool(msgspec.to_builtins(public))
        case _:
            assert_never(tool)


def _tool_choice(choice: config.Maybe[config.ToolChoice]) -> Any:
    if choice is UNSET:
        return UNSET
    return "auto" if choice is None else msgspec.to_builtins(choice)


def _token_limit(limit: Any) -> int | UnsetType | None:
    return limit if limit is UNSET or isinstance(limit, int) else None


# --- items -----------------------------------------------------------------------------------------------------------


def item_from(item: wire.Item) -> Item:
    """A client's item in the session's words; its id is empty if it gave none."""
    name = item.id or ""
    match item:
        case wire.Message(role=role, content=content):
            return Message(name, Role(role), tuple(_part(part, role, index) for index, part in enumerate(content)))
        case wire.FunctionCall(call_id=call_id, name=function, arguments=arguments):
            return FunctionCall(name, call_id or "", function, arguments)
        case wire.FunctionCallOutput(call_id=call_id, output=output):
            return FunctionOutput(name, call_id, output)
        case wire.McpListTools() | wire.McpCall() | wire.McpApprovalRequest() | wire.McpApprovalResponse():
            raise PeerError(
                f"Invalid value: '{type(item).__struct_config__.tag}'. MCP items are not supported yet.",
                "Run MCP tools in your program and offer them as functions.",
                code="invalid_value",
                param="item.type",
            )
        case _:
            assert_never(item)


def _part(part: wire.Content, role: str, index: int) -> Part:
    match part:
        case wire.InputText(text) | wire.OutputText(text):
            return Text(_bounded(text, f"item.content[{index}].text"))
        case wire.InputAudio(audio=audio, transcript=transcript) | wire.OutputAudio(audio=audio, transcript=transcript):
            if transcript is None or (role == "assistant" and audio):
                raise PeerError(
                    "Audio in items is not supported yet.",
                    "Append it with input_audio_buffer.append and commit it, or give its transcript.",
                    code="invalid_value",
                    param=f"item.content[{index}].audio",
                )
            return Speech(0, 0, transcript)
        case wire.InputImage(image_url=url, detail=detail):
            return Picture(url, detail or "auto")
        case _:
            assert_never(part)


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


def options_from(params: client.ResponseParams) -> ResponseOptions:
    """One response's own options; what is absent or null follows the session."""
    output = given((given(params.audio) or client.ResponseAudioParams()).output) or client.ResponseAudioOutputParams()
    given_input = given(params.input)
    context = None if given_input is None else tuple(_context_part(part) for part in given_input)
    return ResponseOptions(
        instructions=_value(params.instructions),
        speaks=_speaks(params.output_modalities),
        voice=_voice(output.voice),
        output_format=_format(output.format, "response.audio.output.format"),
        tools=_tools(_value(params.tools)),
        tool_choice=_tool_choice(_value(params.tool_choice)),
        max_output_tokens=_token_limit(_value(params.max_output_tokens)),
        metadata=given(params.metadata),
        detached=params.conversation == "none",
        input=context,
    )


def _context_part(part: wire.Item | wire.ItemReference) -> Item | str:
    return part.id if isinstance(part, wire.ItemReference) else item_from(part)
