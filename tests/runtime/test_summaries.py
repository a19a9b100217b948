"""A long conversation under a clock that jumps: its model sums up what it is no longer told of."""

from __future__ import annotations

from antiphon.engines.api import LlmRequest, SystemSaid, UserSaid
from antiphon.engines.fake import FakeLlm, FakeStt
from antiphon.observe.metrics import Metrics
from antiphon.observe.watch import Watch
from antiphon.runtime.context import NOTES, SUMMARISE
from antiphon.session import outputs
from antiphon.session.settings import SessionConfig, Settings
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run

QUESTION = "tell me something about the weather in the town of Ys, " * 6
INSTRUCTIONS = "Be brief."


class Model:
    """Answers, and counts its summaries."""

    def __init__(self) -> None:
        self.questions: list[LlmRequest] = []
        self.summaries: list[LlmRequest] = []

    def __call__(self, request: LlmRequest) -> str:
        if request.instructions == SUMMARISE:
            self.summaries.append(request)
            return f"Summary {len(self.summaries)}."
        self.questions.append(request)
        return "It rains."


def test_the_summary_stands_right_after_the_instructions_and_the_prefix_stays() -> None:
    model = Model()

    async def story() -> Metrics:
        config = SessionConfig(Settings(instructions=INSTRUCTIONS), context_tokens=500, summarise=True)
        async with Conversation(FakeStt(QUESTION), FakeLlm(model), config=config) as call:
            for _ in range(12):
                await call.exchange()
                await call.pause(1.0)
            metrics = Metrics()
            watch = Watch(metrics, 0.0)
            for now, item, out in call.steps:
                watch.record(now, item, out)
            assert watch.open_ends == 0
            assert not [one for _, _, out in call.steps for one in out if isinstance(one, outputs.Refused)]
            return metrics

    metrics = run(story())
    assert 2 <= len(model.summaries) < 6, "one for each cut, not one for each turn"
    second = model.summaries[1].messages[0]
    assert isinstance(second, UserSaid)
    assert "Notes:\nSummary 1.\n" in second.text
    assert "Person: tell me something" in second.text
    assert "Assistant: It rains." in second.text
    told = [question for question in model.questions if isinstance(question.messages[0], SystemSaid)]
    known = [SystemSaid(NOTES.format(f"Summary {number}.")) for number in range(1, len(model.summaries) + 1)]
    stood = [known.index(said) for question in told for said in question.messages[:1] if isinstance(said, SystemSaid)]
    assert stood[0] == 0
    assert stood == sorted(stood)
    assert stood[-1] > 0
    assert all(question.instructions == INSTRUCTIONS for question in model.questions)
    assert all(sum(isinstance(said, SystemSaid) for said in question.messages) == 1 for question in told)
    # What one question begins with, the next begins with too, but where something was cut or summed up.
    kept = [
        later.messages[: len(earlier.messages)] == earlier.messages
        for earlier, later in zip(model.questions, model.questions[1:], strict=False)
    ]
    assert kept.count(False) <= 2 * len(model.summaries)
    words = sum(len(question.messages) for question in model.questions + model.summaries)
    assert metrics.registry.get_sample_value("voice_tokens_total", {"kind": "input"}) == words
