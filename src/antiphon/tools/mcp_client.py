"""One connection to one MCP server, by the official library: streamable HTTP, or SSE where that is all there is, or the
pipes of a program.

Imported only when a server is asked, for the library takes a second to load. It knows neither sessions of ours nor
what a client may see; who may be reached was decided before. What is read is bounded: a message has at most
`LONGEST_MESSAGE_BYTES`, a list at most `MAX_PAGES` of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import httpx2
from jsonschema import Draft202012Validator, SchemaError
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    PARSE_ERROR,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    Implementation,
    TextContent,
    TextResourceContents,
)
from mcp_types import Tool as ListedTool
from pydantic import ValidationError

from antiphon.errors import EngineError
from antiphon.session.items import McpFailure, McpTool
from antiphon.tools.mcp import CONNECTION_CLOSED, Address, McpLimits, McpOutcome
from antiphon.tools.mcp_program import NotStarted, program_streams

log = logging.getLogger("antiphon.tools")

LONGEST_MESSAGE_BYTES = 1024 * 1024
MAX_PAGES = 32  # of a list of tools
MAX_LIST_BYTES = 512 * 1024  # of all descriptions and schemas: a model could not read more
MAX_TOOLS = 1000  # of one server, before a client's filter
LONGEST_MESSAGE = 2_000  # characters of what went wrong
LEAVING_S = 2.0  # for saying goodbye
QUIET_S = 3600.0  # a stream may be silent for as long as a session lasts; calls have limits of their own
NOT_FOUND = 404  # also what a server says that has forgotten the session
ONLY_SSE = (400, 404, 405)
"""What a server that knows only the older transport answers to a POST, as the specification has it."""

OF_THE_LIBRARY = ("Server returned an error response", "Not Found", "Session terminated")
"""What it says in place of a status of HTTP that it does not tell."""
FAILURES = (MCPError, ValidationError, httpx2.HTTPError, httpx2.SSEError, OSError, ExceptionGroup)
SEE_SERVER = "See whether the MCP server runs, and what it logs."
OURSELVES = Implementation(name="antiphon", version=version("antiphon"))

# The library logs what it cannot read, and httpx2 every address with its query: speech and secrets.
logging.getLogger("mcp").setLevel(logging.CRITICAL)
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Connection:
    """A session at one server, opened and closed in a task of its own, as the library wants it.

    The task ends when the server is left, or when the connection is lost; `gone` waits for it.
    """

    def __init__(self, address: Address, limits: McpLimits) -> None:
        self._address = address
        self._limits = limits
        loop = asyncio.get_running_loop()
        self._client: asyncio.Future[Client] = loop.create_future()
        self._is_left = asyncio.Event()
        self._task = loop.create_task(self._live(), name="mcp connection")

    @property
    def is_over(self) -> bool:
        """Whether no call can be made on it any more."""
        return self._task.done() or self._is_left.is_set()

    @property
    def is_gone(self) -> bool:
        """Whether it is closed."""
        return self._task.done()

    async def opened(self) -> None:
        """Wait until it is open. Raises `EngineError` if it cannot be."""
        await asyncio.shield(self._client)

    def leave(self) -> None:
        self._is_left.set()
        if not self._client.done():
            self._task.cancel()

    async def gone(self) -> None:
        """Wait until it is closed, if need be by force."""
        await asyncio.wait([self._task], timeout=LEAVING_S)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def list_tools(self) -> tuple[McpTool, ...]:
        """Raises `EngineError`."""
        with _watching() as seen:
            try:
                return await self._list_tools()
            except FAILURES as error:
                self._look_after(error)
                raise _unavailable(_failure(error, seen)) from None

    async def call(self, name: str, arguments: dict[str, Any]) -> McpOutcome | None:
        """What came of it; None if the server cannot have acted, for the session was lost before."""
        with _watching() as seen:
            try:
                result = await self._client.result().call_tool(name, arguments)
            except FAILURES as error:
                self._look_after(error)
                is_lost = seen.status == NOT_FOUND or not (seen.was_sent or self._address.program)
                return None if is_lost else McpOutcome(failure=_failure(error, seen))
        text = "\n".join(_text(part) for part in result.content) or _structured(result)
        if result.is_error:
            return McpOutcome(failure=McpFailure("tool", text[:LONGEST_MESSAGE] or f"{name} failed."))
        return McpOutcome(text)

    # --- its life

    async def _live(self) -> None:
        with _watching() as seen:
            try:
                async with asyncio.timeout(self._limits.list_timeout_s) as opening:
                    async with self._reached(seen) as client:
                        opening.reschedule(None)
                        self._client.set_result(client)
                        await self._is_left.wait()
            except TimeoutError:
                self._give_up(EngineError("It did not answer in time.", SEE_SERVER, code="mcp_timeout"))
            except FAILURES as error:
                self._give_up(_unavailable(_failure(error, seen)))
            finally:
                self._give_up(EngineError("The connection to it was given up.", SEE_SERVER, code="mcp_failed"))

    def _look_after(self, error: BaseException) -> None:
        """A connection that was lost is left, so that the next call is made on another one."""
        if isinstance(error, MCPError) and error.code == CONNECTION_CLOSED:
            self.leave()

    def _give_up(self, error: EngineError) -> None:
        if not self._client.done():
            self._client.set_exception(error)
            self._client.exception()  # perhaps nobody waits for it

    @asynccontextmanager
    async def _reached(self, seen: _Seen) -> AsyncIterator[Client]:
        """A session by the transport that the server has: the newer one is tried first."""
        if self._address.program is not None:
            pipes = program_streams(self._address.program, self.leave)
            async with Client(pipes, client_info=OURSELVES, cache=None) as client:
                yield client
                return
        is_open = False
        try:
            # Loading the certificates of a client takes tens of milliseconds.
            async with await asyncio.to_thread(self._http) as http:
                transport = streamable_http_client(self._address.url, http_client=http)
                async with Client(transport, client_info=OURSELVES, cache=None) as client:
                    is_open = True
                    yield client
                    return
        except FAILURES:
            if is_open or seen.status not in ONLY_SSE:
                raise
        http = await asyncio.to_thread(self._http)

        def given(
            headers: dict[str, str] | None = None,
            timeout: httpx2.Timeout | None = None,
            auth: httpx2.Auth | None = None,
        ) -> httpx2.AsyncClient:
            return http

        transport = sse_client(self._address.url, sse_read_timeout=QUIET_S, httpx_client_factory=given)
        async with Client(transport, client_info=OURSELVES, cache=None, mode="legacy") as client:
            yield client

    def _http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"Accept-Encoding": "identity", **self._address.headers},
            timeout=httpx2.Timeout(self._limits.connect_timeout_s, read=QUIET_S),
            event_hooks={"request": [_note], "response": [_look_at]},
        )

    async def _list_tools(self) -> tuple[McpTool, ...]:
        client = self._client.result()
        tools: list[McpTool] = []
        size_bytes = 0
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor)
            # In a thread: a thousand schemas take a second.
            tools += [_tool(listed) for listed in await asyncio.to_thread(fit_for_a_model, page.tools)]
            size_bytes += sum(_size_bytes(listed) for listed in page.tools)
            cursor = page.next_cursor
            if len(tools) > MAX_TOOLS or size_bytes > MAX_LIST_BYTES or cursor is None:
                break
        if cursor is not None or len(tools) > MAX_TOOLS or size_bytes > MAX_LIST_BYTES:
            raise EngineError(
                f"Its list of tools is too long: at most {MAX_TOOLS} tools of {MAX_LIST_BYTES // 1024} KiB are read.",
                "Offer fewer there.",
                code="mcp_list_too_long",
            )
        return tuple(tools)


# --- what is read ----------------------------------------------------------------------------------------------------


def fit_for_a_model(tools: Sequence[ListedTool]) -> list[ListedTool]:
    """Those whose arguments are told by a schema that is one: with another, a model's server refuses every question."""
    return [tool for tool in tools if _is_fit(tool)]


