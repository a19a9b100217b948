"""The MCP servers of one session: where they are, who may be asked, and a connection to each that is used.

Which tools are offered, who has to allow a call, and what is told of it is the session's. Here a server is a number, as
the session knows it, and behind the number an address with its secrets, which leave this module only towards that
server. The protocol itself is the official library's; it is imported when the first server is asked, on a thread, for
that takes a second: see `mcp_client`.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from msgspec import Struct

from antiphon.errors import EngineError, PeerError, to_install
from antiphon.session.items import McpFailure, McpTool

if TYPE_CHECKING:
    from antiphon.tools.mcp_client import Connection

MAX_ADDRESSES = 64  # of a session: a client that changes a token now and then does not get there
LONGEST_URL = 2_000  # characters
MAX_HEADERS = 32
LONGEST_HEADER = 8_000  # characters of a value: what servers read
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})
"""What belongs to the connection itself: nobody says it for us."""


class McpLimits(Struct, frozen=True):
    """What MCP servers may take of us, and which of those that clients name may be asked."""

    allowed_hosts: tuple[str, ...] = ()
    """Names, or names with ports, exactly as in the address. Without any, no server of a client is asked."""
    connect_timeout_s: float = 5.0
    list_timeout_s: float = 10.0
    """For a connection and the whole list."""
    call_timeout_s: float = 60.0
    output_bytes: int = 20_000
    """Of a result, that the model is told. To be cut by whoever passes it on."""


class Program(Struct, frozen=True):
    """An MCP server that we start, and speak to over its standard input and output."""

    command: tuple[str, ...]
    """With its arguments."""
    environment: Mapping[str, str] = {}
    """Beside PATH, HOME and the like."""
    folder: Path | None = None


class Address(Struct, frozen=True):
    """Where an MCP server is, and what it is shown to let us in."""

    url: str
    headers: Mapping[str, str] = {}
    is_ours: bool = False
    """The operator has named it, and a client has not."""
    program: Program | None = None
    """In place of an address."""

    def __repr__(self) -> str:
        return f"Address({self.program.command[0] if self.program else urlsplit(self.url).hostname})"


class McpAddresses:
    """The addresses of one session by number: the operator's first, then those that its client has named."""

    def __init__(self, own: Sequence[Address] = ()) -> None:
        self._addresses = list(own)

    def __getitem__(self, number: int) -> Address:
        return self._addresses[number]

    def address(self, url: str, headers: Mapping[str, str], param: str) -> int:
        """The number of this address, the same for the same one. Raises `PeerError`."""
        check_url(url, param)
        _check_headers(headers, param.removesuffix("server_url") + "headers")
        made = Address(url, headers)
        if made in self._addresses:
            return self._addresses.index(made)
        if len(self._addresses) >= MAX_ADDRESSES:
            raise PeerError(
                f"Too many MCP servers: this session has named {MAX_ADDRESSES}.",
                "Open another session.",
                code="invalid_value",
                param=param,
            )
        self._addresses.append(made)
        return len(self._addresses) - 1


class McpOutcome(Struct, frozen=True):
    """What came of a call. Exactly one of the two is given."""

    output: str | None = None
    failure: McpFailure | None = None


