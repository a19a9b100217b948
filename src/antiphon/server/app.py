"""The server's routes: the Realtime WebSocket, client secrets, tools, health, readiness, models.

Each request passes the door first. The routes translate between HTTP and the runtime; they decide nothing about
conversations.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from antiphon.config import Config
from antiphon.engines.registry import EngineSet
from antiphon.errors import EngineError, PeerError
from antiphon.hearing.hub import HearingHub
from antiphon.observe.metrics import CONTENT_TYPE, OTHER
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.runtime.warm import Pools
from antiphon.server import pages
from antiphon.server.admission import DRAINING, Turnstile
from antiphon.server.broker import Beside, Broker, refusal_of_call
from antiphon.server.calls import DELTA_MS, LEAD_MS, Caller, CallRequest, Calls, read_call, worker_of
from antiphon.server.client_secrets import make_client_secret, read_body
from antiphon.server.continuing import Earlier, earlier_items
from antiphon.server.cors import Cors
from antiphon.server.door import Door, Visitor
from antiphon.server.handing_on import Others, Way, hand_on, join
from antiphon.server.history import history_routes
from antiphon.server.leaving import unless_left
from antiphon.server.limits import OwnLimits, Size
from antiphon.server.mcp import addresses_for_session, own_servers
from antiphon.server.minutes import Minutes, Spent, Tab
from antiphon.server.opening import Wish, first_settings, further_settings, read_wish, speaks_beta
from antiphon.server.refusals import Refusal, refusal_from, turn_away
from antiphon.server.relay import address_from, relaying_from, session_asked_for
from antiphon.server.rest import Building, audio_routes
from antiphon.server.resuming import IS_A_CALL, IS_NO_CALL, LONGEST_ID, UNKNOWN, Resumable, new_token
from antiphon.server.resuming import worker_of as worker_of_resumable
from antiphon.server.sessions import Sessions
from antiphon.server.shared import SharedLimits
from antiphon.server.siblings import Siblings, one_page
from antiphon.server.standing import engine_states, standing_of
from antiphon.server.tools import tools_page
from antiphon.server.transcribe import Budget, Captions, read_form
from antiphon.session.ids import Ids
from antiphon.session.settings import Fillers, FunctionTool, SessionConfig, Settings, Speculating
from antiphon.tools.loading import offer_for
from antiphon.tools.mcp import McpAddresses
from antiphon.tools.registry import Offer, Registry
from antiphon.tools.runner import Workroom
from antiphon.transport.resumable import ResumableLink
from antiphon.transport.websocket import WebSocketLink, close_with_error

log = logging.getLogger("antiphon.server")

SUBPROTOCOL = "realtime"
METRICS_PATH = "/metrics"
IDLE_SWEEP_S = 5.0
GONE = {
    "/v1/realtime/sessions": "POST /v1/realtime/client_secrets",
    "/v1/realtime/transcription_sessions": 'POST /v1/realtime/client_secrets with a session of type "transcription"',
}
"""Routes of the beta, and what took their place: see docs/decisions/0007-beta-dialect.md."""
NO_CALL = Refusal(404, "call_id_not_found", "No session found for the provided call_id", "")
WARMING = Refusal(503, "warming", "The server is still loading its engines. Try again in a few seconds.")
ENDED_EARLY = Refusal(503, "session_expired", "The session ended before its call was taken. Call again.")
POLICY_CLOSE_CODE = 1008
BETA_CLOSE_CODE = 4000
"""What the official server closes with; no official client tries again after it."""


FILLERS = {"en": "One moment.", "de": "Einen Moment.", "fr": "Un instant.", "es": "Un momento."}
"""By ISO-639-1 code."""
APOLOGIES = {
    "en": "Sorry, that did not work. Please say it again.",
    "de": "Entschuldigung, das hat nicht geklappt. Bitte sag es noch einmal.",
    "fr": "Désolé, cela n'a pas marché. Répétez, s'il vous plaît.",
    "es": "Lo siento, no ha funcionado. Repítelo, por favor.",
}

UNREACHABLE = {
    "en": "Sorry, I can't reach one of my services right now. Please try again in a moment.",
    "de": "Entschuldigung, ich erreiche gerade einen meiner Dienste nicht. Versuch es bitte gleich noch einmal.",
    "fr": "Désolé, je n'arrive pas à joindre un de mes services. Réessayez dans un instant, s'il vous plaît.",
    "es": "Lo siento, no puedo conectar con uno de mis servicios. Inténtalo de nuevo en un momento, por favor.",
}


class State:
    """What the routes share."""

    def __init__(
        self,
        config: Config,
        engines: EngineSet,
        hub: HearingHub,
        sessions: Sessions,
        room: Workroom,
        limits: OwnLimits | SharedLimits,
    ) -> None:
        self.config = config
        self.metrics = sessions.metrics
        self.admission = sessions.admission
        self.siblings: Siblings | None = None
        """The other processes of this port, if there are any."""
        self.others: Others | None = None
        """All other processes of this application, here or on other machines."""
        self.hub = hub
        self.engines = engines
        self.sessions = sessions
        self.tools = room.registry
        self.cache = room.cache
        self.warmed = asyncio.Event()
        """Set once the engines are loaded, as far as they can be."""
        self.broken: tuple[str, ...] = ()
        """Roles whose model cannot be loaded, now or later."""
        # Without any key or secret configured, client secrets live as long as this process.
        self._fallback = secrets.token_bytes(32)
        self.ids = Ids(secrets.randbits(64))
        self.links: set[WebSocketLink] = set()
        self.resumable = Resumable()
        self.calls = Calls(config.webrtc, sessions, config.session.resume_s)
        self.turnstile = Turnstile()
        self.broker = Broker(sessions)
        self.pools = Pools()
        """Open connections to the server that is the voice, if it is another one."""
        self.captions = 0
        """Live transcriptions beside the sessions."""
        loop = asyncio.get_running_loop()
        self.limits = limits
        self.budgets = limits.budgets(config.server.max_bytes_per_minute, loop.time)
        self.places = limits.places(config.server.max_sessions_per_secret)
        self.spent: Spent = defaultdict(float)
        """Of the minutes of keys, and not written down yet."""
        self.apply(config)
        self._numbers = itertools.count(1)

    @property
    def is_ready(self) -> bool:
        """Whether the first person would not wait."""
        return self.warmed.is_set()

    def apply(self, config: Config) -> None:
        """Take keys, names and limits from a configuration; what is running goes on under the new ones."""
        self.config = config
        server = config.server
        secret = server.token_secret.encode() if server.token_secret else b"" if server.all_keys else self._fallback
        open_paths = (METRICS_PATH,) if server.open_metrics else ()
        self.door = Door(server.all_keys, server.allowed_hosts, server.allowed_origins, secret, open_paths)
        if self.sessions.history is not None:
            self.sessions.history.has_owners = bool(server.all_keys)
        self._key_names = {self.door.tokens.name_of(key): name for name, key in server.named_keys.items()}
        address = address_from(config.relay)
        self.sessions.source = None if address is None else self.pools.of(address, config.relay.warm)
        self.admission.room.most = server.max_sessions
        self.admission.most_lag_ms = server.max_lag_ms
        self.places.most = server.max_sessions_per_secret
        if self.admission.keys is not None:
            self.admission.keys.most = server.max_sessions_per_key or server.max_sessions
        if self.budgets.bytes_per_minute != server.max_bytes_per_minute:
            self.budgets = self.limits.budgets(server.max_bytes_per_minute, asyncio.get_running_loop().time)
        self.sessions.minutes = self._minutes()

    def _minutes(self) -> Minutes | None:
        """As they are now allowed: what has been used stays used as long as the limit is the same."""
        server, known = self.config.server, self.sessions.minutes
        if not server.max_minutes_per_key:
            return None
        size = Size(60.0 * server.max_minutes_per_key, 3600.0 * server.minutes_window_h)
        if known is not None and known.size == size:
            return known
        now = asyncio.get_running_loop().time
        return Minutes(self.limits.buckets("minutes ", size, now), now, self.spent)

    def tab(self, visitor: Visitor) -> Tab:
        """Where what this visitor does beside sessions counts. Raises `PeerError` if their key has no minutes left."""
        minutes = self.sessions.minutes
        return Tab(None) if minutes is None or not visitor.owner else minutes.tab(visitor.owner)

    def next_connection(self) -> str:
        return f"c{next(self._numbers)}"

    def close_idle(self) -> None:
        """End the connections that have sent nothing for too long."""
        now = asyncio.get_running_loop().time()
        for link in self.links:
            if now - link.last_heard > self.config.server.idle_timeout_s:
                link.close("idle")
        self.calls.close_idle(self.config.server.idle_timeout_s)

    def key_of(self, visitor: Visitor) -> str:
        """The name that the configuration gives the visitor's key, or the key that their client secret was made with;
        empty if it has none."""
        return self._key_names.get(visitor.owner, "")

    def begin(
        self,
        settings: Settings,
        visitor: Visitor,
        wish: Wish,
        addresses: McpAddresses,
        earlier: Earlier | None = None,
        *,
        plays: bool = False,
    ) -> Drive | Refusal:
        """A session with these settings, unless there is no room for it now. With `plays`, for a call."""
        if not self.is_ready:
            return WARMING
        config = _session_config(self, settings, self.key_of(visitor))
        if wish.additions_version and self.config.stt.partials_in_talk == "asked":
            config = msgspec.structs.replace(config, follows_conversation=config.follows)
        if earlier is not None:
            config = msgspec.structs.replace(config, earlier=earlier.items)
        if plays:
            # Whoever calls by WebRTC has an echo canceller of its own; what comes through it is the person.
            config = msgspec.structs.replace(config, plays=True, lead_ms=LEAD_MS, delta_ms=DELTA_MS, knows_echo=False)
        return self.sessions.begin(config, visitor.owner, addresses, earlier.session_id if earlier else None)

    async def page(self) -> bytes:
        """What this process counts."""
        return await asyncio.to_thread(self.metrics.page, standing_of(self))

    async def elsewhere(self, number: int | None) -> Way | None:
        """The way to the process with this number, if it is another one. Raises `PeerError` if nobody can say."""
        return await self.others.find(number) if self.others is not None and number is not None else None

    def note_refusal(self, refusal: Refusal) -> None:
        log.info("turned away: %s", refusal.code)
        self.metrics.refused.of(refusal.code or OTHER).inc()

    def projection(self, drive: Drive, name: str, wish: Wish) -> Projection:
        """What a connection of this session is shown."""
        config = drive.session.config
        expires_at = int(time.time() + drive.session.expires_in_s)
        prefix = f"{drive.session.id[-8:]}{name}_"
        with_additions = wish.additions_version > 0
        return Projection(prefix, expires_at, with_additions=with_additions, with_sound=not config.plays)


def make_app(state: State) -> ASGIApp:
    """The whole application, door included."""

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(choice.name) for choice in state.engines.choices]})

    async def tools(request: Request) -> Response:
        narrower = offer_for(state.config.tools, state.key_of(request.state.visitor))
        return Response(tools_page(state.tools, narrower), media_type="application/json")

    async def health(request: Request) -> Response:
        resting = [f"{one.name} failed and rests\n" for one in engine_states(state.engines) if one.rests]
        return PlainTextResponse("".join(["ok\n", *resting]))

    async def ready(request: Request) -> Response:
        if state.admission.is_draining:
            return PlainTextResponse("draining\n", 503)
        if state.broken:  # why is in the log: it names folders of this machine, and anybody may ask here
            roles = ", ".join(state.broken)
            return PlainTextResponse(f"broken model: {roles}. The log says why, and so does: antiphon doctor\n", 503)
        return PlainTextResponse("ready\n" if state.is_ready else "warming\n", 200 if state.is_ready else 503)

    async def metrics(request: Request) -> Response:
        page = await state.page()
        if state.siblings is not None:
            page = one_page(sorted([(state.siblings.number, page), *(await state.siblings.pages()).items()]))
        return Response(page, media_type=CONTENT_TYPE)

    async def client_secrets(request: Request) -> Response:
        visitor: Visitor = request.state.visitor
        body = await read_body(request)
        made = make_client_secret(body, state.door.tokens, visitor.owner, state.config, state.ids, time.time())
        return Response(made, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def calls(request: Request) -> Response:
        return await _call(state, request)

    async def hang_up(request: Request) -> Response:
        visitor: Visitor = request.state.visitor
        call_id = request.path_params["call_id"]
        elsewhere = await state.elsewhere(worker_of(call_id))
        if elsewhere is not None:
            return await hand_on(elsewhere, request)
        ongoing = state.calls.find(call_id, visitor.owner)
        brokered = state.broker.find(call_id, visitor.owner)
        if brokered is not None:
            brokered.close("hung up on request")
        elif ongoing is not None:
            ongoing.call.close("hung up on request")
        else:
            return NO_CALL.response
        return Response(status_code=200)

    async def gone(request: Request) -> Response:
        path = request.url.path
        return Refusal(404, "unknown_url", f"POST {path} was part of the beta. Use {GONE[path]}.").response

    async def peer_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, PeerError)
        refusal = refusal_from(error)
        state.note_refusal(refusal)
        return refusal.response

    async def realtime(socket: WebSocket) -> None:
        if socket.query_params.get("resume"):  # its session has a place
            await _resume(state, socket, socket.query_params["resume"], socket.query_params.get("after", ""))
        else:
            await _in_a_place(state, socket, _realtime)

    async def transcribe(socket: WebSocket) -> None:
        await _in_a_place(state, socket, _captions)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/ready", ready),
            Route(METRICS_PATH, metrics),
            Route("/v1/models", models),
            Route("/v1/tools", tools),
            Route("/v1/realtime/client_secrets", client_secrets, methods=["POST"]),
            Route("/v1/realtime/calls", calls, methods=["POST"]),
            Route("/v1/realtime/calls/{call_id}/hangup", hang_up, methods=["POST"]),
            *(Route(path, gone, methods=["POST"]) for path in GONE),
            WebSocketRoute("/v1/realtime", realtime),
            WebSocketRoute("/ws/transcribe", transcribe),
            *audio_routes(Building(lambda: state.config, state.engines, state.hub, lambda: state.budgets, state.tab)),
            *history_routes(lambda: state.sessions.history),
            *pages.routes(),
        ],
        exception_handlers={HTTPException: _no_route, PeerError: peer_error, Exception: _own_fault},
    )
    app.router.default = _nowhere
    return _behind_the_door(app, state)


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """No route has this path; a WebSocket is told so as well."""
    refusal = Refusal(404, "unknown_url", f"Invalid URL ({scope.get('method', 'GET')} {scope['path']}).")
    await turn_away(refusal, scope, receive, send)


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return Refusal(status, "unknown_url", f"Invalid URL or method ({request.method} {request.url.path}).").response


async def _own_fault(request: Request, error: Exception) -> Response:
    response = Refusal(500, "internal_error", "The server had an error while processing your request.").response
    response.headers["Connection"] = "close"  # uvicorn closes it: a client that took it up again would find it gone
    return response


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "antiphon"}


def _behind_the_door(app: ASGIApp, state: State) -> ASGIApp:
    """Host and Origin are looked at first, then a browser's question whether it may ask, then the key."""

    async def lock(scope: Scope, receive: Receive, send: Send) -> None:
        admitted = state.door.admit(scope["path"], _headers(scope), scope.get("subprotocols", ()), time.time())
        if isinstance(admitted, Refusal):
            state.note_refusal(admitted)
            await turn_away(admitted, scope, receive, send)
            return
        scope.setdefault("state", {})["visitor"] = admitted
        await app(scope, receive, send)

    inside = Cors(lock, lambda origin: state.door.allows_page(origin))

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        await state.turnstile.enter()
        refusal = state.door.refusal(_headers(scope))
        if refusal is None:
            await inside(scope, receive, send)
        else:
            state.note_refusal(refusal)
            await turn_away(refusal, scope, receive, send)

    return door


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _in_a_place(state: State, socket: WebSocket, serve: Callable[[State, WebSocket], Awaitable[None]]) -> None:
    """Serve a connection, unless it comes with a client secret that has enough of them."""
    visitor: Visitor = socket.state.visitor
    if visitor.grant is None:
        await serve(state, socket)
        return
    if not state.places.take(visitor.name):
        most = state.places.most
        message = f"This client secret has {most} sessions already. Close one, or make another client secret."
        await _turn_away(state, socket, Refusal(429, "too_many_sessions", message))
        return
    try:
        await serve(state, socket)
    finally:
        state.places.give_back(visitor.name)


