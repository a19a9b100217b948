"""The other server of relayed sessions: sessions of our own behind wires on which things get lost.

Each connection is a session by itself, with the real transport at its end. Between it and us messages are late,
swapped, lost, or not messages at all, and connections cannot be had, or end in the middle of anything. What is said on
them is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from weather import Weather

from antiphon.audio.units import Seconds
from antiphon.errors import EngineError
from antiphon.runtime.drive import Drive
from antiphon.runtime.upstream import Counts, Ear
from antiphon.testing.loopback import Loopback, Message

GARBAGE: tuple[str | bytes, ...] = (
    "{", "[]", b"\xff\xfe", '{"type": 5}', '{"type": "response.done"}', '{"type": "conversation.item.added"}',
    '{"type": "session.updated", "session": 7}', '{"type": "nobody.knows", "event_id": "event_1"}',
)  # fmt: skip


class Wire:
    """One connection, seen from its client: see `runtime.upstream.Connection`."""

    def __init__(self, drive: Drive, name: str, weather: Weather) -> None:
        """The session at its other end is its own."""
        self.opened: Seconds = asyncio.get_running_loop().time()
        self.drive = drive
        self._weather = weather
        self._ear: Ear | None = None
        self._held: Message | None = None
        """A message that the next one overtakes."""
        self.line = Loopback(drive, name, reads=self._bring)
        self._ending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        try:
            await self.line.__aenter__()
        except BaseException:
            await self.gone()
            raise

    # --- what its client does with it

    def listen(self, ear: Ear | None) -> None:
        self._ear = ear

    def send(self, event: Mapping[str, Any]) -> None:
        if self._ear is not None and self.line.why is None:
            self.line.send(msgspec.json.decode(msgspec.json.encode(event)))

    def close(self) -> None:
        self._ear = None

    async def gone(self) -> None:
        self.close()
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="leaving elsewhere")
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        await self.line.__aexit__()
        await self.drive.close("left")

    # --- what comes over it

    async def _bring(self, message: Message) -> None:
        weather = self._weather
        if weather.strikes("wire late", 0.03):
            await asyncio.sleep(weather.chance.choice((0.2, 1.0, 30.0)))
        if weather.strikes("wire breaks", 0.01):
            self._break_off()
        if weather.strikes("wire brings garbage", 0.02):
            self._hand_over(weather.chance.choice(GARBAGE))
        if weather.strikes("wire loses", 0.01):
            return
        if self._held is None and weather.strikes("wire swaps", 0.01):
            self._held = message
            return
        self._hand_over(msgspec.json.encode(message).decode())
        if self._held is not None:
            held, self._held = self._held, None
            self._hand_over(msgspec.json.encode(held).decode())

    def _hand_over(self, frame: str | bytes) -> None:
        if self._ear is not None:
            self._ear.take_frame(frame)

    def _break_off(self) -> None:
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.upstream_gone(self, EngineError("the wire broke", "It is a test.", code="upstream_reset"))


class Elsewhere:
    """Where connections come from: see `runtime.relay.Source`."""

    def __init__(self, begin: Callable[[], Drive], weather: Weather) -> None:
        """`begin` makes the session at the other end of each."""
        self.counts = Counts()
        self.wires: list[Wire] = []
        self._begin = begin
        self._weather = weather

    def take(self) -> None:
        """None is open before it is needed."""
        return

    async def open(self) -> Wire:
        await self._weather.delay(0.05)
        if self._weather.strikes("nobody elsewhere", 0.3):
            raise EngineError("nobody listens", "It is a test.", code="upstream_unreachable")
        wire = Wire(self._begin(), f"wire {len(self.wires)}", self._weather)
        self.wires.append(wire)
        await wire.open()
        return wire
