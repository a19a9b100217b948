"""MCP servers in a session, with scripted results: what goes out in which order, and who is asked when."""

from __future__ import annotations

from typing import Any

import pytest
from story import Story

from antiphon.session import inputs as i
from antiphon.session import outputs as o
from antiphon.session.consent import consent_in
from antiphon.session.items import (
    FunctionOutput,
    McpApprovalResponse,
    McpCall,
    McpFailure,
    McpTool,
    Message,
    Role,
    Status,
    Text,
)
from antiphon.session.mcp import FollowUp, function_name
from antiphon.session.settings import (
    ApprovalFilter,
    FunctionTool,
    McpServer,
    Settings,
    ToolFilter,
    TurnDetection,
)

LOOK = McpTool("look", "Say what an animal does.", {"type": "object"}, read_only=True)
FEED = McpTool("feed", "Feed an animal.", {"type": "object"})


def zoo(**changes: Any) -> McpServer:
    return McpServer(**{"label": "zoo", "address": 3, "url": "https://zoo.example/mcp", "approval": "never", **changes})


def begun(*servers: McpServer, **config: Any) -> Story:
    """A written session whose client has named these servers. Nothing is listed yet."""
    story = Story(Settings(speaks=False), **config)
    story.ask(tools=servers)
    return story


def listed(*servers: McpServer, tools: tuple[McpTool, ...] = (LOOK, FEED), **config: Any) -> Story:
    story = begun(*servers, **config)
    for asked in story.all(o.ListMcpTools):
        story.give(i.McpToolsListed(asked.work, tools))
    story.names()
    return story


def call(story: Story, name: str, arguments: str = '{"animal":"cat"}', index: int = 0) -> None:
    work = story.last(o.Generate).work
    for part in (arguments[:4], arguments[4:]):
        story.give(i.CallWritten(work, index, f"call_{index}", name, part))


def end_writing(story: Story) -> None:
    story.give(i.WritingEnded(story.last(o.Generate).work, "tool_calls"))


def returns(story: Story, output: str | None = "It sleeps.", failure: McpFailure | None = None) -> None:
    story.give(i.McpToolReturned(story.last(o.CallMcpTool).work, output, failure))


def answer(story: Story, approve: bool, why: str = "", request: str | None = None) -> None:
    asked = [item.item for item in story.all(o.OutputBegan) if type(item.item).__name__ == "McpApprovalRequest"]
    item = McpApprovalResponse("", request or asked[-1].id, approve, why)
    story.give(i.CreateItem("browser", "approve", item))


def final(story: Story) -> McpCall:
    item = story.last(o.OutputEnded).item
    assert isinstance(item, McpCall)
    return item


# --- listing ---------------------------------------------------------------------------------------------------------


def test_tools_are_listed_as_an_item_that_is_filled_when_they_come() -> None:
    story = begun(zoo())
    assert story.names() == ["Welcomed", "SettingsChanged", "ToolListingBegan", "ListMcpTools"]
    assert story.last(o.ListMcpTools).address == 3
    assert story.last(o.ToolListingBegan).item.tools == ()
    story.give(i.McpToolsListed(story.last(o.ListMcpTools).work, (LOOK, FEED)))
    ended = story.last(o.ToolListingEnded)
    assert (ended.ok, ended.item.tools, ended.item.status) == (True, (LOOK, FEED), Status.COMPLETED)
    assert ended.item.id == story.last(o.ToolListingBegan).item.id


def test_a_session_that_begins_with_servers_lists_them_when_its_connection_is_there() -> None:
    story = Story(Settings(tools=(zoo(),)))
    assert story.names() == ["Welcomed", "ToolListingBegan", "ListMcpTools"]
    story.give(i.Attach("second"))
    assert story.names() == ["Welcomed"]


def test_a_failed_listing_says_why_and_is_tried_again_by_the_next_update_only() -> None:
    story = begun(zoo())
    story.give(i.WorkFailed(story.last(o.ListMcpTools).work, "mcp_failed", "It cannot be reached."))
    assert not story.last(o.ToolListingEnded).ok
    assert story.refused().code == "mcp_list_tools_failed"
    assert "'zoo'" in story.refused().message
    assert "It cannot be reached." in story.refused().message
    story.respond()
    assert story.last(o.Generate).tools == ()
    assert len(story.all(o.ListMcpTools)) == 1
    story.ask(tools=(zoo(),))
    assert len(story.all(o.ListMcpTools)) == 2