async def _turn_away(state: State, socket: WebSocket, refusal: Refusal) -> None:
    state.note_refusal(refusal)
    await turn_away(refusal, socket.scope, socket.receive, socket.send)


# --- the Realtime WebSocket ------------------------------------------------------------------------------------------


async def _realtime(state: State, socket: WebSocket) -> None:
    arrived = asyncio.get_running_loop().time()
    offered: list[str] = socket.scope.get("subprotocols", [])
    if speaks_beta(_headers(socket.scope), offered):
        await _refuse_beta(socket)
        return
    visitor: Visitor = socket.state.visitor
    try:
        wish = read_wish(socket.query_params)
        if wish.call_id is not None:
            await _join(state, socket, wish, wish.call_id)
            return
        addresses = addresses_for_session(state.config.mcp)
        settings = _settings(state, visitor, wish, addresses)
    except PeerError as error:
        await _turn_away(state, socket, refusal_from(error))
        return
    earlier = await _earlier(state, visitor, wish)
    if isinstance(earlier, Refusal):
        await _turn_away(state, socket, earlier)
        return
    drive = state.begin(settings, visitor, wish, addresses, earlier)
    if isinstance(drive, Refusal):
        await _turn_away(state, socket, drive)
        return
    reason = "lost"
    try:
        await socket.accept(_subprotocol(offered))
        state.metrics.setup.observe(asyncio.get_running_loop().time() - arrived)
        reason = await _serve(state, socket, drive, wish)
    finally:
        await state.sessions.end(drive, reason)


