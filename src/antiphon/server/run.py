"""A server from its configuration to its end: engines made and warmed, the port opened, drained when told to stop.

Used by `antiphon serve` in the foreground, and by the demo and tests as a context inside their own loop.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from antiphon.config import Config
from antiphon.config import History as HistorySection
from antiphon.config import Server as ServerSection
from antiphon.engines import registry
from antiphon.engines.api import TtsRequest
from antiphon.engines.breaker import FIRST_REST_S, LONGEST_REST_S
from antiphon.engines.llm.tokens import token_counter
from antiphon.engines.registry import EngineSet
from antiphon.errors import ConfigError, EngineError, NotInstalled
from antiphon.hearing.hub import HearingHub
from antiphon.observe.looplag import LoopLag
from antiphon.observe.metrics import Metrics
from antiphon.observe.timeline import Turn
from antiphon.runtime.drive import BACKLOG_S, Equipment
from antiphon.runtime.following import Companion
from antiphon.runtime.phrases import KeptPhrases
from antiphon.runtime.workers import Engines
from antiphon.server import memory
from antiphon.server.admission import Admission, Lateness
from antiphon.server.app import APOLOGIES, IDLE_SWEEP_S, UNREACHABLE, State, make_app
from antiphon.server.bookkeeping import Bookkeeping
from antiphon.server.bounded import BoundedHttp, BoundedWebSocket, allow_many_files
from antiphon.server.door import is_loopback
from antiphon.server.history import History
from antiphon.server.http import HttpServer
from antiphon.server.limits import OwnLimits
from antiphon.server.mcp import limits_from, programs, warm_mcp
from antiphon.server.sessions import Sessions, Surroundings, Tracing
from antiphon.server.shared import SharedLimits, SharedTable
from antiphon.server.siblings import Siblings, with_own_page
from antiphon.server.tls import self_signed
from antiphon.server.tokens import PREFIX as CLIENT_SECRET_PREFIX
from antiphon.session.truncation import estimated
from antiphon.store.changes import DAY_S
from antiphon.store.database import SqliteShelf, default_path
from antiphon.store.pace import OwnThread
from antiphon.store.reading import SqliteReader
from antiphon.store.recording import Recorder
from antiphon.store.shelf import Reader, Shelf
from antiphon.store.spending import Spending, SqliteSpending
from antiphon.store.writer import Writer
from antiphon.tools.loading import workroom
from antiphon.tools.mcp import McpConnections
from antiphon.tools.runner import Workroom

if TYPE_CHECKING:
    from antiphon.observe.otel import Export
    from antiphon.server.wyoming import WyomingService

log = logging.getLogger("antiphon.server")

SHORTEST_TOKEN_SECRET = 32  # characters: it is not stretched


class Place(Struct, frozen=True):
    """Which worker of a port a server is."""

    table: SharedTable
    """Of the limits that hold for all."""
    folder: Path
    """For their sockets; this user's alone."""
    number: int
    """From 0."""
    count: int


class Running:
    """A server that listens."""

    def __init__(self, state: State, url: str) -> None:
        self.state = state
        self.url = url
        """Of the Realtime endpoint, such as "ws://127.0.0.1:8765/v1/realtime"."""


