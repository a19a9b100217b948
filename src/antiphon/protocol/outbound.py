"""From what the session tells to the messages of the Realtime protocol.

The session's words are fewer: that an item ended is five messages here, in the protocol's order. Nothing is decided:
a `Projection` knows one connection's tastes, counts its event ids, and remembers no state of the conversation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, assert_never, cast

import msgspec
from msgspec import UNSET, UnsetType

from antiphon.audio.units import Seconds, ms_from_samples
from antiphon.errors import Bug
from antiphon.protocol import additions, server
from antiphon.protocol import items as wire
from antiphon.protocol import session_config as config
from antiphon.session import outputs
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpFailure,
    McpTool,
    McpToolList,
    Message,
    Part,
    Picture,
    Role,
    Speech,
    Status,
    Text,
)
from antiphon.session.outputs import Notice, ResponseInfo
from antiphon.session.settings import (
    ApprovalFilter,
    AudioFormat,
    FunctionTool,
    McpServer,
    Settings,
    Tool,
    ToolFilter,
    Truncation,
    TurnDetection,
)

Resuming = additions.SessionResumable | additions.SessionResumed
Outgoing = server.ServerMessage | additions.AdditionMessage


class Projection:
    """One connection's view of its session."""

    def __init__(self, prefix: str, expires_at: int, *, with_additions: bool = False, with_sound: bool = True) -> None:
        """`prefix` makes event ids unique; `expires_at` is in seconds since 1970; additions are messages of our own.
        Without sound, it goes to the person by another way."""
        self._prefix = prefix
        self._expires_at = expires_at
        self._with_additions = with_additions
        self.with_sound = with_sound
        self._count = 0

    def messages(self, notice: Notice, audio: bytes = b"", now: Seconds = 0.0) -> list[Outgoing]:
        """What the notice is on the wire, in order. `audio` is the sound of an `AudioSent` or an `ItemRetrieved`, in
        the format that goes out; `now` is any clock that only runs on."""
        return list(self._project(notice, audio, now))

    def timeline(self, report: additions.Timeline) -> list[Outgoing]:
        """A turn's timeline, for a connection that wants to know."""
        return [msgspec.structs.replace(report, event_id=self._id())] if self._with_additions else []

    def own(self, message: Resuming) -> list[Outgoing]:
        """What a connection is told of itself, with an id."""
        return [msgspec.structs.replace(message, event_id=self._id())]

    def _id(self) -> str:
        self._count += 1
        return f"event_{self._prefix}{self._count:06d}"

    def _project(self, notice: Notice, audio: bytes, now: Seconds) -> Iterator[Outgoing]:
        match notice:
            case outputs.AudioSent(response_id=response_id, index=index, item_id=item_id):
                if not self.with_sound:
                    return
                yield server.AudioDelta(
                    event_id=self._id(), response_id=response_id, item_id=item_id, output_index=index, content_index=0,
                    delta=audio, sent_ms=round(1000 * now) if self._with_additions else UNSET,
                )  # fmt: skip
            case outputs.TextSent():
                yield self._text(notice)
            case outputs.ArgumentsSent(
                response_id=response_id, index=index, item_id=item_id, call_id=call_id, text=text
            ):
                yield server.ArgumentsDelta(
                    event_id=self._id(), response_id=response_id, item_id=item_id, output_index=index, call_id=call_id,
                    delta=text,
                )  # fmt: skip
            case outputs.OutputBegan():
                yield from self._began(notice)
            case outputs.OutputEnded():
                yield from self._ended(notice)
            case outputs.ResponseBegan(response):
                yield server.ResponseCreated(event_id=self._id(), response=response_from(response))
            case outputs.ResponseEnded(response):
                yield server.ResponseDone(event_id=self._id(), response=response_from(response))
                yield server.RateLimitsUpdated(event_id=self._id(), rate_limits=())
            case outputs.PlaybackBegan(response_id):
                yield server.OutputAudioStarted(event_id=self._id(), response_id=response_id)
            case outputs.PlaybackEnded(response_id):
                yield server.OutputAudioStopped(event_id=self._id(), response_id=response_id)
            case outputs.PlaybackCleared(response_id, began):
                if began:
                    yield server.OutputAudioCleared(event_id=self._id(), response_id=response_id)
            case outputs.PlaybackReached(response_id=response_id, item_id=item_id, played=played, letters=letters):
                if self._with_additions:
                    yield additions.OutputAudioHeard(
                        event_id=self._id(), response_id=response_id, item_id=item_id,
                        played_ms=ms_from_samples(played), letters=letters,
                    )  # fmt: skip
            case outputs.ApprovalAsked() | outputs.ApprovalSettled():
                if self._with_additions:
                    yield self._approval(notice)
            case outputs.ToolBegan() | outputs.ToolReported() | outputs.ToolEnded() | outputs.TaskDone():
                if self._with_additions:
                    yield self._tool(notice)
            case outputs.ToolListingBegan() | outputs.ToolListingEnded():
                yield from self._listing(notice)
            case outputs.McpArgumentsSent() | outputs.McpArgumentsEnded():
                yield self._mcp_arguments(notice)
            case outputs.McpCallBegan() | outputs.McpCallEnded():
                yield self._mcp_call(notice)
            case outputs.McpCallAwaits(response_id=response_id, index=index, item=call):
                yield server.OutputItemDone(
                    event_id=self._id(), response_id=response_id, output_index=index, item=item_for(call)
                )
            case outputs.McpCallSettled(item=call, previous=previous):
                yield server.ItemDone(event_id=self._id(), previous_item_id=previous, item=item_for(call))
            case outputs.TranscriptionGrew():
                yield from self._transcribed(notice)
            case outputs.TranscriptionDone() | outputs.TranscriptionFailed():
                yield self._transcription(notice)
            case outputs.SpeechStarted(item_id=item_id, at=at):
                yield server.SpeechStarted(event_id=self._id(), item_id=item_id, audio_start_ms=ms_from_samples(at))
            case outputs.SpeechStopped(item_id=item_id, at=at):
                yield server.SpeechStopped(event_id=self._id(), item_id=item_id, audio_end_ms=ms_from_samples(at))
            case outputs.AudioCommitted(item_id=item_id, previous=previous):
                yield server.AudioCommitted(event_id=self._id(), item_id=item_id, previous_item_id=previous)
            case outputs.TimedOut(item_id=item_id, start=start, stop=stop):
                yield server.TimeoutTriggered(
                    event_id=self._id(), item_id=item_id, audio_start_ms=ms_from_samples(start),
                    audio_end_ms=ms_from_samples(stop),
                )  # fmt: skip
            case outputs.AudioCleared():
                yield server.AudioCleared(event_id=self._id())
            case outputs.ItemAdded(item=item, previous=previous):
                shown = item_for(item)
                yield server.ItemAdded(event_id=self._id(), previous_item_id=previous, item=shown)
                yield server.ItemDone(event_id=self._id(), previous_item_id=previous, item=shown)
            case outputs.ItemRetrieved(item=item):
                yield server.ItemRetrieved(event_id=self._id(), item=_with_audio(item_for(item), audio))
            case outputs.ItemDeleted(item_id=item_id):
                yield server.ItemDeleted(event_id=self._id(), item_id=item_id)
            case outputs.ItemTruncated(item_id=item_id, content_index=index, audio_end_ms=end_ms):
                yield server.ItemTruncated(
                    event_id=self._id(), item_id=item_id, content_index=index, audio_end_ms=end_ms
                )
            case outputs.Welcomed(session_id=session_id, settings=settings):
                session = session_from(session_id, settings, self._expires_at)
                yield server.SessionCreated(event_id=self._id(), session=session)
            case outputs.SettingsChanged(session_id=session_id, settings=settings):
                session = session_from(session_id, settings, self._expires_at)
                yield server.SessionUpdated(event_id=self._id(), session=session)
            case outputs.Refused(message=message, code=code, param=param, kind=kind, request=request):
                details = wire.ErrorDetails(type=kind, code=code, message=message, param=param, event_id=request)
                yield server.Error(event_id=self._id(), error=details)
            case _:
                assert_never(notice)

    def _text(self, sent: outputs.TextSent) -> Outgoing:
        kind = server.TranscriptDelta if sent.spoken else server.TextDelta
        return kind(
            event_id=self._id(),
            response_id=sent.response_id,
            item_id=sent.item_id,
            output_index=sent.index,
            content_index=0,
            delta=sent.text,
        )

    def _began(self, began: outputs.OutputBegan) -> Iterator[Outgoing]:
        item = item_for(began.item)
        yield server.OutputItemAdded(
            event_id=self._id(), response_id=began.response_id, output_index=began.index, item=item
        )
        if not began.detached:
            yield server.ItemAdded(event_id=self._id(), previous_item_id=began.previous, item=item)
        if isinstance(began.item, Message):
            part = wire.AudioPart() if began.speaks else wire.TextPart()
            yield server.ContentPartAdded(
                event_id=self._id(), response_id=began.response_id, item_id=began.item.id,
                output_index=began.index, content_index=0, part=part,
            )  # fmt: skip

    def _ended(self, ended: outputs.OutputEnded) -> Iterator[Outgoing]:
        match ended.item:
            case Message():
                yield from self._message_ended(ended, ended.item)
            case FunctionCall(id=item_id, call_id=call_id, name=name, arguments=arguments):
                yield server.ArgumentsDone(
                    event_id=self._id(), response_id=ended.response_id, item_id=item_id, output_index=ended.index,
                    call_id=call_id, name=name, arguments=arguments,
                )  # fmt: skip
            case McpCall() | McpApprovalRequest():
                pass
            case _:
                raise Bug(f"a response made {ended.item!r}", "Teach the projection this kind of item.")
        item = item_for(ended.item)
        yield server.OutputItemDone(
            event_id=self._id(), response_id=ended.response_id, output_index=ended.index, item=item
        )
        if not ended.detached:
            yield server.ItemDone(event_id=self._id(), previous_item_id=ended.previous, item=item)

    def _message_ended(self, ended: outputs.OutputEnded, item: Message) -> Iterator[Outgoing]:
        where: dict[str, Any] = {
            "response_id": ended.response_id,
            "item_id": item.id,
            "output_index": ended.index,
            "content_index": 0,
        }
        part: wire.ContentPart
        match item.content[0]:
            case Speech(transcript=transcript):
                words = transcript or ""
                yield server.AudioDone(event_id=self._id(), **where)
                yield server.TranscriptDone(event_id=self._id(), transcript=words, **where)
                part = wire.AudioPart(words)
            case Text(text):
                yield server.TextDone(event_id=self._id(), text=text, **where)
                part = wire.TextPart(text)
            case Picture():
                raise Bug("a response made a picture", "Teach the projection this kind of part.")
        yield server.ContentPartDone(event_id=self._id(), part=part, **where)

    def _listing(self, notice: outputs.ToolListingBegan | outputs.ToolListingEnded) -> Iterator[Outgoing]:
        item = notice.item
        shown = item_for(item)
        if isinstance(notice, outputs.ToolListingBegan):
            yield server.ItemAdded(event_id=self._id(), previous_item_id=notice.previous, item=shown)
            yield server.McpListToolsInProgress(event_id=self._id(), item_id=item.id)
            return
        outcome = server.McpListToolsCompleted if notice.ok else server.McpListToolsFailed
        yield outcome(event_id=self._id(), item_id=item.id)
        yield server.ItemDone(event_id=self._id(), previous_item_id=notice.previous, item=shown)

    def _mcp_arguments(self, notice: outputs.McpArgumentsSent | outputs.McpArgumentsEnded) -> Outgoing:
        where: dict[str, Any] = {
            "response_id": notice.response_id,
            "item_id": notice.item_id,
            "output_index": notice.index,
        }
        if isinstance(notice, outputs.McpArgumentsSent):
            return server.McpArgumentsDelta(event_id=self._id(), delta=notice.text, **where)
        return server.McpArgumentsDone(event_id=self._id(), arguments=notice.arguments, **where)

    def _mcp_call(self, notice: outputs.McpCallBegan | outputs.McpCallEnded) -> Outgoing:
        where: dict[str, Any] = {"item_id": notice.item_id, "output_index": notice.index}
        if isinstance(notice, outputs.McpCallBegan):
            return server.McpCallInProgress(event_id=self._id(), **where)
        outcome = server.McpCallCompleted if notice.ok else server.McpCallFailed
        return outcome(event_id=self._id(), **where)

    def _approval(self, notice: outputs.ApprovalAsked | outputs.ApprovalSettled) -> Outgoing:
        if isinstance(notice, outputs.ApprovalSettled):
            return additions.ApprovalDone(
                event_id=self._id(), call_id=notice.call_id, name=notice.name, outcome=notice.outcome
            )
        return additions.ApprovalRequested(
            event_id=self._id(), call_id=notice.call_id, name=notice.name, arguments=notice.arguments,
            expires_in_s=notice.expires_in_s,
        )  # fmt: skip

    def _tool(
        self, notice: outputs.ToolBegan | outputs.ToolReported | outputs.ToolEnded | outputs.TaskDone
    ) -> Outgoing:
        call_id, name = notice.call_id, notice.name
        match notice:
            case outputs.ToolBegan(response_id=response_id, arguments=arguments):
                return additions.ToolStarted(
                    event_id=self._id(), response_id=response_id, call_id=call_id, name=name, arguments=arguments
                )
            case outputs.ToolReported(text=text):
                return additions.ToolProgress(event_id=self._id(), call_id=call_id, name=name, text=text)
            case outputs.ToolEnded(response_id=response_id, output=output, ok=ok):
                return additions.ToolDone(
                    event_id=self._id(), response_id=response_id, call_id=call_id, name=name, output=output, ok=ok
                )
            case outputs.TaskDone(output=output, ok=ok):
                return additions.TaskDone(event_id=self._id(), call_id=call_id, name=name, output=output, ok=ok)
            case _:
                assert_never(notice)

    def _transcribed(self, grew: outputs.TranscriptionGrew) -> Iterator[Outgoing]:
        if grew.text:
            yield server.TranscriptionDelta(
                event_id=self._id(), item_id=grew.item_id, delta=grew.text, logprobs=_logprobs(grew.logprobs)
            )
        if self._with_additions and grew.tail is not None:
            yield additions.TranscriptionTail(event_id=self._id(), item_id=grew.item_id, tail=grew.tail)

    def _transcription(self, notice: outputs.TranscriptionDone | outputs.TranscriptionFailed) -> Outgoing:
        match notice:
            case outputs.TranscriptionDone(
                item_id=item_id, text=text, seconds=seconds, language=language, logprobs=logprobs
            ):
                return server.TranscriptionCompleted(
                    event_id=self._id(),
                    item_id=item_id,
                    transcript=text,
                    usage=wire.TranscriptionDuration(seconds),
                    languages=(wire.TranscriptionLanguage(language),) if language else UNSET,
                    logprobs=_logprobs(logprobs),
                )
            case outputs.TranscriptionFailed(item_id=item_id, code=code, message=message):
                failure = wire.TranscriptionFailure(type="transcription_error", code=code, message=message)
                return server.TranscriptionFailed(event_id=self._id(), item_id=item_id, error=failure)


