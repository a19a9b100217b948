"""What is kept of a conversation is what the model knows of it at the end, whatever happened on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest

from antiphon.engines.api import LlmRequest, ToolAnswered, ToolSpec
from antiphon.engines.fake import Call, FakeLlm, FakeStt, Line
from antiphon.session import inputs, outputs
from antiphon.session.ids import Ids
from antiphon.session.items import Item, Message, Picture, Role, Text
from antiphon.session.session import Session
from antiphon.session.settings import FunctionTool, SessionConfig, Settings, Transcription
from antiphon.store.changes import Change, ItemGone, ItemKept, TurnKept
from antiphon.store.drafts import Draft, made
from antiphon.store.keeping import Keeping
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolContext

BEGAN_AT = 1_700_000_000.0
LONG = "This is a long answer that goes on and on and on. And then it goes on for another while."


class Kept:
    """A conversation gone through again with somebody who keeps it, and the rows that come of it."""

    def __init__(self, call: Conversation) -> None:
        self.changes: list[Change] = []
        self.session = Session(call.drive.session.config, Ids(7))
        keeping = Keeping(self.session.id, self.session.conversation, self._put, 0.0, BEGAN_AT)
        for now, item, _ in call.steps:
            keeping.record(now, item, self.session.handle(item, now))
        for turn in call.timeline.turns:
            keeping.turn_ended(turn)

    def _put(self, draft: Change | Draft) -> None:
        self.changes.append(made(draft))

    @property
    def items(self) -> list[ItemKept]:
        rows: dict[str, ItemKept] = {}
        for change in self.changes:
            if isinstance(change, ItemKept):
                rows[change.item_id] = change
            elif isinstance(change, ItemGone):
                rows.pop(change.item_id)
        return sorted(rows.values(), key=lambda row: row.place)

    def check(self) -> list[tuple[str, str]]:
        """Kinds and words; the same items in the same order as the conversation has them."""
        kept = [msgspec.json.decode(row.data, type=Item) for row in self.items]
        assert kept == list(self.session.conversation.as_heard())
        return [(row.kind, row.text) for row in self.items]


def kept(story: Callable[[Conversation], Awaitable[None]], *engines: Any, **options: Any) -> Kept:
    async def told() -> Kept:
        async with Conversation(*engines, **options) as call:
            await story(call)
            return Kept(call)

    return run(told())


def test_a_spoken_exchange_with_its_times() -> None:
    async def story(call: Conversation) -> None:
        await call.pause(1.0)
        await call.exchange()
        await call.pause(2.0)

    found = kept(story, FakeStt("hi"), FakeLlm("Yes, of course."))
    assert found.check() == [("user", "hi"), ("assistant", "Yes, of course.")]
    question, answer = found.items
    # A second of quiet, then a second of voice with what the turn keeps before it.
    assert 0.6 < question.start_s < 1.1
    assert 1.9 < question.end_s < 3.0
    assert question.end_s <= answer.start_s + 0.3 < answer.end_s + 0.3
    assert question.at == pytest.approx(BEGAN_AT + question.end_s, abs=0.8)
    (turn,) = [change for change in found.changes if isinstance(change, TurnKept)]
    told = msgspec.json.decode(turn.data)
    assert told["status"] == "completed"
    assert told["moments_s"]["first_audio"] == pytest.approx(answer.start_s, abs=0.002)


def test_an_answer_that_is_interrupted_ends_where_it_was_heard() -> None:
    async def story(call: Conversation) -> None:
        await call.talk(1.0)
        await call.pause(0.7)
        await call.hear(outputs.AudioSent)
        await call.pause(0.6)
        await call.exchange(0.8)
        await call.pause(1.0)

    found = kept(story, FakeStt(["hi", "stop"]), FakeLlm([LONG, "Fine."]))
    words = [text for _, text in found.check()]
    assert words[0::2] == ["hi", "stop"]
    assert LONG.startswith(words[1])
    assert 0 < len(words[1]) < len(LONG)
    assert found.items[1].said is not None
    assert found.items[1].said.startswith(words[1])


def test_an_answer_that_was_all_sent_and_is_cut_while_it_plays() -> None:
    async def story(call: Conversation) -> None:
        await call.talk(1.0)
        await call.pause(0.7)
        ended = await call.hear(outputs.OutputEnded)
        assert isinstance(ended.item, Message)
        await call.pause(0.1)
        await call.talk(0.5)
        await call.pause(3.0)

    config = SessionConfig(Settings(transcription=Transcription()), lead_ms=20_000)
    found = kept(story, FakeStt(["hi", "no"]), FakeLlm([LONG, "Fine."]), config=config)
    words = [text for _, text in found.check()]
    assert len(words[1]) < len(LONG)


class Oracle:
    spec = ToolSpec("ask_oracle", "Ask.", {"type": "object", "properties": {}})

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "the oracle says yes"


def test_calls_of_the_servers_own_tools_are_kept_too() -> None:
    def answer(request: LlmRequest) -> Line:
        if any(isinstance(message, ToolAnswered) for message in request.messages):
            return "It said yes."
        return Call("ask_oracle", "{}")

    async def story(call: Conversation) -> None:
        await call.talk(1.0)
        await call.pause(0.7)
        await call.hear(outputs.ResponseEnded)

    spec = Oracle.spec
    own = (FunctionTool(spec.name, spec.description, spec.parameters),)
    config = SessionConfig(Settings(transcription=Transcription()), server_tools=own)
    found = kept(story, FakeStt("ask"), FakeLlm(answer), config=config, tools=(Oracle(),))
    assert found.check() == [
        ("user", "ask"),
        ("function_call", "ask_oracle {}"),
        ("function_call_output", "the oracle says yes")
        if found.items[2].kind == "function_call_output"
        else ("function_output", "the oracle says yes"),
        ("assistant", "It said yes."),
    ]


def written(text: str, id: str = "") -> Message:
    return Message(id, Role.USER, (Text(text),))


def test_items_put_anywhere_and_taken_away_again() -> None:
    async def story(call: Conversation) -> None:
        put = call.drive.put
        for number in range(40):
            put(inputs.CreateItem("ear", None, written(f"{number}", f"i{number}")))
        put(inputs.CreateItem("ear", None, written("first", "first"), "root"))
        put(inputs.CreateItem("ear", None, written("zeroth", "zeroth"), "root"))
        for number in range(20):
            put(inputs.CreateItem("ear", None, written(f"between {number}", f"b{number}"), "i3"))
        for gone in ("i4", "first", "b7", "i39"):
            put(inputs.DeleteItem("ear", None, gone))
        put(inputs.CreateItem("ear", None, written("late", "late"), "i2"))

    found = kept(story)
    words = [text for _, text in found.check()]
    assert words[:6] == ["zeroth", "0", "1", "2", "late", "3"]
    assert words[6] == "between 19"


def test_words_that_come_late_are_kept_when_they_come() -> None:
    async def story(call: Conversation) -> None:
        await call.talk(1.0)
        await call.pause(0.7)
        for number in range(30):
            call.drive.put(inputs.CreateItem("ear", None, written(str(number))))
        await call.pause(5.0)

    found = kept(story, FakeStt("finally", 3.0), FakeLlm("Yes."))
    assert found.check()[0] == ("user", "finally")


def test_pictures_are_not_kept() -> None:
    async def story(call: Conversation) -> None:
        url = "data:image/png;base64," + "A" * 1000
        call.drive.put(inputs.CreateItem("ear", None, Message("", Role.USER, (Text("look"), Picture(url)))))

    (row,) = kept(story).items
    assert row.text == "look"
    assert b"AAAA" not in row.data