@asynccontextmanager
async def running(
    config: Config,
    *,
    engines: EngineSet | None = None,
    tools: tuple[object, ...] | None = None,
    on_turn: Callable[[Turn], None] | None = None,
    place: Place | None = None,
) -> AsyncIterator[Running]:
    """Run a server inside this loop until the block is left; then drain it. Raises `ConfigError`.

    `tools` are in place of those of the configuration: functions under `@tool`, or objects like `ServerTool`.
    With a `place`, the port is shared with the other workers.
    """
    check(config)
    async with AsyncExitStack() as stack:
        bounds = SharedLimits(place.table) if place else OwnLimits()
        state = await stack.enter_async_context(housed(config, bounds, engines=engines, tools=tools, on_turn=on_turn))
        folder = stack.enter_context(TemporaryDirectory(prefix="antiphon-"))
        server = HttpServer(_uvicorn_config(config, state, Path(folder)))
        sock = bind(config, shared=place is not None)
        beside = asyncio.create_task(_serve_siblings(state, place), name="siblings")
        serving = asyncio.create_task(server.serve(sockets=[sock]), name="uvicorn")
        wyoming: WyomingService | None = None
        try:
            wyoming = await _begin_wyoming(config, state)
            await server.until_listening()
            scheme = "wss" if server.config.is_ssl else "ws"
            host, port = sock.getsockname()[:2]
            yield Running(state, f"{scheme}://{_in_url(host)}:{port}/v1/realtime")
        finally:
            await drain(state)
            server.end()
            beside.cancel()
            if wyoming is not None:
                await wyoming.close()
            await asyncio.gather(serving, beside, return_exceptions=True)