def test_the_same_server_is_asked_once_whatever_else_changes() -> None:
    story = listed(zoo())
    story.ask(tools=(zoo(approval="always"), FunctionTool("mine")))
    story.ask(instructions="Be brief.")
    assert len(story.all(o.ListMcpTools)) == 1
    story.ask(tools=(zoo(address=4),))
    story.ask(tools=(zoo(address=4, allowed=ToolFilter(("look",))),))
    assert len(story.all(o.ListMcpTools)) == 3


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, ["look", "feed"]),
        (ToolFilter(("feed", "nothing")), ["feed"]),
        (ToolFilter(read_only=True), ["look"]),
        (ToolFilter(("look", "feed"), read_only=False), ["feed"]),
        (ToolFilter(()), []),
    ],
)
def test_only_allowed_tools_are_listed_and_offered(allowed: ToolFilter | None, names: list[str]) -> None:
    story = listed(zoo(allowed=allowed))
    assert [tool.name for tool in story.last(o.ToolListingEnded).item.tools] == names
    story.respond()
    assert [tool.name for tool in story.last(o.Generate).tools] == names


def test_two_tools_of_one_name_are_offered_under_two() -> None:
    client_tool = FunctionTool("feed")
    story = listed(zoo(), zoo(label="farm 2", address=4), client_tool)  # type: ignore[arg-type]
    story.respond()
    names = [tool.name for tool in story.last(o.Generate).tools]
    assert names == ["feed", "look", "zoo_feed", "farm_2_look", "farm_2_feed"]
    call(story, "farm_2_feed")
    end_writing(story)
    made = story.last(o.CallMcpTool)
    assert (made.address, made.name) == (4, "feed")


def test_names_are_such_that_every_model_takes_them() -> None:
    assert function_name("what is/this?") == "what_is_this_"
    assert function_name("é" * 100) == "_" * 64
    assert function_name("") == "tool"


def test_too_many_servers_or_tools_are_refused() -> None:
    story = begun(*(zoo(label=f"zoo{n}") for n in range(3)), max_mcp_servers=2)
    assert "at most 2" in story.refused().message
    assert story.refused().param == "session.tools"
    assert story.session.settings.tools == ()
    story = listed(zoo(), max_mcp_tools=1)
    assert "at most 1" in story.refused().message
    assert not story.last(o.ToolListingEnded).ok


def test_a_server_that_was_not_used_for_longest_gives_way() -> None:
    story = listed(zoo(), zoo(label="farm", address=4), max_mcp_servers=2)
    story.ask(tools=(zoo(),))
    assert not story.all(o.LeaveMcpServer)
    story.ask(tools=(zoo(), zoo(label="sea", address=5)))
    assert [left.address for left in story.all(o.LeaveMcpServer)] == [4]


def test_a_server_that_gives_way_while_it_is_asked_is_asked_no_more() -> None:
    story = begun(zoo(), max_mcp_servers=1)
    asked = story.last(o.ListMcpTools)
    story.ask(tools=(zoo(label="farm", address=4),))
    assert asked.work in [stopped.work for stopped in story.all(o.StopWork)]
    ended = story.all(o.ToolListingEnded)
    assert [(notice.item.server, notice.ok) for notice in ended] == [("zoo", False)]
    assert not story.all(o.Refused)
    story.give(i.McpToolsListed(asked.work, (LOOK,)))
    assert len(story.all(o.ToolListingEnded)) == 1


def test_what_is_listed_counts_as_the_clients_items_do() -> None:
    story = listed(zoo(), max_items=2)
    assert story.session.conversation.size > 100
    story.ask(tools=(zoo(address=4),))
    story.ask(tools=(zoo(address=5),))
    assert story.refused().code == "conversation_full"
    assert len(story.all(o.ListMcpTools)) == 2


def test_labels_may_stand_alone_once_they_are_known_and_are_said_once() -> None:
    story = listed(zoo())
    story.ask(tools=(McpServer("zoo", approval="never", allowed=ToolFilter(("look",))),))
    assert story.last(o.ListMcpTools).address == 3
    assert story.session.settings.tools[0].url == "https://zoo.example/mcp"  # type: ignore[union-attr]
    story.ask(tools=(McpServer("farm"),))
    assert story.refused().param == "session.tools[0].server_url"
    story.ask(tools=(zoo(), zoo()))
    assert "Duplicate" in story.refused().message
    story.respond(tools=(McpServer("sea"),))
    assert story.refused().param == "response.tools[0].server_url"