def _is_fit(tool: ListedTool) -> bool:
    try:
        Draft202012Validator.check_schema(tool.input_schema)
    except SchemaError as error:
        log.warning("an MCP server's tool %.64r is left out, for its schema is none: %.200s", tool.name, error.message)
        return False
    except RecursionError:
        log.warning("an MCP server's tool %.64r is left out, for its schema is too deep", tool.name)
        return False
    if tool.input_schema.get("type") != "object":
        log.warning("an MCP server's tool %.64r is left out, for its arguments are no object", tool.name)
        return False
    return True


def _tool(listed: ListedTool) -> McpTool:
    hints = listed.annotations
    is_read_only = hints is not None and bool(hints.read_only_hint)
    destroys = hints is not None and not is_read_only and bool(hints.destructive_hint)
    return McpTool(listed.name, listed.description or "", listed.input_schema, is_read_only, destroys)


def _size_bytes(listed: ListedTool) -> int:
    return len(listed.name) + len(listed.description or "") + len(json.dumps(listed.input_schema))


def _text(part: ContentBlock) -> str:
    """What a model that reads can be told of it."""
    match part:
        case TextContent(text=text):
            return text
        case EmbeddedResource(resource=TextResourceContents(text=text)):
            return text
        case _:
            return f"[{part.type}]"


