"""Holds one recorded Realtime connection against the protocol: every message's schema, and the rules of their order.

For our tests and for users' own recordings. Feed the messages of both sides in the order in which the client saw them;
what the client sent may be left out, and then the rules about requests are not checked. It knows no sockets and no
time, and of sound only that it is base64.

    checker = Checker()
    checker.feed(Exchange("received", json.loads(frame)))
    checker.finish()
    assert not checker.faults, checker.faults
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from antiphon.protocol import codec
from antiphon.protocol.additions import AdditionMessage, AdditionRequest
from antiphon.protocol.server import ServerMessage
from antiphon.testing.request_order import Answers, Mcp, Opening, Playback
from antiphon.testing.response_order import Responses
from antiphon.testing.turn_order import Order, Turns
from antiphon.testing.watcher import Complaints, Transport, Watcher

Json = Mapping[str, Any]
Judge = Callable[[Json], str | None]
"""Says what is wrong with a server message, or None."""

RULES: Mapping[str, str] = {
    "schema": "every server message has exactly the fields of its kind",
    "official": "every server message is valid by the types of the official Python client",
    "ids": "every event_id is used once",
    "R1": "session.created comes first, and once",
    "R2": "every response.created has one response.done, and nothing of the response comes before or after",
    "R3": "a response's item is added, announced, filled part by part, and done, in this order",
    "R4": "a function call is named from its beginning, and its arguments are done before it is",
    "R5": "a turn is started, stopped, committed, added and done; its transcript ends once, after that",
    "R6": "speech that interrupts comes first, and then only what closes the response, as cancelled",
    "R7": "whatever was opened is closed, also when a response is cut or fails",
    "R8": "one response of the conversation at a time",
    "R9": "an out-of-band response leaves the conversation alone, and is left alone by it",
    "R10": "previous_item_id names an item that the client knows, or null for the first",
    "R11": "every session.update is answered in order with what now holds, or refused",
    "R12": "a timeout comes only when it was asked for and nobody speaks, and becomes an item",
    "R13": "where the server plays it says so, and sends no sound; elsewhere the other way round",
    "R14": "MCP lists and calls go through their stages in order",
    "R15": "every other request is answered too, and an error names the message that caused it",
}


class Exchange(Struct, frozen=True):
    """One message of a recording."""

    direction: Literal["sent", "received"]
    """As the client sees it."""
    message: Json


class Fault(Struct, frozen=True):
    """A rule that was broken."""

    rule: str
    """A key of `RULES`."""
    index: int
    """Which message showed it, from 0; after the last message for what never came."""
    message: str

    def __str__(self) -> str:
        return f"message {self.index}: {self.rule}: {self.message}"


class Checker:
    """See the module. One for each connection."""

    def __init__(self, transport: Transport = "websocket", official: Judge | None = None) -> None:
        """`official` is asked about every server message of the protocol; see `official_judge`."""
        self.faults: list[Fault] = []
        self._watchers: tuple[Watcher, ...] = (
            Opening(), Responses(), Turns(), Order(), Answers(transport), Playback(transport), Mcp()
        )  # fmt: skip
        self._official = official
        self._count = 0

    def feed(self, exchange: Exchange) -> list[Fault]:
        """The faults that this message shows."""
        if exchange.direction == "sent":
            return self.sent(exchange.message)
        return self.received(exchange.message)

    def sent(self, message: Json) -> list[Fault]:
        """A message of the client. It may be wrong: a server has to bear it."""
        meaning = codec.decode(msgspec.json.encode(message))
        if isinstance(meaning, codec.BadMessage):
            return self.sent_unreadable(meaning.event_id)
        if isinstance(meaning, AdditionRequest):
            return self._note(())
        return self._note(complaint for watcher in self._watchers for complaint in watcher.sent(meaning))

    def sent_unreadable(self, event_id: str | None = None) -> list[Fault]:
        """A frame of the client that is no message."""
        for watcher in self._watchers:
            watcher.unreadable(event_id)
        return self._note(())

    def received(self, message: Json) -> list[Fault]:
        """A message of the server."""
        found = list(self._unofficial(message))
        try:
            meaning = _convert(message)
        except msgspec.ValidationError as error:
            return self._note([("schema", f"{message.get('type')}: {error}"), *found])
        found += [("schema", difference) for difference in _differences(message, msgspec.to_builtins(meaning))]
        if not isinstance(meaning, AdditionMessage):
            found += (complaint for watcher in self._watchers for complaint in watcher.received(meaning))
        return self._note(found)

    def _unofficial(self, message: Json) -> Complaints:
        if self._official is None or _is_ours(message):
            return
        complaint = self._official(message)
        if complaint is not None:
            yield "official", complaint

    def finish(self, *, hung_up: bool = False) -> list[Fault]:
        """The recording is over. If somebody hung up in the middle, what is still open is not a fault."""
        if hung_up:
            return []
        return self._note(complaint for watcher in self._watchers for complaint in watcher.finished())

    def _note(self, complaints: Iterable[tuple[str, str]]) -> list[Fault]:
        found = [Fault(rule, self._count, sentence) for rule, sentence in complaints]
        self._count += 1
        self.faults += found
        return found


def check(recording: Iterable[Exchange], transport: Transport = "websocket") -> list[Fault]:
    """All faults of a whole recording."""
    checker = Checker(transport)
    for exchange in recording:
        checker.feed(exchange)
    checker.finish()
    return checker.faults


def official_judge() -> Judge | None:
    """The types of the installed `openai` package, or None where it is absent. Importing them takes seconds."""
    try:
        from openai.types.realtime import RealtimeServerEvent
        from pydantic import BaseModel, ValidationError
    except ImportError:
        return None
    union, *_ = get_args(RealtimeServerEvent)
    kinds: dict[str, type[BaseModel]] = {
        name: kind for kind in get_args(union) for name in get_args(kind.model_fields["type"].annotation)
    }

    def judge(message: Json) -> str | None:
        name = message.get("type")
        kind = kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            return f"there is no message of type {name!r}"
        try:
            kind.model_validate(message)
        except ValidationError as error:
            first = error.errors()[0]
            return f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        return None

    return judge


def _is_ours(message: Json) -> bool:
    return str(message.get("type")).startswith("antiphon.")


def _convert(message: Json) -> ServerMessage | AdditionMessage:
    if _is_ours(message):
        return msgspec.convert(message, AdditionMessage)  # type: ignore[no-any-return]
    return msgspec.convert(message, ServerMessage)  # type: ignore[no-any-return]


def _differences(given: Any, meant: Any, path: str = "") -> list[str]:
    """Where the message has what its kind has not, or lacks what its kind always writes."""
    if given == meant:
        return []
    if isinstance(given, Mapping) and isinstance(meant, Mapping):
        unknown = [f"{path}.{key} is not a field".lstrip(".") for key in given.keys() - meant.keys()]
        missing = [f"{path}.{key} is missing".lstrip(".") for key in meant.keys() - given.keys()]
        shared = (key for key in given if key in meant)
        inner = (fault for key in shared for fault in _differences(given[key], meant[key], f"{path}.{key}"))
        return [*sorted(unknown), *sorted(missing), *inner]
    if isinstance(given, list) and isinstance(meant, list | tuple) and len(given) == len(meant):
        return [fault for n, part in enumerate(given) for fault in _differences(part, meant[n], f"{path}[{n}]")]
    return [f"{path} is {given!r:.80} and means {meant!r:.80}".lstrip(".")]