# --- nouns -----------------------------------------------------------------------------------------------------------


def _logprobs(found: tuple[tuple[str, float], ...]) -> tuple[wire.LogProb, ...] | UnsetType:
    """Left out where there are none."""
    return tuple(wire.LogProb(token=token, logprob=p, bytes=tuple(token.encode())) for token, p in found) or UNSET


def item_for(item: Item) -> wire.Item:
    """An item as it stands on the wire, without its sound."""
    status: wire.ItemStatus = cast("Any", item.status.value)
    match item:
        case Message(id=item_id, role=role, content=content):
            parts = tuple(_content(part, role) for part in content)
            return wire.Message(id=item_id, status=status, role=role.value, content=parts)
        case FunctionCall(id=item_id, call_id=call_id, name=name, arguments=arguments):
            # What is still being written has no arguments yet, for they follow as deltas.
            text = "" if item.status is Status.IN_PROGRESS else arguments
            return wire.FunctionCall(id=item_id, status=status, call_id=call_id, name=name, arguments=text)
        case FunctionOutput(id=item_id, call_id=call_id, output=output):
            return wire.FunctionCallOutput(id=item_id, status=status, call_id=call_id, output=output)
        case McpToolList(id=item_id, server=label, tools=tools):
            return wire.McpListTools(id=item_id, server_label=label, tools=tuple(_tool_info(tool) for tool in tools))
        case McpCall(id=item_id, server=label, name=name, arguments=arguments):
            return wire.McpCall(
                id=item_id, server_label=label, name=name, arguments=arguments, approval_request_id=item.approval,
                output=item.output, error=_mcp_error(item.failure),
            )  # fmt: skip
        case McpApprovalRequest(id=item_id, server=label, name=name, arguments=arguments):
            return wire.McpApprovalRequest(id=item_id, server_label=label, name=name, arguments=arguments)
        case McpApprovalResponse(id=item_id, request=request, approve=approve, why=why):
            return wire.McpApprovalResponse(
                id=item_id, approval_request_id=request, approve=approve, reason=why or None
            )
        case _:
            assert_never(item)