def test_a_response_waits_for_the_tools_that_it_may_use() -> None:
    story = begun(zoo())
    story.respond()
    assert not story.all(o.Generate)
    story.give(i.McpToolsListed(story.last(o.ListMcpTools).work, (LOOK,)))
    assert [tool.name for tool in story.last(o.Generate).tools] == ["look"]


def test_a_response_may_bring_servers_of_its_own() -> None:
    story = listed(zoo())
    story.respond(tools=(zoo(label="farm", address=4),))
    assert not story.all(o.Generate)
    story.give(i.McpToolsListed(story.last(o.ListMcpTools).work, (FEED,)))
    assert [tool.name for tool in story.last(o.Generate).tools] == ["feed"]


# --- the choice of a tool --------------------------------------------------------------------------------------------


def test_a_choice_of_a_server_offers_only_its_tools_and_one_of_a_tool_names_the_function() -> None:
    story = listed(zoo(), FunctionTool("mine"))  # type: ignore[arg-type]
    story.respond(tool_choice={"type": "mcp", "server_label": "zoo"})
    asked = story.last(o.Generate)
    assert (asked.tool_choice, [tool.name for tool in asked.tools]) == ("required", ["look", "feed"])
    story.write("x")
    story.respond(tool_choice={"type": "mcp", "server_label": "zoo", "name": "feed"})
    asked = story.last(o.Generate)
    assert asked.tool_choice == {"type": "function", "name": "feed"}
    assert [tool.name for tool in asked.tools] == ["feed"]


def test_a_choice_of_what_is_not_there_is_refused_or_fails() -> None:
    story = listed(zoo())
    story.respond(tool_choice={"type": "mcp", "server_label": "farm"})
    assert story.refused().param == "response.tool_choice.server_label"
    story.ask(tool_choice={"type": "mcp", "server_label": "farm"})
    assert story.refused().param == "session.tool_choice.server_label"
    story.respond(tool_choice={"type": "mcp", "server_label": "zoo", "name": "tickle"})
    ended = story.last(o.ResponseEnded).response
    assert (ended.status, ended.error_code) == ("failed", "mcp_tool_not_found")


# --- calls -----------------------------------------------------------------------------------------------------------

OUTCOMES: list[tuple[str | None, McpFailure | None]] = [
    ("It sleeps.", None),
    (None, McpFailure("tool", "it bites")),
    (None, McpFailure("protocol", "no such method", -32_601)),
    (None, McpFailure("http", "It answered 502.", 502)),
]


@pytest.mark.parametrize(("output", "failure"), OUTCOMES)
def test_a_call_goes_out_in_order_and_the_response_is_over_when_it_has_answered(
    output: str | None, failure: McpFailure | None
) -> None:
    story = listed(zoo())
    story.respond()
    call(story, "look")
    end_writing(story)
    assert story.names() == [
        "ResponseBegan", "Generate", "OutputBegan", "McpArgumentsSent", "McpArgumentsSent", "McpArgumentsEnded",
        "McpCallBegan", "CallMcpTool",
    ]  # fmt: skip
    assert story.last(o.McpArgumentsEnded).arguments == story.last(o.CallMcpTool).arguments == '{"animal":"cat"}'
    returns(story, output, failure)
    assert story.names() == ["McpCallEnded", "OutputEnded", "ResponseEnded"]
    assert story.last(o.McpCallEnded).ok == (failure is None)
    made = final(story)
    assert (made.server, made.name, made.arguments) == ("zoo", "look", '{"animal":"cat"}')
    assert (made.output, made.failure, made.status) == (output, failure, Status.COMPLETED)
    assert story.last(o.ResponseEnded).response.status == "completed"
    assert story.last(o.ResponseEnded).response.output == (made,)


def test_a_call_starts_when_its_own_arguments_are_whole() -> None:
    story = listed(zoo())
    story.respond()
    work = story.last(o.Generate).work
    story.give(i.CallWritten(work, 0, "call_0", "look", '{"animal":'))
    assert not story.all(o.CallMcpTool)
    story.give(i.CallWritten(work, 0, "call_0", "look", '"cat"}'))
    assert [made.name for made in story.all(o.CallMcpTool)] == ["look"]
    story.give(i.McpToolReturned(story.last(o.CallMcpTool).work, "first"))
    assert final(story).output == "first"
    call(story, "feed", index=1)
    end_writing(story)
    assert story.last(o.CallMcpTool).name == "feed"
    assert not story.all(o.ResponseEnded)
    returns(story, "second")
    assert [item.output for item in story.last(o.ResponseEnded).response.output] == ["first", "second"]  # type: ignore[union-attr]


