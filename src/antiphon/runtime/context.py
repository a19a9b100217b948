"""From the session's items to what a model is told.

It decides nothing: which items, and how much of each, is the session's word.
"""

from __future__ import annotations

import json

from antiphon.engines.api import (
    AssistantSaid,
    ChatMessage,
    Image,
    LlmRequest,
    SystemSaid,
    ToolAnswered,
    ToolCalled,
    ToolSpec,
    UserSaid,
)
from antiphon.session.items import (
    FunctionCall,
    FunctionOutput,
    Item,
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpToolList,
    Message,
    Picture,
    Role,
    text_of,
)
from antiphon.session.outputs import Generate

SPEAKERS: dict[Role, type[SystemSaid] | type[UserSaid] | type[AssistantSaid]] = {
    Role.SYSTEM: SystemSaid,
    Role.USER: UserSaid,
    Role.ASSISTANT: AssistantSaid,
}


def request_from(task: Generate) -> LlmRequest:
    """The question that this task asks the model."""
    messages = tuple(message for item in task.context for message in _messages(item))
    tools = tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in task.tools)
    return LlmRequest(messages, task.instructions, tools, task.tool_choice, task.max_tokens, task.model, task.hints)


def _messages(item: Item) -> tuple[ChatMessage, ...]:
    match item:
        case Message(role=role):
            text = text_of(item)
            images = tuple(Image(part.url, part.detail) for part in item.content if isinstance(part, Picture))
            if images:
                return (UserSaid(text, images),)
            # An answer of which nothing was heard, or a turn without a word, is nothing that was said.
            return (SPEAKERS[role](text),) if text else ()
        case FunctionCall(call_id=call_id, name=name, arguments=arguments):
            return (ToolCalled(call_id, name, arguments),)
        case FunctionOutput(call_id=call_id, output=output):
            return (ToolAnswered(call_id, output),)
        case McpCall():
            return ToolCalled(item.id, item.function, item.arguments), ToolAnswered(item.id, _outcome(item))
        case McpToolList() | McpApprovalRequest() | McpApprovalResponse():
            return ()


def _outcome(call: McpCall) -> str:
    if call.failure is not None:
        return json.dumps({"error": call.failure.message})
    if call.output is None:
        return json.dumps({"error": "The person has not allowed this call yet."})
    return call.output
