"""Tools of real MCP servers in sessions over real sockets: what a client sees, and what nobody sees."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from calling import Client, client, server
from mcp_stage import Stage, staged

from antiphon.engines.api import LlmRequest, ToolAnswered
from antiphon.engines.fake import Call, FakeLlm
from antiphon.server.run import Running
from antiphon.session import trace

pytestmark = [pytest.mark.real, pytest.mark.slow]
SECRET = "hush-0123456789"
HOME: dict[str, Any] = {"mcp__allowed_hosts": ["127.0.0.1"]}


def zoo(stage: Stage, **more: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "zoo", "server_url": stage.url, "require_approval": "never", **more}


def caller(name: str) -> FakeLlm:
    """Calls this tool of a cat, and repeats what it was told."""

    def line(request: LlmRequest) -> str | Call:
        last = request.messages[-1]
        if isinstance(last, ToolAnswered):
            return f"I was told: {last.output}"
        return Call(name, '{"animal":"cat"}')

    return FakeLlm(line)


async def begin(call: Client, *tools: dict[str, Any], listed: bool = True) -> None:
    session = {"type": "realtime", "output_modalities": ["text"], "tools": list(tools)}
    await call.send("session.update", session=session)
    if listed:
        await call.receive("mcp_list_tools.completed")
        await call.receive("conversation.item.done")


async def ask(call: Client, words: str = "How is the cat?") -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    await call.send("conversation.item.create", item=item)
    await call.send("response.create")


def kinds(call: Client, first: str) -> list[str]:
    """What came, from the first of this kind on."""
    found = [event["type"] for event in call.events]
    return found[found.index(first) :]


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_tool_is_listed_called_and_answered_in_the_protocols_order(transport: Any) -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage, allowed_tools=["look"]))
        assert kinds(call, "session.updated") == [
            "session.updated", "conversation.item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed",
            "conversation.item.done",
        ]  # fmt: skip
        (tool,) = call.events[-1]["item"]["tools"]
        assert (tool["name"], tool["annotations"]) == ("look", {"readOnlyHint": True})
        assert tool["input_schema"]["required"] == ["animal"]
        await ask(call)
        done = await call.receive("response.done")
        assert kinds(call, "response.created") == [
            "response.created", "response.output_item.added", "conversation.item.added",
            "response.mcp_call_arguments.delta", "response.mcp_call_arguments.done", "response.mcp_call.in_progress",
            "response.mcp_call.completed", "response.output_item.done", "conversation.item.done", "response.done",
        ]  # fmt: skip
        (item,) = done["response"]["output"]
        assert (item["server_label"], item["name"], item["output"]) == ("zoo", "look", "The cat sleeps.")
        assert (item["error"], item["approval_request_id"]) == (None, None)
        await call.send("response.create")
        assert (await call.receive("response.output_text.done"))["text"] == "I was told: The cat sleeps."
        await call.receive("rate_limits.updated")

    run(story, "look", transport)


def test_for_a_client_that_does_not_ask_the_server_goes_on() -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage))
        await ask(call)
        await call.receive("response.done")
        assert (await call.receive("response.output_text.done"))["text"] == "I was told: The cat sleeps."
        await call.receive("rate_limits.updated")

    run(story, "look", mcp__follow_up_s=0.05)


def test_a_call_waits_to_be_allowed_and_a_forbidden_one_is_never_made() -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage, require_approval={"never": {"read_only": True}}))
        for approve, told in ((True, "The cat eats."), (False, "did not allow")):
            await ask(call, "Feed the cat.")
            done = await call.receive("response.done")
            waiting, asking = done["response"]["output"]
            assert (waiting["type"], asking["type"]) == ("mcp_call", "mcp_approval_request")
            assert waiting["approval_request_id"] == asking["id"]
            assert asking["arguments"] == '{"animal":"cat"}'
            answer = {"type": "mcp_approval_response", "approval_request_id": asking["id"], "approve": approve}
            await call.send("conversation.item.create", item=answer)
            await call.receive("response.mcp_call.completed" if approve else "response.mcp_call.failed")
            settled = (await call.receive("conversation.item.done"))["item"]
            assert told in (settled["output"] or settled["error"]["message"])
            assert settled["id"] == waiting["id"]
            await call.send("response.create")
            assert told in (await call.receive("response.output_text.done"))["text"]
            await call.receive("response.done")
        assert stage.fed == ["cat"]

    run(story, "feed")


def test_a_tool_that_fails_is_told_as_such_and_the_session_goes_on() -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage))
        await ask(call)
        await call.receive("response.mcp_call.failed")
        (item,) = (await call.receive("response.done"))["response"]["output"]
        assert item["error"]["type"] == "tool_execution_error"
        await call.send("response.create")
        assert "error" in (await call.receive("response.output_text.done"))["text"]
        await call.receive("rate_limits.updated")

    run(story, "tease")


def test_cancelling_a_response_cancels_the_call_at_the_mcp_server() -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage))
        await ask(call)
        await call.receive("response.mcp_call.in_progress")
        async with asyncio.timeout(5):
            await stage.hung.wait()
            await call.send("response.cancel")
            assert (await call.receive("response.done"))["response"]["status"] == "cancelled"
            await stage.was_cancelled.wait()

    run(story, "hide")


def test_a_host_that_the_operator_has_not_allowed_is_never_asked_and_the_session_goes_on() -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage), listed=False)
        await call.receive("mcp_list_tools.failed")
        error = (await call.receive("error"))["error"]
        assert (error["type"], error["code"]) == ("server_error", "mcp_list_tools_failed")
        assert "mcp.allowed_hosts" in error["message"]
        assert stage.headers == []
        await ask(call)
        assert (await call.receive("response.done"))["response"]["status"] == "completed"

    run(story, "look", mcp__allowed_hosts=["localhost", "example.com"])


def test_what_is_not_an_mcp_servers_address_refuses_the_update() -> None:
    async def story(stage: Stage, made: Running, call: Client) -> None:
        for wrong, param in (
            ({"connector_id": "connector_dropbox"}, "session.tools[0].connector_id"),
            ({"server_url": "file:///etc/passwd"}, "session.tools[0].server_url"),
            ({"server_url": "https://me:secret@zoo.example/"}, "session.tools[0].server_url"),
            ({"headers": {"Host": "other"}}, "session.tools[0].headers"),
            ({"headers": {"X-Key": "a\r\nX-Other: b"}}, "session.tools[0].headers"),
        ):
            await begin(call, zoo(stage, **wrong), listed=False)
            error = (await call.receive("error"))["error"]
            assert (error["code"], error["param"]) == ("invalid_value", param)
        assert stage.headers == []

    run(story, "look")


@pytest.mark.parametrize("redact", [False, True])
def test_secrets_reach_the_mcp_server_and_nothing_else_and_the_trace_replays(
    redact: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(stage: Stage, made: Running, call: Client) -> None:
        await begin(call, zoo(stage, authorization=SECRET, headers={"X-Zoo": f"{SECRET}-2"}, server_url=hidden(stage)))
        await ask(call)
        await call.receive("response.done")
        assert {headers["authorization"] for headers in stage.headers} == {f"Bearer {SECRET}"}
        assert {headers["x-zoo"] for headers in stage.headers} == {f"{SECRET}-2"}
        shown = next(event for event in call.events if event["type"] == "session.updated")["session"]["tools"][0]
        assert shown["server_url"] == stage.url
        assert SECRET not in json.dumps(call.events)

    run(story, "look", key=SECRET, trace__folder=tmp_path, trace__redact=redact)
    (path,) = tmp_path.iterdir()
    written = path.read_text()
    assert "mcp_tools_listed" in written
    assert SECRET not in written
    assert ("cat sleeps" in written) != redact
    steps, difference = trace.replay(written.encode().splitlines())
    assert steps > 5
    assert difference is None
    # At this level, those show every frame that they carry; ours, the library's and its HTTP client's are meant.
    logged = [record for record in caplog.records if not record.name.startswith(("uvicorn", "websockets"))]
    assert {record.name for record in logged} >= {"antiphon.server"}
    assert SECRET not in "".join(record.getMessage() for record in logged)


def hidden(stage: Stage) -> str:
    return f"{stage.url}?key={SECRET}-3"


def test_the_operators_own_mcp_server_is_at_work_without_a_word_of_mcp_on_the_wire() -> None:
    async def story() -> None:
        async with staged(key=SECRET) as stage:
            own = {"zoo": {"url": stage.url, "authorization": SECRET, "allowed_tools": ["look"]}}
            async with server(caller("look"), mcp__servers=own) as made, client(made) as call:
                await begin(call, listed=False)
                await ask(call)
                assert (await call.receive("response.output_text.done"))["text"] == "I was told: The cat sleeps."
                await call.receive("response.done")
                assert not [event for event in call.events if "mcp" in json.dumps(event)]

    asyncio.run(story())


def run(story: Any, tool: str, transport: Any = "http", key: str = "", **overrides: Any) -> None:
    async def whole() -> None:
        async with (
            staged(transport, key) as stage,
            server(caller(tool), **(HOME | overrides)) as made,
            client(made) as call,
        ):
            await story(stage, made, call)

    asyncio.run(whole())
