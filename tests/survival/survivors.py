"""People who go on talking while what serves them is killed, and the list of all that they were promised is kept.

They do what a client should: come back to their session when a connection breaks; where they are told that it is gone,
go on with its conversation in a new one; where they are told to wait, wait. Who kills what, and who serves, is not
known here.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE
from antiphon.audio.wav import read_wav

PATIENCE_S = 60.0  # with anything: the machine may stand still for seconds
ACKNOWLEDGED_S = 0.25  # after which what a client was told of survives
PAUSE_S = 0.1  # between a person's turns, and between attempts to get through
LOOK_S = 0.02


def hello() -> bytes:
    """Somebody says hello, and is quiet for the second in which a turn ends: PCM16 at 24 kHz."""
    spoken = read_wav((Path(__file__).parents[1] / "data" / "hello.wav").read_bytes())
    sound = resampled(spoken.pcm, spoken.rate_hz, WIRE_RATE)
    return bytes(int16_from_float(np.concatenate([sound, np.zeros(WIRE_RATE, np.float32)])))


class Promise(Struct, frozen=True):
    """An item that a client was told of with `conversation.item.done`."""

    session: str
    item: str
    text: str
    at: float
    """On the loop's clock."""


class Promised:
    """What all clients were told, and which sessions died."""

    def __init__(self) -> None:
        self.items: dict[str, Promise] = {}
        self.lost: dict[str, float] = {}
        """By session: what had been told before this moment is promised."""
        self._killed_at = self._stood_still_s = 0.0

    def killing(self) -> None:
        """What dies now takes nothing with it that was told long enough ago. Say so immediately before."""
        self._killed_at = asyncio.get_running_loop().time() - ACKNOWLEDGED_S - self._stood_still_s

    def leaving(self) -> None:
        """What ends now says goodbye first, and takes nothing with it."""
        self._killed_at = float("inf")

    def is_gone(self, session: str) -> None:
        self.lost.setdefault(session, self._killed_at)

    async def watch(self) -> None:
        """How long the machine stood still lately: nobody could write anything down meanwhile."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(LOOK_S)
            late_s = loop.time() - before - LOOK_S
            self._stood_still_s = max(late_s, self._stood_still_s - LOOK_S)

    def owed(self) -> list[Promise]:
        return [one for one in self.items.values() if one.at < self.lost.get(one.session, float("inf"))]


class Survivor:
    """One person, who types, or says the same thing again and again."""

    def __init__(self, name: str, url: str, key: str, promised: Promised, says: bytes = b"") -> None:
        self.served = 0
        """Turns that were answered."""
        self.told: Counter[str] = Counter()
        """Why others were not, and why connections were refused, by the code that came with the words."""
        self._name = name
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._promised = promised
        self._says = says
        self._session = self._token = self._last = ""
        self._is_waiting = False
        """A turn has been asked and neither been answered nor been given up."""
        self._turns = 0

    async def talk(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    socket = await connect(self._url + self._query(), additional_headers=self._headers)
            except InvalidStatus as refused:
                self._refused(refused)
                await asyncio.sleep(PAUSE_S)
                continue
            except (OSError, InvalidHandshake, ConnectionClosed):
                await asyncio.sleep(PAUSE_S)  # nobody is there yet
                continue
            try:
                async with socket:
                    await self._converse(socket)
            except (ConnectionClosed, OSError):
                continue

    def _query(self) -> str:
        if self._token:
            return f"?antiphon=1&resume={self._token}&after={self._last}"
        return "?antiphon=1&resumable=1" + (f"&continue={self._session}" if self._session else "")

    def _refused(self, refused: InvalidStatus) -> None:
        """It says why, or is no answer of ours: whoever stands in front of a server that is just dying has none."""
        try:
            error = json.loads(refused.response.body or b"")["error"]
        except ValueError:
            self.told[f"status {refused.response.status_code}"] += 1
            return
        assert error["message"], error
        self.told[error["code"]] += 1
        if error["code"] == "session_not_resumable":
            self._promised.is_gone(self._session)
            self._token = ""
            self._is_waiting = False
        if error["code"] == "session_not_found":  # it died before anything of it was promised, or a promise is broken
            self._session = ""

    async def _converse(self, socket: ClientConnection) -> None:
        while True:
            if not self._is_waiting and self._token:
                await asyncio.sleep(PAUSE_S)
                await self._ask(socket)
            async with asyncio.timeout(PATIENCE_S):
                self._hear(json.loads(await socket.recv()))

    async def _ask(self, socket: ClientConnection) -> None:
        self._is_waiting = True
        self._turns += 1
        if self._says:
            await socket.send(self._says)
            return
        content = [{"type": "input_text", "text": f"{self._name} says {self._turns}"}]
        item = {"type": "message", "role": "user", "content": content}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))

    def _hear(self, event: dict[str, Any]) -> None:
        if event["type"] != "antiphon.session.resumed":
            self._last = event["event_id"]
        match event:
            case {"type": "session.created", "session": {"id": session}}:
                self._session = session
            case {"type": "antiphon.session.resumable", "token": token}:
                self._token = token
            case {"type": "antiphon.session.resumed"}:
                self.told["resumed"] += 1
            case {"type": "conversation.item.done", "item": {"id": name, "content": content}}:
                text = " ".join(part.get("text") or part.get("transcript") or "" for part in content)
                now = asyncio.get_running_loop().time()
                self._promised.items.setdefault(name, Promise(self._session, name, text, now))
            case {"type": "response.done", "response": {"status": "completed"}}:
                self.served += 1
                self._is_waiting = False
            case {"type": "response.done", "response": {"status": "failed", "status_details": {"error": error}}}:
                self.told[error["code"]] += 1
                self._is_waiting = False
            case {"type": "response.done", "response": {"status": "cancelled"}}:  # by a server that says goodbye
                self.told["cancelled"] += 1
                self._is_waiting = False
            case {"type": "response.done"} | {"type": "error"}:
                raise AssertionError(event)
            case _:
                pass


def crowd(url: str, key: str, promised: Promised) -> list[Survivor]:
    """Six people, two of whom speak."""
    sound = hello()
    return [Survivor(f"person {n}", url, key, promised, says=sound if n % 3 == 2 else b"") for n in range(6)]


@asynccontextmanager
async def talking(survivors: list[Survivor], promised: Promised) -> AsyncIterator[None]:
    """While the block runs, all of them talk; whoever cannot any more ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one.talk()) for one in survivors]
        tasks.append(group.create_task(promised.watch()))
        yield
        for task in tasks:
            task.cancel()


