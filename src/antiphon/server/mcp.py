"""The operator's words about MCP, as the runtime and the sessions have them.

A translation: who is asked when, and what for, is decided there.
"""

from __future__ import annotations

import logging

from antiphon.config import Mcp
from antiphon.errors import EngineError
from antiphon.session.settings import McpServer, ToolFilter
from antiphon.tools.mcp import Address, McpAddresses, McpLimits, library

log = logging.getLogger("antiphon.server")


def limits_from(mcp: Mcp) -> McpLimits:
    return McpLimits(
        allowed_hosts=mcp.allowed_hosts,
        connect_timeout_s=mcp.connect_timeout_s,
        list_timeout_s=mcp.list_timeout_s,
        call_timeout_s=mcp.call_timeout_s,
        max_output_chars=mcp.max_output_chars,
    )


def own_servers(mcp: Mcp) -> tuple[McpServer, ...]:
    """The operator's servers; their addresses are the numbers in `addresses_for_session`."""
    return tuple(
        McpServer(
            label=label,
            address=number,
            allowed=None if server.allowed_tools is None else ToolFilter(server.allowed_tools),
            approval="never",
        )
        for number, (label, server) in enumerate(mcp.servers.items())
    )


def addresses_for_session(mcp: Mcp) -> McpAddresses:
    """What a new session knows of, before its client has named any server."""
    own = []
    for server in mcp.servers.values():
        headers = dict(server.headers)
        if server.authorization is not None:
            headers["Authorization"] = f"Bearer {server.authorization}"
        own.append(Address(server.url, headers, is_ours=True))
    return McpAddresses(own)


async def warm_mcp(mcp: Mcp) -> None:
    """Load what speaks MCP, if any server may be asked: that takes a second, in which a call would stutter."""
    if not mcp.servers and not mcp.allowed_hosts:
        return
    try:
        await library()
    except EngineError as error:
        log.error("%s", error)
