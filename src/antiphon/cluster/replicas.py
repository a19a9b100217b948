"""What runs on the machines of a cluster: replicas that recognise, that speak, and that hold conversations.

Each reads the configuration on its own machine, so that keys never travel. They do not know each other's number or
place: Ray Serve starts, scales and replaces them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.audio.units import Pcm
from antiphon.cluster.neighbours import among_neighbours
from antiphon.cluster.notice import until_told_to_go
from antiphon.cluster.remote import RemoteStt, RemoteTts
from antiphon.cluster.scaling import CONVERSATIONS
from antiphon.config import Config, load
from antiphon.engines import registry
from antiphon.engines.api import Stt, SttRequest, Transcript, TranscriptDelta, Tts, TtsRequest
from antiphon.engines.registry import Role
from antiphon.errors import ConfigError
from antiphon.server.app import State, make_app
from antiphon.server.limits import OwnLimits
from antiphon.server.process import be_one_of_several_machines
from antiphon.server.run import drain, housed
from antiphon.transport.websocket import NO_GOODBYE

log = logging.getLogger("antiphon.cluster")

NO_CODE = 1005


def configuration(path: str | None) -> Config:
    """As this machine has it: the file, if one is named, and the environment. Raises `ConfigError`."""
    config = load(Path(path) if path else None, os.environ)
    if not config.server.keys:
        raise ConfigError(
            "a cluster can be reached from other machines, and no key is configured",
            "Set server.keys (or ANTIPHON_SERVER__KEYS) on every machine.",
        )
    return config


class Ears:
    """A recogniser for every session of the cluster: the more ask at once, the larger the engine's batches."""

    def __init__(self, path: str | None) -> None:
        self._stt: Stt = registry.make_one("stt", configuration(path))
        self._is_warm = False

    async def about(self) -> tuple[frozenset[str] | None, bool]:
        """The languages that the engine knows, and whether it translates."""
        await self._warm()
        return self._stt.languages, bool(getattr(self._stt, "translates", False))

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        """As `engines.api.Stt.transcribe`."""
        await self._warm()
        async for piece in self._stt.transcribe(pcm, request):
            yield piece

    async def _warm(self) -> None:
        if not self._is_warm:
            await self._stt.warm()
            self._is_warm = True


class Voices:
    """A voice for every session of the cluster."""

    def __init__(self, path: str | None) -> None:
        self._tts: Tts = registry.make_one("tts", configuration(path))
        self._is_warm = False

    async def about(self) -> int:
        """Samples per second of what it speaks."""
        await self._warm()
        return self._tts.rate

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        """As `engines.api.Tts.speak`."""
        await self._warm()
        async for chunk in self._tts.speak(text, request):
            yield chunk

    async def _warm(self) -> None:
        if not self._is_warm:
            await self._tts.warm()
            self._is_warm = True


@serve.ingress()
class Sessions:
    """The server itself, without a port: Serve's proxies bring the connections."""

    def __init__(
        self, path: str | None, ears: DeploymentHandle, voices: DeploymentHandle, plates: DeploymentHandle
    ) -> None:
        """`plates` are those of `neighbours.Doorplates`."""
        self._housed = Housed(lambda: _house(path, ears, voices, plates))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._housed

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve asks for from time to time: see `scaling`."""
        return {CONVERSATIONS: float(self._housed.conversations)}


class Housed:
    """An ASGI application that is built when its life begins, and drained when it ends or is told that it will."""

    def __init__(self, house: Any) -> None:
        """`house` opens what the application is made of: a context that gives a `State`."""
        self._house = house
        self._state: State | None = None
        self._app: ASGIApp | None = None
        self._connections: set[asyncio.Future[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._is_to_go = asyncio.Event()

    @property
    def conversations(self) -> int:
        """How many have a place, however they came."""
        return 0 if self._state is None else self._state.admission.here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._app is not None, "the server in front begins with the lifespan"
        if self._listening is None and scope.get("server"):
            host, port = scope["server"]
            self._listening = asyncio.create_task(self._listen(host, port), name="notice")
        if scope["type"] == "websocket":
            await self._outlive(self._app(scope, _without_goodbye(receive), send))
        else:
            await self._app(scope, receive, send)

    async def _outlive(self, connection: Awaitable[None]) -> None:
        """Serve cancels the request of a client that is lost. Its session is to wait for it: that it is lost is also
        among what the connection receives."""
        task = asyncio.ensure_future(connection)
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        await asyncio.shield(task)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                state: State = await stack.enter_async_context(self._house())
            except Exception as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            self._state, self._app = state, make_app(state)
            draining = asyncio.create_task(self._drain(state), name="drain")
            stack.callback(draining.cancel)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self._is_to_go.set()
            await draining
            if self._listening is not None:
                stack.callback(self._listening.cancel)
            await asyncio.gather(*self._connections, return_exceptions=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _listen(self, host: str, port: int) -> None:
        await until_told_to_go(host, port)
        self._is_to_go.set()

    async def _drain(self, state: State) -> None:
        await self._is_to_go.wait()
        log.info("this replica is to go: nobody more is let in, and %d conversations may end", self.conversations)
        await drain(state)


def _without_goodbye(receive: Receive) -> Receive:
    """Serve's server calls a connection that broke the same as one that was closed without a code. It may come back."""

    async def told() -> Message:
        message = await receive()
        if message["type"] == "websocket.disconnect" and message.get("code") == NO_CODE:
            message["code"] = NO_GOODBYE
        return message

    return told


@asynccontextmanager
async def _house(
    path: str | None, ears: DeploymentHandle, voices: DeploymentHandle, plates: DeploymentHandle
) -> AsyncIterator[State]:
    be_one_of_several_machines()
    config = configuration(path)
    languages, translates = await ears.about.remote()
    rate = await voices.about.remote()
    speech: dict[Role, Any] = {"stt": RemoteStt(ears, languages, translates=translates), "tts": RemoteTts(voices, rate)}
    async with housed(config, OwnLimits(), engines=registry.make(config, elsewhere=speech)) as state:
        await state.warmed.wait()
        async with among_neighbours(state, plates):
            yield state