def test_work_that_breaks_fails_the_call_and_not_the_response() -> None:
    story = listed(zoo())
    story.respond()
    call(story, "look")
    end_writing(story)
    story.give(i.WorkFailed(story.last(o.CallMcpTool).work, "internal_error", "internal error"))
    assert final(story).failure == McpFailure("tool", "internal error")
    assert story.last(o.ResponseEnded).response.status == "completed"


def test_the_model_is_told_of_the_call_by_the_next_response() -> None:
    story = listed(zoo())
    story.respond()
    call(story, "look")
    end_writing(story)
    returns(story)
    story.respond()
    told = story.last(o.Generate).context[-1]
    assert isinstance(told, McpCall)
    assert (told.function, told.output) == ("look", "It sleeps.")


@pytest.mark.parametrize("whole", [True, False])
def test_cancelling_stops_the_call_and_the_model_learns_whether_it_may_have_been_made(whole: bool) -> None:
    story = listed(zoo())
    story.respond()
    call(story, "feed", '{"animal":"cat"}' if whole else '{"animal":"c')
    story.give(i.CancelResponse("browser", None))
    ended = ["McpCallEnded"] if whole else ["McpArgumentsEnded"]
    names = [name for name in story.names() if name != "StopWork"]
    assert names[-len(ended) - 2 :] == [*ended, "OutputEnded", "ResponseEnded"]
    assert final(story).status is Status.INCOMPLETE
    failure = final(story).failure
    assert failure is not None
    assert ("may have been carried out" in failure.message) == whole
    stopped = {stop.work for stop in story.all(o.StopWork)}
    assert {made.work for made in story.all(o.CallMcpTool)} <= stopped
    story.wait(5)
    assert len(story.all(o.ResponseBegan)) == 1


def test_a_turn_cuts_the_call_too_and_is_answered() -> None:
    story = listed(zoo())
    story.ask(turn_detection=TurnDetection())
    story.respond()
    call(story, "feed")
    end_writing(story)
    story.talk(0.2)
    assert story.last(o.ResponseEnded).response.reason == "turn_detected"
    assert story.last(o.CallMcpTool).work in {stop.work for stop in story.all(o.StopWork)}
    story.pause(0.6)
    story.recognise("never mind")
    assert isinstance(story.last(o.Generate).context[-2], McpCall)


# --- approval --------------------------------------------------------------------------------------------------------

APPROVALS: list[tuple[Any, list[str]]] = [
    ("always", ["look", "feed"]),
    ("never", []),
    (ApprovalFilter(never=ToolFilter(("look",))), ["feed"]),
    (ApprovalFilter(always=ToolFilter(("feed",)), never=ToolFilter()), ["feed"]),
    (ApprovalFilter(never=ToolFilter(read_only=True)), ["feed"]),
    (ApprovalFilter(always=ToolFilter(("feed",)), never=ToolFilter(("feed",))), ["look", "feed"]),
    (ApprovalFilter(), ["look", "feed"]),
]


@pytest.mark.parametrize(("policy", "asked"), APPROVALS)
def test_who_is_asked_follows_the_policy(policy: Any, asked: list[str]) -> None:
    assert [tool.name for tool in (LOOK, FEED) if zoo(approval=policy).needs_approval(tool)] == asked


def awaiting() -> Story:
    story = listed(zoo(approval="always"))
    story.respond()
    call(story, "feed")
    end_writing(story)
    return story


def test_a_call_that_needs_approval_ends_its_response_and_runs_when_it_is_given() -> None:
    story = awaiting()
    assert story.names() == [
        "ResponseBegan", "Generate", "OutputBegan", "McpArgumentsSent", "McpArgumentsSent", "McpArgumentsEnded",
        "McpCallAwaits", "OutputBegan", "OutputEnded", "ResponseEnded",
    ]  # fmt: skip
    waiting, asking = story.last(o.ResponseEnded).response.output
    assert waiting.approval == asking.id  # type: ignore[union-attr]
    assert waiting.status is Status.IN_PROGRESS
    answer(story, approve=True)
    assert story.names() == ["ItemAdded", "McpCallBegan", "CallMcpTool"]
    returns(story)
    assert story.names() == ["McpCallEnded", "McpCallSettled"]
    settled = story.last(o.McpCallSettled).item
    assert (settled.id, settled.output, settled.status) == (waiting.id, "It sleeps.", Status.COMPLETED)