async def _earlier(state: State, visitor: Visitor, wish: Wish) -> Earlier | Refusal | None:
    if wish.continues is None:
        return None
    items = await earlier_items(state.sessions.history, wish.continues, visitor.owner)
    return items if isinstance(items, Refusal) else Earlier(wish.continues, items)


async def _resume(state: State, socket: WebSocket, token: str, after: str) -> None:
    """Go on with a session whose connection broke. There may be two for a moment: the newer one is right."""
    visitor: Visitor = socket.state.visitor
    if await _handed_on(state, socket, worker_of_resumable(token)):
        return
    link = state.resumable.find(token, visitor.owner)
    if link is None:
        await _turn_away(state, socket, IS_A_CALL if state.calls.resumable(token, visitor.owner) else UNKNOWN)
        return
    await socket.accept(_subprotocol(socket.scope.get("subprotocols", [])))
    state.metrics.resumed.inc()
    if not await link.resume(socket, after[:LONGEST_ID]):
        await close_with_error(socket, UNKNOWN.message, UNKNOWN.code or "", POLICY_CLOSE_CODE)


async def _handed_on(state: State, socket: WebSocket, number: int | None) -> bool:
    """Whether the connection is another process's business, and was that until its end."""
    try:
        way = await state.elsewhere(number)
    except PeerError as error:
        await _turn_away(state, socket, refusal_from(error))
        return True
    if way is not None:
        await join(way, socket, state.config.server.max_message_bytes)
    return way is not None


