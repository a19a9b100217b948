"""From the session's items to what a model is told.

It decides nothing: which items, and how much of each, is the session's word.
"""

from __future__ import annotations

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
from antiphon.session.items import Foreign, FunctionCall, FunctionOutput, Item, Message, Picture, Role, text_of
from antiphon.session.outputs import Generate

SPEAKERS: dict[Role, type[SystemSaid] | type[UserSaid] | type[AssistantSaid]] = {
    Role.SYSTEM: SystemSaid,
    Role.USER: UserSaid,
    Role.ASSISTANT: AssistantSaid,
}


def request_from(task: Generate) -> LlmRequest:
    """The question that this task asks the model."""
    messages = tuple(message for item in task.context if (message := _message(item)) is not None)
    tools = tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in task.tools)
    return LlmRequest(messages, task.instructions, tools, task.tool_choice, task.max_tokens, task.model, task.hints)


def _message(item: Item) -> ChatMessage | None:
    match item:
        case Message(role=role):
            text = text_of(item)
            images = tuple(Image(part.url, part.detail) for part in item.content if isinstance(part, Picture))
            if images:
                return UserSaid(text, images)
            # An answer of which nothing was heard, or a turn without a word, is nothing that was said.
            return SPEAKERS[role](text) if text else None
        case FunctionCall(call_id=call_id, name=name, arguments=arguments):
            return ToolCalled(call_id, name, arguments)
        case FunctionOutput(call_id=call_id, output=output):
            return ToolAnswered(call_id, output)
        case Foreign():
            return None
