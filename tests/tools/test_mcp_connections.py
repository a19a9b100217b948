"""Connections to real MCP servers of the official library, over both transports, and all that can go wrong on them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest
from mcp_stage import Stage, staged

from antiphon.errors import EngineError, PeerError
from antiphon.session.items import McpFailure
from antiphon.tools import mcp
from antiphon.tools.mcp import Address, McpAddresses, McpConnections, McpLimits, check_host, check_url

HERE = ("127.0.0.1",)
CAT = '{"animal":"cat"}'
Transport = Literal["http", "json", "sse"]
Story = Callable[[Stage, McpConnections, McpAddresses], Awaitable[None]]


@asynccontextmanager
async def connections(stage: Stage, **limits: Any) -> AsyncIterator[tuple[McpConnections, McpAddresses]]:
    """To the stage, whose number is 0."""
    addresses = McpAddresses()
    addresses.address(stage.url, {}, "server_url")
    made = McpConnections(addresses, McpLimits(**({"allowed_hosts": HERE} | limits)))
    try:
        yield made, addresses
    finally:
        await made.close()


def run(story: Story, transport: Transport = "http", key: str = "", **limits: Any) -> None:
    async def whole() -> None:
        async with staged(transport, key) as stage, connections(stage, **limits) as (made, addresses):
            await story(stage, made, addresses)

    asyncio.run(whole())


async def refused(made: McpConnections, number: int) -> str:
    with pytest.raises(EngineError) as caught:
        await made.list_tools(number)
    return caught.value.message


@pytest.mark.real
@pytest.mark.parametrize("transport", ["http", "json", "sse"])
def test_tools_are_listed_and_called_on_one_connection(transport: Transport) -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        tools = await made.list_tools(0)
        assert [tool.name for tool in tools] == ["look", "feed", "tease", "list_show", "list_remove", "roar", "hide"]
        assert [tool.name for tool in tools if tool.read_only] == ["look", "list_show"]
        assert [tool.name for tool in tools if tool.destroys] == ["list_remove"]
        assert tools[0].description == "Say what an animal does."
        assert tools[0].parameters["required"] == ["animal"]
        before = len(stage.headers)
        first, second = await asyncio.gather(made.call(0, "look", CAT), made.call(0, "feed", CAT))
        assert (first.output, second.output) == ("The cat sleeps.", "The cat eats.")
        assert len(stage.headers) == before + 2

    run(story, transport)


@pytest.mark.real
def test_what_goes_wrong_at_the_tool_is_the_tools_and_the_connection_stays() -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        for name, arguments in (("tease", CAT), ("nothing", "{}"), ("look", "not JSON"), ("look", "[]")):
            failure = (await made.call(0, name, arguments)).failure
            assert failure is not None
            assert failure.kind == "tool"
        assert (await made.call(0, "look", CAT)).output == "The cat sleeps."

    run(story)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_tool_that_hangs_is_given_up_and_told_so_and_others_go_on(transport: Transport) -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        await made.list_tools(0)
        failure = (await made.call(0, "hide", "{}")).failure
        assert failure == McpFailure("protocol", "hide did not answer within 0.5 seconds.", mcp.REQUEST_TIMEOUT)
        async with asyncio.timeout(5):
            await stage.was_cancelled.wait()
        assert (await made.call(0, "look", CAT)).output == "The cat sleeps."

    run(story, transport, call_timeout_s=0.5)


@pytest.mark.real
def test_cancelling_a_call_cancels_it_at_the_server() -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        call = asyncio.create_task(made.call(0, "hide", "{}"))
        async with asyncio.timeout(5):
            await stage.hung.wait()
            call.cancel()
            await stage.was_cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(story)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("transport", ["http", "json", "sse"])
def test_a_long_result_is_read_and_a_huge_one_is_not(transport: Transport) -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        assert (await made.call(0, "roar", '{"letters":50000}')).output == "r" * 50_000
        failure = (await made.call(0, "roar", '{"letters":3000000}')).failure
        assert failure is not None
        assert failure.kind == "protocol"
        assert (await made.call(0, "look", CAT)).output == "The cat sleeps."

    run(story, transport)


@pytest.mark.real
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_server_that_lets_nobody_in_or_sends_elsewhere_says_so_by_its_status(transport: Transport) -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        assert "401" in await refused(made, 0)
        failure = (await made.call(0, "look", CAT)).failure
        assert failure is not None
        assert "401" in failure.message
        key = {"Authorization": "Bearer sesame"}
        moved = addresses.address(stage.url.rpartition("/")[0] + "/moved", key, "server_url")
        message = await refused(made, moved)
        assert "307" in message
        assert "not followed" in message
        right = addresses.address(stage.url, key, "server_url")
        assert await made.list_tools(right)

    run(story, transport, key="sesame")


@pytest.mark.slow
@pytest.mark.real
def test_a_server_that_is_not_there_or_says_nothing_is_given_up_in_time() -> None:
    async def story() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        listener = await asyncio.start_server(silent, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        addresses = McpAddresses()
        nobody = addresses.address("http://127.0.0.1:1/mcp", {}, "server_url")
        mute = addresses.address(f"http://127.0.0.1:{port}/mcp", {}, "server_url")
        made = McpConnections(addresses, McpLimits(HERE, list_timeout_s=0.3, call_timeout_s=0.3))
        assert await refused(made, nobody) == "It cannot be reached."
        assert "0.3 seconds" in await refused(made, mute)
        failure = (await made.call(mute, "look", CAT)).failure
        assert failure is not None
        assert failure.code in (mcp.REQUEST_TIMEOUT, mcp.CONNECTION_CLOSED)
        await made.close()
        listener.close()

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_after_a_server_was_lost_the_next_call_connects_anew(transport: Transport) -> None:
    async def story() -> None:
        async with staged(transport) as first, connections(first) as (made, _):
            await made.list_tools(0)
            made.leave(0)
            assert (await made.call(0, "look", CAT)).output == "The cat sleeps."
        async with connections(first) as (made, _):
            failure = (await made.call(0, "look", CAT)).failure
            assert failure == McpFailure("protocol", "It cannot be reached.", mcp.CONNECTION_CLOSED)

    asyncio.run(story())


@pytest.mark.real
def test_a_list_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(stage: Stage, made: McpConnections, addresses: McpAddresses) -> None:
        library = await mcp.library()
        monkeypatch.setattr(library, "MAX_TOOLS", 3)
        assert "too long" in await refused(made, 0)
        monkeypatch.setattr(library, "MAX_TOOLS", 5)
        monkeypatch.setattr(library, "MAX_LIST_BYTES", 100)
        assert "too long" in await refused(made, 0)

    run(story)


# --- who may be asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "allowed", "reason"),
    [
        ("https://zoo.example/mcp", ("zoo.example",), ""),
        ("https://zoo.example/mcp", ("zoo.example:443",), ""),
        ("https://ZOO.example:8443/mcp", ("zoo.example:8443",), ""),
        ("http://127.0.0.1:8000/mcp", ("127.0.0.1:8000",), ""),
        ("http://[::1]:8000/mcp", ("[::1]",), ""),
        ("http://localhost/mcp", ("localhost",), ""),
        ("https://zoo.example/mcp", (), "mcp.allowed_hosts"),
        ("https://zoo.example:8443/mcp", ("zoo.example:443",), "mcp.allowed_hosts"),
        ("https://evil.zoo.example/mcp", ("zoo.example",), "mcp.allowed_hosts"),
        ("https://zoo.example.evil/mcp", ("zoo.example",), "mcp.allowed_hosts"),
        ("http://127.0.0.1:8001/mcp", ("127.0.0.1:8000",), "mcp.allowed_hosts"),
        ("http://127.1/mcp", ("127.0.0.1",), "mcp.allowed_hosts"),
        ("http://zoo.example/mcp", ("zoo.example",), "https://"),
        ("http://10.0.0.1/mcp", ("10.0.0.1",), "https://"),
        ("http://169.254.169.254/latest", (), "mcp.allowed_hosts"),
    ],
)
def test_only_allowed_hosts_are_asked(url: str, allowed: tuple[str, ...], reason: str) -> None:
    if not reason:
        check_host(url, allowed)
        return
    with pytest.raises(EngineError) as refusal:
        check_host(url, allowed)
    assert reason in refusal.value.message


@pytest.mark.real
def test_the_operators_own_need_not_be_allowed() -> None:
    async def story() -> None:
        async with staged() as stage:
            made = McpConnections(McpAddresses([Address(stage.url, is_ours=True)]), McpLimits())
            assert "look" in {tool.name for tool in await made.list_tools(0)}
            await made.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "url",
    [
        "", "zoo.example/mcp", "ftp://zoo.example/", "https://", "https:///mcp", "https://zoo.example:0/",
        "https://zoo.example:99999/", "https://[::1/", "https://zoo.example/a b", "https://zoo.example\\@evil/",
        "https://zoo.example/\n", "https://z\u00f6o.example/", "https://a@zoo.example/", "https://a:b@zoo.example/",
        "https://zoo.example/#part", "https://zoo.example/" + "x" * 2000, "file:///etc/passwd",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(PeerError) as refusal:
        check_url(url, "server_url")
    assert refusal.value.param == "server_url"


def test_an_address_has_a_number_which_tells_nothing() -> None:
    addresses = McpAddresses([Address("https://home.example/", {"Authorization": "hush"}, is_ours=True)])
    zoo = addresses.address("https://zoo.example/mcp?key=hush", {"X-Key": "hush"}, "server_url")
    assert zoo == addresses.address("https://zoo.example/mcp?key=hush", {"X-Key": "hush"}, "server_url")
    assert zoo != addresses.address("https://zoo.example/mcp?key=hush", {"X-Key": "other"}, "server_url")
    # A client cannot become the operator by saying the same.
    assert addresses.address("https://home.example/", {"Authorization": "hush"}, "server_url") != 0
    assert "hush" not in repr(addresses[0]) + repr(addresses[zoo])


def test_a_session_can_name_only_so_many() -> None:
    addresses = McpAddresses()
    for number in range(mcp.MAX_ADDRESSES):
        addresses.address(f"https://zoo.example/{number}", {}, "server_url")
    with pytest.raises(PeerError, match="Too many"):
        addresses.address("https://zoo.example/more", {}, "server_url")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other"}, {"content-length": "0"}, {"X Key": "a"}, {"": "a"}, {"X-Key": "a\nb"}, {"X-Key": "\u4e2d"},
        {"X-Key": "x" * 9000}, {f"X-{number}": "a" for number in range(40)},
    ],
)  # fmt: skip
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(PeerError) as refusal:
        McpAddresses().address("https://zoo.example/mcp", headers, "session.tools[0].server_url")
    assert refusal.value.param == "session.tools[0].headers"


def test_without_the_library_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp, "LIBRARY", "antiphon.tools.nowhere")
    addresses = McpAddresses([Address("https://zoo.example/mcp", is_ours=True)])
    with pytest.raises(EngineError) as refusal:
        asyncio.run(McpConnections(addresses, McpLimits()).list_tools(0))
    assert refusal.value.code == "mcp_not_installed"
    assert "pip install '.[mcp]'" in refusal.value.hint


def test_a_tool_whose_schema_is_none_is_left_out_and_the_others_are_there(caplog: pytest.LogCaptureFixture) -> None:
    from mcp_types import Tool

    from antiphon.tools.mcp_client import fit_for_a_model

    deep: dict[str, Any] = {"type": "object"}
    for _ in range(5_000):
        deep = {"type": "object", "properties": {"a": deep}}
    tools = [
        Tool(name="good", input_schema={"type": "object", "properties": {"a": {"type": "string"}}}),
        Tool(name="no type that there is", input_schema={"type": "thing"}),
        Tool(name="no list of names", input_schema={"type": "object", "required": "a"}),
        Tool(name="no object", input_schema={"type": "array"}),
        Tool(name="no end", input_schema=deep),
    ]
    assert [tool.name for tool in fit_for_a_model(tools)] == ["good"]
    assert [tool.name in record.getMessage() for tool, record in zip(tools[1:], caplog.records, strict=True)] == [
        True
    ] * 4


def test_deeply_nested_arguments_are_no_arguments() -> None:
    outcome = asyncio.run(McpConnections(McpAddresses(), McpLimits()).call(0, "look", "[" * 200_000))
    assert outcome.failure is not None
    assert "JSON object" in outcome.failure.message
    assert json.dumps(outcome.failure.message)