async def _refuse_beta(socket: WebSocket) -> None:
    """Programs of that time show an error that comes as a message, and few show one that comes over HTTP."""
    log.info("turned away: beta_api_shape_disabled")
    await socket.accept(_subprotocol(socket.scope.get("subprotocols", [])))
    message = (
        "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API: leave out the header "
        "'OpenAI-Beta: realtime=v1' and the subprotocol 'openai-beta.realtime-v1'."
    )
    await close_with_error(socket, message, "beta_api_shape_disabled", BETA_CLOSE_CODE)


def _subprotocol(offered: list[str]) -> str | None:
    """Ours, if it was offered. To a client that offers only others we answer with none, as the specification of
    WebSockets asks for: programs go on without, browsers hang up."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


async def _serve(state: State, socket: WebSocket, drive: Drive, wish: Wish) -> str:
    name = state.next_connection()
    projection = state.projection(drive, name, wish)
    visitor: Visitor = socket.state.visitor
    allow = state.budgets.of(visitor.name).allow
    patience_s = state.config.session.resume_s
    link = WebSocketLink(name, socket, projection, allow)
    offer: AbstractContextManager[None] = nullcontext()
    if wish.is_resumable and patience_s > 0:
        link = ResumableLink(name, socket, projection, allow, new_token(), patience_s)
        offer = state.resumable.offered(link, visitor.owner)
    state.links.add(link)
    log.info("session %s: %s connected", drive.session.id, name)
    try:
        with offer:
            reason = await link.serve(drive)
    finally:
        state.links.discard(link)
    log.info("session %s: %s is gone: %s", drive.session.id, name, reason)
    return reason


# --- calls over WebRTC -----------------------------------------------------------------------------------------------


async def _call(state: State, request: Request) -> Response:
    if request.query_params.get("resume"):  # its session has a place
        return await _resume_call(state, request, request.query_params["resume"])
    visitor: Visitor = request.state.visitor
    state.calls.check_room(visitor.owner, state.broker.placing(visitor.owner))
    asked = await read_call(request)
    wish = read_wish(request.query_params)
    addresses = addresses_for_session(state.config.mcp)
    if asked.session is not None and visitor.grant is not None and visitor.grant.session is not None:
        # What a client secret's owner has chosen comes first; the page may change it, as with session.update.
        settings = _settings(state, visitor, wish, addresses)
        settings = further_settings(state.config, settings, asked.session, addresses)
    elif asked.session is not None:
        settings = first_settings(state.config, wish, asked.session, addresses)
    else:
        settings = _settings(state, visitor, wish, addresses)
    if state.config.relay.url is not None and state.config.relay.calls == "there" and settings.kind == "realtime":
        return await unless_left(request, _brokered_call(state, visitor, asked, settings, addresses))
    earlier = await _earlier(state, visitor, wish)
    drive: Drive | Refusal
    if isinstance(earlier, Refusal):
        drive = earlier
    else:
        drive = state.begin(settings, visitor, wish, addresses, earlier, plays=True)
    if isinstance(drive, Refusal):
        state.note_refusal(drive)
        return drive.response
    name = state.next_connection()
    caller = Caller(name, visitor.owner, state.budgets.of(visitor.name).allow, wish.is_resumable)
    try:
        call_id, answer = await state.calls.begin(caller, asked.offer, drive, state.projection(drive, name, wish))
    except BaseException:
        await state.sessions.end(drive, "lost")
        raise
    return _accepted(call_id, answer)


def _accepted(call_id: str, answer: str) -> Response:
    return Response(answer, 201, {"Location": f"/v1/realtime/calls/{call_id}"}, media_type="application/sdp")


async def _resume_call(state: State, request: Request, token: str) -> Response:
    """Go on with a call that broke, over the path that is offered now. It keeps its id."""
    elsewhere = await state.elsewhere(worker_of_resumable(token))
    if elsewhere is not None:
        return await hand_on(elsewhere, request, await read_body(request))
    owner = request.state.visitor.owner
    found = state.calls.resumable(token, owner)
    if found is None:
        refusal = IS_NO_CALL if state.resumable.find(token, owner) else UNKNOWN
        state.note_refusal(refusal)
        return refusal.response
    asked = await read_call(request)
    if asked.session is not None:
        raise PeerError(
            "A call that goes on has its session already.",
            "Leave the part 'session' out, and change it with session.update.",
            code="invalid_value",
            param="session",
        )
    call_id, call = found
    answer = await call.resume(asked.offer, request.query_params.get("after", "")[:LONGEST_ID])
    if answer is None:
        return UNKNOWN.response
    state.metrics.resumed.inc()
    return _accepted(call_id, answer)


async def _brokered_call(
    state: State, visitor: Visitor, asked: CallRequest, settings: Settings, addresses: McpAddresses
) -> Response:
    """A call that ends at the server that is the voice; see `server.broker`."""
    address = address_from(state.config.relay)
    assert address is not None
    if not state.is_ready:
        return WARMING.response
    config = _session_config(state, settings, state.key_of(visitor))
    assert config.relay is not None
    config = msgspec.structs.replace(config, relay=msgspec.structs.replace(config.relay, joins=True))
    source = Beside(address, state.pools.counts)
    drive = state.sessions.begin(config, visitor.owner, addresses, source=source)
    if isinstance(drive, Refusal):
        state.note_refusal(drive)
        return drive.response
    try:
        wish = session_asked_for(config, state.config.relay.model)
        begun = await state.broker.begin(address, asked.sdp, wish, drive, visitor.owner)
    except EngineError as error:
        await state.sessions.end(drive, error.code)
        log.warning("a call could not be placed: %s", error)
        refusal = refusal_of_call(error)
        state.note_refusal(refusal)
        return refusal.response
    except BaseException:
        await state.sessions.end(drive, "lost")
        raise
    if begun is None:
        await state.sessions.end(drive, "lost")
        refusal = DRAINING if state.admission.is_draining else ENDED_EARLY
        state.note_refusal(refusal)
        return refusal.response
    call_id, placed = begun
    source.join(placed.call_id)
    return _accepted(call_id, placed.answer)


async def _join(state: State, socket: WebSocket, wish: Wish, call_id: str) -> None:
    """A connection beside a call's own: a server that holds its tools, somebody who looks on. There may be several."""
    visitor: Visitor = socket.state.visitor
    if await _handed_on(state, socket, worker_of(call_id)):
        return
    known = state.calls.find(call_id, visitor.owner) or state.broker.find(call_id, visitor.owner)
    ongoing = known if visitor.grant is None else None
    if ongoing is None:
        await _turn_away(state, socket, NO_CALL)
        return
    await socket.accept(_subprotocol(socket.scope.get("subprotocols", [])))
    await _serve(state, socket, ongoing.drive, wish)


