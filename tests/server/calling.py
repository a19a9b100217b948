"""A server on scripted engines and a client that remembers, for tests over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from antiphon.config import load
from antiphon.engines.api import Stt
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.vad.energy import EnergyVad
from antiphon.server.run import Running, running
from antiphon.tools.api import ServerTool

KEY = "sesame-0123456789-0123456789-0123456789"
TOKEN_SECRET = "the tests' own secret, which is long enough"


@asynccontextmanager
async def server(
    llm: FakeLlm | None = None, stt: Stt | None = None, own_tools: tuple[ServerTool, ...] = (), **overrides: Any
) -> AsyncIterator[Running]:
    """A server that is ready; an override's double underscore stands for the dot. It turns nobody away because the
    machine is busy."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    config = load(None, {}, {"server.port": 0, "server.drain_s": 0.5, "server.max_lag_ms": 0.0} | named)
    ears = stt or FakeStt("hello")
    partials: Literal["own", "off"] = "off" if config.stt.partials == "off" else "own"
    engines = EngineSet(EnergyVad(), ears, llm or FakeLlm("Hello there."), FakeTts(), choices=(), partials=partials)
    async with running(config, engines=engines, tools=own_tools) as made:
        await made.state.warmed.wait()
        yield made


class Client:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        """All that came, in order."""

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self, kind: str) -> dict[str, Any]:
        """The next event of this kind. An error on the way to it fails the test."""
        async with asyncio.timeout(10):
            while True:
                event: dict[str, Any] = json.loads(await self.socket.recv())
                self.events.append(event)
                assert event["type"] != "error" or kind == "error", event
                if event["type"] == kind:
                    return event

    async def receive_all(self) -> None:
        """Whatever still comes, errors too, until `ConnectionClosed` is raised."""
        async with asyncio.timeout(10):
            while True:
                self.events.append(json.loads(await self.socket.recv()))

    async def seen(self, kind: str) -> dict[str, Any]:
        """An event of this kind: one that came already, or the next."""
        found = next((event for event in self.events if event["type"] == kind), None)
        return found or await self.receive(kind)

    async def speak(self, seconds: float = 1.0, silence: float = 1.0) -> None:
        """A tone that counts as speech, and silence after it, in binary frames and faster than real time."""
        for sound in (tone(seconds), bytes(round(48_000 * silence))):
            for start in range(0, len(sound), 9600):
                await self.socket.send(sound[start : start + 9600])


@asynccontextmanager
async def client(
    made: Running, query: str = "", key: str | None = None, protocols: Sequence[str] = (), **headers: str
) -> AsyncIterator[Client]:
    """A connection with `key` in its header. Underscores in the names of other headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        named["Authorization"] = f"Bearer {key}"
    subprotocols: Any = list(protocols) or None
    async with connect(f"{made.url}{query}", additional_headers=named, subprotocols=subprotocols) as socket:
        yield Client(socket)


async def refusal(
    made: Running, query: str = "", key: str | None = None, protocols: Sequence[str] = ()
) -> tuple[int, dict[str, Any]]:
    """With which status and error a connection is refused."""
    try:
        async with client(made, query, key, protocols):
            raise AssertionError("let in")
    except InvalidStatus as refused:
        return refused.response.status_code, json.loads(refused.response.body or b"")["error"]


@asynccontextmanager
async def web(made: Running, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the server's routes."""
    address = made.url.replace("ws:", "http:").removesuffix("/v1/realtime")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=address, headers=headers) as made_client:
        yield made_client


def tone(seconds: float) -> bytes:
    wave = 9000 * np.sin(2 * np.pi * 300 / 24_000 * np.arange(round(24_000 * seconds)))
    return bytes(np.round(wave).astype("<i2").tobytes())
