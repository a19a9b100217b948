"""What we have asked the other server, and what it has not answered yet.

Each message of ours has a name, by which an error comes back to whoever caused it; requests whose answer is owed are
kept until it is there, and are made again on the next connection if this one is lost. What an answer means is
`relay.session`'s to say; nothing here reads messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.errors import PeerError
from antiphon.protocol.upstream import changes, item_of, session_of, tool_of
from antiphon.session.items import Item
from antiphon.session.outputs import Output, ToUpstream
from antiphon.session.settings import FunctionTool, ResponseOptions, Settings, SettingsPatch

MOST_REMEMBERED = 512  # messages whose error may still come: all others were answered long ago, or need no answer
MOST_HELD = 512  # requests that wait for a connection: nobody talks that fast
TAG = "antiphon"
"""Key of a response's metadata under which we find our own again."""
MOST_METADATA = 16  # pairs that the protocol allows

ALWAYS_SAID = frozenset({"instructions", "audio", "tools"})
"""Keys of a session that each new one is told. Others only if they are not what every server begins with: some models
refuse to hear of what they do not have."""

MOST_LEFT_OUT = 8  # keys that a server does not take: one that refuses more is no Realtime server

Kind = Literal["update", "item", "respond", "go_on", "tell", "commit", "clear", "delete", "truncate", "cancel"]
"""What a message asks for: "go_on" is the rest of an answer once our tools have answered, "tell" something to be said
that nobody asked for."""
REPEATED = frozenset({"item", "respond", "go_on", "tell", "commit"})
"""What is asked again on the next connection, if the answer to it was lost with the last one."""


class Asked(Struct, frozen=True):
    """A message of ours."""

    name: str
    kind: Kind
    event: Mapping[str, Any]
    connection: str | None = None
    """Who wanted it; None: we ourselves."""
    request: str | None = None
    """The client's own id for it."""
    about: str = ""
    """Id of the item or the answer that it is about."""
    options: ResponseOptions = ResponseOptions()
    """Of a response, as its client asked for it."""
    patch: SettingsPatch | None = None
    """Of an update."""
    sound: int | str | None = None
    """See `ToUpstream`."""
    is_given_up: bool = False
    """What it asks for is not wanted any more: see `Line.give_up`."""


