"""The operator's words about MCP, as the runtime and the sessions have them.

A translation: who is asked when, and what for, is decided there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal

from antiphon.config import Approval, Config, KeyTools, Mcp, OwnMcpServer
from antiphon.errors import EngineError
from antiphon.session.settings import ApprovalFilter, McpServer, ToolFilter
from antiphon.tools.mcp import Address, McpAddresses, McpConnections, McpLimits, Program, library
from antiphon.tools.registry import matches

log = logging.getLogger("antiphon.server")


def limits_from(mcp: Mcp) -> McpLimits:
    return McpLimits(
        allowed_hosts=mcp.allowed_hosts,
        connect_timeout_s=mcp.connect_timeout_s,
        list_timeout_s=mcp.list_timeout_s,
        call_timeout_s=mcp.call_timeout_s,
        output_bytes=mcp.output_bytes,
    )


def own_servers(config: Config, key: str) -> tuple[McpServer, ...]:
    """The operator's servers for the sessions of the key of this name; their addresses are the numbers in
    `addresses_for_session`."""
    narrower = config.tools.for_keys.get(key, KeyTools())
    usual = narrower.approval or config.tools.approval
    return tuple(
        McpServer(
            label=label,
            address=number,
            allowed=_allowed(server, server.approval or usual),
            approval=APPROVALS[server.approval or usual],
        )
        for number, (label, server) in enumerate(config.mcp.servers.items())
        if matches(label, narrower.servers)
    )


APPROVALS: Mapping[Approval, Literal["always", "never"] | ApprovalFilter] = {
    "auto": "never",
    "safe-only": "never",
    "confirm-dangerous": ApprovalFilter(always=ToolFilter(destroys=True), never=ToolFilter(destroys=False)),
    "always-ask": "always",
}


def _allowed(server: OwnMcpServer, approval: Approval) -> ToolFilter | None:
    is_safe = True if approval == "safe-only" else None
    if server.allowed_tools is None and is_safe is None:
        return None
    return ToolFilter(server.allowed_tools, is_safe)


def addresses_for_session(mcp: Mcp) -> McpAddresses:
    """What a new session knows of, before its client has named any server."""
    own = []
    for server in mcp.servers.values():
        headers = dict(server.headers)
        if server.authorization is not None:
            headers["Authorization"] = f"Bearer {server.authorization}"
        program = Program(server.command, dict(server.environment), server.folder) if server.command else None
        own.append(Address(server.url or "", headers, is_ours=True, program=program))
    return McpAddresses(own)


def programs(mcp: Mcp) -> McpConnections | None:
    """Connections to the operator's servers that are programs: one process of each, for all sessions. To be closed."""
    if not any(server.command for server in mcp.servers.values()):
        return None
    return McpConnections(addresses_for_session(mcp), limits_from(mcp))


async def warm_mcp(mcp: Mcp, started: McpConnections | None) -> None:
    """Load what speaks MCP, if any server may be asked: that takes a second, in which a call would stutter. And start
    the operator's programs."""
    if not mcp.servers and not mcp.allowed_hosts:
        return
    try:
        await library()
    except EngineError as error:
        log.error("%s", error)
        return
    for number, (label, server) in enumerate(mcp.servers.items()):
        if server.command and started is not None:
            try:
                await started.list_tools(number)
            except EngineError as error:
                log.error("the MCP server %s: %s", label, error)
