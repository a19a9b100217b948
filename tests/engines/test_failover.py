"""A chain of engines answers if one of them can, in time, and leaves alone those that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest

from antiphon.config import load
from antiphon.engines import registry
from antiphon.engines.api import (
    CallDelta,
    LlmEnd,
    LlmRequest,
    SttRequest,
    TextDelta,
    Transcript,
    TtsRequest,
    UserSaid,
    WordMark,
)
from antiphon.engines.breaker import DOUBT_S, FIRST_REST_S, LONGEST_REST_S
from antiphon.engines.failover import FailoverLlm, FailoverTts, Link
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.http import UpstreamError
from antiphon.engines.stt.failover import FailoverStt
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_llm, check_stt, check_tts
from antiphon.testing.virtual_time import run

REQUEST = LlmRequest((UserSaid("hello"),))
BUDGET_S = 2.0


class Model:
    """Does what each line of its script says, and remembers what became of it."""

    sees = False

    def __init__(self, *script: object, delay_s: float = 0.0) -> None:
        self.script = list(script)
        self.delay_s = delay_s
        self.asked: list[float] = []
        self.stopped = 0
        self.probes: list[object] = []
        """What `warm` does, in turn; it works when there is nothing left."""
        self.probed: list[float] = []

    async def warm(self) -> None:
        self.probed.append(asyncio.get_running_loop().time())
        outcome = self.probes.pop(0) if self.probes else None
        if isinstance(outcome, Exception):
            raise outcome

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        self.asked.append(asyncio.get_running_loop().time())
        line = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        ended = False
        try:
            await asyncio.sleep(self.delay_s)
            for piece in line if isinstance(line, list) else [line]:
                if isinstance(piece, Exception):
                    ended = True
                    raise piece
                if piece is STALL:
                    await asyncio.Event().wait()
                yield TextDelta(str(piece))
            ended = True
            yield LlmEnd()
        finally:
            self.stopped += not ended


STALL = object()
BROKEN = EngineError("it broke", "It is a test.")


def chain(*models: Model, budget_s: float = BUDGET_S) -> FailoverLlm:
    return FailoverLlm([Link(f"llm {number}", model, budget_s) for number, model in enumerate(models, 1)])


async def written(llm: FailoverLlm) -> str:
    text = ""
    async for event in llm.write(REQUEST):
        if isinstance(event, TextDelta):
            text += event.text
    return text


def now() -> float:
    return asyncio.get_running_loop().time()


def tell(story: Callable[[], Awaitable[None]]) -> None:
    """Under a clock that jumps; no task may be left when it is over."""

    async def told() -> None:
        await story()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    run(told())


def test_a_chain_keeps_the_contracts_of_its_engines() -> None:
    async def story() -> None:
        await check_llm(FailoverLlm([Link("a", FakeLlm("Hello there."), 1.0), Link("b", FakeLlm("No."), 1.0)]))
        await check_stt(
            FailoverStt([Link("a", FakeStt("hello"), 1.0), Link("b", FakeStt("no"), 1.0)]), np.zeros(16_000, np.float32)
        )
        await check_tts(FailoverTts([Link("a", FakeTts(), 1.0), Link("b", FakeTts(), 1.0)]))

    run(story())


@pytest.mark.parametrize(
    "failure", [BROKEN, UpstreamError("refused", "x", code="upstream_unreachable"), KeyError("a mistake of ours")]
)
def test_what_fails_before_it_began_is_asked_of_the_next_at_once(failure: Exception) -> None:
    async def story() -> None:
        first, second = Model(failure), Model("from the second")
        llm = chain(first, second)
        assert await written(llm) == "from the second"
        assert now() == 0.0
        assert await written(llm) == "from the second"
        assert len(first.asked) == 1, "it is left alone"
        await llm.close()

    tell(story)


def test_what_breaks_in_the_middle_is_not_begun_again_but_the_next_turn_goes_elsewhere() -> None:
    async def story() -> None:
        first, second = Model(["half of", BROKEN]), Model("from the second")
        llm = chain(first, second)
        with pytest.raises(EngineError):
            await written(llm)
        assert second.asked == []
        assert await written(llm) == "from the second"
        await llm.close()

    tell(story)


def test_a_stall_is_hedged_when_half_of_the_time_is_gone_and_the_slow_one_is_stopped() -> None:
    async def story() -> None:
        first, second = Model(STALL), Model("from the second", delay_s=0.3)
        llm = chain(first, second)
        assert await written(llm) == "from the second"
        assert now() == pytest.approx(BUDGET_S / 2 + 0.3)
        assert (first.stopped, second.stopped) == (1, 0)
        await written(llm)
        assert len(first.asked) == 1, "the next turn does not wait for it again"
        await llm.close()

    tell(story)


def test_the_first_one_may_still_win_against_its_hedge() -> None:
    async def story() -> None:
        first, second = Model("from the first", delay_s=1.1), Model("from the second", delay_s=5.0)
        llm = chain(first, second)
        assert await written(llm) == "from the first"
        assert now() == pytest.approx(1.1)
        assert second.stopped == 1
        await written(llm)
        assert len(first.asked) == 2, "it did nothing wrong"
        await llm.close()

    tell(story)


def test_both_may_fail_after_the_hedge() -> None:
    async def story() -> None:
        slow = Model(EngineError("the first", "x"), delay_s=3.0)
        llm = chain(slow, Model(EngineError("the second", "x"), delay_s=0.1), Model(EngineError("the third", "x")))
        with pytest.raises(EngineError, match="the first"):
            await written(llm)
        assert now() == pytest.approx(3.0)
        await llm.close()

    tell(story)


def test_recovery_is_found_out_by_probes_and_not_by_anybodys_turn() -> None:
    async def story() -> None:
        first, second = Model(BROKEN, "it is back"), Model("from the second")
        first.probes = [BROKEN, BROKEN]
        llm = chain(first, second)
        await written(llm)
        while len(first.probed) < 3:
            assert await written(llm) == "from the second"
            await asyncio.sleep(0.1)
        # Rests of 1, 2 and 4 s, each after what failed before.
        assert first.probed == pytest.approx([FIRST_REST_S, 3 * FIRST_REST_S, 7 * FIRST_REST_S])
        assert await written(llm) == "it is back"
        assert len(first.asked) == 2
        await llm.close()

    tell(story)


def test_retry_after_is_obeyed() -> None:
    async def story() -> None:
        limited = UpstreamError("too many", "x", code="upstream_rate_limited", status=429, retry_after_s=90.0)
        first, second = Model(limited, "welcome back"), Model("from the second")
        llm = chain(first, second)
        await written(llm)
        await asyncio.sleep(89)
        assert first.probed == []
        assert await written(llm) == "from the second"
        await asyncio.sleep(2)
        assert await written(llm) == "welcome back"
        both = chain(Model(limited), Model(limited))
        with pytest.raises(EngineError, match="too many"):
            await written(both)
        with pytest.raises(EngineError, match="left alone"):
            await written(both)
        await llm.close()
        await both.close()

    tell(story)


def test_if_all_rest_by_our_own_guess_the_last_is_asked_all_the_same() -> None:
    async def story() -> None:
        first, second = Model(BROKEN), Model(BROKEN, "it works again")
        llm = chain(first, second)
        with pytest.raises(EngineError):
            await written(llm)
        assert await written(llm) == "it works again"
        assert len(first.asked) == 1
        await llm.close()

    tell(story)


def stalled(now: float) -> EngineError:
    return UpstreamError(f"silent until {now:g}", "x", code="upstream_timeout")


class Staller(Model):
    """Gives up by itself once its budget is gone, as an engine over HTTP does; it answers whenever it has words."""

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        self.asked.append(now())
        if self.script:
            yield TextDelta(str(self.script.pop(0)))
            yield LlmEnd()
            return
        await asyncio.sleep(BUDGET_S)
        raise stalled(now())


def test_one_that_stalls_and_is_the_only_one_costs_a_turn_a_minute_its_whole_time_and_the_others_a_fourth() -> None:
    async def story() -> None:
        model = Staller()
        llm, took = chain(model), []
        for pause_s in (0.0, 5.0, 20.0, 30.0, DOUBT_S):  # its probes are answered all the while
            await asyncio.sleep(pause_s)
            began = now()
            with pytest.raises(EngineError) as caught:
                await written(llm)
            assert getattr(caught.value, "code", "") == "upstream_timeout"
            took.append(now() - began)
        assert took == pytest.approx([BUDGET_S, BUDGET_S / 4, BUDGET_S / 4, BUDGET_S / 4, BUDGET_S])
        model.script = ["it is back"]
        assert await written(llm) == "it is back"
        began = now()
        with pytest.raises(EngineError, match="silent"):
            await written(llm)
        assert now() - began == pytest.approx(BUDGET_S), "it is trusted again"
        await llm.close()

    tell(story)


def test_the_only_one_is_not_asked_before_its_time_and_asked_all_the_same_after_other_failures() -> None:
    async def story() -> None:
        limited = UpstreamError("too many", "x", code="upstream_rate_limited", status=429, retry_after_s=60.0)
        model = Model(BROKEN, "one hiccup costs one turn", limited, "welcome back")
        llm = chain(model)
        with pytest.raises(EngineError, match="it broke"):
            await written(llm)
        assert await written(llm) == "one hiccup costs one turn"
        with pytest.raises(EngineError, match="too many"):
            await written(llm)
        for _ in range(3):
            with pytest.raises(EngineError, match="llm 1 asked to be left alone") as caught:
                await written(llm)
            assert "Ask again in 60 s" in caught.value.hint
        assert len(model.asked) == 3
        await asyncio.sleep(61)
        assert await written(llm) == "welcome back"
        await llm.close()

    tell(story)


def test_the_only_one_is_asked_by_whoever_wants_its_answer_without_a_task_between() -> None:
    class Watched(Model):
        async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
            tasks.append(asyncio.current_task())
            async for event in super().write(request):
                yield event

    tasks: list[asyncio.Task[Any] | None] = []

    async def story() -> None:
        llm = chain(Watched(["one", "two"]))
        assert await written(llm) == "onetwo"
        assert tasks == [asyncio.current_task()]
        await llm.close()

    tell(story)


def test_a_question_that_one_refuses_says_nothing_about_the_engine() -> None:
    async def story() -> None:
        refused = UpstreamError("too long", "x", code="upstream_rejected", status=400)
        first, second = Model(refused, "short enough"), Model("from the second")
        llm = chain(first, second)
        assert await written(llm) == "from the second"
        assert await written(llm) == "short enough"
        await llm.close()

    tell(story)


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.5])
def test_who_is_cancelled_leaves_nothing_behind(after_s: float) -> None:
    async def story() -> None:
        models = [Model(STALL), Model(STALL), Model(STALL)]
        llm = chain(*models)
        task = asyncio.create_task(written(llm))
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [model.stopped for model in models] == [len(model.asked) for model in models]
        await llm.close()

    tell(story)


def test_who_has_heard_enough_stops_the_engine_and_does_not_blame_it() -> None:
    async def story() -> None:
        first = Model(["one", "two", "three", "four", "five", "six", STALL])
        llm = chain(first, Model("from the second"))
        answer = cast("AsyncGenerator[Any, None]", llm.write(REQUEST))
        assert await anext(answer) == TextDelta("one")
        await answer.aclose()
        assert first.stopped == 1
        answer = cast("AsyncGenerator[Any, None]", llm.write(REQUEST))
        assert await anext(answer) == TextDelta("one")
        await answer.aclose()
        await llm.close()

    tell(story)


def test_warming_leaves_alone_what_is_not_there() -> None:
    async def story() -> None:
        first, second = Model("one"), Model("two")
        first.probes = [BROKEN] * 20
        llm = chain(first, second)
        await llm.warm()
        assert await written(llm) == "two"
        assert first.asked == []
        await asyncio.sleep(10 * LONGEST_REST_S)
        await llm.close()
        nobody = chain(Model("x"))
        nobody_model = Model("x")
        nobody_model.probes = [BROKEN]
        with pytest.raises(EngineError):
            await chain(nobody_model).warm()
        await nobody.close()

    run(story())


# --- recognisers and voices ------------------------------------------------------------------------------------------


class BrokenStt(FakeStt):
    async def transcribe(self, pcm: Any, request: SttRequest) -> AsyncIterator[Any]:
        if pcm.size:
            raise EngineError("it broke", "It is a test.")
        yield Transcript("")


def test_words_are_recognised_by_the_next() -> None:
    async def story() -> None:
        stt = FailoverStt([Link("a", BrokenStt("x"), 1.0), Link("b", FakeStt("hello"), 1.0)])
        heard = [event async for event in stt.transcribe(np.zeros(16_000, np.float32), SttRequest())]
        assert isinstance(heard[-1], Transcript)
        assert heard[-1].text == "hello"
        await stt.close()

    tell(story)


class MarkedTts(FakeTts):
    rate = 48_000

    async def speak_marked(self, text: str, request: TtsRequest) -> AsyncIterator[Any]:
        yield WordMark(0, 0)
        yield np.zeros(4_800, np.float32)
        yield WordMark(6, 4_800)
        yield np.zeros(4_800, np.float32)


class BrokenTts(FakeTts):
    rate = 16_000

    def __init__(self, whole: int = 0) -> None:
        super().__init__()
        self.whole = whole

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Any]:
        for _ in range(self.whole):
            yield np.zeros(1_600, np.float32)
        raise EngineError("it broke", "It is a test.")


def test_the_next_voice_speaks_at_the_rate_of_the_first_and_its_marks_count_in_it() -> None:
    async def story() -> None:
        tts = FailoverTts([Link("a", BrokenTts(), 1.0), Link("b", MarkedTts(), 1.0)])
        assert tts.rate == 16_000
        said = [piece async for piece in tts.speak_marked("Hello there.", TtsRequest("marin"))]
        assert [mark for mark in said if isinstance(mark, WordMark)] == [WordMark(0, 0), WordMark(6, 1_600)]
        assert sum(piece.size for piece in said if not isinstance(piece, WordMark)) == pytest.approx(3_200, abs=50)
        spoken = [piece.size async for piece in tts.speak("Hello there.", TtsRequest("marin"))]
        assert sum(spoken) == pytest.approx(3_200, abs=50)
        await tts.close()

    tell(story)


def test_a_clause_is_not_said_half_twice() -> None:
    async def story() -> None:
        tts = FailoverTts([Link("a", BrokenTts(2), 1.0), Link("b", FakeTts(), 1.0)])
        with pytest.raises(EngineError):
            [piece async for piece in tts.speak("Hello there.", TtsRequest("marin"))]
        await tts.close()

    tell(story)


# --- from the configuration ------------------------------------------------------------------------------------------


def names(engine: Any) -> Sequence[str]:
    return [link.name for link in engine._chain.links]


def test_chains_are_made_of_what_the_configuration_lists() -> None:
    others = [{"engine": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key_env": "KEY"}, {"engine": "fake"}]
    settings = {"llm.fallbacks": others, "llm.engine": "fake", "tts.fallback": "fake", "stt.engine": "fake"}
    config = load(None, {"KEY": "a-secret-key"}, settings)
    assert "a-secret-key" not in repr(config)
    engines = registry.make(config)
    assert names(engines.llm) == ["llm 1 (fake)", "llm 2 (openai)", "llm 3 (fake)"]
    assert names(engines.tts) == ["tts 1 (espeak)", "tts 2 (fake)"]
    assert isinstance(engines.stt, FakeStt)
    assert len(engines.traffic["llm"]) == 1
    assert "if it fails: openai, fake" in next(choice.reason for choice in engines.choices if choice.role == "llm")
    asyncio.run(engines.close())


def test_a_server_is_a_chain_of_one_so_that_it_rests_and_is_probed_and_what_is_embedded_is_not() -> None:
    url = "http://127.0.0.1:9/v1"
    settings = {f"{role}.base_url": url for role in ("stt", "llm", "tts")} | {"tts.model": "m", "stt.model": "m"}
    engines = registry.make(load(None, {}, settings | {"llm.model": "m"}))
    assert names(engines.stt) == ["stt 1 (openai)"]
    assert names(engines.llm) == ["llm 1 (openai)"]
    assert names(engines.tts) == ["tts 1 (openai)"]
    assert {role: len(links) for role, links in engines.chains.items()} == {"vad": 0, "stt": 1, "llm": 1, "tts": 1}
    asyncio.run(engines.close())
    embedded = registry.make(load(None, {}, {"llm.engine": "fake", "stt.engine": "fake", "tts.engine": "fake"}))
    assert not any(embedded.chains.values())


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"llm.fallbacks": [{"engine": "opnai"}]}, "Did you mean 'openai'"),
        ({"llm.fallbacks": [{"base_url": "nowhere"}]}, r"llm\.fallbacks\[0\]\.base_url"),
        ({"stt.fallbacks": [{"api_key": "sk-1"}]}, r"stt\.fallbacks\[0\]\.base_url is not"),
        ({"tts.fallbacks": [{"fallbacks": [{"engine": "fake"}]}]}, "fallbacks of its own"),
        ({"tts.fallbacks": [{"engine": "fake", "speeed": 1}]}, "speeed"),
        ({"llm.fallbacks": [{"engine": "fake", "api_key": 7}]}, r"llm\.fallbacks"),
    ],
)
def test_a_fallback_that_cannot_be_is_refused_by_its_place(settings: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        registry.make(load(None, {}, settings))
