"""What clients ask of the conversation's items: whether they may, in words, and what does not concern responses.

It does not know how an item is recognised, answered or approved; `session` joins that.
"""

from __future__ import annotations

import msgspec

from antiphon.audio.units import Samples, ms_from_samples, samples_from_ms
from antiphon.errors import PeerError
from antiphon.session import inputs, outputs
from antiphon.session.conversation import Entry
from antiphon.session.items import Item, Message, Picture, Role, Speech, Status
from antiphon.session.ledger import Ledger
from antiphon.session.room import Room


class ItemRequests:
    """All refusals are `PeerError`s, and leave everything as it was."""

    def __init__(self, room: Room) -> None:
        self._room = room

    # --- adding

    def check_new(self, request: inputs.CreateItem) -> int:
        """The bytes of an item that may be added at its place."""
        item, after = request.item, request.after
        if item.id in self._room.conversation:
            raise PeerError(
                f"Error adding item: an item with id '{item.id}' already exists.",
                "Leave the id out, or choose one that was not used in this session.",
                code="item_create_duplicate_item_id",
                param="item.id",
            )
        if after is not None and after != "root" and self._room.conversation.visible(after) is None:
            raise PeerError(
                f"Error adding item: the previous item with id '{after}' does not exist.",
                'Name an item that was announced, "root" for the front, or leave it out for the end.',
                code="item_create_invalid_previous_item_id",
                param="previous_item_id",
            )
        self.check_sight(item, "item.content")
        return self.checked_size(item)

    def checked_size(self, item: Item) -> int:
        """The bytes of a client's item, if the conversation has room for it."""
        size = len(msgspec.json.encode(item))
        self.check_room(size, "item")
        return size

    def check_room(self, size: int, param: str) -> None:
        """Whether the conversation can take another item of so many bytes, for the client's sake."""
        conversation, config = self._room.conversation, self._room.config
        if conversation.count < config.max_items and conversation.size + size <= config.max_item_bytes:
            return
        raise PeerError(
            f"The conversation is full: {conversation.count} items, {conversation.size} bytes.",
            "Delete items that are not needed any more, or open another session.",
            code="conversation_full",
            param=param,
        )

    def check_sight(self, item: Item, param: str) -> None:
        """Whether the model could see what is in it."""
        pictures = isinstance(item, Message) and any(isinstance(part, Picture) for part in item.content)
        if pictures and not self._room.config.sees:
            raise PeerError(
                "The model of this session takes no images.",
                "Describe the image in words, or configure a model that takes images (llm.images = true).",
                code="invalid_value",
                param=param,
            )

    def add_speech(self, item_id: str, speech: Speech) -> None:
        """A stretch of the person's sound becomes an item of the conversation."""
        room = self._room
        item = Message(item_id, Role.USER, (speech,))
        previous = room.conversation.last()
        room.emit(outputs.AudioCommitted(item_id, previous))
        room.conversation.add(Entry(item))
        room.emit(outputs.ItemAdded(item, previous))
        room.emit(outputs.RetainAudio(item_id, speech.start, speech.stop))

    # --- what is there

    def visible(self, item_id: str, doing: str) -> Entry:
        """The entry of that name; `doing` is "retrieve", "delete" or "truncate"."""
        entry = self._room.conversation.visible(item_id)
        if entry is not None:
            return entry
        verb = {"retrieve": "retrieving", "delete": "deleting", "truncate": "truncating"}[doing]
        raise PeerError(
            f"Error {verb} item: the item with id '{item_id}' does not exist.",
            "Name an item that conversation.item.added announced and that was not deleted.",
            code=f"item_{doing}_invalid_item_id",
            param="item_id",
        )

    def retrieve(self, request: inputs.RetrieveItem) -> None:
        entry = self.visible(request.item_id, "retrieve")
        self._room.emit(outputs.ItemRetrieved(request.connection, entry.item))

    def delete(self, request: inputs.DeleteItem) -> None:
        entry = self.visible(request.item_id, "delete")
        self._room.conversation.delete(request.item_id)
        self._room.emit(outputs.ItemDeleted(request.item_id))
        if _is_audible(entry.item):
            self._room.emit(outputs.ForgetAudio(request.item_id))

    def truncate(self, request: inputs.TruncateItem) -> None:
        entry = self.visible(request.item_id, "truncate")
        if entry.ledger is None or not isinstance(entry.item, Message):
            raise PeerError(
                "Only model output audio messages can be truncated",
                "Truncate the item that response.output_audio.delta named.",
                code=None,
                param="item_id",
            )
        if request.content_index != 0:
            raise PeerError(
                f"Error truncating item: the item with id '{request.item_id}' has no content at index "
                f"{request.content_index}.",
                "The audio of an answer is its content 0.",
                code="invalid_value",
                param="content_index",
            )
        position = samples_from_ms(request.audio_end_ms)
        length = entry.ledger.kept
        if position > length or position < 0:
            raise PeerError(
                f"Audio content of {ms_from_samples(length)}ms is already shorter than {request.audio_end_ms}ms",
                "audio_end_ms is the part that was played, in milliseconds from the start of the item's audio.",
                code=None,
                param="audio_end_ms",
            )
        self.cut(entry, entry.ledger, position)
        self._room.emit(outputs.ItemTruncated(request.item_id, request.content_index, request.audio_end_ms))

    def cut(self, entry: Entry, ledger: Ledger, position: Samples) -> None:
        """Of this item, nothing after `position` was heard."""
        item_id = entry.item.id
        heard = ledger.text_until(position)
        self._room.conversation.hear_until(item_id, heard)
        ledger.limit = position
        if isinstance(entry.item, Message) and entry.item.status is not Status.IN_PROGRESS:
            spoken = (Speech(0, position, heard),)
            self._room.conversation.replace(msgspec.structs.replace(entry.item, content=spoken))
            self._room.emit(outputs.TrimAudio(item_id, position))


def _is_audible(item: Item) -> bool:
    return isinstance(item, Message) and any(isinstance(part, Speech) for part in item.content)
