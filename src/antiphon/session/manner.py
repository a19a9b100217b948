"""How a response is made: the session's settings with the response's own options over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from antiphon.session.settings import AudioFormat, FunctionTool, McpServer


class Manner(Struct, frozen=True):
    """See the module."""

    instructions: str
    speaks: bool
    voice: str
    speed: float
    output_format: AudioFormat
    client_tools: tuple[FunctionTool, ...]
    server_tools: tuple[FunctionTool, ...]
    withheld: frozenset[str]
    """Names of others that this session may not use."""
    asks_before: frozenset[str]
    """Names of server tools that the person has to allow."""
    mcp_servers: tuple[McpServer, ...]
    """Of the client."""
    tool_choice: str | Mapping[str, Any]
    max_tokens: int | None
    model: str
    hints: Mapping[str, Any] = {}
    metadata: dict[str, str] | None = None
