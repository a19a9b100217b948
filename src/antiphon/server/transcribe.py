"""Live transcription on `WS /ws/transcribe`: sound in binary frames, text as it is spoken.

It translates between frames and `runtime.live`, and decides nothing about voices or words. The frames hold 16-bit
samples, or what a browser's MediaRecorder makes, in whatever container; text frames are commands:

    {"action": "language", "language": "de"}   for what is said from now on; null lets the recogniser decide
    {"action": "clear"}                        forget what was said; answered with "cleared"
    {"action": "end"}                          or a binary frame END: recognise all that was said, and answer "final"
    {"action": "ping"}                         answered with "pong"

What is sent back: "ready", then "transcription" for each utterance, first with "partial": true and again and again
while it grows, of which "stable" is never taken back and "tail" may be, and once with "partial": false. "error" says
what is wrong and what to do; a connection ends only where its code says so.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket, WebSocketDisconnect

from antiphon.audio.languages import code_of
from antiphon.audio.units import HEARING_RATE, Pcm16, Seconds
from antiphon.engines.api import Listener, SttRequest, Word
from antiphon.errors import PeerError, did_you_mean
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.utterances import Cutting
from antiphon.media.live import LiveDecoder, PcmDecoder
from antiphon.runtime.live import Event, Failed, Final, LiveTranscription, Partial
from antiphon.server.limits import ByteBudget
from antiphon.server.minutes import CODE, Tab

log = logging.getLogger("antiphon.server")

FORMATS = ("pcm16", "opus", "webm", "ogg", "mp4", "wav", "mp3", "flac", "aac")
ACTIONS = ("language", "clear", "end", "ping")
END = b"END"
SEND_S = 20.0  # that a message may take to be read; whoever is slower is not listening
POLICY, OVERLOADED, NORMAL = 1008, 1013, 1000  # WebSocket close codes
MOST_WAITING = 16  # frames that were read and not yet acted upon; then the client waits
LONGEST_PROMPT = 2000  # characters
LOWEST_RATE, HIGHEST_RATE, MOST_CHANNELS = 8_000, 192_000, 8


class Form(Struct, frozen=True):
    """What the URL says."""

    language: str | None = None
    prompt: str | None = None
    format: str | None = None
    rate_hz: int = HEARING_RATE
    channels: int = 1
    silence_ms: int = 500


class Command(Struct):
    """A text frame, as far as we read it."""

    action: str
    language: str | None = None


def read_command(text: str) -> Command:
    """A text frame. Raises `PeerError`."""
    try:
        return msgspec.json.decode(text, type=Command)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        hint = 'Send {"action": "end"}, for one.'
        raise PeerError(f"this is no command: {error}", hint, code="invalid_command") from None


def read_form(query: QueryParams) -> Form:
    """The parameters of the URL; others are ignored. Raises `PeerError`."""
    kind = query.get("format") or None
    if kind is not None and kind not in FORMATS:
        raise PeerError(
            f"no format is called {kind[:40]!r}", did_you_mean(kind, FORMATS), code="invalid_value", param="format"
        )
    rate_hz = _number(query, "rate", HEARING_RATE, LOWEST_RATE, HIGHEST_RATE)
    PcmDecoder(rate_hz)  # which not every rate can be had with
    return Form(
        language=_language(query.get("language")),
        prompt=(query.get("prompt") or "")[:LONGEST_PROMPT] or None,
        format=kind,
        rate_hz=rate_hz,
        channels=_number(query, "channels", 1, 1, MOST_CHANNELS),
        silence_ms=_number(query, "silence_ms", 500, 300, 5000),
    )


class Budget(Struct, frozen=True):
    """What a connection may use."""

    bytes: ByteBudget
    minutes: Tab


class Captions:
    """One connection, from its acceptance to its end."""

    def __init__(self, socket: WebSocket, hub: HearingHub, listener: Listener, form: Form, budget: Budget) -> None:
        self._socket = socket
        self._budget = budget
        self._form = form
        self._decoder = LiveDecoder(form.format, form.rate_hz, form.channels)
        request = SttRequest(form.language, form.prompt, purpose="transcription")
        self._live = LiveTranscription(hub, listener, self._show, request, Cutting(form.silence_ms))
        self._finals: list[Final] = []
        """Since the last "final" or "cleared"."""
        self._frames: asyncio.Queue[bytes | Command] = asyncio.Queue(MOST_WAITING)
        self._is_spent = False
        """The key has no minutes left."""

    async def serve(self, idle_s: Seconds, limit_s: Seconds) -> str:
        """Until either side ends it, or it has lasted as long as it may. Returns why. Cancelling ends it at once."""
        await self._send(type="ready", sample_rate=HEARING_RATE, language=self._form.language, formats=FORMATS)
        # Whoever leaves, or pings, is noticed also while words are waited for.
        reading = asyncio.create_task(self._read(idle_s), name="captions, reading")
        working = asyncio.create_task(self._work(), name="captions, working")
        try:
            ended, _ = await asyncio.wait((reading, working), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not ended:
                return await self._hang_up(NORMAL, "session_expired", f"A connection lasts {limit_s:.0f} seconds.")
            return ended.pop().result()
        except (WebSocketDisconnect, RuntimeError):
            return "lost"
        finally:
            reading.cancel()
            working.cancel()
            await asyncio.gather(reading, working, return_exceptions=True)
            self._decoder.close()
            await self._live.close()

    async def _read(self, idle_s: Seconds) -> str:
        """Take in frames, no more than may wait. Returns why there are no more."""
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    frame = await self._socket.receive()
            except TimeoutError:
                return await self._hang_up(NORMAL, "idle", f"Nothing came for {idle_s:.0f} seconds.")
            if frame["type"] == "websocket.disconnect":
                return "closed by the client"
            text, data = frame.get("text"), frame.get("bytes") or b""
            if not self._budget.bytes.allow(len(data) if text is None else len(text)):
                return await self._hang_up(POLICY, "rate_limit_exceeded", "This key has sent more bytes than it may.")
            if text is None:
                await self._frames.put(data)
                continue
            command = await self._understood(text)
            if command is not None and command.action == "ping":
                await self._send(type="pong")
            elif command is not None:
                await self._frames.put(command)

    async def _work(self) -> str:
        """Act on one frame after the other. Returns why it stopped."""
        while True:
            frame = await self._frames.get()
            await (self._hear(frame) if isinstance(frame, bytes) else self._obey(frame))
            if self._is_spent:
                return await self._hang_up(POLICY, CODE, "This key has used up its minutes.")

    async def _hear(self, data: bytes) -> None:
        if data == END:
            await self._end()
            return
        try:
            await self._take_in(await self._decoder.feed(data))
        except PeerError as error:
            await self._error(error.code or "invalid_audio", error.message, error.hint)

    async def _take_in(self, pcm: Pcm16) -> None:
        self._is_spent = not self._budget.minutes.charge(pcm.size / HEARING_RATE)
        await self._live.push(pcm)

    async def _understood(self, text: str) -> Command | None:
        try:
            return read_command(text)
        except PeerError as error:
            await self._error("invalid_command", error.message, error.hint)
            return None

    async def _obey(self, command: Command) -> None:
        match command.action:
            case "end" | "END":
                await self._end()
            case "clear":
                await self._let_go()
                await self._live.clear()
                self._finals.clear()
                await self._send(type="cleared")
            case "language":
                await self._set_language(command.language)
            case other:
                await self._error("unknown_action", f"no action is called {other[:40]!r}", did_you_mean(other, ACTIONS))

    async def _let_go(self) -> None:
        """Of what was sent and not yet heard. A recorder does not know that it was forgotten, and goes on."""
        with suppress(PeerError):
            await self._decoder.pause()

    async def _set_language(self, language: str | None) -> None:
        try:
            code = _language(language)
        except PeerError as error:
            await self._error("invalid_value", error.message, error.hint)
            return
        self._live.request = msgspec.structs.replace(self._live.request, language=code)
        await self._send(type="language", language=code)

    async def _end(self) -> None:
        """The text of all that was said since the last time."""
        began = asyncio.get_running_loop().time()
        try:
            await self._take_in(await self._decoder.pause())
        except PeerError as error:
            await self._error(error.code or "invalid_audio", error.message, error.hint)
        await self._live.end()
        finals, self._finals = self._finals, []
        text = " ".join(final.text for final in finals if final.text)
        took_ms = round((asyncio.get_running_loop().time() - began) * 1000, 1)
        await self._send(
            type="final",
            text=text,
            language=next((final.language for final in finals if final.language), self._live.request.language),
            segments=[_segment(final) for final in finals],
            transcribe_ms=took_ms,
        )

    async def _show(self, event: Event) -> None:
        match event:
            case Partial(number, start_s, end_s, stable, tail):
                await self._send(
                    type="transcription",
                    partial=True,
                    id=number,
                    text=stable + tail,
                    stable=stable,
                    tail=tail,
                    language=self._live.request.language,
                    start=round(start_s, 3),
                    end=round(end_s, 3),
                )
            case Final() if event.text:
                self._finals.append(event)
                await self._send(
                    type="transcription",
                    partial=False,
                    id=event.number,
                    language=event.language or self._live.request.language,
                    **_segment(event),
                    segments=[_segment(event)],
                    transcribe_ms=round(event.took_ms, 1),
                )
            case Final():  # nothing intelligible: what was shown of it is taken away
                await self._send(
                    type="transcription", partial=False, id=event.number, language=None, **_segment(event), segments=[]
                )
            case Failed(code, message, hint):
                await self._error(code, message, hint)

    async def _error(self, code: str, message: str, hint: str) -> None:
        await self._send(type="error", code=code, message=message, hint=hint)

    async def _hang_up(self, close_code: int, code: str, message: str) -> str:
        await self._error(code, message, "Connect again.")
        await self._socket.close(close_code, code)
        return code

    async def _send(self, **message: Any) -> None:
        """One message. A reader that is too slow, or gone, loses its connection: the loop that reads sees it."""
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send_text(msgspec.json.encode(message).decode())
        except TimeoutError:
            log.warning("a live transcription reads too slowly: closed")
            await self._socket.close(OVERLOADED, "too_slow")
        except (WebSocketDisconnect, RuntimeError):
            return


def _segment(final: Final) -> dict[str, Any]:
    made: dict[str, Any] = {"text": final.text, "start": round(final.start_s, 3), "end": round(final.end_s, 3)}
    if final.words:
        made["words"] = [_word(word) for word in final.words]
    return made


def _word(word: Word) -> dict[str, Any]:
    return {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}


def _language(code: str | None) -> str | None:
    """A language as the recognisers want it, or None for "auto". Raises `PeerError`."""
    if not code or code == "auto":
        return None
    main = code_of(code)
    if main is None:
        raise PeerError(
            f"{code[:40]!r} is no language",
            'Give its ISO-639-1 code, such as "en", or "auto".',
            code="invalid_value",
            param="language",
        )
    return main


def _number(query: QueryParams, name: str, otherwise: int, least: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return otherwise
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
        raise PeerError(
            f"{name} is {text[:40]!r}", f"Give a whole number from {least} to {most}.", code="invalid_value", param=name
        )
    return int(text)