@asynccontextmanager
async def housed(
    config: Config,
    bounds: OwnLimits | SharedLimits,
    *,
    engines: EngineSet | None = None,
    tools: tuple[object, ...] | None = None,
    on_turn: Callable[[Turn], None] | None = None,
) -> AsyncIterator[State]:
    """All that a server is but its port: engines that warm up, tools, what is kept and counted. Raises `ConfigError`.

    Whoever lets people in calls `drain` before the block is left.
    """
    tracing = await asyncio.to_thread(_tracing, config)
    engines = engines or registry.make(config)
    tooling = await _workroom(config, tools)
    hub = HearingHub(engines.vad, backlog_s=BACKLOG_S, gates=config.vad.gate)
    hub.rehearse()
    phrases = KeptPhrases(engines.tts)
    runners = Engines(engines.stt, engines.llm, engines.tts, phrases, engines.turns, Companion(engines.listener, hub))
    started = programs(config.mcp)
    equipment = Equipment(runners, hub, tooling, limits_from(config.mcp), started)
    count = await asyncio.to_thread(token_counter, config.llm.tokenizer) if config.llm.tokenizer else estimated
    surroundings = Surroundings(ZoneInfo(config.session.time_zone), config.session.locale, count)
    metrics = Metrics(each.name for each in tooling.registry.offered())
    lag = LoopLag(metrics.loop_lag.observe)
    most = config.server.max_sessions
    admission = Admission(bounds.room(most), Lateness(lag, hub), config.server.max_lag_ms, bounds.places(most))
    export = _export(config)
    told = _turns_told(export, engines, on_turn)
    async with _history(config) as history:
        sessions = Sessions(equipment, admission, metrics, surroundings, tracing, told, history)
        state = State(config, engines, hub, sessions, tooling, bounds)
        books = await _bookkeeping(state)
        warming = asyncio.create_task(_warm(state, phrases, started), name="warm-up")
        lag.start()
        sweeping = asyncio.create_task(_sweep(state), name="idle sweep")
        accounting = None if books is None else asyncio.create_task(books.run(), name="minutes")
        try:
            yield state
        finally:
            tasks = [task for task in (warming, sweeping, accounting) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if books is not None:
                await books.close()
            lag.stop()
            await state.pools.close()
            await hub.close()
            await engines.close()
            await tooling.registry.close()
            if started is not None:
                await started.close()
            if export is not None:
                await asyncio.to_thread(export.close)


async def drain(state: State) -> None:
    """Let nobody in any more, and give those who are there their time to end."""
    await state.sessions.drain(state.config.server.drain_s)
    await state.calls.close()
    await state.broker.close()


def _export(config: Config) -> Export | None:
    """The way to a collector, if there is to be one. Raises `ConfigError`."""
    if config.trace.otlp_url is None:
        return None
    try:
        from antiphon.observe.otel import Export
    except ImportError:
        raise NotInstalled("OpenTelemetry", "otel") from None
    return Export(config.trace.otlp_url)


def _turns_told(
    export: Export | None, engines: EngineSet, on_turn: Callable[[Turn], None] | None
) -> Callable[[str, Turn], None]:
    """Whoever is to hear of each turn that has ended."""
    listeners: list[Callable[[str, Turn], None]] = []
    if on_turn is not None:
        listeners.append(lambda _, turn: on_turn(turn))
    if export is not None:
        from antiphon.observe.otel import TurnTraces

        model = next((choice.name for choice in engines.choices if choice.role == "llm"), "unknown")
        epoch_s = time.time() - asyncio.get_running_loop().time()
        listeners.append(TurnTraces(export.tracer, model, epoch_s).turn_ended)

    def told(session_id: str, turn: Turn) -> None:
        for listener in listeners:
            listener(session_id, turn)

    return told


async def _serve_siblings(state: State, place: Place | None) -> None:
    """Answer the other workers of this port, until cancelled."""
    if place is None:
        return
    siblings = Siblings(place.folder, place.number, place.count)
    app = with_own_page(make_app(state), state.page)
    server = HttpServer(_inner_config(app, state.config, uds=str(siblings.own_path)))
    serving = asyncio.create_task(server.serve(), name="siblings' uvicorn")
    try:
        await server.until_listening()
        state.siblings = state.others = siblings
        await asyncio.shield(serving)
    finally:
        server.end()
        await serving


@asynccontextmanager
async def also_at(state: State, sock: socket.socket) -> AsyncIterator[None]:
    """Answer on this socket too while the block runs: what other machines of the same application hand on."""
    server = HttpServer(_inner_config(make_app(state), state.config))
    serving = asyncio.create_task(server.serve(sockets=[sock]), name="neighbours' uvicorn")
    try:
        await server.until_listening()
        yield
    finally:
        server.end()
        await serving


@asynccontextmanager
async def _history(config: Config) -> AsyncIterator[History | None]:
    """Where conversations are kept, if they are. Raises `ConfigError`."""
    wanted = config.history
    if wanted.recordings is not None and not wanted.keep:
        raise ConfigError(
            "history.recordings is set, and history.keep is false", "Whose a recording is, is kept there: set both."
        )
    if not wanted.keep:
        yield None
        return
    shelf, reader = _shelf(wanted)
    log.info("conversations are kept in %s", shelf.name)
    writer = Writer(shelf, OwnThread(asyncio.get_running_loop()), keep_days=wanted.days)
    recorder = _recorder(wanted)
    try:
        yield History(writer, reader, recorder)
    finally:
        if recorder is not None:
            await asyncio.to_thread(recorder.close)
        await writer.close()


def _recorder(wanted: HistorySection) -> Recorder | None:
    """What records sound, if that is wished. Raises `ConfigError`."""
    if wanted.recordings is None:
        if wanted.recordings_url is not None:
            raise ConfigError(
                "history.recordings_url is set, and history.recordings is not", "Name a folder for what waits."
            )
        return None
    if wanted.recordings_url is None:
        return Recorder(wanted.recordings, keep_days=wanted.days)
    if (wanted.recordings_key_id is None) != (wanted.recordings_secret_key is None):
        message = "one of history.recordings_key_id and history.recordings_secret_key is set"
        raise ConfigError(message, "Set both, or neither.")
    try:
        from antiphon.store.uploading import Address, Uploads, store_at
    except ImportError:
        raise NotInstalled("obstore", "s3") from None
    address = Address(
        wanted.recordings_url,
        wanted.recordings_endpoint,
        wanted.recordings_region,
        wanted.recordings_key_id,
        wanted.recordings_secret_key,
    )
    store = store_at(address)
    log.info("recordings are sent to %s", wanted.recordings_url)
    keep_s = wanted.days * DAY_S
    return Recorder(
        wanted.recordings, keep_days=wanted.days, uploads=lambda folder: Uploads(store, folder, keep_s=keep_s)
    )


def _shelf(wanted: HistorySection) -> tuple[Shelf, Reader]:
    """Where conversations are written, and read. Raises `ConfigError`."""
    if wanted.redis_url is None:
        path = wanted.path or default_path()
        return SqliteShelf(path, survives_power_loss=wanted.survives_power_loss), SqliteReader(path)
    if wanted.path is not None:
        raise ConfigError("history.path and history.redis_url are both set", "Conversations are kept in one of both.")
    try:
        from antiphon.store.redis import RedisReader, RedisShelf, connect
    except ImportError:
        raise NotInstalled("redis", "redis") from None
    server = connect(wanted.redis_url)
    return RedisShelf(server), RedisReader(server)


async def _bookkeeping(state: State) -> Bookkeeping | None:
    """Where the minutes of keys are kept, if they are bounded and conversations are kept. Raises `ConfigError`."""
    wanted = state.config.history
    if not wanted.keep or not state.config.server.max_minutes_per_key:
        return None
    spending: Spending
    if wanted.redis_url is None:
        spending = await asyncio.to_thread(SqliteSpending, wanted.path or default_path())
    else:
        from antiphon.store.redis import connect
        from antiphon.store.spending_redis import RedisSpending

        spending = RedisSpending(connect(wanted.redis_url))
    books = Bookkeeping(spending, lambda: state.sessions.minutes)
    await books.settle()
    return books


async def _begin_wyoming(config: Config, state: State) -> WyomingService | None:
    """The service for Home Assistant, if there is to be one. Raises `ConfigError`."""
    server = config.server
    host, port = server.wyoming_host, server.wyoming_port
    if port is None:
        return None
    try:
        from antiphon.server.wyoming import WyomingService
    except ImportError:
        raise NotInstalled("wyoming", "wyoming") from None
    service = WyomingService(state.engines, state.hub, host, port, server.idle_timeout_s)
    log.info("Wyoming listens on port %d of %s", await service.start(), host)
    if not is_loopback(host):
        log.warning("whoever reaches that port may use the recogniser and the voice: Wyoming knows no keys")
    return service


def check(config: Config) -> None:
    """Refuse what would be open to the world by mistake. Raises `ConfigError`."""
    server = config.server
    if not server.all_keys and not is_loopback(server.host):
        raise ConfigError(
            f"{server.host} can be reached from other machines, and no key is configured",
            "Set server.keys (or ANTIPHON_SERVER__KEYS), or listen on 127.0.0.1.",
        )
    _check_secrets(server)
    if (server.tls_cert is None) != (server.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key belong together", "Give both, or --tls-self-signed.")
    for path in (server.tls_cert, server.tls_key):
        if path is not None and not path.is_file():
            raise ConfigError(f"there is no file {path}", "Check the paths of the certificate and its key.")


def _check_secrets(server: ServerSection) -> None:
    if any(key.startswith(CLIENT_SECRET_PREFIX) for key in server.all_keys):
        raise ConfigError(
            f"a key in server.keys begins with {CLIENT_SECRET_PREFIX!r}, as client secrets do", "Choose another key."
        )
    if server.token_secret is not None and len(server.token_secret) < SHORTEST_TOKEN_SECRET:
        raise ConfigError(
            f"server.token_secret is shorter than {SHORTEST_TOKEN_SECRET} characters",
            "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


async def _workroom(config: Config, tools: tuple[object, ...] | None) -> Workroom:
    with_assistants = tools is None and registry.choose("llm", config.llm).name == "assistant"
    return await workroom(config, with_assistants=with_assistants, own=tools)


def _uvicorn_config(config: Config, state: State, folder: Path) -> uvicorn.Config:
    server = config.server
    certificate, key = server.tls_cert, server.tls_key
    if server.tls_self_signed and certificate is None:
        certificate, key = self_signed(folder, server.host)
    try:
        made = _inner_config(make_app(state), config, ssl_certfile=certificate, ssl_keyfile=key)
        made.load()
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"the certificate cannot be used: {error}", "Check --tls-cert and --tls-key.") from None
    return made


def _inner_config(app: ASGIApp, config: Config, **where: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws=BoundedWebSocket,
        ws_max_size=config.server.max_message_bytes,
        ws_per_message_deflate=False,  # base64 audio: it would undo base64 at 0.1 ms a message, and no more
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        **where,
    )


def bind(config: Config, *, shared: bool) -> socket.socket:
    """The port, not listening yet; `shared` with others of this user. Raises `ConfigError`."""
    host, port = config.server.host, config.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}",
            "Choose another --port, or 0 for a free one; or stop what uses this one.",
        ) from None
    sock.setblocking(False)
    return sock


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tracing(config: Config) -> Tracing | None:
    """Where traces go. Raises `ConfigError` now if no session could write one later."""
    folder = config.trace.folder
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        is_writable = False
    if not is_writable:
        raise ConfigError(
            f"traces cannot be written in {folder}", "Give --trace (trace.folder) a folder that can be made or written."
        )
    return Tracing(folder, config.trace.redact, config.trace.scores)


