"""OpenAI's routes for files of speech: transcriptions and translations, and speech and the voices for it.

It reads requests and writes answers; sound is `media`'s, recognising and speaking are `runtime`'s. Whoever hangs up
stops the work that was done for them.
"""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta, Struct
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from antiphon.audio.languages import code_of, name_of
from antiphon.audio.units import Pcm16, seconds_from_samples
from antiphon.config import Config
from antiphon.engines.api import SttRequest, TtsRequest
from antiphon.engines.registry import EngineSet
from antiphon.errors import AntiphonError, EngineError, PeerError, did_you_mean
from antiphon.hearing.hub import HearingHub
from antiphon.media.encode import FORMS, Encoder
from antiphon.media.subtitles import Segment, plain, srt, vtt
from antiphon.protocol.codec import decode_document
from antiphon.runtime.live import Final
from antiphon.runtime.speech import spoken
from antiphon.runtime.whole import Ears, Read, in_thread, transcribe_file
from antiphon.server.client_secrets import read_body
from antiphon.server.door import Visitor
from antiphon.server.leaving import unless_left
from antiphon.server.limits import ByteBudgets
from antiphon.server.minutes import Tab
from antiphon.server.refusals import Refusal
from antiphon.server.upload import Uploads

log = logging.getLogger("antiphon.server")

T = TypeVar("T")

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
LONGEST_SPEECH = 16_384  # characters: four times OpenAI's
ENGINE_STATUS = 502


class Building(Struct):
    """What of the server these routes use."""

    config: Callable[[], Config]
    engines: EngineSet
    hub: HearingHub
    budgets: Callable[[], ByteBudgets]
    tab: Callable[[Visitor], Tab]


WHISPER_SCORES = {"tokens": [], "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0}
"""Fields of Whisper's segments that clients insist on, and that other recognisers do not have."""


class SpeechRequest(Struct):
    """The body of `POST /v1/audio/speech`."""

    input: Annotated[str, Meta(max_length=LONGEST_SPEECH)]
    voice: str | dict[str, Any] = "marin"
    model: str | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=4.0)] = 1.0
    stream_format: Literal["sse", "audio"] = "audio"
    language: str | None = None
    """Ours: the voices here speak more than one."""


class Wanted(Struct, frozen=True):
    """A transcription, as its form asks for it."""

    file: UploadFile
    format: str
    request: SttRequest
    is_streamed: bool
    granularities: frozenset[str]


def audio_routes(building: Building) -> list[Route]:
    """The routes under /v1/audio."""
    uploads = Uploads()

    async def transcriptions(request: Request) -> Response:
        return await _transcribe(building, uploads, request, translate=False)

    async def translations(request: Request) -> Response:
        if not getattr(building.engines.stt, "translates", False):
            message = "The recogniser of this server does not translate. Whisper does: stt.engine = 'whisper'."
            return Refusal(400, "unsupported_operation", message).response
        return await _transcribe(building, uploads, request, translate=True)

    async def speech(request: Request) -> Response:
        return await _answered(_speak(building, request))

    async def voices(request: Request) -> Response:
        names = await in_thread(lambda: _voices(building))
        return JSONResponse({"voices": [{"id": name, "name": name} for name in names]})

    return [
        Route("/v1/audio/transcriptions", transcriptions, methods=["POST"]),
        Route("/v1/audio/translations", translations, methods=["POST"]),
        Route("/v1/audio/speech", speech, methods=["POST"]),
        Route("/v1/audio/voices", voices),
    ]


async def _answered(answer: Awaitable[Response]) -> Response:
    """The answer, or what went wrong with the engines in OpenAI's form. A `PeerError` is the application's."""
    try:
        return await answer
    except EngineError as error:
        return Refusal(ENGINE_STATUS, error.code, error.told).response


# --- sound to text ---------------------------------------------------------------------------------------------------