def _tool_info(tool: McpTool) -> wire.McpToolInfo:
    annotations = {"readOnlyHint": True} if tool.read_only else None
    return wire.McpToolInfo(
        name=tool.name, input_schema=tool.parameters, description=tool.description, annotations=annotations
    )


def _mcp_error(failure: McpFailure | None) -> wire.McpError | None:
    match failure:
        case None:
            return None
        case McpFailure(kind="protocol", message=message, code=code):
            return wire.McpProtocolError(code, message)
        case McpFailure(kind="http", message=message, code=code):
            return wire.McpHttpError(code, message)
        case McpFailure(message=message):
            return wire.McpToolExecutionError(message)


def _with_audio(item: wire.Item, audio: bytes) -> wire.Item:
    """The item with its sound, if any was kept: only a retrieved item has it."""
    if not audio or not isinstance(item, wire.Message):
        return item
    content = tuple(
        msgspec.structs.replace(part, audio=audio) if isinstance(part, wire.InputAudio | wire.OutputAudio) else part
        for part in item.content
    )
    return msgspec.structs.replace(item, content=content)


def _content(part: Part, role: Role) -> wire.Content:
    match part:
        case Text(text):
            return wire.OutputText(text) if role is Role.ASSISTANT else wire.InputText(text)
        case Speech(transcript=transcript):
            if role is Role.ASSISTANT:
                return wire.OutputAudio(transcript=transcript)
            return wire.InputAudio(transcript=transcript)
        case Picture(url=url, detail=detail):
            return wire.InputImage(url, cast("Literal['auto', 'low', 'high']", detail))
        case _:
            assert_never(part)


