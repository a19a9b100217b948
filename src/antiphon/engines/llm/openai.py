"""Answers by any server with OpenAI's `/chat/completions`: OpenAI's own, Ollama, llama.cpp, vLLM, LM Studio.

It translates: our messages into theirs, their stream into our pieces. It does not decide what the model may
see, and runs no tool. Servers differ in what they leave out; whatever the meaning survives is accepted.
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.engines.api import (
    AssistantSaid,
    CallDelta,
    LlmEnd,
    LlmRequest,
    LlmUsage,
    SystemSaid,
    TextDelta,
    ToolAnswered,
    ToolCalled,
    ToolSpec,
    UserSaid,
)
from antiphon.engines.http import Answer, Call, Upstream, cut_short, error_message, malformed, reported
from antiphon.errors import EngineError

UNANSWERED = '{"status": "still running"}'  # the API refuses a call that is followed by no answer
USAGE_WAIT_S = 1.0  # the answer is whole already; only the bill is still due


class ChatOptions(Struct, frozen=True):
    """What differs between servers that answer."""

    count_tokens: bool = True
    """Ask for the usage in the stream. Some servers refuse the question."""
    max_tokens_field: str = "max_tokens"
    """What the limit is called. OpenAI's reasoning models want "max_completion_tokens"."""
    images: bool = True
    """Whether the model takes them. Nobody can ask it, so who knows that it does not says so."""
    extra: Mapping[str, Any] = {}
    """More fields for every request, such as {"reasoning_effort": "none"}."""


class OpenAiLlm:
    """`Llm` over HTTP."""

    def __init__(self, upstream: Upstream, model: str | None, options: ChatOptions | None = None) -> None:
        """`model` None passes the client's choice on."""
        self._upstream = upstream
        self._model = model
        self._options = options or ChatOptions()
        self.sees = self._options.images

    async def warm(self) -> None:
        """Open a connection."""
        await self._upstream.warm()

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        """See `Llm.write`. What a model thinks before it answers is left out."""
        body = chat_body(request, self._model, self._options)
        taken = frozenset(message.call_id for message in request.messages if isinstance(message, ToolCalled))
        reading = _Reading(_seed(body), self._upstream.origin, taken)
        async with self._upstream.answer(Call("/chat/completions", json=body)) as answer:
            if answer.media_type == "application/json":
                for piece in reading.read(await answer.body()):
                    yield piece
            else:
                while (event := await _event(answer, reading)) is not None:
                    for piece in reading.read(event.encode()):
                        yield piece
                await answer.finish()
            for last in reading.end():
                yield last


async def _event(answer: Answer, reading: _Reading) -> str | None:
    """The next event that says something; None when the answer is over."""
    if reading.reason is None:
        event = await answer.event()
    else:
        event = await _afterthought(answer)
    if event is None:
        return None
    if event.strip() == "[DONE]":
        reading.done()
        return None
    return event


async def _afterthought(answer: Answer) -> str | None:
    """What comes after a complete answer: the count of its tokens. Nobody waits long for that, or fails without it."""
    try:
        async with asyncio.timeout(USAGE_WAIT_S):
            return await answer.event()
    except (TimeoutError, EngineError):
        return None


# --- our messages in their words -------------------------------------------------------------------------------------


def chat_body(request: LlmRequest, model: str | None, options: ChatOptions) -> dict[str, Any]:
    """The JSON of a request. Equal requests give equal bytes, so that the server's prompt cache can hit."""
    body: dict[str, Any] = {
        "model": model or request.model,
        "messages": _messages(request),
        "stream": True,
    }
    if body["model"] is None:
        del body["model"]  # servers that hold one model need no name
    if options.count_tokens:
        body["stream_options"] = {"include_usage": True}
    if request.max_tokens is not None:
        body[options.max_tokens_field] = request.max_tokens
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _tool_choice(request.tool_choice)
        if (parallel := request.hints.get("parallel_tool_calls")) is not None:
            body["parallel_tool_calls"] = parallel
    if effort := (request.hints.get("reasoning") or {}).get("effort"):
        body["reasoning_effort"] = effort
    return {**body, **options.extra}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _tool_choice(choice: str | Mapping[str, Any]) -> Any:
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice.get("name", "")}}


