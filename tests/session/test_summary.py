"""What a conversation has left behind is summed up while nobody waits: one summary, replaced and never grown."""

from __future__ import annotations

from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.items import Message, Role, Text
from antiphon.session.settings import Settings
from antiphon.session.summary import SUMMARY_CHARACTERS
from antiphon.session.truncation import estimated, tokens_of

HUNDRED = "word" * 92  # 92 tokens, and 8 of the item


def told(summarise: bool = True) -> Story:
    return Story(Settings(speaks=False), context_tokens=1000, summarise=summarise)


def fill(story: Story, items: int) -> list[str]:
    before = len(story.all(o.ItemAdded))
    for _ in range(items):
        story.give(i.CreateItem("browser", None, Message("", Role.USER, (Text(HUNDRED),))))
    return [added.item.id for added in story.all(o.ItemAdded)[before:]]


def exchange(story: Story, items: int = 12) -> list[str]:
    """The person writes so much, and is answered."""
    ids = fill(story, items)
    story.respond()
    story.write("Yes.")
    return ids


def summed(story: Story, text: str) -> None:
    story.give(i.Summarised(story.last(o.Summarise).work, text))


def test_it_is_asked_for_once_nobody_waits_and_stands_from_then_on() -> None:
    story = told()
    ids = fill(story, 12)
    story.respond()
    assert not story.all(o.Summarise), "the answer comes first"
    assert story.last(o.Generate).summary == ""
    story.write("Yes.")
    asked = story.last(o.Summarise)
    assert ([item.id for item in asked.context], asked.summary) == (ids[:4], "")
    summed(story, " They talked of words. ")
    for _ in range(2):
        story.respond()
        assert story.last(o.Generate).summary == "They talked of words."
        story.write("Yes.")
    assert len(story.all(o.Summarise)) == 1


def test_the_next_one_takes_its_place_and_none_grows() -> None:
    story = told()
    for round in range(20):
        exchange(story)
        assert story.last(o.Summarise).summary == ("" if round == 0 else "x " * (SUMMARY_CHARACTERS // 2 - 1) + "x")
        summed(story, "x " * 10_000)
    question = story.last(o.Generate)
    assert estimated(question.summary) + sum(tokens_of(item) for item in question.context) <= 1000
    assert len(story.all(o.Summarise)) == 20


def test_where_it_is_not_wanted_nothing_is_asked() -> None:
    story = told(summarise=False)
    exchange(story)
    assert not story.all(o.Summarise)


def test_one_that_fails_leaves_the_one_before_and_its_items_wait_for_the_next() -> None:
    story = told()
    exchange(story)
    summed(story, "Before.")
    exchange(story, 3)
    failed = story.last(o.Summarise)
    story.give(i.WorkFailed(failed.work, "upstream_reset", "gone"))
    story.wait(60)
    assert len(story.all(o.Summarise)) == 2, "it is not asked for again and again"
    exchange(story, 1)
    assert len(story.all(o.Summarise)) == 2, "nothing more was left behind"
    exchange(story, 3)
    asked = story.last(o.Summarise)
    assert (len(story.all(o.Summarise)), asked.summary) == (3, "Before.")
    assert failed.context[-1] in asked.context
    assert asked.context[-1] not in failed.context


def test_what_waits_for_one_fits_into_one_question() -> None:
    story = told()
    exchange(story, 100)
    assert 0 < sum(tokens_of(item) for item in story.last(o.Summarise).context) <= 500


def test_what_was_deleted_meanwhile_is_not_remembered() -> None:
    story = told()
    ids = fill(story, 12)
    story.respond()
    story.give(i.DeleteItem("browser", None, ids[0]))
    story.write("Yes.")
    assert [item.id for item in story.last(o.Summarise).context] == ids[1:4]


def test_while_the_person_speaks_nothing_is_asked() -> None:
    story = told()
    fill(story, 12)
    story.respond()
    story.talk(0.5)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"
    assert not story.all(o.Summarise)
    story.pause(0.6)
    story.recognise("hm")
    story.write("Yes.")
    assert len(story.all(o.Summarise)) == 1


def test_a_response_beside_the_conversation_is_told_nothing_of_it() -> None:
    story = told()
    exchange(story)
    summed(story, "They talked of words.")
    story.respond(detached=True, input=(Message("m", Role.USER, (Text("hi"),)),))
    assert story.last(o.Generate).summary == ""


def test_the_end_of_the_session_ends_it() -> None:
    story = told()
    exchange(story)
    work = story.last(o.Summarise).work
    story.give(i.Finish("done"))
    assert work in [stop.work for stop in story.all(o.StopWork)]