def test_a_call_that_is_forbidden_is_never_made_and_the_model_learns_why() -> None:
    story = awaiting()
    answer(story, approve=False, why="It is full.")
    assert not story.all(o.CallMcpTool)
    failure = story.last(o.McpCallSettled).item.failure
    assert failure is not None
    assert "did not allow" in failure.message
    assert "It is full." in failure.message
    story.wait(1.1)
    assert any(isinstance(item, McpCall) and item.failure for item in story.last(o.Generate).context)


def test_answers_that_nobody_waits_for_are_refused() -> None:
    story = awaiting()
    answer(story, approve=True, request="item_x")
    assert "does not exist" in story.refused().message
    answer(story, approve=True)
    answer(story, approve=False)
    assert "already answered" in story.refused().message
    assert story.refused().param == "item.approval_request_id"
    assert len(story.all(o.CallMcpTool)) == 1


def test_a_call_that_is_settled_before_its_response_ends_is_settled_in_the_response_too() -> None:
    story = listed(zoo(approval="always"))
    story.respond()
    call(story, "feed")
    answer(story, False, "He has eaten.")
    assert story.all(o.McpCallSettled)
    end_writing(story)
    told = story.last(o.ResponseEnded).response.output[0]
    assert isinstance(told, McpCall)
    assert told.status is Status.COMPLETED
    assert told.failure is not None


def test_a_call_that_is_deleted_before_its_response_ends_is_over_in_the_response_too() -> None:
    story = listed(zoo(approval="always"))
    story.respond()
    call(story, "feed")
    story.give(i.DeleteItem("browser", "delete", story.last(o.McpCallAwaits).item.id))
    end_writing(story)
    assert story.last(o.ResponseEnded).response.output[0].status is Status.INCOMPLETE


def test_deleting_the_question_forbids_the_call_and_deleting_the_call_ends_it() -> None:
    story = awaiting()
    asking = story.last(o.OutputEnded).item.id
    story.give(i.DeleteItem("browser", None, asking))
    assert story.last(o.McpCallSettled).item.failure is not None
    answer(story, approve=True, request=asking)
    assert not story.all(o.CallMcpTool)
    story = awaiting()
    answer(story, approve=True)
    story.give(i.DeleteItem("browser", None, story.last(o.McpCallAwaits).item.id))
    assert story.last(o.StopWork).work == story.last(o.CallMcpTool).work
    returns(story)
    assert not story.all(o.McpCallSettled)


def test_the_end_of_the_session_stops_all_that_runs() -> None:
    story = awaiting()
    answer(story, approve=True)
    story.ask(tools=(zoo(), zoo(label="farm", address=4)))
    works = {story.last(o.CallMcpTool).work, story.last(o.ListMcpTools).work}
    story.give(i.Finish("drain"))
    assert works <= {stop.work for stop in story.all(o.StopWork)}


# --- what follows ----------------------------------------------------------------------------------------------------


def called(**config: Any) -> Story:
    story = listed(zoo(), **config)
    story.respond()
    call(story, "look")
    end_writing(story)
    returns(story)
    return story


def test_a_client_that_asks_at_once_is_answered_once() -> None:
    story = called()
    story.respond()
    story.write("It sleeps.")
    story.wait(10)
    assert len(story.all(o.ResponseBegan)) == 2
    assert not story.all(o.Refused)


def test_for_a_client_that_does_not_ask_we_go_on_after_a_second() -> None:
    story = called()
    story.wait(0.9)
    assert len(story.all(o.ResponseBegan)) == 1
    story.wait(0.2)
    assert len(story.all(o.ResponseBegan)) == 2
    story.write("It sleeps.")
    story.wait(10)
    assert len(story.all(o.ResponseBegan)) == 2


def test_nobody_goes_on_where_the_operator_wants_it_so() -> None:
    story = called(follow_up_s=None)
    story.wait(60)
    assert len(story.all(o.ResponseBegan)) == 1