def _messages(request: LlmRequest) -> list[dict[str, Any]]:
    """Their list of messages. A call and its answer stand together, wherever the answer came in the talk: it
    may have come late, and the API takes it nowhere else."""
    answers = {m.call_id: m.output for m in request.messages if isinstance(m, ToolAnswered)}
    called = {m.call_id for m in request.messages if isinstance(m, ToolCalled)}
    out: list[dict[str, Any]] = []
    if request.instructions:
        out.append({"role": "system", "content": request.instructions})
    calls: list[ToolCalled] = []
    for message in request.messages:
        if isinstance(message, ToolCalled):
            calls.append(message)
            continue
        if isinstance(message, ToolAnswered) and message.call_id in called:
            continue
        out += _called(calls, answers)
        calls = []
        out.append(_message(message))
    return out + _called(calls, answers)


def _message(message: UserSaid | AssistantSaid | SystemSaid | ToolAnswered) -> dict[str, Any]:
    match message:
        case UserSaid():
            return {"role": "user", "content": _user_content(message)}
        case AssistantSaid():
            return {"role": "assistant", "content": message.text}
        case SystemSaid():
            return {"role": "system", "content": message.text}
        case ToolAnswered():  # its call fell out of the context; the API refuses an answer without one
            return {"role": "system", "content": f"Result of an earlier function call: {message.output}"}


def _user_content(message: UserSaid) -> str | list[dict[str, Any]]:
    if not message.images:
        return message.text
    text = [{"type": "text", "text": message.text}] if message.text else []
    images = [{"type": "image_url", "image_url": {"url": i.url, "detail": i.detail}} for i in message.images]
    return [*text, *images]


def _called(calls: Sequence[ToolCalled], answers: Mapping[str, str]) -> list[dict[str, Any]]:
    if not calls:
        return []
    tool_calls = [
        {"id": c.call_id, "type": "function", "function": {"name": c.name, "arguments": c.arguments or "{}"}}
        for c in calls
    ]
    said = {"role": "assistant", "content": None, "tool_calls": tool_calls}
    answered = [
        {"role": "tool", "tool_call_id": c.call_id, "content": answers.get(c.call_id, UNANSWERED)} for c in calls
    ]
    return [said, *answered]


def _seed(body: Mapping[str, Any]) -> str:
    """What ids made up for this answer begin with: the same for the same question, another for the next one."""
    return hashlib.blake2s(msgspec.json.encode(body), digest_size=6).hexdigest()


