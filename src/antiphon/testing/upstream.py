"""A scripted OpenAI-compatible server: hears, answers and speaks as it is told, as late and as badly as it is told.

For tests of what calls such a server, and as the far end of a load test: `python -m antiphon.testing.upstream --port
9000 --llm-delay-ms 200`. It does not understand what it is asked: it keeps every request, so that a test can.
"""

from __future__ import annotations

import asyncio
import email
import enum
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, cast

import click
import msgspec
import numpy as np
import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from antiphon.engines.fake import Call

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LETTERS_PER_SECOND = 15.0  # a calm speaker
HUM_HZ = 220
PIECE_S = 0.1  # of sound in one piece, before `piece_bytes`
TURNS_TO_ACCEPT = 5  # of the event loop: from a connection's arrival to its being known, and to its being closed
ARGUMENT_PIECE_CHARACTERS = 6  # of a function call's arguments in one event: mid-word, as real servers cut


class Fault(enum.Enum):
    """What breaks an answer after `Act.fault_after` pieces of it."""

    RESET = "reset"
    """The connection is torn down with a TCP reset."""
    CUT = "cut"
    """The body ends as if it were complete."""
    STALL = "stall"
    """Nothing more comes, and the connection stays open."""
    MALFORMED = "malformed"
    """Bytes that mean nothing come in the place of a piece."""


class Act(Struct, frozen=True):
    """How one endpoint behaves."""

    first_byte_ms: float = 0.0
    """From the request's end to the answer's first byte, headers included."""
    piece_ms: float = 0.0
    """Between two pieces of the body: an event of a model, 100 ms of a voice."""
    piece_bytes: int | None = None
    """Cut the body into pieces of this size instead, wherever they fall."""
    status: int = 200
    """Any other is answered with an error body in OpenAI's shape."""
    retry_after_s: float | None = None
    body: bytes | None = None
    """Sent in place of the scripted answer."""
    media_type: str | None = None
    """Sent in place of the right one."""
    fault: Fault | None = None
    fault_after: int = 1
    """Pieces that are sent before the fault; 0 breaks before the status."""


class Script(Struct, frozen=True):
    """What the three endpoints answer, and how."""

    transcript: str = "hello there"
    reply: str = "Hello. How can I help you?"
    calls: tuple[Call, ...] = ()
    """Function calls that follow the reply."""
    rate: int = 24_000
    """Hertz of the spoken sound."""
    stt: Act = Act()
    llm: Act = Act()
    tts: Act = Act()


class Received(Struct, eq=False):
    """One request, whole."""

    path: str
    headers: Mapping[str, str]
    json: Any
    """The decoded body; None for a form or no body."""
    fields: Mapping[str, str]
    """The form's fields but the file."""
    file: bytes
    """The form's file."""
    connection: int
    """Which connection it came on: 1 for the first that the server accepted."""
    ended: asyncio.Event
    """Set when nothing more will be sent."""
    hung_up: bool = False
    """The client closed the connection before the answer was complete."""


class _Protocol(H11Protocol):
    """Gives the application its own connection, so that it can break it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {"transport": transport, "number": next(self.app_state["numbers"])}


Plot = Callable[[Received], Script]
"""Which script a request is answered by, where that depends on what is asked."""


class ScriptedUpstream:
    """Made by `serving`. `script` may be replaced at any time; requests that come later follow it."""

    def __init__(self, script: Script | Plot) -> None:
        self.script = script
        self.requests: list[Received] = []
        """Everything that was asked, in order of arrival."""
        self.base_url = ""
        """Up to and including /v1."""
        self._arrival = asyncio.Event()

    def asked(self, path: str) -> list[Received]:
        """The requests to one path, such as "/chat/completions"."""
        return [request for request in self.requests if request.path == f"/v1{path}"]

    async def until_asked(self, count: int) -> None:
        """Return as soon as there have been this many requests, warming included."""
        while len(self.requests) < count:
            await self._arrival.wait()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The ASGI application. A client that hangs up ends its answer."""
        request = _received(scope, await _body(receive))
        script = self.script if isinstance(self.script, Script) else self.script(request)
        self.requests.append(request)
        self._arrival.set()
        self._arrival = asyncio.Event()
        breaking = _Breaking(scope["state"]["transport"])
        try:
            async with asyncio.TaskGroup() as group:
                answering = group.create_task(_answer(script, request, send, breaking))
                watching = group.create_task(_watch(receive, request, answering, breaking))
                answering.add_done_callback(lambda _: watching.cancel())
        finally:
            request.ended.set()