def test_while_the_person_speaks_their_turn_is_what_is_answered() -> None:
    story = called()
    story.ask(turn_detection=TurnDetection())
    story.talk(1.5)
    assert len(story.all(o.ResponseBegan)) == 1
    story.pause(0.6)
    story.recognise("and the dog?")
    story.write("It eats.")
    story.wait(5)
    assert len(story.all(o.ResponseBegan)) == 2


def test_a_model_that_cannot_stop_calling_is_left_alone_in_the_end() -> None:
    story = called(max_tool_rounds=3)
    for _ in range(10):
        story.wait(2)
        if story.all(o.ResponseBegan)[-1].response.id != story.last(o.ResponseEnded).response.id:
            call(story, "look")
            end_writing(story)
            returns(story)
    assert len(story.all(o.ResponseBegan)) == 1 + 3


def test_patience_begins_anew_when_a_response_ends() -> None:
    follow_up = FollowUp(1.0, 8)
    dues = [follow_up.due]
    follow_up.put_off(5.0)
    dues.append(follow_up.due)
    follow_up.owe(10.0)
    dues.append(follow_up.due)
    follow_up.put_off(12.0)
    dues.append(follow_up.due)
    follow_up.forget()
    dues.append(follow_up.due)
    assert dues == [None, None, 11.0, 13.0, None]


def test_out_of_band_the_model_goes_on_by_itself_and_nobody_is_asked_for_approval() -> None:
    story = listed(zoo(approval=ApprovalFilter(never=ToolFilter(("look",)))))
    story.respond(detached=True)
    call(story, "look", index=0)
    call(story, "feed", index=1)
    end_writing(story)
    assert [made.name for made in story.all(o.CallMcpTool)] == ["look"]
    returns(story)
    told = [item for item in story.last(o.Generate).context if isinstance(item, McpCall)]
    assert {item.name: item.failure is None for item in told} == {"look": True, "feed": False}
    story.write("It sleeps.")
    story.wait(5)
    assert len(story.all(o.ResponseBegan)) == 1
    assert story.session.conversation.as_heard()[1:] == ()


def asked_aloud() -> Story:
    """A client that does not ask has left it to us."""
    story = awaiting()
    story.wait(1.1)
    told = next(item for item in story.last(o.Generate).context if isinstance(item, McpCall))
    assert "Feed an animal: shall I do that?" in told.question
    return story


def type_in(story: Story, words: str) -> None:
    message = Message("", Role.USER, (Text(words),))
    story.give(i.CreateItem("browser", None, message, consent=consent_in(words, "en")))


def told_later(story: Story) -> str:
    return next(item.output for item in reversed(story.last(o.Generate).context) if isinstance(item, FunctionOutput))


def test_the_person_is_asked_aloud_where_the_client_does_not_and_a_yes_makes_the_call() -> None:
    story = asked_aloud()
    story.write("Shall I feed the lion?")
    type_in(story, "yes please")
    story.respond()
    generated = len(story.all(o.Generate))
    returns(story)
    assert len(story.all(o.Generate)) == generated + 1, "the answer waits for what came of it"
    assert told_later(story) == "It sleeps."
    assert story.last(o.McpCallSettled).item.output == "It sleeps."


@pytest.mark.parametrize(("words", "why"), [("no", "did not allow"), ("what is that", "neither yes nor no")])
def test_anything_but_a_yes_to_the_question_forbids_the_call(words: str, why: str) -> None:
    story = asked_aloud()
    story.write("Shall I feed the lion?")
    type_in(story, words)
    assert not story.all(o.CallMcpTool)
    story.respond()
    assert why in told_later(story)
    assert '"status":"not done"' in told_later(story)


def test_before_it_was_asked_aloud_nothing_that_is_said_is_an_answer() -> None:
    story = awaiting()
    type_in(story, "yes")
    assert not story.all(o.CallMcpTool)
    answer(story, approve=True)
    assert len(story.all(o.CallMcpTool)) == 1


def test_who_answers_by_hand_while_the_question_is_asked_hears_no_more_of_it() -> None:
    story = asked_aloud()
    answer(story, approve=True)
    assert story.last(o.ResponseEnded).response.status == "cancelled"
    assert story.all(o.CallMcpTool)
    type_in(story, "yes")
    assert len(story.all(o.CallMcpTool)) == 1


def test_a_server_that_leaves_all_to_clients_never_asks() -> None:
    story = listed(zoo(approval="always"), follow_up_s=None)
    story.respond()
    call(story, "feed")
    end_writing(story)
    story.wait(30)
    assert len(story.all(o.Generate)) == 1