# --- their stream in our words ---------------------------------------------------------------------------------------


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _CallPiece(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _Choice(Struct):
    index: int | None = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


class _Call(Struct):
    """A function call that is being written."""

    index: int
    number: int | None = None
    """The server's own index of it, if it has one."""
    given_id: str | None = None
    """The server's own id of it, if it has one."""
    call_id: str = ""
    name: str = ""
    waiting: str = ""
    """Arguments that came before the name."""
    announced: bool = False
    empty: bool = True


Reason = Literal["stop", "length", "tool_calls", "content_filter"]

REASONS: Mapping[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class _Reading:
    """One answer, as far as it has been read."""

    def __init__(self, seed: str, origin: str, taken: frozenset[str]) -> None:
        """`taken` are the ids of earlier calls: some servers begin anew with every answer, and whose output is whose
        could then not be told."""
        self.reason: Reason | None = None
        """Why the model stopped, once it has."""
        self._seed = seed
        self._taken = taken
        self._origin = origin
        self._thoughts = Thoughts()
        self._calls: list[_Call] = []
        self._usage = LlmUsage()

    def read(self, data: bytes) -> Iterator[TextDelta | CallDelta]:
        """What one event adds to the answer."""
        chunk = self._decoded(data)
        if chunk.error is not None:
            raise reported(self._origin, error_message(data))
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            if choice.index:  # another answer to the same question, which nobody asked for
                continue
            delta = choice.delta or choice.message or _Delta()
            text = self._thoughts.feed(_text(delta.content) + (delta.refusal or ""))
            if text:
                yield TextDelta(text)
            for piece in delta.tool_calls or ():
                yield from self._call(piece)
            if choice.finish_reason:
                self.reason = REASONS.get(choice.finish_reason, "stop")

    def done(self) -> None:
        """The server says that this was all. Some say so instead of giving a reason."""
        self.reason = self.reason or "stop"

    def end(self) -> Iterator[TextDelta | CallDelta | LlmEnd]:
        """What is due at the end of the stream: an error, if it came too early."""
        if self.reason is None:
            raise cut_short(self._origin)
        if text := self._thoughts.finish():
            yield TextDelta(text)
        for call in self._calls:
            if not call.announced:
                raise malformed(f"{self._origin} called a function without saying which")
            if call.empty:  # some servers write no arguments for "no arguments", which is not JSON
                yield CallDelta(call.index, call.call_id, call.name, "{}")
        # Some servers end a call with "stop".
        reason = "tool_calls" if self._calls and self.reason == "stop" else self.reason
        yield LlmEnd(reason, self._usage)

    def _call(self, piece: _CallPiece) -> Iterator[CallDelta]:
        call = self._which(piece)
        function = piece.function or _Function()
        call.given_id = call.given_id or piece.id
        call.name = call.name or function.name or ""
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        call.waiting += arguments
        if not call.name or (call.announced and not call.waiting):
            return
        if not call.announced:
            made_up = f"call_{self._seed}_{call.index}"
            call.call_id = made_up if call.given_id is None or call.given_id in self._taken else call.given_id
        call.announced = True
        call.empty = call.empty and not call.waiting
        yield CallDelta(call.index, call.call_id, call.name, call.waiting)
        call.waiting = ""

    def _which(self, piece: _CallPiece) -> _Call:
        """The call that a piece belongs to. A new id begins a new call even under an old number: some servers
        number every call 0, some begin with 1, and some number none."""
        name = piece.function.name if piece.function is not None else None
        for call in reversed(self._calls):
            if piece.id:
                if call.given_id == piece.id:
                    return call
            elif piece.index is None:
                if not (name and call.name):  # a second name is a second call
                    return call
                break
            elif piece.index == call.number:
                return call
        self._calls.append(_Call(index=len(self._calls), number=piece.index))
        return self._calls[-1]

    def _decoded(self, data: bytes) -> _Chunk:
        try:
            return msgspec.json.decode(data, type=_Chunk)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise malformed(f"{self._origin} sent an event that is not what the API promises: {error}") from error


def _text(content: str | list[Any] | None) -> str:
    """The words of a message's content: text, or a list of parts of which only some are text."""
    if isinstance(content, list):
        return "".join(p.get("text", "") for p in content if isinstance(p, dict) and p.get("type") == "text")
    return content or ""


def _usage(usage: _Usage) -> LlmUsage:
    details = usage.prompt_tokens_details or _Details()
    return LlmUsage(usage.prompt_tokens or 0, usage.completion_tokens or 0, details.cached_tokens or 0)


class _Phase(enum.Enum):
    UNDECIDED = "undecided"
    THINKING = "thinking"
    ANSWERING = "answering"


class Thoughts:
    """Leaves out what a model writes between <think> and </think> before it answers: nobody wants to hear it.

    Only at the very start; later the words are the model's, talking about tags.
    """

    OPEN = "<think>"
    CLOSE = "</think>"

    def __init__(self) -> None:
        self._phase = _Phase.UNDECIDED
        self._held = ""

    def feed(self, text: str) -> str:
        """The part of the answer that is now certain to be one."""
        if self._phase is _Phase.ANSWERING or not text:
            return text
        self._held += text
        if self._phase is _Phase.UNDECIDED:
            return self._decided()
        return self._after_close()

    def finish(self) -> str:
        """What was held back, if it was the answer after all."""
        return self._held if self._phase is _Phase.UNDECIDED else ""

    def _decided(self) -> str:
        start = self._held.lstrip()
        if start.startswith(self.OPEN):
            self._phase = _Phase.THINKING
            return self._after_close()
        if self.OPEN.startswith(start):
            return ""
        return self._answering(self._held)

    def _after_close(self) -> str:
        _, close, answer = self._held.partition(self.CLOSE)
        if close:
            return self._answering(answer.lstrip())
        self._held = self._held[-len(self.CLOSE) :]
        return ""

    def _answering(self, text: str) -> str:
        self._phase = _Phase.ANSWERING
        self._held = ""
        return text