async def _warm(state: State, phrases: KeptPhrases, started: McpConnections | None) -> None:
    """Ready is said only once the first person would not wait."""
    await asyncio.to_thread(importlib.import_module, "av")  # a tenth of a second, which nobody's call should pay
    state.broken = await state.engines.warm()
    await warm_mcp(state.config.mcp, started)
    state.pools.start()
    await state.calls.rehearse()
    state.warmed.set()
    if state.broken:
        log.error("not ready: a model is broken (%s)", ", ".join(state.broken))
    else:
        log.info("the engines are loaded: ready")
    if state.config.session.say_errors:
        await _learn_apologies(state, phrases)


async def _learn_apologies(state: State, phrases: KeptPhrases) -> None:
    """So that they can be said when the voice itself is what cannot be reached: in the server's own language at once,
    in the others that are understood here when nobody is there whom the work could disturb."""
    defaults, understood = state.config.session, state.engines.stt.languages
    own = defaults.locale.partition("-")[0]
    own = own if own in UNREACHABLE else "en"
    for language in (own, *(each for each in UNREACHABLE if each != own)):
        if language != own and understood is not None and language not in understood:
            continue
        if language != own:
            await state.sessions.until_empty()
        request = TtsRequest(defaults.voice, language=language)
        await _learn(UNREACHABLE[language], request, phrases)
        await _learn(APOLOGIES[language], request, phrases)