async def _transcribe(building: Building, uploads: Uploads, request: Request, *, translate: bool) -> Response:
    news = _news(building, uploads, request, translate=translate)
    wanted = await anext(news)
    assert isinstance(wanted, Wanted)
    if not wanted.is_streamed:
        return await unless_left(request, _answered(_whole(wanted, news)))
    # The first event is waited for: what cannot be read at all is refused with a status.
    events = _events(news)
    try:
        first = await anext(events)
    except EngineError as error:
        return Refusal(ENGINE_STATUS, error.code, error.told).response
    return StreamingResponse(_with_first(first, events), media_type="text/event-stream")


async def _news(
    building: Building, uploads: Uploads, request: Request, *, translate: bool
) -> AsyncGenerator[Wanted | Final | Read, None]:
    """What is wanted, then what is heard. The upload is in memory for as long as this goes on."""
    limits = building.config().server
    visitor: Visitor = request.state.visitor
    budget, tab = building.budgets().of(visitor.name), building.tab(visitor)
    async with uploads.form(request, limits.max_upload_bytes, budget) as form:
        wanted = _wanted(form, translate=translate)
        yield wanted
        ears = Ears(building.hub, building.engines.stt)
        heard = transcribe_file(wanted.file.file, ears, wanted.request, longest_s=limits.max_upload_s)
        async with aclosing(cast("AsyncGenerator[Final | Read, None]", heard)) as events:
            charged_s = 0.0
            async for event in events:
                if isinstance(event, Read):
                    tab.charge(event.done_s - charged_s)
                    charged_s = event.done_s
                yield event


def _wanted(form: FormData, *, translate: bool) -> Wanted:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise PeerError(
            "There is no file in the form.",
            "Send one in the field 'file'.",
            code="missing_required_parameter",
            param="file",
        )
    if not file.size:
        raise PeerError("The file is empty.", "Send one with sound in it.", code="invalid_audio", param="file")
    kind = _text(form, "response_format") or "json"
    if kind not in FORMATS:
        raise PeerError(
            f"No response_format is called {kind[:40]!r}.",
            did_you_mean(kind, FORMATS),
            code="invalid_value",
            param="response_format",
        )
    language = _text(form, "language")
    code = code_of(language) if language else None
    if language and code is None:
        hint = 'Give its ISO-639-1 code, such as "en".'
        raise PeerError(f"{language[:40]!r} is no language.", hint, code="invalid_value", param="language")
    granularities = frozenset(
        str(value) for name in ("timestamp_granularities[]", "timestamp_granularities") for value in form.getlist(name)
    )
    if granularities - {"word", "segment"}:
        hint = 'Give "word", "segment" or both.'
        raise PeerError("No such granularity.", hint, code="invalid_value", param="timestamp_granularities")
    request = SttRequest(
        None if translate else code,
        _text(form, "prompt"),
        _text(form, "model"),
        purpose="transcription",
        translate=translate,
    )
    is_streamed = (_text(form, "stream") or "false").lower() in ("true", "1")
    return Wanted(file, kind, request, is_streamed, granularities)


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    return value if isinstance(value, str) and value else None


async def _whole(wanted: Wanted, news: AsyncGenerator[Wanted | Final | Read, None]) -> Response:
    finals: list[Final] = []
    seconds = 0.0
    async with aclosing(news):
        async for event in news:
            match event:
                case Final():
                    finals.append(event)
                case Read(done_s):
                    seconds = done_s
    segments = [Segment(final.text, final.start_s, final.end_s, final.words) for final in finals if final.text]
    match wanted.format:
        case "text":
            return PlainTextResponse(plain(segments) + "\n")
        case "srt":
            return PlainTextResponse(srt(segments), media_type="application/x-subrip")
        case "vtt":
            return PlainTextResponse(vtt(segments), media_type="text/vtt")
        case "verbose_json":
            return JSONResponse(_verbose(wanted, segments, finals, seconds))
        case _:
            return JSONResponse({"text": plain(segments), "usage": _usage(seconds)})