# --- live transcription ----------------------------------------------------------------------------------------------


async def _captions(state: State, socket: WebSocket) -> None:
    """A live transcription: see `server.transcribe`."""
    visitor: Visitor = socket.state.visitor
    try:
        form, tab = read_form(socket.query_params), state.tab(visitor)
    except PeerError as error:
        await _turn_away(state, socket, refusal_from(error))
        return
    refusal = state.admission.enter(visitor.owner) if state.is_ready else WARMING
    if refusal is not None:
        await _turn_away(state, socket, refusal)
        return
    state.captions += 1
    try:
        await socket.accept(_subprotocol(socket.scope.get("subprotocols", [])))
        budget = Budget(state.budgets.of(visitor.name), tab)
        captions = Captions(socket, state.hub, state.engines.listener, form, budget)
        reason = await captions.serve(state.config.server.idle_timeout_s, state.config.server.session_limit_s)
        log.info("a live transcription ended: %s", reason)
    finally:
        state.captions -= 1
        state.admission.leave(visitor.owner)


def _settings(state: State, visitor: Visitor, wish: Wish, addresses: McpAddresses) -> Settings:
    patch = visitor.grant.session if visitor.grant is not None else None
    return first_settings(state.config, wish, patch, addresses)


def _session_config(state: State, settings: Settings, key: str) -> SessionConfig:
    """What a session with these settings is made of, for who comes with the key of this name."""
    defaults, mcp, turns = state.config.session, state.config.mcp, state.config.turns
    is_relayed = settings.kind == "realtime" and state.sessions.source is not None
    prepares = turns.prepare == "always" or (turns.prepare == "auto" and state.engines.costs_nothing)
    tells = state.engines.partials != "off"
    narrower = offer_for(state.config.tools, key)
    offered = tool_offers(state.tools, narrower)
    return SessionConfig(
        settings=settings,
        server_tools=() if settings.kind == "transcription" else offered,
        withheld_tools=tuple(each.name for each in state.tools if not state.tools.offers(each.name, narrower)),
        asks_before=state.tools.asks_before(narrower),
        approval_s=state.config.tools.approval_s,
        mcp_servers=own_servers(state.config, key),
        max_mcp_servers=mcp.max_servers,
        max_mcp_tools=mcp.max_tools,
        follow_up_s=mcp.follow_up_s or None,
        lead_ms=defaults.lead_ms,
        max_turn_s=defaults.max_turn_s,
        lifetime_s=state.config.server.session_limit_s,
        context_tokens=defaults.context_tokens,
        summarise=defaults.summarise,
        retained_bytes=defaults.retained_audio_bytes,
        sees=state.engines.llm.sees or is_relayed,
        speculation=Speculating(prepares, turns.prepare_after_ms, turns.prepare_attempts, turns.prepare_most_wasted),
        follows=tells,
        follows_conversation=tells and state.config.stt.partials_in_talk == "always",
        fillers=Fillers(turns.filler_after_s, FILLERS if turns.filler_after_s else {}),
        greeting=defaults.greeting,
        apologies=APOLOGIES if defaults.say_errors else {},
        unreachable=UNREACHABLE if defaults.say_errors else {},
        continuous_endpoint=turns.judge_pauses,
        barge_in=turns.barge_in,
        knows_echo=turns.ignore_echo,
        voiced_from=state.config.vad.threshold,
        scores_turns=state.engines.turns is not None,
        relay=relaying_from(state.config.relay) if is_relayed else None,
    )


def tool_offers(tools: Registry, narrower: Offer | None) -> tuple[FunctionTool, ...]:
    """The server's tools as a session offers them to a model."""
    specs = (each.tool.spec for each in tools.offered(narrower))
    return tuple(FunctionTool(spec.name, spec.description, spec.parameters) for spec in specs)
