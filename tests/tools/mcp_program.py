"""A small MCP server as a program, for tests: it counts, hangs and ends as it is told."""

from __future__ import annotations

import asyncio
import os

from mcp.server.mcpserver import MCPServer

zoo = MCPServer("zoo", log_level="CRITICAL")
calls: list[str] = []


@zoo.tool()
def look(animal: str) -> str:
    """Say what an animal does."""
    calls.append(animal)
    return f"The {animal} sleeps, in {os.environ.get('PLACE', 'no place')}, after {len(calls)} calls."


@zoo.tool()
def end() -> None:
    """End the program."""
    os._exit(1)


@zoo.tool()
async def hang() -> None:
    """Never come back."""
    await asyncio.sleep(3600)


print("Welcome to the zoo!", flush=True)
zoo.run("stdio")
