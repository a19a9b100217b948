"""A conversation that outgrows its model leaves its oldest items behind."""

from __future__ import annotations

import msgspec
import pytest
from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.conversation import Conversation, Entry
from antiphon.session.ids import Ids
from antiphon.session.items import FunctionCall, FunctionOutput, Item, Message, Picture, Role, Text, text_of
from antiphon.session.session import Session
from antiphon.session.settings import FunctionTool, ResponseOptions, SessionConfig, Settings, Truncation
from antiphon.session.truncation import TOKENS_PER_ITEM, Scale, estimated, left_behind, tokens_of


def said(text: str, id: str = "") -> Message:
    return Message(id, Role.USER, (Text(text),))


HUNDRED = "word" * 92  # 92 tokens, and 8 of the item


def test_tokens_are_a_quarter_of_the_bytes() -> None:
    assert estimated("") == 0
    assert estimated("hello") == 2
    assert estimated("你好世界") == 3
    assert tokens_of(said(HUNDRED)) == 100
    assert tokens_of(Message("", Role.USER, (Picture("data:"),))) > 500


@pytest.mark.parametrize(("limit", "ratio", "gone"), [(1000, 1.0, 0), (999, 1.0, 1), (999, 0.5, 6), (50, 1.0, 9)])
def test_as_many_go_as_must(limit: int, ratio: float, gone: int) -> None:
    assert left_behind([said(HUNDRED)] * 10, [100] * 10, limit, ratio) == gone


def test_what_a_function_answered_goes_with_its_call() -> None:
    items: list[Item] = [
        said(HUNDRED),
        FunctionCall("f", "call_1", "look", "{}"),
        FunctionOutput("g", "call_1", "seen"),
        said(HUNDRED),
    ]
    assert left_behind(items, Scale().of(items), 100 + tokens_of(items[2]), 1.0) == 3


def test_what_was_weighed_is_not_weighed_again_unless_it_has_changed() -> None:
    weighed: list[str] = []

    def count(text: str) -> int:
        weighed.append(text)
        return len(text)

    scale = Scale(count)
    first, second = (Message(name, Role.USER, (Text(name),)) for name in ("a", "bb"))
    assert scale.of([first, second]) == [TOKENS_PER_ITEM + 1, TOKENS_PER_ITEM + 2]
    assert scale.of([second, Message("c", Role.USER, (Text("cc"),))]) == [TOKENS_PER_ITEM + 2] * 2
    assert weighed == ["a", "bb", "cc"]
    scale.of([Message("c", Role.USER, (Text("cc!"),))])
    assert weighed[3:] == ["cc!"], "it is another one under the same name"
    tools = (FunctionTool("f"),)
    assert scale.of_frame("say", tools) == scale.of_frame("say", tools)
    assert weighed[4:] == ["say", msgspec.json.encode(tools[0]).decode()]
    assert scale.of_frame("say more", ()) == len("say more")


def test_a_session_counts_as_its_model_does_if_that_is_known() -> None:
    def words(text: str) -> int:
        return len(text.split())

    config = SessionConfig(Settings(speaks=False), context_tokens=100)
    session = Session(config, Ids(1), words)
    session.handle(i.Attach("browser"), 0.0)
    for _ in range(5):
        session.handle(i.CreateItem("browser", None, said("word " * 12)), 0.0)
    out = session.handle(i.CreateResponse("browser", None, ResponseOptions()), 0.0)
    (question,) = [each for each in out if isinstance(each, o.Generate)]
    assert len(question.context) == 5, "of 8 and 12 each"
    session = Session(config, Ids(1))
    session.handle(i.Attach("browser"), 0.0)
    for _ in range(5):
        session.handle(i.CreateItem("browser", None, said("word " * 12)), 0.0)
    out = session.handle(i.CreateResponse("browser", None, ResponseOptions()), 0.0)
    (question,) = [each for each in out if isinstance(each, o.Generate)]
    assert len(question.context) == 3, "of 8 and an estimate of 15"


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
