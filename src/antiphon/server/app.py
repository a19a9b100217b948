"""The server's routes: the Realtime WebSocket, health, readiness, models.

Each request passes the door first. The routes translate between HTTP and the runtime; they decide nothing about
conversations.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from antiphon.config import Config
from antiphon.engines.registry import EngineSet
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.server.door import Door, Refusal, key_from
from antiphon.server.limits import ByteBudgets
from antiphon.server.sessions import Sessions
from antiphon.session.settings import FunctionTool, SessionConfig, Settings, Transcription
from antiphon.tools.api import ServerTool
from antiphon.transport.websocket import WebSocketLink

log = logging.getLogger("antiphon.server")

SUBPROTOCOL = "realtime"
OPEN_ROUTES = frozenset({"/health", "/ready"})
"""What a load balancer asks, without a key."""
RETRY_AFTER_S = 5
IDLE_SWEEP_S = 5.0


class State:
    """What the routes share."""

    def __init__(self, config: Config, engines: EngineSet, sessions: Sessions, tools: tuple[FunctionTool, ...]) -> None:
        self.config = config
        self.engines = engines
        self.sessions = sessions
        self.tools = tools
        self.is_ready = False
        self.links: set[WebSocketLink] = set()
        loop = asyncio.get_running_loop()
        self.budgets = ByteBudgets(config.server.max_bytes_per_minute, loop.time)
        self.apply(config)
        self._numbers = itertools.count(1)

    def apply(self, config: Config) -> None:
        """Take keys, names and limits from a configuration; what is running goes on under the new ones."""
        self.config = config
        server = config.server
        self.door = Door(
            server.keys,
            frozenset(name.lower() for name in server.allowed_hosts),
            frozenset(origin.lower().rstrip("/") for origin in server.allowed_origins),
        )
        self.sessions.max_sessions = server.max_sessions
        if self.budgets.bytes_per_minute != server.max_bytes_per_minute:
            self.budgets = ByteBudgets(server.max_bytes_per_minute, asyncio.get_running_loop().time)

    def next_connection(self) -> str:
        return f"c{next(self._numbers)}"

    def close_idle(self) -> None:
        """End the connections that have sent nothing for too long."""
        now = asyncio.get_running_loop().time()
        for link in self.links:
            if now - link.last_heard > self.config.server.idle_timeout_s:
                link.close("idle")


def make_app(state: State) -> ASGIApp:
    """The whole application, door included."""

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(choice.name) for choice in state.engines.choices]})

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        return PlainTextResponse("ready\n" if state.is_ready else "warming\n", 200 if state.is_ready else 503)

    async def realtime(socket: WebSocket) -> None:
        await _realtime(state, socket)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route("/v1/models", models),
            WebSocketRoute("/v1/realtime", realtime),
        ]
    )
    return _behind_the_door(app, state)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "antiphon"}


def _behind_the_door(app: ASGIApp, state: State) -> ASGIApp:
    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = state.door.refusal(headers)
        if refusal is None and scope["path"] not in OPEN_ROUTES:
            refusal = state.door.key_refusal(headers, scope.get("subprotocols", ()))
        if refusal is None:
            await app(scope, receive, send)
        else:
            log.info("turned away: %s", refusal.code)
            await _turn_away(refusal, scope, receive, send)

    return door


async def _turn_away(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Say no in the form that OpenAI's clients show to people; a WebSocket is refused before it is one."""
    error = {"message": refusal.message, "type": "invalid_request_error", "code": refusal.code, "param": None}
    headers = {"Retry-After": str(RETRY_AFTER_S)} if refusal.status == 503 else None
    response = JSONResponse({"error": error}, refusal.status, headers)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


async def _realtime(state: State, socket: WebSocket) -> None:
    refusal = _refusal(state, socket)
    drive = None if refusal else state.sessions.begin(_session_config(state, socket))
    if drive is None:
        refusal = refusal or Refusal(503, "server_full", "All sessions are taken. Try again in a few seconds.")
        await _turn_away(refusal, socket.scope, socket.receive, socket.send)
        return
    reason = "lost"
    try:
        offered = socket.scope.get("subprotocols", ())
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        reason = await _serve(state, socket, drive)
    finally:
        await state.sessions.end(drive, reason)


def _refusal(state: State, socket: WebSocket) -> Refusal | None:
    if not state.is_ready:
        return Refusal(503, "warming", "The server is still loading its engines. Try again in a few seconds.")
    if "call_id" in socket.query_params:
        return Refusal(404, "call_id_not_found", "No session found for the provided call_id")
    intent = socket.query_params.get("intent", "realtime")
    if intent not in ("realtime", "transcription", "conversation"):
        return Refusal(400, "invalid_value", f"Invalid value: {intent!r}. Supported values are: 'transcription'.")
    return None


async def _serve(state: State, socket: WebSocket, drive: Drive) -> str:
    name = state.next_connection()
    key = key_from(dict(socket.headers), socket.scope.get("subprotocols", ()))
    expires_at = int(time.time() + drive.session.config.lifetime_s)
    with_additions = socket.query_params.get("antiphon") == "1"
    projection = Projection(f"{drive.session.id[-8:]}{name}_", expires_at, with_additions=with_additions)
    link = WebSocketLink(name, socket, projection, state.budgets.of(key).allow)
    state.links.add(link)
    log.info("session %s: %s connected", drive.session.id, name)
    try:
        reason = await link.serve(drive)
    finally:
        state.links.discard(link)
    log.info("session %s: %s is gone: %s", drive.session.id, name, reason)
    return reason


def _session_config(state: State, socket: WebSocket) -> SessionConfig:
    """What this connection's session starts with."""
    defaults = state.config.session
    wants_words = socket.query_params.get("intent") == "transcription"
    settings = Settings(
        kind="transcription" if wants_words else "realtime",
        model=socket.query_params.get("model", defaults.model)[:200],
        instructions=defaults.instructions,
        voice=defaults.voice,
        transcription=Transcription() if wants_words else None,
    )
    return SessionConfig(
        settings=settings,
        server_tools=() if wants_words else state.tools,
        lead_ms=defaults.lead_ms,
        max_turn_s=defaults.max_turn_s,
        lifetime_s=state.config.server.session_limit_s,
        context_tokens=defaults.context_tokens,
        retained_bytes=defaults.retained_audio_bytes,
        sees=state.engines.llm.sees,
    )


def tool_offers(tools: Iterable[ServerTool]) -> tuple[FunctionTool, ...]:
    """The server's tools as a session offers them to a model."""
    return tuple(FunctionTool(tool.spec.name, tool.spec.description, tool.spec.parameters) for tool in tools)
