"""The context of a response: the whole conversation, or what its client has named instead.

A name may be that of an item of the conversation, which may be deleted before the model is asked.
"""

from __future__ import annotations

import msgspec

from antiphon.errors import PeerError
from antiphon.session.conversation import Conversation, Entry, as_heard, with_transcript
from antiphon.session.ids import Ids
from antiphon.session.item_requests import ItemRequests
from antiphon.session.items import Item, Message

Context = tuple[Item | str, ...]
"""Items of a response's own, and ids of items of the conversation."""


def check_context(context: Context, conversation: Conversation, requests: ItemRequests) -> None:
    """Raises `PeerError` if the model could not be told of all of it."""
    for index, part in enumerate(context):
        if not isinstance(part, str):
            requests.check_sight(part, f"response.input[{index}].content")
        elif conversation.visible(part) is None:
            raise PeerError(
                f"Error creating response: the item with id '{part}' does not exist.",
                "An item_reference names an item of the conversation.",
                code="invalid_value",
                param=f"response.input[{index}].id",
            )


def named(context: Context, ids: Ids) -> Context:
    """Every item of it has an id, so that its words find it."""
    return tuple(
        part if isinstance(part, str) or part.id else msgspec.structs.replace(part, id=ids.make("item"))
        for part in context
    )


def items_of(context: Context | None, conversation: Conversation) -> tuple[Item, ...]:
    """What the model is told. An item that was deleted meanwhile is left out."""
    if context is None:
        return conversation.as_heard()
    entries = (conversation.visible(part) if isinstance(part, str) else part for part in context)
    return tuple(as_heard(entry) if isinstance(entry, Entry) else entry for entry in entries if entry is not None)


def with_words(context: Context | None, item_id: str, text: str) -> Context | None:
    """The context with the words of one of its items filled in."""
    if context is None:
        return None
    return tuple(
        with_transcript(part, text) if isinstance(part, Message) and part.id == item_id else part for part in context
    )