# --- the operator's own servers --------------------------------------------------------------------------------------


def test_tools_of_the_operators_servers_are_the_servers_own() -> None:
    own = McpServer("home", address=0, approval="never", allowed=ToolFilter(("look",)))
    story = Story(Settings(speaks=False), mcp_servers=(own,))
    assert story.names() == ["Welcomed", "ListMcpTools"]
    story.respond()
    assert not story.all(o.Generate)
    story.give(i.McpToolsListed(story.last(o.ListMcpTools).work, (LOOK, FEED)))
    assert [tool.name for tool in story.last(o.Generate).tools] == ["look"]
    call(story, "look")
    end_writing(story)
    assert story.last(o.CallMcpTool).address == 0
    assert story.names()[-2:] == ["ToolBegan", "CallMcpTool"]
    returns(story, None, McpFailure("tool", "it bites"))
    assert story.names() == ["ToolEnded", "Generate"]
    assert '"error":"it bites"' in story.last(o.ToolEnded).output
    story.write("It bites.")
    assert story.last(o.ResponseEnded).response.status == "completed"
    assert len(story.last(o.ResponseEnded).response.output) == 1


def test_a_call_of_the_operators_server_that_has_to_be_allowed_is_asked_about_as_the_servers_own() -> None:
    own = McpServer("home", address=0, approval=ApprovalFilter(never=ToolFilter(("look",))))
    story = Story(Settings(speaks=False), mcp_servers=(own,))
    story.give(i.McpToolsListed(story.last(o.ListMcpTools).work, (LOOK, FEED)))
    story.respond()
    call(story, "feed")
    end_writing(story)
    assert story.last(o.ApprovalAsked).name == "feed"
    assert not story.all(o.CallMcpTool)
    story.write("Shall I?")
    type_in(story, "yes")
    story.respond()
    assert story.last(o.CallMcpTool).name == "feed"


def test_an_operators_server_that_fails_is_remarked_and_nothing_else() -> None:
    story = Story(Settings(), mcp_servers=(McpServer("home", address=0),))
    story.give(i.WorkFailed(story.last(o.ListMcpTools).work, "mcp_failed", "It cannot be reached."))
    assert story.names() == ["Welcomed", "ListMcpTools", "Remark"]


def test_an_operators_server_that_has_failed_is_asked_again_with_each_response_and_holds_up_none() -> None:
    story = Story(Settings(speaks=False), mcp_servers=(McpServer("home", address=0),))
    story.give(i.WorkFailed(story.last(o.ListMcpTools).work, "mcp_failed", "It cannot be reached."))
    story.respond()
    assert story.last(o.Generate).tools == ()
    assert len(story.all(o.ListMcpTools)) == 2
    story.write("x")
    story.respond()
    assert len(story.all(o.ListMcpTools)) == 2
    story.give(i.McpToolsListed(story.last(o.ListMcpTools).work, (LOOK,)))
    story.write("y")
    story.respond()
    assert [tool.name for tool in story.last(o.Generate).tools] == ["look"]


def test_a_round_with_tools_of_both_leaves_the_answer_to_the_client_with_all_that_was_brought() -> None:
    story = Story(Settings(speaks=False, tools=(zoo(),)), mcp_servers=(McpServer("home", address=0, approval="never"),))
    first, second = story.all(o.ListMcpTools)
    assert (first.address, second.address) == (0, 3)
    story.give(i.McpToolsListed(first.work, (LOOK,)))
    story.give(i.McpToolsListed(second.work, (FEED,)))
    story.respond()
    call(story, "look", index=0)
    call(story, "feed", index=1)
    end_writing(story)
    for made, output in zip(story.all(o.CallMcpTool), ("It sleeps.", "It eats."), strict=True):
        story.give(i.McpToolReturned(made.work, output))
    assert len(story.all(o.Generate)) == 1
    assert story.last(o.ResponseEnded).response.status == "completed"
    story.respond()
    answers = [getattr(item, "output", None) for item in story.last(o.Generate).context]
    assert "It sleeps." in answers
    assert "It eats." in answers


def test_a_transcription_session_asks_nobody() -> None:
    story = Story(Settings(kind="transcription", tools=(zoo(),)), mcp_servers=(McpServer("home", address=0),))
    story.ask(tools=(zoo(),))
    assert not story.all(o.ListMcpTools)
