"""A conversation that outgrows its model leaves its oldest items behind."""

from __future__ import annotations

import pytest
from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.conversation import Conversation, Entry
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message, Picture, Role, Text, text_of
from antiphon.session.settings import Settings, Truncation
from antiphon.session.truncation import left_behind, tokens_in, tokens_of


def said(text: str, id: str = "") -> Message:
    return Message(id, Role.USER, (Text(text),))


HUNDRED = "word" * 92  # 92 tokens, and 8 of the item


def test_tokens_are_a_quarter_of_the_bytes() -> None:
    assert tokens_in("") == 0
    assert tokens_in("hello") == 2
    assert tokens_in("你好世界") == 3
    assert tokens_of(said(HUNDRED)) == 100
    assert tokens_of(Message("", Role.USER, (Picture("data:"),))) > 500


@pytest.mark.parametrize(("limit", "ratio", "gone"), [(1000, 1.0, 0), (999, 1.0, 1), (999, 0.5, 6), (50, 1.0, 9)])
def test_as_many_go_as_must(limit: int, ratio: float, gone: int) -> None:
    assert left_behind([said(HUNDRED)] * 10, limit, ratio) == gone


def test_what_a_function_answered_goes_with_its_call() -> None:
    items: list[Item] = [
        said(HUNDRED),
        FunctionCall("f", "call_1", "look", "{}"),
        FunctionOutput("g", "call_1", "seen"),
        said(HUNDRED),
    ]
    assert left_behind(items, 100 + tokens_of(items[2]), 1.0) == 3


def fill(story: Story, items: int) -> list[str]:
    for number in range(items):
        story.give(i.CreateItem("browser", None, said(f"{number}{HUNDRED}"[: len(HUNDRED)])))
    return [added.item.id for added in story.all(o.ItemAdded)]


def test_the_model_is_told_what_fits_and_the_conversation_keeps_all() -> None:
    story = Story(Settings(speaks=False, instructions="word" * 100), context_tokens=1100)
    ids = fill(story, 12)
    story.respond()
    # In one cut, to four fifths: what models keep of a prefix is then good for some turns.
    assert [item.id for item in story.last(o.Generate).context] == ids[4:]
    story.give(i.RetrieveItem("browser", "r", ids[0]))
    assert story.last(o.ItemRetrieved).item.id == ids[0]


def test_what_was_left_behind_once_stays_so_for_the_models_cache() -> None:
    story = Story(Settings(speaks=False, truncation=Truncation("retention_ratio", 0.5, 1000)))
    ids = fill(story, 11)
    story.respond()
    assert [item.id for item in story.last(o.Generate).context] == ids[6:]
    story.write("Yes.")
    ids += fill(story, 1)[-1:]
    story.respond()
    context = story.last(o.Generate).context
    assert [item.id for item in context if isinstance(item, Message) and item.role is Role.USER] == [
        *ids[6:11],
        ids[-1],
    ]


def test_disabled_truncation_fails_the_response_instead() -> None:
    story = Story(Settings(speaks=False, truncation=Truncation("disabled")), context_tokens=1000)
    fill(story, 11)
    story.respond()
    done = story.last(o.ResponseEnded).response
    assert (done.status, done.error_code) == ("failed", "context_length_exceeded")
    assert not story.all(o.Generate)
    story.give(i.DeleteItem("browser", "d", story.all(o.ItemAdded)[0].item.id))
    story.respond()
    assert len(story.last(o.Generate).context) == 10


def test_the_last_words_are_always_told() -> None:
    story = Story(Settings(speaks=False), context_tokens=10)
    fill(story, 2)
    story.respond()
    assert [text_of(item)[0] for item in story.last(o.Generate).context if isinstance(item, Message)] == ["1"]


def test_what_is_left_behind_costs_nothing_more_and_stays_in_its_place() -> None:
    def item(name: str) -> Message:
        return Message(name, Role.USER, (Text(name),))

    def told() -> list[str]:
        return [each.id for each in conversation.as_heard()]

    conversation = Conversation("conv")
    for name in "abcdef":
        conversation.add(Entry(item(name)))
    conversation.leave_behind([item("a"), item("b"), item("d")])
    assert told() == ["c", "e", "f"]
    assert conversation._gone == 2
    conversation.add(Entry(item("root")), "root")
    assert told() == ["root", "c", "e", "f"]
    conversation.add(Entry(item("after")), "b")
    assert told() == ["root", "after", "c", "e", "f"]
    for name in ("root", "a", "after"):
        conversation.delete(name)
    assert told() == ["c", "e", "f"]
    conversation.leave_behind([item("c")])
    assert told() == ["e", "f"]
    conversation.delete("b")
    conversation.delete("e")
    assert told() == ["f"]
    assert conversation.add(Entry(item("g"))) == "f"
