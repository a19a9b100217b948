"""The desktop's session bus (D-Bus): methods called, signals heard, errors told in our words.

It does not know whom it asks nor for what.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.errors import ConfigError, NotInstalled

ANSWER_S: Seconds = 5.0
WAITING_SIGNALS = 64  # more that nobody has taken are dropped: a person presses no keys as fast


class Place(Struct, frozen=True):
    """Whom to ask."""

    name: str
    path: str


class Signal(Struct, frozen=True):
    """What somebody on the bus made known."""

    path: str
    member: str
    body: tuple[Any, ...]


class Bus:
    """A connection, for as long as `opened` lasts. Values are jeepney's: a variant is (signature, value)."""

    def __init__(self, router: Any) -> None:
        self._router = router

    async def call(self, place: Place, interface: str, method: str, arguments: tuple[str, Any] | None = None) -> Any:
        """The results of a method. `arguments` are a signature and the values. Raises `ConfigError` if it fails."""
        from jeepney import DBusAddress, MessageType, new_method_call
        from jeepney.io.common import RouterClosed

        message = new_method_call(DBusAddress(place.path, place.name, interface), method, *(arguments or ()))
        try:
            async with asyncio.timeout(ANSWER_S):
                reply = await self._router.send_and_get_reply(message)
        except (TimeoutError, OSError, RouterClosed) as error:
            raise _failed(place, method, str(error) or "no answer") from error
        if reply.header.message_type is MessageType.error:
            raise _failed(place, method, str(reply.body[0] if reply.body else "an error"))
        return reply.body

    @asynccontextmanager
    async def signals(self, interface: str) -> AsyncIterator[Signals]:
        """All signals of an interface from here on, while the block runs."""
        from jeepney import MatchRule, message_bus

        rule = MatchRule(type="signal", interface=interface)
        with self._router.filter(rule, bufsize=WAITING_SIGNALS) as queue:
            await self._router.send_and_get_reply(message_bus.AddMatch(rule))
            yield Signals(queue)
            await self._router.send_and_get_reply(message_bus.RemoveMatch(rule))


class Signals:
    """Signals in the order in which they came."""

    def __init__(self, queue: asyncio.Queue[Any]) -> None:
        self._queue = queue

    async def get(self) -> Signal:
        from jeepney import HeaderFields

        message = await self._queue.get()
        fields = message.header.fields
        return Signal(fields[HeaderFields.path], fields[HeaderFields.member], message.body)


@asynccontextmanager
async def opened() -> AsyncIterator[Bus]:
    """The bus of this person's session. Raises `ConfigError` if there is none."""
    try:
        from jeepney.io.asyncio import open_dbus_router
    except ImportError:
        raise NotInstalled("jeepney", "desktop") from None
    try:
        router = open_dbus_router()
        entered = await router.__aenter__()
    except (OSError, KeyError, RuntimeError, EOFError, TimeoutError) as error:
        raise ConfigError(
            f"there is no session bus here: {error}", "Start this in your desktop's session, not in a bare console."
        ) from error
    try:
        yield Bus(entered)
    finally:
        try:
            await router.__aexit__(None, None, None)
        except (EOFError, OSError):
            pass  # the bus was gone before us


def _failed(place: Place, method: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{method} at {place.name} failed: {reason}", "This desktop may not have it; antiphon doctor says what works."
    )