@asynccontextmanager
async def serving(
    script: Script | Plot | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[ScriptedUpstream]:
    """Serve a script in this event loop while the block runs. Port 0 takes any that is free."""
    upstream = ScriptedUpstream(script or Script())
    config = uvicorn.Config(upstream, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    numbers = iter(range(1, 1 << 62))
    server = await asyncio.get_running_loop().create_server(
        lambda: _Protocol(config, state, {"numbers": numbers}), host, port, backlog=2048
    )
    upstream.base_url = f"http://{host}:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield upstream
    finally:
        # First let in whoever stands at the door: asyncio leaks a connection whose server closes while it is accepted.
        for _ in range(TURNS_TO_ACCEPT):
            for connection in list(state.connections):
                cast("_Protocol", connection).transport.abort()
            await asyncio.sleep(0)
        server.close()
        for task in (tasks := list(state.tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- an answer on its way --------------------------------------------------------------------------------------------


class _Breaking:
    """Tears a connection down, and remembers that it was us."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.done = False
        self._transport = transport

    def reset(self) -> None:
        self.done = True
        connection: socket.socket = self._transport.get_extra_info("socket")
        # Lingering for no time makes the close a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


async def _watch(receive: Receive, request: Received, answering: asyncio.Task[None], breaking: _Breaking) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    if not answering.done():
        request.hung_up = not breaking.done
        answering.cancel()


async def _answer(script: Script, request: Received, send: Send, breaking: _Breaking) -> None:
    match request.path:
        case "/v1/audio/transcriptions":
            streamed = request.fields.get("stream") == "true"
            media_type = "text/event-stream" if streamed else "application/json"
            await _play(script.stt, _heard(script, streamed), media_type, send, breaking)
        case "/v1/chat/completions":
            await _play(script.llm, _written(script, request.json or {}), "text/event-stream", send, breaking)
        case "/v1/audio/speech":
            await _play(script.tts, _spoken(script, request.json or {}), "audio/pcm", send, breaking)
        case "/v1/models":
            models = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
            await _play(Act(), iter([msgspec.json.encode(models)]), "application/json", send, breaking)
        case _:
            await _play(Act(status=404), iter(()), "application/json", send, breaking)


async def _play(act: Act, pieces: Iterator[bytes], media_type: str, send: Send, breaking: _Breaking) -> None:
    """Send an answer as its act says."""
    await asyncio.sleep(act.first_byte_ms / 1000)
    if act.fault is not None and act.fault_after == 0:
        await _break(act.fault, send, breaking)
        if act.fault is not Fault.MALFORMED:
            return
    if act.status != 200:
        pieces, media_type = iter([_error(act.status)]), "application/json"
    if act.body is not None:
        pieces = iter([act.body])
    if act.piece_bytes is not None:
        pieces = _recut(b"".join(pieces), act.piece_bytes)
    headers = [(b"content-type", (act.media_type or media_type).encode())]
    if act.retry_after_s is not None:
        headers.append((b"retry-after", f"{act.retry_after_s:g}".encode()))
    await send({"type": "http.response.start", "status": act.status, "headers": headers})
    for number, piece in enumerate(pieces):
        if number and act.piece_ms:
            await asyncio.sleep(act.piece_ms / 1000)
        if act.fault is not None and number == act.fault_after:
            await _break(act.fault, send, breaking)
            if act.fault is not Fault.MALFORMED:
                return
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _break(fault: Fault, send: Send, breaking: _Breaking) -> None:
    match fault:
        case Fault.CUT:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        case Fault.MALFORMED:
            await send({"type": "http.response.body", "body": b'data: {"choices": [{\n\n', "more_body": True})
        case Fault.RESET:
            breaking.reset()
            await asyncio.Event().wait()  # until the server has noticed, and `_watch` cancels us
        case Fault.STALL:
            await asyncio.Event().wait()


def _recut(body: bytes, size_bytes: int) -> Iterator[bytes]:
    return (body[start : start + size_bytes] for start in range(0, len(body), size_bytes))


def _error(status: int) -> bytes:
    error = {"message": f"the script says {status}", "type": "scripted", "param": None, "code": None}
    return msgspec.json.encode({"error": error})


# --- what is said in it ----------------------------------------------------------------------------------------------


def _heard(script: Script, streamed: bool) -> Iterator[bytes]:
    if not streamed:
        yield msgspec.json.encode({"text": script.transcript})
        return
    for word in _words(script.transcript):
        yield _event({"type": "transcript.text.delta", "delta": word})
    yield _event({"type": "transcript.text.done", "text": script.transcript})


def _written(script: Script, asked: Mapping[str, Any]) -> Iterator[bytes]:
    yield _chunk({"role": "assistant", "content": ""})
    words = _words(script.reply)
    for word in words:
        yield _chunk({"content": word})
    for index, call in enumerate(script.calls):
        function = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        yield _chunk({"tool_calls": [first]})
        for start in range(0, len(call.arguments), ARGUMENT_PIECE_CHARACTERS):
            piece = call.arguments[start : start + ARGUMENT_PIECE_CHARACTERS]
            yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield _chunk({}, "tool_calls" if script.calls else "stop")
    if (asked.get("stream_options") or {}).get("include_usage"):
        usage = {"prompt_tokens": len(asked.get("messages", ())), "completion_tokens": len(words)}
        yield _event({"object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _spoken(script: Script, asked: Mapping[str, Any]) -> Iterator[bytes]:
    """A hum for as long as the text would take to say."""
    seconds = max(0.05, len(str(asked.get("input", ""))) / LETTERS_PER_SECOND / float(asked.get("speed", 1.0)))
    moments = np.arange(round(seconds * script.rate)) / script.rate
    sound = np.round(0.1 * 32767 * np.sin(2 * np.pi * HUM_HZ * moments)).astype("<i2").tobytes()
    yield from _recut(sound, 2 * round(PIECE_S * script.rate))


def _words(text: str) -> list[str]:
    """The text in pieces that begin with their space, as a tokeniser cuts."""
    words = text.split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)] if text else []


def _chunk(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _event({"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "choices": [choice]})


def _event(data: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


# --- what was asked --------------------------------------------------------------------------------------------------


async def _body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _received(scope: Message, body: bytes) -> Received:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    media_type = headers.get("content-type", "")
    fields: dict[str, str] = {}
    file = b""
    if media_type.startswith("multipart/form-data"):
        form = email.message_from_bytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + body)
        for part in form.walk():
            content = part.get_payload(decode=True)
            if not isinstance(content, bytes):
                continue
            if part.get_filename() is not None:
                file = content
            else:
                fields[str(part.get_param("name", "", "content-disposition"))] = content.decode()
    is_json = media_type.startswith("application/json")
    return Received(
        path=scope["path"],
        headers=headers,
        json=json.loads(body) if is_json else None,
        fields=fields,
        file=file,
        connection=scope["state"]["number"],
        ended=asyncio.Event(),
    )


# --- in a process of its own -----------------------------------------------------------------------------------------


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9000, show_default=True, help="0 takes any that is free.")
@click.option("--transcript", default=Script().transcript, show_default=True)
@click.option("--reply", default=Script().reply, show_default=True)
@click.option("--stt-delay-ms", default=0.0, help="To the first byte of a transcript.")
@click.option("--llm-delay-ms", default=0.0, help="To the first byte of an answer.")
@click.option("--token-ms", default=0.0, help="Between two words of an answer.")
@click.option("--tts-delay-ms", default=0.0, help="To the first byte of speech.")
@click.option("--tts-piece-ms", default=0.0, help="Between two pieces of speech of 100 ms each.")
def main(host: str, port: int, **said: Any) -> None:
    """Serve a scripted OpenAI-compatible API until interrupted."""
    script = Script(
        transcript=said["transcript"],
        reply=said["reply"],
        stt=Act(first_byte_ms=said["stt_delay_ms"]),
        llm=Act(first_byte_ms=said["llm_delay_ms"], piece_ms=said["token_ms"]),
        tts=Act(first_byte_ms=said["tts_delay_ms"], piece_ms=said["tts_piece_ms"]),
    )

    async def serve() -> None:
        async with serving(script, host=host, port=port) as upstream:
            click.echo(f"scripted upstream at {upstream.base_url}")
            await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
