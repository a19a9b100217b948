"""A call of one of the server's own tools: what is done for it, and what the model reads of it.

Clients see no item of it, only that a tool is at work. Whether it may run, and what follows, is not decided here.
"""

from __future__ import annotations

from antiphon.session.inputs import Result, ToolReturned
from antiphon.session.mcp import RemoteTool, outcome_of, told
from antiphon.session.outputs import CallMcpTool, Output, RunTool, ToolBegan

WITHHELD = '{"error":"This tool may not be used in this session. Say that you cannot do it here."}'
NO_RESULT = '{"error":"The answer was interrupted before there was a result. It may have been done, or not."}'


class HiddenCall:
    """See the module."""

    def __init__(self, call_id: str, name: str, remote: RemoteTool | None) -> None:
        self.call_id = call_id
        self.name = name
        self.remote = remote
        """If it is a tool of one of the operator's MCP servers."""
        self.arguments = ""
        self.started = False

    def run(self, work: int, response_id: str) -> tuple[Output, Output]:
        """It runs under this number: what to say, and what to do."""
        began = ToolBegan(response_id, self.call_id, self.name, self.arguments)
        if self.remote is None:
            return began, RunTool(work, response_id, self.call_id, self.name, self.arguments)
        return began, CallMcpTool(work, self.remote.address, self.remote.name, self.arguments)


def told_of(result: Result) -> tuple[str, bool]:
    """What a model reads of what such a tool has answered, and whether it did what it should."""
    if isinstance(result, ToolReturned):
        return result.output, result.ok
    outcome = outcome_of(result)
    return told(outcome), outcome.failure is None
