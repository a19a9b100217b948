"""Which tools the sessions of a key may use, over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from calling import KEY, Client, client, server, web

from antiphon.config import load
from antiphon.engines.api import LlmRequest, ToolAnswered
from antiphon.engines.fake import Call, FakeLlm
from antiphon.server.mcp import own_servers
from antiphon.session.items import McpTool
from antiphon.session.settings import ToolFilter
from antiphon.tools.api import Conduct
from antiphon.tools.function import tool
from antiphon.tools.registry import Registry

GUEST = "guest-0123456789-0123456789-0123456789"
KEYS: dict[str, Any] = {
    "server__keys": [KEY],
    "server__named_keys": {"guest": GUEST},
    "tools__for_keys": {"guest": {"offer": ["look"]}},
}


@tool(conduct=Conduct(reads_only=True))
def look() -> str:
    """Look."""
    return "nothing"


@tool
def push() -> str:
    """Push."""
    return "it moves"


async def ask(call: Client) -> list[dict[str, Any]]:
    """Let the model answer, and return what became known of tools."""
    await call.send("response.create", response={"output_modalities": ["text"]})
    await call.receive("response.done")
    return [event for event in call.events if event["type"] == "antiphon.tool.done"]


@pytest.mark.real
def test_a_key_with_a_name_has_the_tools_that_are_for_it_and_so_have_its_client_secrets() -> None:
    own = tuple(each.tool for each in Registry((look, push)))

    async def story() -> None:
        requests: list[LlmRequest] = []

        def push_it(request: LlmRequest) -> str | Call:
            requests.append(request)
            return "Done." if request.messages and isinstance(request.messages[-1], ToolAnswered) else Call("push")

        async with server(FakeLlm(push_it), own_tools=own, **KEYS) as made:
            async with client(made, "?antiphon=1", KEY) as call:
                (done,) = await ask(call)
                assert done["output"] == "it moves"
                assert {each.name for each in requests[0].tools} == {"look", "push", "read_more"}
            async with web(made, GUEST) as pages:
                page = (await pages.get("/v1/tools")).json()
                assert [each["id"] for each in page["data"] if each["offered"]] == ["look", "read_more"]
                assert [each["id"] for each in page["data"] if not each["offered"]] == ["push"]
                secret = (await pages.post("/v1/realtime/client_secrets")).json()["value"]
            for shown in (GUEST, secret):
                before = len(requests)
                async with client(made, "?antiphon=1", shown) as call:
                    assert await ask(call) == [], "what is not for them does not run"
                first, second = requests[before:]
                assert [each.name for each in first.tools] == ["look", "read_more"]
                assert "may not be used in this session" in str(second.messages[-1])

    asyncio.run(story())


TOOLS = {
    "read": McpTool("read", "", {}, read_only=True),
    "write": McpTool("write", "", {}),
    "wipe": McpTool("wipe", "", {}, destroys=True),
}


@pytest.mark.parametrize(
    ("approval", "offered", "asked"),
    [
        ("auto", "read write wipe", ""),
        ("safe-only", "read", ""),
        ("confirm-dangerous", "read write wipe", "wipe"),
        ("always-ask", "read write wipe", "read write wipe"),
    ],
)
def test_the_operators_mcp_servers_follow_the_policy_and_are_for_whom_they_are_for(
    approval: str, offered: str, asked: str
) -> None:
    servers = {"home": {"url": "https://home.example/mcp"}, "shop": {"url": "https://shop.example/mcp"}}
    limits = {"server.named_keys": {"guest": GUEST}, "tools.for_keys": {"guest": {"servers": ["sh*"]}}}
    config = load(None, {}, {"mcp.servers": servers, "tools.approval": approval} | limits)
    home, shop = own_servers(config, "")
    allowed = home.allowed or ToolFilter()
    assert [name for name, each in TOOLS.items() if allowed.matches(each)] == offered.split()
    assert [name for name, each in TOOLS.items() if home.needs_approval(each)] == asked.split()
    assert own_servers(config, "guest") == (shop,)
    assert shop.address == 1