def response_from(info: ResponseInfo) -> wire.Response:
    """A response as `response.created` and `response.done` show it."""
    is_over = info.status != "in_progress"
    audio: Any = UNSET
    if info.speaks:
        output = wire.ResponseAudioOutput(format=_wire_format(info.output_format), voice=info.voice)
        audio = wire.ResponseAudio(output=output)
    return wire.Response(
        id=info.id,
        status=cast("Any", info.status),
        status_details=_status_details(info) if is_over else None,
        output=tuple(item_for(item) for item in info.output),
        conversation_id=info.conversation_id,
        output_modalities=("audio",) if info.speaks else ("text",),
        max_output_tokens="inf" if info.max_output_tokens is None else info.max_output_tokens,
        audio=audio,
        usage=_usage(info) if is_over else None,
        metadata=info.metadata,
    )


def _status_details(info: ResponseInfo) -> wire.StatusDetails | None:
    if info.status == "completed":
        return None
    error: Any = UNSET
    if info.status == "failed":
        error = wire.FailureDetails(type="server_error", code=info.error_code, message=info.error_message)
    reason: Any = UNSET if info.reason is None else info.reason
    return wire.StatusDetails(type=cast("Any", info.status), reason=reason, error=error)


def _usage(info: ResponseInfo) -> wire.Usage:
    """All tokens are text: in a cascade the model reads and writes words."""
    cached = wire.CachedTokens(text_tokens=info.cached_tokens)
    return wire.Usage(
        total_tokens=info.input_tokens + info.output_tokens,
        input_tokens=info.input_tokens,
        output_tokens=info.output_tokens,
        input_token_details=wire.InputTokens(
            text_tokens=info.input_tokens, cached_tokens=info.cached_tokens, cached_tokens_details=cached
        ),
        output_token_details=wire.OutputTokens(text_tokens=info.output_tokens),
    )


