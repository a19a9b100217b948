"""MCP servers that are programs, with a real one: started once, asked by all sessions, ended with ours."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from antiphon.errors import EngineError
from antiphon.tools.mcp import Address, McpAddresses, McpConnections, McpLimits, Program

pytestmark = [pytest.mark.real]
SCRIPT = str(Path(__file__).with_name("mcp_program.py"))
LIMITS = McpLimits(list_timeout_s=60.0, call_timeout_s=60.0)


def addresses(*command: str) -> McpAddresses:
    return McpAddresses([Address("", is_ours=True, program=Program(command, {"PLACE": "Berlin"}))])


@pytest.mark.slow
def test_a_program_is_started_once_for_all_sessions_and_again_when_it_was_lost() -> None:
    async def story() -> None:
        zoo = addresses(sys.executable, SCRIPT)
        shared = McpConnections(zoo, LIMITS)
        one, other = (McpConnections(zoo, LIMITS, shared) for _ in range(2))
        try:
            listed, _ = await asyncio.gather(one.list_tools(0), other.list_tools(0))
            assert [tool.name for tool in listed] == ["look", "end", "hang"]
            hanging = asyncio.create_task(one.call(0, "hang", "{}"))
            assert (await one.call(0, "look", '{"animal":"cat"}')).output == "The cat sleeps, in Berlin, after 1 calls."
            await one.close()
            assert "after 2 calls" in str((await other.call(0, "look", '{"animal":"dog"}')).output)
            failure = (await other.call(0, "end", "{}")).failure
            assert failure is not None
            assert failure.kind == "protocol"
            assert "after 1 calls" in str((await other.call(0, "look", '{"animal":"dog"}')).output), "it is another one"
            assert (await hanging).failure is not None, "what was lost with the program is told"
        finally:
            await shared.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/nowhere/at-all",), "No such file"),
        ((sys.executable, "-c", "pass"), "connection"),
        ((sys.executable, "-c", "print('x' * 3_000_000); input()"), "connection"),
    ],
)
def test_a_program_that_does_not_start_or_is_no_mcp_server_is_refused_with_the_reason(
    command: tuple[str, ...], reason: str
) -> None:
    async def story() -> None:
        made = McpConnections(addresses(*command), LIMITS)
        with pytest.raises(EngineError) as caught:
            await made.list_tools(0)
        assert reason.lower() in caught.value.message.lower()
        await made.close()

    asyncio.run(story())