def _verbose(wanted: Wanted, segments: list[Segment], finals: list[Final], seconds: float) -> dict[str, Any]:
    heard = next((final.language for final in finals if final.language), wanted.request.language)
    made: dict[str, Any] = {
        "task": "translate" if wanted.request.translate else "transcribe",
        "language": "english" if wanted.request.translate else name_of(heard),
        "duration": round(seconds, 3),
        "text": plain(segments),
        "usage": _usage(seconds),
    }
    if "segment" in wanted.granularities or not wanted.granularities:
        made["segments"] = [
            {
                "id": number,
                "seek": round(segment.start_s * 100),
                "start": round(segment.start_s, 3),
                "end": round(segment.end_s, 3),
                "text": segment.text,
                **WHISPER_SCORES,
            }
            for number, segment in enumerate(segments)
        ]
    if "word" in wanted.granularities:
        made["words"] = [
            {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
            for segment in segments
            for word in segment.words
        ]
    return made


def _usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(seconds)}


async def _events(news: AsyncGenerator[Wanted | Final | Read, None]) -> AsyncGenerator[bytes, None]:
    """Server-sent events: each utterance's text as it is recognised, then all of it."""
    text, seconds = "", 0.0
    async with aclosing(news):
        async for event in news:
            if isinstance(event, Read):
                seconds = event.done_s
            elif isinstance(event, Final) and event.text:
                delta = f" {event.text}" if text else event.text
                text += delta
                yield _event(type="transcript.text.delta", delta=delta)
    usage = _usage(seconds)
    yield _event(type="transcript.text.done", text=text, usage=usage)


async def _with_first(first: bytes, events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """An error that comes after the first event can only be told as another event."""
    yield first
    async with aclosing(events):
        try:
            async for event in events:
                yield event
        except AntiphonError as error:
            code = getattr(error, "code", None)
            yield _event(type="error", error={"type": "server_error", "code": code, "message": error.told})


def _event(**fields: Any) -> bytes:
    return b"data: " + msgspec.json.encode(fields) + b"\n\n"


# --- text to sound ---------------------------------------------------------------------------------------------------


async def _speak(building: Building, request: Request) -> Response:
    asked = decode_document(await read_body(request), SpeechRequest)
    voice = asked.voice if isinstance(asked.voice, str) else str(asked.voice.get("id", ""))
    how = TtsRequest(voice, asked.speed, code_of(asked.language or "") or None, asked.model)
    tab = building.tab(request.state.visitor)
    sound = _charged(cast("AsyncGenerator[Pcm16, None]", spoken(asked.input, building.engines.tts, how)), tab)
    # The first sound is waited for: a voice that fails is a status, and not half an answer.
    first = await anext(sound, None)
    if first is None:
        raise PeerError(
            "There is nothing to say in the input.", "Write some words.", code="invalid_value", param="input"
        )
    encoded = _encoded(first, sound, Encoder(asked.response_format))
    if asked.stream_format == "sse":
        return StreamingResponse(_speech_events(encoded), media_type="text/event-stream")
    return StreamingResponse(encoded, media_type=FORMS[asked.response_format].media_type)


async def _charged(sound: AsyncGenerator[Pcm16, None], tab: Tab) -> AsyncGenerator[Pcm16, None]:
    """What is made counts; what was begun is spoken to its end."""
    async with aclosing(sound):
        async for pcm in sound:
            tab.charge(seconds_from_samples(pcm.size))
            yield pcm


async def _encoded(first: Pcm16, sound: AsyncGenerator[Pcm16, None], encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """In a thread, for a second of sound is some milliseconds of work. A voice that breaks in the middle breaks off the
    answer, so that nobody takes the half for the whole."""
    async with aclosing(sound):
        if data := await in_thread(lambda: encoder.push(first)):
            yield data
        async for pcm in sound:
            if data := await in_thread(partial(encoder.push, pcm)):
                yield data
    yield await in_thread(encoder.finish)


async def _speech_events(encoded: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(encoded):
        async for data in encoded:
            yield _event(type="speech.audio.delta", audio=base64.b64encode(data).decode())
    yield _event(type="speech.audio.done", usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0})


def _voices(building: Building) -> list[str]:
    """What the voice engine knows; else the names that every client has."""
    own: Callable[[], list[str]] | None = getattr(building.engines.tts, "voices", None)
    return own() if own is not None else ["alloy", "ash", "marin"]