def session_from(session_id: str, settings: Settings, expires_at: int) -> config.Session:
    """The whole effective configuration."""
    heard = config.AudioInput(
        format=_wire_format(settings.input_format),
        noise_reduction=_reflection(settings, "noise_reduction", None, config.NoiseReduction | None),
        transcription=_wire_transcription(settings),
        turn_detection=_wire_detection(settings.turn_detection),
    )
    include = (config.LOGPROBS,) if settings.logprobs else None
    if settings.kind == "transcription":
        audio = config.TranscriptionAudio(input=heard)
        return config.TranscriptionSession(id=session_id, expires_at=expires_at, audio=audio, include=include)
    spoken = config.AudioOutput(format=_wire_format(settings.output_format), voice=settings.voice, speed=settings.speed)
    reflected = {
        name: msgspec.convert(settings.reflected[name], hint)
        for name, hint in REFLECTED_TYPES.items()
        if settings.reflected.get(name) is not None
    }
    hints = {
        name: msgspec.convert(value, HINT_TYPES[name]) for name, value in settings.hints.items() if value is not None
    }
    return config.RealtimeSession(
        id=session_id,
        expires_at=expires_at,
        model=settings.model,
        instructions=settings.instructions,
        output_modalities=("audio",) if settings.speaks else ("text",),
        audio=config.Audio(input=heard, output=spoken),
        tools=tuple(_wire_tool(tool) for tool in settings.tools),
        tool_choice=msgspec.convert(settings.tool_choice, config.ToolChoice),
        max_output_tokens="inf" if settings.max_output_tokens is None else settings.max_output_tokens,
        truncation=_wire_truncation(settings.truncation),
        include=include,
        **hints,
        **reflected,
    )


