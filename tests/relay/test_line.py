"""What was asked of another server and not answered: named, found again, asked again, and bounded."""

from __future__ import annotations

import pytest

from antiphon.errors import PeerError
from antiphon.relay.line import MOST_HELD, MOST_REMEMBERED, TAG, Asked, Line
from antiphon.session.outputs import Output, ToUpstream
from antiphon.session.settings import FunctionTool, ResponseOptions, Settings


def opened() -> tuple[Line, list[Output]]:
    out: list[Output] = []
    line = Line(out.append)
    line.open()
    return line, out


def test_a_response_is_found_again_by_its_metadata_and_the_clients_own_stays() -> None:
    line, out = opened()
    response = {"metadata": {"theirs": "1"}}
    line.ask(Asked("", "respond", {"type": "response.create", "response": response}, "c1", "r1"))
    (sent,) = (one.event for one in out if isinstance(one, ToUpstream))
    tag = sent["response"]["metadata"][TAG]
    assert sent["response"]["metadata"]["theirs"] == "1"
    assert line.owes("respond")
    asked = line.answered(tag)
    assert asked is not None
    assert (asked.connection, asked.request) == ("c1", "r1")
    assert not line.owes("respond")
    assert line.answered(tag) is None


def test_only_what_differs_is_asked_for_and_all_of_it_after_a_refusal() -> None:
    line, out = opened()
    tool = FunctionTool("f", "Does f.")
    assert line.configure(Settings(), (tool,))
    line.answered_next("update")
    assert not line.configure(Settings(), (tool,))
    assert line.configure(Settings(instructions="x"), (tool,))
    first, second = (one.event["session"] for one in out if isinstance(one, ToUpstream))
    assert first["tools"][0]["name"] == "f"
    assert second == {"type": "realtime", "instructions": "x"}
    assert line.answered_next("update") is not None
    line.forget()
    assert line.configure(Settings(), (tool,))
    last = out[-1]
    assert isinstance(last, ToUpstream)
    assert first.keys() == {"type", "instructions", "audio", "tools"}
    assert last.event["session"].keys() > first.keys()  # what it is now, nobody knows


def test_what_waits_for_a_connection_has_a_bound_and_is_told() -> None:
    out: list[Output] = []
    line = Line(out.append)
    item = Asked("", "item", {"type": "conversation.item.create", "item": {}}, about="i")
    for _ in range(MOST_HELD):
        line.ask(item)
    with pytest.raises(PeerError) as caught:
        line.ask(item)
    assert caught.value.code == "upstream_unavailable"
    assert out == []
    line.open()
    line.repeat("item")
    assert len(out) == MOST_HELD


def test_what_is_never_answered_is_forgotten_in_time() -> None:
    line, _ = opened()
    for _ in range(3 * MOST_REMEMBERED):
        line.ask(Asked("", "cancel", {"type": "response.cancel"}))
    assert len(line._asked) == MOST_REMEMBERED


def test_an_answer_that_is_given_up_before_it_has_begun_is_cancelled_right_behind_its_request_each_time() -> None:
    line, out = opened()
    assert not line.give_up()
    line.ask(Asked("", "respond", {"type": "response.create"}, options=ResponseOptions(detached=True)))
    assert not line.give_up()  # a cancel without a name is for the conversation's
    line.ask(Asked("", "respond", {"type": "response.create"}))
    assert line.give_up()
    assert not line.give_up()
    assert kinds(out) == ["response.create", "response.create", "response.cancel"]
    line.lose()
    out.clear()
    line.open()
    line.repeat("respond")
    assert kinds(out) == ["response.create", "response.create", "response.cancel"]
    assert line.answered_next("respond") is not None
    asked = line.answered_next("respond")
    assert asked is not None
    assert asked.is_given_up


def test_an_item_with_two_names_has_them_until_the_connection_is_lost() -> None:
    line, _ = opened()
    line.call("item_there", "item_here")
    assert (line.ours("item_there"), line.theirs("item_here"), line.ours("other")) == (
        "item_here",
        "item_there",
        "other",
    )
    line.lose()
    assert line.theirs("item_here") == "item_here"


def kinds(out: list[Output]) -> list[str]:
    return [one.event["type"] for one in out if isinstance(one, ToUpstream)]