def _structured(result: CallToolResult) -> str:
    return "" if result.structured_content is None else json.dumps(result.structured_content, ensure_ascii=False)


class _Seen:
    """What a request has met below the library, which tells only that it failed."""

    def __init__(self) -> None:
        self.was_sent = False
        self.status = 0
        self.is_too_long = False


_seen: ContextVar[_Seen | None] = ContextVar("seen", default=None)
"""Of whoever sent the request: the library carries the context on to where it is answered."""


@contextmanager
def _watching() -> Iterator[_Seen]:
    seen = _Seen()
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


async def _note(request: httpx2.Request) -> None:
    seen = _seen.get()
    if seen is not None:
        seen.was_sent = True


async def _look_at(response: httpx2.Response) -> None:
    """Remember how a request went, and bound what is read of its answer. The library bounds each event of a stream."""
    seen = _seen.get() or _Seen()
    seen.status = response.status_code
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("the server compresses, which was not asked for", request=response.request)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, seen)


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off where it is longer than we read."""

    def __init__(self, body: httpx2.AsyncByteStream, seen: _Seen) -> None:
        self._body = body
        self._seen = seen

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read_bytes = 0
        async for chunk in self._body:
            read_bytes += len(chunk)
            if read_bytes > LONGEST_MESSAGE_BYTES:
                self._seen.is_too_long = True
                raise httpx2.StreamError("the body is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


# --- what went wrong -------------------------------------------------------------------------------------------------


def _failure(error: BaseException, seen: _Seen) -> McpFailure:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if seen.is_too_long or isinstance(error, httpx2.SSEError):
        return McpFailure("protocol", f"Its answer is longer than {LONGEST_MESSAGE_BYTES // 1024} KiB.", PARSE_ERROR)
    is_its_own = isinstance(error, MCPError) and error.message not in OF_THE_LIBRARY
    if seen.status >= 300 and not (is_its_own and seen.status >= 400):
        return McpFailure("http", _of_status(seen.status), seen.status)
    match error:
        case MCPError():
            return McpFailure("protocol", error.message[:LONGEST_MESSAGE], error.code)
        case NotStarted():
            return McpFailure("protocol", f"Its program cannot be started: {error.strerror}.", CONNECTION_CLOSED)
        case httpx2.TransportError():
            return McpFailure("protocol", "It cannot be reached.", CONNECTION_CLOSED)
        case ValidationError():
            return McpFailure("protocol", "Its answer is not one of MCP.", PARSE_ERROR)
        case _:
            return McpFailure("protocol", "The connection to it was lost.", CONNECTION_CLOSED)


def _of_status(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "an unknown status"
    hint = " Redirects to other hosts are not followed." if status < 400 else ""
    return f"It answered {status} ({phrase}).{hint}"


def _unavailable(failure: McpFailure) -> EngineError:
    return EngineError(failure.message, SEE_SERVER, code="mcp_failed")


LOADED = True
"""Whoever sees it sees all of this module, and not the half that another thread has executed so far."""