class McpConnections:
    """The connections of one session, each made when it is first needed and again when it was lost.

    Programs are not started for each session: those are asked over the connections in `shared`, which have the same
    addresses first.
    """

    def __init__(self, addresses: McpAddresses, limits: McpLimits, shared: McpConnections | None = None) -> None:
        self._addresses = addresses
        self._limits = limits
        self._shared = shared
        self._open: dict[int, Connection] = {}
        self._leaving: set[Connection] = set()

    @property
    def output_bytes(self) -> int:
        """See `McpLimits`."""
        return self._limits.output_bytes

    async def list_tools(self, number: int) -> tuple[McpTool, ...]:
        """All that the server at this address offers. Raises `EngineError` with a message for the client."""
        try:
            async with asyncio.timeout(self._limits.list_timeout_s):
                connection = await self._connection(number)
                return await connection.list_tools()
        except TimeoutError:
            raise EngineError(
                f"It did not answer within {self._limits.list_timeout_s:g} seconds.",
                "See whether it runs, or raise mcp.list_timeout_s.",
                code="mcp_timeout",
            ) from None

    async def call(self, number: int, name: str, arguments: str) -> McpOutcome:
        """Run a tool. `arguments` is JSON text. Cancelling tells the server so; it may have acted already."""
        parsed = _parsed(arguments)
        if parsed is None:
            return McpOutcome(failure=McpFailure("tool", f"The arguments of {name} are not a JSON object."))
        try:
            async with asyncio.timeout(self._limits.call_timeout_s):
                return await self._call(number, name, parsed)
        except TimeoutError:
            message = f"{name} did not answer within {self._limits.call_timeout_s:g} seconds."
            return McpOutcome(failure=McpFailure("protocol", message, REQUEST_TIMEOUT))
        except EngineError as error:
            return McpOutcome(failure=McpFailure("protocol", error.message, CONNECTION_CLOSED))

    def leave(self, number: int) -> None:
        """The server is not needed any more: its connection closes, for which nobody waits here."""
        connection = self._open.pop(number, None)
        if connection is not None:
            self._leaving.add(connection)
            connection.leave()

    async def close(self) -> None:
        """Leave all servers, and wait until they are left."""
        for number in list(self._open):
            self.leave(number)
        await asyncio.gather(*(connection.gone() for connection in self._leaving))
        self._leaving.clear()

    async def _call(self, number: int, name: str, arguments: dict[str, Any]) -> McpOutcome:
        connection = await self._connection(number)
        outcome = await connection.call(name, arguments)
        if outcome is None:
            # The session was lost, and the call was not carried out: it is made in a new one.
            self.leave(number)
            connection = await self._connection(number)
            outcome = await connection.call(name, arguments)
        if outcome is not None:
            return outcome
        return McpOutcome(failure=McpFailure("protocol", "The connection to it was lost twice.", CONNECTION_CLOSED))

    async def _connection(self, number: int) -> Connection:
        """An open connection. Raises `EngineError`."""
        address = self._addresses[number]
        if address.program is not None and self._shared is not None:
            return await self._shared._connection(number)
        if not address.is_ours:
            check_host(address.url, self._limits.allowed_hosts)
        client = await library()
        self._leaving = {connection for connection in self._leaving if not connection.is_gone}
        connection = self._open.get(number)
        if connection is not None and connection.is_over:
            self.leave(number)
            connection = None
        if connection is None:
            connection = self._open[number] = client.Connection(address, self._limits)
        await connection.opened()
        return cast("Connection", connection)


LIBRARY = "antiphon.tools.mcp_client"
REQUEST_TIMEOUT, CONNECTION_CLOSED = -32_001, -32_000  # of JSON-RPC, as the official library has them


async def library() -> Any:
    """The module that speaks MCP. Raises `EngineError` if what it needs is not installed."""
    loaded = sys.modules.get(LIBRARY)
    if loaded is not None and hasattr(loaded, "LOADED"):
        return loaded
    try:
        return await asyncio.to_thread(importlib.import_module, LIBRARY)  # which waits if another thread has begun
    except ImportError:
        raise EngineError(
            "This server cannot speak MCP: the package 'mcp' is not installed.",
            f"{to_install('mcp')}.",
            code="mcp_not_installed",
        ) from None


# --- who may be asked ------------------------------------------------------------------------------------------------


def check_url(url: str, param: str) -> None:
    """Raise `PeerError` for what is no address of an MCP server."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_address &= url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    except ValueError:
        parts, is_address = urlsplit(""), False
    if not is_address or len(url) > LONGEST_URL:
        raise _invalid(f"Invalid '{param}': not the address of an MCP server.", "Write https://host/path.", param)
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _invalid(
            f"Invalid '{param}': it holds more than an address.", "Put the secret into 'authorization'.", param
        )


def _check_headers(headers: Mapping[str, str], param: str) -> None:
    if len(headers) > MAX_HEADERS:
        raise _invalid(f"Too many headers: {len(headers)}; at most {MAX_HEADERS} are allowed.", "Send fewer.", param)
    for name, value in headers.items():
        is_header = HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value) and len(value) <= LONGEST_HEADER
        if not is_header or name.lower() in OWN_HEADERS:
            raise _invalid(
                f"Invalid header: {name[:80]!r}. It cannot be sent to an MCP server.",
                "Check its name and its value, or leave it out.",
                param,
            )


def _invalid(message: str, hint: str, param: str) -> PeerError:
    return PeerError(message, hint, code="invalid_value", param=param)


def check_host(url: str, allowed_hosts: Sequence[str]) -> None:
    """Raise `EngineError` unless the operator has allowed this address, which a client has named: it might lie in the
    server's own network."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    named = f"[{host}]" if ":" in host else host
    if named not in allowed_hosts and f"{named}:{port}" not in allowed_hosts:
        raise EngineError(
            f"The host {named!r} is not allowed here: ask the operator to add it to mcp.allowed_hosts.",
            "Set mcp.allowed_hosts.",
            code="mcp_host_not_allowed",
        )
    if parts.scheme != "https" and not _is_loopback(host):
        raise EngineError(
            f"The address of {named!r} has to begin with https://.", "Use https.", code="mcp_host_not_allowed"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parsed(arguments: str) -> dict[str, Any] | None:
    """The arguments, or None if they are no object. A model that has nothing to say may say nothing."""
    try:
        value = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