async def _learn(words: str, request: TtsRequest, phrases: KeptPhrases) -> None:
    """Have them ready, however often that has to be tried."""
    rest_s = FIRST_REST_S
    while True:
        try:
            await phrases.learn(words, request)
        except EngineError as error:
            log.warning("an apology could not be prepared, the next attempt is in %.0f s: %s", rest_s, error.message)
        else:
            return
        await asyncio.sleep(rest_s)
        rest_s = min(2 * rest_s, LONGEST_REST_S)


async def _sweep(state: State) -> None:
    while True:
        await asyncio.sleep(IDLE_SWEEP_S)
        state.close_idle()
        state.sessions.end_spent(2 * IDLE_SWEEP_S)


async def serve(config: Config, reload: Callable[[], Config], announce: Callable[[Running], None]) -> None:
    """Run until SIGINT or SIGTERM, then drain; SIGHUP takes keys and limits from `reload` anew."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    allow_many_files()
    async with running(config) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: _reload(server.state, reload))
        announce(server)
        tending = asyncio.create_task(memory.tend(server.state.warmed), name="memory")
        await stop.wait()
        tending.cancel()
        log.info("stopping: nobody is let in any more; sessions may end by themselves")


def _reload(state: State, reload: Callable[[], Config]) -> None:
    config = reread(reload)
    if config is not None:
        state.apply(config)
        log.info("keys and limits were read again")


def reread(reload: Callable[[], Config]) -> Config | None:
    """The new configuration, or None if it is not one to go on with, which the log says."""
    try:
        config = reload()
        check(config)
    except ConfigError as error:
        log.error("the old configuration stays: %s", error)
        return None
    return config