HINT_TYPES: dict[str, Any] = {"parallel_tool_calls": bool, "reasoning": config.Reasoning}
REFLECTED_TYPES: dict[str, Any] = {
    "tracing": Literal["auto"] | config.Tracing,
    "prompt": config.Prompt,
}
"""Settings that are echoed as they were given."""


def _reflection(settings: Settings, name: str, default: Any, kind: Any) -> Any:
    return msgspec.convert(settings.reflected.get(name, default), kind)


def _wire_format(format: AudioFormat) -> wire.AudioFormat:
    match format.kind:
        case "pcm":
            return wire.AudioPcm()
        case "pcmu":
            return wire.AudioPcmu()
        case "pcma":
            return wire.AudioPcma()


def _wire_truncation(truncation: Truncation) -> config.Truncation:
    if truncation.kind != "retention_ratio":
        return truncation.kind
    limits: config.Maybe[config.TokenLimits] = UNSET
    if truncation.limit is not None:
        limits = config.TokenLimits(post_instructions=truncation.limit)
    return config.RetentionRatio(retention_ratio=truncation.ratio, token_limits=limits)


def _wire_transcription(settings: Settings) -> config.Transcription | None:
    wish = settings.transcription
    if wish is None:
        return None
    said = {"model": wish.model, "language": wish.language, "prompt": wish.prompt}
    said = {name: value for name, value in said.items() if value is not None} | dict(wish.extra)
    return msgspec.convert(said, config.Transcription)


def _wire_detection(detection: TurnDetection | None) -> config.TurnDetection | None:
    if detection is None:
        return None
    if detection.kind == "semantic_vad":
        return config.SemanticVad(
            eagerness=detection.eagerness,
            create_response=detection.create_response,
            interrupt_response=detection.interrupt_response,
        )
    return config.ServerVad(
        threshold=detection.threshold,
        prefix_padding_ms=detection.prefix_padding_ms,
        silence_duration_ms=detection.silence_duration_ms,
        idle_timeout_ms=detection.idle_timeout_ms,
        create_response=detection.create_response,
        interrupt_response=detection.interrupt_response,
    )


def _wire_tool(tool: Tool) -> config.Tool:
    match tool:
        case FunctionTool(name=name, description=description, parameters=parameters):
            return config.FunctionTool(name=name, description=description, parameters=parameters)
        case McpServer():
            return _wire_server(tool)
        case _:
            assert_never(tool)


def _wire_server(server: McpServer) -> config.McpTool:
    """Without what it is shown to let us in, which only who said it knows."""
    return config.McpTool(
        server_label=server.label,
        server_url=server.url,
        server_description=server.description or UNSET,
        allowed_tools=UNSET if server.allowed is None else _wire_filter(server.allowed),
        require_approval=_wire_approval(server.approval),
        **msgspec.convert(dict(server.reflected), dict[str, Any]),
    )


def _wire_filter(filter: ToolFilter) -> tuple[str, ...] | config.McpToolFilter:
    if filter.read_only is None and filter.names is not None:
        return filter.names
    names = UNSET if filter.names is None else filter.names
    return config.McpToolFilter(tool_names=names, read_only=UNSET if filter.read_only is None else filter.read_only)


def _wire_approval(
    approval: Literal["always", "never"] | ApprovalFilter,
) -> Literal["always", "never"] | config.McpApprovalFilter:
    if not isinstance(approval, ApprovalFilter):
        return approval
    filters = {
        name: config.McpToolFilter(
            tool_names=UNSET if filter.names is None else filter.names,
            read_only=UNSET if filter.read_only is None else filter.read_only,
        )
        for name in ("always", "never")
        if (filter := getattr(approval, name)) is not None
    }
    return config.McpApprovalFilter(**filters)