def reasons(survivors: list[Survivor]) -> Counter[str]:
    """What all of them were told."""
    return sum((one.told for one in survivors), start=Counter())


async def until_served(survivors: list[Survivor], more: int = 2) -> None:
    """Until each of them has been answered so many times more."""
    wanted = {one: one.served + more for one in survivors}
    async with asyncio.timeout(PATIENCE_S):
        while any(one.served < count for one, count in wanted.items()):  # noqa: ASYNC110 - from another process
            await asyncio.sleep(LOOK_S)


def asking(url: str, key: str) -> httpx.AsyncClient:
    """Somebody who reads transcripts."""
    return httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)


async def missing(promised: Promised, http: httpx.AsyncClient) -> list[Promise]:
    """What was promised and is not in the transcripts, once there is no more to come."""
    owed, until = promised.owed(), asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        # By session as well: one that continues another begins with its items, as they were heard.
        kept: dict[tuple[str, str], str] = {}
        for session in {one.session for one in owed}:
            answer = await http.get(f"/v1/sessions/{session}/transcript")
            if answer.status_code == 200:
                kept |= {(session, item["id"]): item["said"] or item["text"] for item in answer.json()["data"]}
        found = ((one, kept.get((one.session, one.item))) for one in owed)
        absent = [one for one, text in found if text is None or one.text not in text]
        if not absent or asyncio.get_running_loop().time() > until:
            return absent
        await asyncio.sleep(PAUSE_S)
