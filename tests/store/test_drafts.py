"""What is handed over to be kept stays as it was then, and becomes words where it is written."""

from __future__ import annotations

import msgspec

from antiphon.observe.timeline import Turn
from antiphon.session.conversation import Conversation
from antiphon.session.items import FunctionOutput, Item, Message, Role, Speech
from antiphon.store.changes import Change, TurnKept
from antiphon.store.drafts import Draft, ItemDraft, draft_weight, made
from antiphon.store.keeping import Keeping


def draft(item: Item, heard: str | None = None) -> ItemDraft:
    return ItemDraft("s", item.id, 1.0, 100.0004, 1.0, 2.0, item, heard)


def test_of_an_answer_that_was_cut_short_both_are_kept_what_was_heard_and_what_was_said() -> None:
    answer = Message("i", Role.ASSISTANT, (Speech(0, 24_000, "one two three"),))
    change = draft(answer, "one").change()
    assert (change.text, change.said, change.at) == ("one", "one two three", 100.0)
    assert msgspec.json.decode(change.data, type=Item) == Message("i", Role.ASSISTANT, (Speech(0, 24_000, "one"),))


def test_a_turn_is_kept_as_it_was_when_it_ended() -> None:
    put: list[Change | Draft] = []
    keeping = Keeping("s", Conversation("c"), put.append, 10.0, 1_700_000_000.0)
    turn = Turn("i", response_id="r", began=11.0, ended=12.0, status="completed")
    keeping.turn_ended(turn)
    turn.transcript, turn.status = 13.0, "changed"
    change = made(put[0])
    assert isinstance(change, TurnKept)
    told = msgspec.json.decode(change.data)
    assert told["status"] == "completed"
    assert told["moments_s"] == {"began": 1.0, "ended": 2.0}


def test_what_is_long_weighs_what_it_holds() -> None:
    assert draft_weight(draft(FunctionOutput("i", "c", "x" * 100_000))) > 100_000
