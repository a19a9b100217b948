"""Which of the oldest items a conversation has to leave behind, so that the rest fits into the model's context.

Only the model's own tokeniser knows how many tokens a text is. Where nobody hands one in, they are estimated: a
quarter of the bytes of UTF-8, which is near for English and generous for scripts that take three bytes a character.
What is left behind stays in the conversation for those who look at it; the model is no longer told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from antiphon.session.items import FunctionCall, FunctionOutput, Item, McpCall, Message, Picture, Speech, Text
from antiphon.session.settings import FunctionTool

BYTES_PER_TOKEN = 4
TOKENS_PER_ITEM = 8  # role, separators
TOKENS_PER_PICTURE = 800  # what common vision models take for one of usual size

CountTokens = Callable[[str], int]
"""How many tokens a text is: the same for the same text, in well under a millisecond."""


def estimated(text: str) -> int:
    """About how many tokens a text is, rounded up."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


class Scale:
    """Weighs items and what stands before them, in tokens. It remembers what it has weighed, as long as it is asked
    for: a conversation is weighed with every turn, and little of it is new."""

    def __init__(self, count: CountTokens = estimated) -> None:
        self.count = count
        self._items: dict[str, tuple[Item, int]] = {}
        self._frame: tuple[str, tuple[FunctionTool, ...], int] | None = None

    def of(self, items: Sequence[Item]) -> list[int]:
        """The weight of each."""
        known, self._items = self._items, {}
        sizes = []
        for item in items:
            before = known.get(item.id)
            size = before[1] if before is not None and before[0] is item else tokens_of(item, self.count)
            self._items[item.id] = item, size
            sizes.append(size)
        return sizes

    def of_frame(self, instructions: str, tools: tuple[FunctionTool, ...]) -> int:
        """Of what is never left behind: instructions and tools."""
        if self._frame is None or self._frame[:2] != (instructions, tools):
            size = self.count(instructions) + sum(self.count(msgspec.json.encode(tool).decode()) for tool in tools)
            self._frame = instructions, tools, size
        return self._frame[2]


def tokens_of(item: Item, count: CountTokens = estimated) -> int:
    """About how many tokens the model reads for this item."""
    match item:
        case Message(content=content):
            return TOKENS_PER_ITEM + sum(_tokens_of_part(part, count) for part in content)
        case FunctionCall(name=name, arguments=arguments):
            return TOKENS_PER_ITEM + count(name) + count(arguments)
        case FunctionOutput(output=output):
            return TOKENS_PER_ITEM + count(output)
        case McpCall(function=name, arguments=arguments, output=output, failure=failure, question=question):
            answer = question or (failure.message if failure else output or "")
            return 2 * TOKENS_PER_ITEM + count(name) + count(arguments) + count(answer)
        case _:
            return TOKENS_PER_ITEM


def _tokens_of_part(part: Text | Speech | Picture, count: CountTokens) -> int:
    match part:
        case Text(text):
            return count(text)
        case Speech(transcript=transcript):
            return count(transcript or "")
        case Picture():
            return TOKENS_PER_PICTURE


def left_behind(items: Sequence[Item], sizes: Sequence[int], limit: int, ratio: float) -> int:
    """How many items, from the first, have to go: none if all fit into `limit` tokens, otherwise as many as bring the
    rest to `ratio` of it. The last item always stays, and what a function answered goes with its call. `sizes` are the
    items' weights."""
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
