"""What a response is told in place of the conversation."""

from __future__ import annotations

import pytest

from antiphon.errors import PeerError
from antiphon.session.context import Context, check_context, items_of, named, with_words
from antiphon.session.conversation import Entry
from antiphon.session.ids import Ids
from antiphon.session.item_requests import ItemRequests
from antiphon.session.items import Message, Picture, Role, Speech, Text
from antiphon.session.room import Room
from antiphon.session.settings import SessionConfig

SAID = Message("item_said", Role.USER, (Text("hello"),))
SPOKEN = Message("item_spoken", Role.USER, (Speech(0, 100, None, clip=1),))


def room_with(*items: Message) -> Room:
    room = Room(SessionConfig(sees=False), Ids(1))
    for item in items:
        room.conversation.add(Entry(item))
    return room


def test_the_conversation_itself_is_told_where_nothing_was_named() -> None:
    assert items_of(None, room_with(SAID).conversation) == (SAID,)


def test_an_item_that_was_deleted_meanwhile_is_left_out() -> None:
    room = room_with(SAID)
    own = Message("", Role.USER, (Text("own"),))
    context = named(("item_said", own), Ids(2))
    assert [item.id for item in items_of(context, room.conversation)] == ["item_said", context[1].id]  # type: ignore[union-attr]
    room.conversation.delete("item_said")
    assert len(items_of(context, room.conversation)) == 1


def test_words_find_the_item_of_a_responses_own_and_nothing_else() -> None:
    context: Context = ("item_said", SPOKEN, SAID)
    told = with_words(context, "item_spoken", "what was said")
    assert told is not None
    (name, spoken, said) = told
    assert (name, said) == ("item_said", SAID)
    assert isinstance(spoken, Message)
    assert spoken.content[0].transcript == "what was said"  # type: ignore[union-attr]
    assert with_words(None, "item_spoken", "what was said") is None


@pytest.mark.parametrize(
    ("context", "param"),
    [
        ((SAID, "item_nobody"), "response.input[1].id"),
        ((Message("", Role.USER, (Picture("data:image/png;base64,AA=="),)),), "response.input[0].content"),
    ],
)
def test_what_the_model_could_not_be_told_is_refused_by_its_place(context: Context, param: str) -> None:
    room = room_with()
    with pytest.raises(PeerError) as refused:
        check_context(context, room.conversation, ItemRequests(room))
    assert refused.value.param == param
