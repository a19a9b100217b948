"""Which of the oldest items a conversation has to leave behind, so that the rest fits into the model's context.

Tokens are estimated, for only the model's own tokeniser knows them: a quarter of the bytes of UTF-8, which is near for
English and generous for scripts that take three bytes a character. What is left behind stays in the conversation for
those who look at it; the model is no longer told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from antiphon.session.items import FunctionCall, FunctionOutput, Item, McpCall, Message, Picture, Speech, Text
from antiphon.session.settings import FunctionTool

BYTES_PER_TOKEN = 4
TOKENS_PER_ITEM = 8  # role, separators
TOKENS_PER_PICTURE = 800  # what common vision models take for one of usual size


def tokens_of(item: Item) -> int:
    """About how many tokens the model reads for this item."""
    match item:
        case Message(content=content):
            return TOKENS_PER_ITEM + sum(_tokens_of_part(part) for part in content)
        case FunctionCall(name=name, arguments=arguments):
            return TOKENS_PER_ITEM + tokens_in(name) + tokens_in(arguments)
        case FunctionOutput(output=output):
            return TOKENS_PER_ITEM + tokens_in(output)
        case McpCall(function=name, arguments=arguments, output=output, failure=failure, question=question):
            answer = question or (failure.message if failure else output or "")
            return 2 * TOKENS_PER_ITEM + tokens_in(name) + tokens_in(arguments) + tokens_in(answer)
        case _:
            return TOKENS_PER_ITEM


def _tokens_of_part(part: Text | Speech | Picture) -> int:
    match part:
        case Text(text):
            return tokens_in(text)
        case Speech(transcript=transcript):
            return tokens_in(transcript or "")
        case Picture():
            return TOKENS_PER_PICTURE


def tokens_in(text: str) -> int:
    """About how many tokens a text is, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def tokens_of_frame(instructions: str, tools: Iterable[FunctionTool]) -> int:
    """What is never left behind: instructions and tools."""
    return tokens_in(instructions) + sum(tokens_in(msgspec.json.encode(tool).decode()) for tool in tools)


def left_behind(items: Sequence[Item], limit: int, ratio: float) -> int:
    """How many items, from the first, have to go: none if all fit into `limit` tokens, otherwise as many as bring the
    rest to `ratio` of it. The last item always stays, and what a function answered goes with its call."""
    sizes = [tokens_of(item) for item in items]
    total = sum(sizes)
    if total <= limit:
        return 0
    gone = 0
    while gone < len(items) - 1 and total > limit * ratio:
        total -= sizes[gone]
        gone += 1
    calls_gone = {item.call_id for item in items[:gone] if isinstance(item, FunctionCall)}
    while gone < len(items) - 1 and _answers(items[gone], calls_gone):
        gone += 1
    return gone


def _answers(item: Item, calls: set[str]) -> bool:
    return isinstance(item, FunctionOutput) and item.call_id in calls
