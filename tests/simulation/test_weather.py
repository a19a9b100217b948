"""The scripted engines answer what the laws ask of them, once the weather is clear."""

from __future__ import annotations

import pytest
from weather import UnrulyLlm, Weather

from antiphon.engines.api import (
    AssistantSaid,
    ChatMessage,
    LlmRequest,
    TextDelta,
    ToolAnswered,
    ToolCalled,
    UserSaid,
)
from antiphon.testing import virtual_time

NEWS = (ToolCalled("call_1", "dig", "{}"), ToolAnswered("call_1", "It is done."))


@pytest.mark.parametrize(
    ("since", "answer"),
    [
        ((), "I heard w1."),
        ((AssistantSaid("The tea is ready."),), "I heard w1."),
        (NEWS, "I heard w1."),
        ((*NEWS, AssistantSaid("I heard w1.")), "I go on."),
    ],
)
def test_the_model_answers_who_spoke_whatever_was_said_in_between(since: tuple[ChatMessage, ...], answer: str) -> None:
    async def written() -> str:
        weather = Weather(0)
        weather.is_clear = True
        pieces = UnrulyLlm(weather).write(LlmRequest((UserSaid("w1"), *since)))
        return "".join([piece.text async for piece in pieces if isinstance(piece, TextDelta)])

    assert virtual_time.run(written()).startswith(answer)
