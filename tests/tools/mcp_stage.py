"""A small MCP server of the official library on a loopback port, with tools that do all that can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from starlette.types import ASGIApp, Receive, Scope, Send


class Stage:
    """What the server has seen, and where it is."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[dict[str, str]] = []
        """Of every request."""
        self.fed: list[str] = []
        self.hung = asyncio.Event()
        self.was_cancelled = asyncio.Event()

    def server(self) -> MCPServer:
        zoo = MCPServer("zoo", log_level="CRITICAL")

        @zoo.tool(annotations=ToolAnnotations(read_only_hint=True))
        def look(animal: str) -> str:
            """Say what an animal does."""
            return f"The {animal} sleeps."

        @zoo.tool()
        def feed(animal: str) -> str:
            """Feed an animal."""
            self.fed.append(animal)
            return f"The {animal} eats."

        @zoo.tool()
        def tease(animal: str) -> str:
            """Tease an animal."""
            raise ValueError(f"the {animal} bites")

        @zoo.tool(annotations=ToolAnnotations(read_only_hint=True))
        def list_show() -> str:
            """What has to be bought for the animals."""
            return '{"items": ["hay", "apples"]}'

        @zoo.tool(annotations=ToolAnnotations(destructive_hint=True))
        def list_remove(item: str) -> str:
            """Takes something off the animals' list."""
            self.fed.append(f"no {item}")
            return '{"item": "' + item + '", "removed": true}'

        @zoo.tool()
        def roar(letters: int) -> str:
            """Make noise."""
            return "r" * letters

        @zoo.tool()
        async def hide(context: Context[Any, Any]) -> str:
            """Never come back."""
            self.hung.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.was_cancelled.set()
                raise
            return "here"

        return zoo


@asynccontextmanager
async def staged(transport: Literal["http", "json", "sse"] = "http", key: str = "") -> AsyncIterator[Stage]:
    """Run it; with a key, whoever does not show it as a bearer token is turned away."""
    stage = Stage()
    server = stage.server()
    if transport == "sse":
        app: ASGIApp = server.sse_app()
    else:
        app = server.streamable_http_app(json_response=transport == "json")
    config = uvicorn.Config(_watched(app, stage, key), port=0, log_config=None, ws="none", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    try:
        while not running.started:  # noqa: ASYNC110 - uvicorn has a flag and no event
            await asyncio.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        stage.url = f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"
        yield stage
    finally:
        running.should_exit = True
        await task


def _watched(app: ASGIApp, stage: Stage, key: str) -> ASGIApp:
    async def watch(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            stage.headers.append(headers)
            if key and headers.get("authorization") != f"Bearer {key}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b"no"})
                return
            if scope["path"] == "/moved":
                location = (b"location", b"http://localhost:1/mcp")
                await send({"type": "http.response.start", "status": 307, "headers": [location]})
                await send({"type": "http.response.body", "body": b""})
                return
        await app(scope, receive, send)

    return watch
