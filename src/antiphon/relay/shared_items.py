"""The items that both servers keep: what clients want done to them is asked of the other one, and then done here.

Without a connection it is done here alone, and the next one is told the conversation as it is then. How a turn or an
answer becomes an item is not known here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from antiphon.audio.units import ms_from_samples, samples_from_ms
from antiphon.errors import PeerError
from antiphon.protocol import upstream
from antiphon.relay.line import Asked, Line
from antiphon.session import inputs, outputs
from antiphon.session.allowances import Allowances
from antiphon.session.conversation import Entry, as_heard, is_unrecognised
from antiphon.session.item_requests import ItemRequests
from antiphon.session.items import Item, McpApprovalResponse, Message, Role, Speech, Text, clip_of
from antiphon.session.ledger import LETTERS_PER_SECOND
from antiphon.session.playback import Unheard
from antiphon.session.room import Room

REPLAYED = 200  # items that the next server is told of, from the end: more than any of them keeps in mind


class SharedItems:
    """See the module. Refusals are `PeerError`s."""

    def __init__(self, room: Room, line: Line, requests: ItemRequests, allowances: Allowances, *, joins: bool) -> None:
        """`joins`: the sound of answers does not pass through here."""
        self._room = room
        self._line = line
        self._requests = requests
        self._allowances = allowances
        self._joins = joins
        self._new_items: dict[str, inputs.CreateItem] = {}
        """What clients have asked for, and is not there yet."""
        self._own_cuts: set[str] = set()
        """Items that were truncated for what we played, of which clients know already."""
        self._replayed: set[str] = set()
        """Items that a new connection was told of, and has not confirmed."""
        self._in_words: set[str] = set()
        """Items of which the other server has the words alone: what we alone know of their sound."""

    def create(self, request: inputs.CreateItem) -> None:
        if isinstance(request.item, McpApprovalResponse):
            raise PeerError(
                "No call waits to be allowed.", "MCP servers are not asked in this session.",
                code="invalid_value", param="item.type",
            )  # fmt: skip
        self._requests.check_new(request)
        item = msgspec.structs.replace(request.item, id=request.item.id or self._room.ids.make("item"))
        if item.id in self._new_items:
            raise PeerError(
                f"Error adding item: an item with id '{item.id}' already exists.",
                "Leave the id out, or choose one that was not used in this session.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        self._new_items[item.id] = msgspec.structs.replace(request, item=item)
        event: dict[str, Any] = {"type": "conversation.item.create", "item": upstream.item_of(item) or _empty(item)}
        if request.after is not None:
            event["previous_item_id"] = self._line.theirs(request.after)
        clip = clip_of(item)
        sound = clip.clip if clip is not None else None
        if clip is not None:
            self._room.emit(outputs.RetainAudio(item.id, clip.start, clip.stop, clip=clip.clip))
        asked = Asked("", "item", event, request.connection, request.request, item.id, sound=sound)
        self._line.ask(asked)
        if isinstance(item, Message) and item.role is Role.USER and clip is None:
            self._allowances.hear(request.consent)

    def added(self, message: upstream.ItemAdded | upstream.ItemCreated) -> None:
        theirs = message.item
        item_id = self._line.ours(theirs.id)
        if item_id in self._replayed:
            self._replayed.discard(item_id)
            return
        request = self._new_items.pop(item_id, None)
        if request is not None:
            self._line.answered_next("item", item_id)
            size = len(msgspec.json.encode(request.item))
            after = request.after
            if after is not None and after != "root" and after not in self._room.conversation:
                after = None  # deleted meanwhile
            previous = self._room.conversation.add(Entry(request.item, size=size), after)
            self._room.emit(outputs.ItemAdded(request.item, previous))
            return
        self._line.answered_next("item", item_id)  # what a tool of ours has found
        if item_id in self._room.conversation or theirs.type != "message" or theirs.role not in ("user", "system"):
            return
        item = _item_from(theirs, item_id)
        previous = self._room.conversation.add(Entry(item))
        self._room.emit(outputs.ItemAdded(item, previous))

    def delete(self, request: inputs.DeleteItem) -> None:
        self._requests.visible(request.item_id, "delete")
        if not self._line.is_open:
            self._requests.delete(request)
            return
        event = {"type": "conversation.item.delete", "item_id": self._line.theirs(request.item_id)}
        self._line.ask(Asked("", "delete", event, request.connection, request.request, request.item_id))

    def deleted(self, message: upstream.ItemDeleted) -> None:
        item_id = self._line.ours(message.item_id)
        if self._room.conversation.visible(item_id) is not None:
            self._requests.delete(inputs.DeleteItem("", None, item_id))

    def truncate(self, request: inputs.TruncateItem) -> None:
        entry = self._requests.visible(request.item_id, "truncate")
        if not self._line.is_open or request.item_id in self._in_words:
            self._requests.truncate(request)
            return
        if entry.ledger is None:
            self._requests.truncate(request)  # which says why not
        event = _truncation(self._line.theirs(request.item_id), request.content_index, request.audio_end_ms)
        self._line.ask(Asked("", "truncate", event, request.connection, request.request, request.item_id))

    def truncated(self, message: upstream.ItemTruncated) -> None:
        item_id = self._line.ours(message.item_id)
        if item_id in self._own_cuts:
            self._own_cuts.discard(item_id)
            return
        entry = self._room.conversation.visible(item_id)
        if entry is None or entry.ledger is None:
            return
        end_ms = max(0, round(message.audio_end_ms))
        if self._joins:
            # Its sound has gone past us, so the words tell how far that is.
            letters = end_ms * LETTERS_PER_SECOND // 1000
            self._room.conversation.hear_until(item_id, _whole_words(entry.ledger.text(), letters))
            self._room.emit(outputs.ItemTruncated(item_id, message.content_index, end_ms))
            return
        self._requests.cut(entry, entry.ledger, min(samples_from_ms(end_ms), entry.ledger.kept))
        self._room.emit(outputs.ItemTruncated(item_id, message.content_index, end_ms))

    def truncate_own(self, cuts: list[Unheard]) -> None:
        """So much of what we played ourselves was heard: clients know, and the other server is told."""
        for cut in cuts:
            if self._line.is_open and cut.item_id not in self._in_words:
                self._own_cuts.add(cut.item_id)
                event = _truncation(self._line.theirs(cut.item_id), 0, ms_from_samples(cut.heard))
                self._line.ask(Asked("", "truncate", event))

    def put_own(self, item: Item) -> None:
        """Tell it in words what our own voice has said."""
        self._in_words.add(item.id)
        if self._line.is_open:
            self._line.put_item(item)

    def refuse(self, item_id: str) -> None:
        """The other server does not take a client's new item."""
        self._new_items.pop(item_id, None)
        self._room.emit(outputs.ForgetAudio(item_id))

    def replay(self, by_sound: Collection[str]) -> None:
        """Tell it the conversation, as it was heard, in order: items without words, and these, by their sound."""
        self._replayed.clear()
        self._in_words.clear()
        for entry in reversed(list(self._room.conversation.latest(REPLAYED))):
            item = as_heard(entry)
            event = upstream.item_of(item)
            sound: str | None = None
            if is_unrecognised(item) or item.id in by_sound:
                event = {**_said_by_person(item.id), "content": [{"type": "input_audio"}]}
                sound = item.id
            if event is None:
                continue
            self._replayed.add(item.id)
            self._in_words.add(item.id)
            self._line.answered_next("item", item.id)
            self._room.emit(outputs.ToUpstream({"type": "conversation.item.create", "item": event}, sound))


def _whole_words(text: str, letters: int) -> str:
    """Its beginning, of about so many letters."""
    return text if letters >= len(text) else text[:letters].rpartition(" ")[0]


def _said_by_person(item_id: str) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user"}


def _empty(item: Item) -> dict[str, Any]:
    """A message without a word, which is one all the same."""
    role = item.role.value if isinstance(item, Message) else "user"
    kind = "output_text" if role == "assistant" else "input_text"
    return {"id": item.id, "type": "message", "role": role, "content": [{"type": kind, "text": ""}]}


def _truncation(item_id: str, content_index: int, end_ms: int) -> dict[str, Any]:
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": end_ms,
    }


def _item_from(theirs: upstream.UpstreamItem, item_id: str) -> Message:
    """An item that somebody else has put into the conversation."""
    role = Role(theirs.role or "user")
    parts = tuple(
        Text(part.text) if part.text is not None else Speech(0, 0, part.transcript) for part in theirs.content or ()
    )
    return Message(item_id, role, parts)