class Line:
    """The way to the other server. Requests may be made at any time; they leave when there is a connection."""

    def __init__(self, emit: Callable[[Output], None]) -> None:
        self._emit = emit
        self._count = 0
        self._asked: dict[str, Asked] = {}
        self._owed: dict[str, None] = {}
        """Names of the requests whose answer is still to come, in order."""
        self._configured: dict[str, Any] | None = None
        """What the session there was last asked to be; None if nobody knows."""
        self._left_out: set[tuple[str, ...]] = set()
        """Keys of a session that the server there does not take, each by its path."""
        self._names: dict[str, str] = {}
        """What we call an item, by what the other server calls it, where the two differ."""
        self.is_open = False

    # --- asking

    def ask(self, asked: Asked) -> None:
        """Make a request; its name is given here. Raises `PeerError` if too many wait for a connection."""
        if not self.is_open and len(self._owed) >= MOST_HELD:
            raise PeerError(
                "The connection to the voice of this session is being made anew, and too many requests wait for it.",
                "Wait for the answers to earlier requests.",
                code="upstream_unavailable",
            )
        self._count += 1
        name = f"relay_{self._count}"
        event: dict[str, Any] = {**asked.event, "event_id": name}
        if asked.kind in ("respond", "go_on", "tell"):
            event = _tagged(event, name)
        asked = msgspec.structs.replace(asked, name=name, event=event)
        self._asked[name] = asked
        while len(self._asked) > MOST_REMEMBERED:
            oldest = next(iter(self._asked))
            del self._asked[oldest]
            self._owed.pop(oldest, None)
        if asked.kind in REPEATED or asked.kind == "update":
            self._owed[name] = None
        if self.is_open:
            self._emit(ToUpstream(event, asked.sound))

    def give_up(self) -> bool:
        """The oldest answer in the conversation that is owed is not wanted any more. Its request stands, for there is
        no way back; the other server is told right behind it, on each connection. False if there is none."""
        for asked in self.pending("respond", "tell"):
            if not asked.options.detached and not asked.is_given_up:
                self._asked[asked.name] = msgspec.structs.replace(asked, is_given_up=True)
                if self.is_open:
                    self._withdraw(asked)
                return True
        return False

    def _withdraw(self, asked: Asked) -> None:
        # It has no name yet that we know, and it is the one that is being made there when this arrives.
        self._emit(ToUpstream({"type": "response.cancel", "event_id": f"{asked.name}_cancel"}))

    def configure(self, settings: Settings, tools: tuple[FunctionTool, ...], *, asked: Asked | None = None) -> bool:
        """Ask for this configuration, for a client's sake or our own. False if nothing of it has to be asked for."""
        wanted = without(session_of(settings, tools), self._left_out)
        different = wanted if self._configured is None else changes(self._configured, wanted)
        if not different and not self._updates():
            return False
        self._configured = wanted
        update = {"type": "session.update", "session": {"type": "realtime", **different}}
        self.ask(msgspec.structs.replace(asked or Asked("", "update", {}), event=update))
        return True

    def leave_out(self, param: str | None) -> bool:
        """Our own configuration was refused because of this key, such as "session.audio.output.speed": ask for no such
        thing any more. False if it is none of ours that can be missed."""
        path = tuple((param or "").partition("[")[0].split(".")[1:])
        last = self._configured
        for key in path:
            last = last.get(key) if isinstance(last, dict) else None
        is_known = path in self._left_out or len(self._left_out) >= MOST_LEFT_OUT
        if not path or path == ("instructions",) or last is None or is_known:
            return False
        self._left_out.add(path)
        return True

    def assume(self, settings: Settings, tools: tuple[FunctionTool, ...]) -> None:
        """The session there is so already."""
        self._configured = session_of(settings, tools)

    def retool(self, tools: tuple[FunctionTool, ...]) -> None:
        """Ask for these tools, and for nothing else: somebody has set others."""
        update = {"type": "realtime", "tools": [tool_of(tool) for tool in tools]}
        self.ask(Asked("", "update", {"type": "session.update", "session": update}))

    def _updates(self) -> bool:
        return any(self._asked[name].kind == "update" for name in self._owed)

    def put_item(self, item: Item) -> None:
        """Tell it of an item that no client has asked for."""
        self.ask(Asked("", "item", {"type": "conversation.item.create", "item": item_of(item)}, about=item.id))

    # --- names

    def call(self, theirs: str, ours: str) -> None:
        """What the other server calls so, clients know by another name."""
        self._names[theirs] = ours

    def ours(self, item_id: str) -> str:
        return self._names.get(item_id, item_id)

    def theirs(self, item_id: str) -> str:
        return next((theirs for theirs, ours in self._names.items() if ours == item_id), item_id)

    # --- answers

    def answered(self, name: str) -> Asked | None:
        """The request of this name has its answer."""
        self._owed.pop(name, None)
        return self._asked.pop(name, None)

    def answered_next(self, kind: Kind, about: str = "") -> Asked | None:
        """The oldest request of this kind, about this if it is said, has its answer."""
        for name in self._owed:
            asked = self._asked[name]
            if asked.kind == kind and asked.about == about:
                return self.answered(name)
        return None

    def owes(self, *kinds: Kind) -> bool:
        """Whether an answer to such a request is still to come."""
        return any(self._asked[name].kind in kinds for name in self._owed)

    def pending(self, *kinds: Kind) -> list[Asked]:
        """The requests of these kinds whose answer is still to come, in order."""
        return [self._asked[name] for name in self._owed if self._asked[name].kind in kinds]

    def forget(self) -> None:
        """What the session there is, is not known any more: the next change asks for all."""
        self._configured = None

    # --- connections

    def open(self) -> None:
        """There is a new connection, on which nothing was said."""
        self.is_open = True
        self._configured = {key: value for key, value in session_of(Settings(), ()).items() if key not in ALWAYS_SAID}

    def lose(self) -> list[Asked]:
        """The connection is gone. Returns the updates whose answer is lost with it, in order: the next session there
        begins with them."""
        self.is_open = False
        self._names.clear()
        updates = self.pending("update")
        for asked in updates:
            self.answered(asked.name)
        self._asked = {name: self._asked[name] for name in self._owed}
        return updates

    def repeat(self, *kinds: Kind) -> None:
        """Make the requests of these kinds once more whose answer was lost, in order."""
        for asked in self.pending(*kinds):
            self._emit(ToUpstream(asked.event, asked.sound))
            if asked.is_given_up:
                self._withdraw(asked)


def without(session: dict[str, Any], paths: Collection[tuple[str, ...]]) -> dict[str, Any]:
    """The configuration less the keys at these paths. What is left empty by that goes too."""
    kept: dict[str, Any] = {}
    for key, value in session.items():
        inner = [path[1:] for path in paths if path[0] == key]
        if () in inner:
            continue
        kept[key] = without(value, inner) if inner and isinstance(value, dict) else value
        if inner and not kept[key]:
            del kept[key]
    return kept


def _tagged(event: dict[str, Any], name: str) -> dict[str, Any]:
    """The request of a response, which can be told from others by this name when it comes."""
    response = dict(event.get("response") or {})
    metadata = dict(response.get("metadata") or {})
    if len(metadata) < MOST_METADATA:
        response["metadata"] = {**metadata, TAG: name}
    return {**event, "response": response}
