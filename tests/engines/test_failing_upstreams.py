"""Every way in which a server fails, at every stage: the question is answered by the next server, or ends with a
reason, and the one after it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from antiphon.config import load
from antiphon.engines import registry
from antiphon.engines.api import LlmRequest, SttRequest, TextDelta, Transcript, TtsRequest, UserSaid
from antiphon.engines.registry import EngineSet
from antiphon.errors import EngineError
from antiphon.testing.upstream import Act, Fault, Script, serving

pytestmark = pytest.mark.real

PATIENCE_S = 20.0  # with a machine that is busy with something else
QUIET = np.zeros(16_000, np.float32)

Ask = Callable[[EngineSet], AsyncIterator[Any]]
ASK: dict[str, Ask] = {
    "stt": lambda engines: engines.stt.transcribe(QUIET, SttRequest()),
    "llm": lambda engines: engines.llm.write(LlmRequest((UserSaid("hello"),))),
    "tts": lambda engines: engines.tts.speak("Hello there, how are you?", TtsRequest("marin")),
}
BEFORE = {
    "reset": Act(fault=Fault.RESET, fault_after=0),
    "stall": Act(fault=Fault.STALL, fault_after=0),
    "garbage": Act(body=b"\x00\xffnonsense", media_type="application/json"),
    "page": Act(body=b"<html>Welcome</html>", media_type="text/html"),
    "nothing": Act(body=b""),
    "429": Act(status=429, retry_after_s=30.0),
    "500": Act(status=500),
    "401": Act(status=401),
    "slow": Act(first_byte_ms=2_000),
}
"""Before anything of the answer has come."""
ELSEWHERE = {
    "refused": "http://127.0.0.1:1/v1",
    "unknown name": "http://nowhere.invalid/v1",
}
AFTER = {
    "llm": list(Fault),
    "tts": [Fault.RESET, Fault.STALL],  # raw sound says neither how long it is to be nor that it is none
}


def engines_of(stage: str, bad: str, good: str, patience_s: float = PATIENCE_S) -> EngineSet:
    timeouts = {"first_byte_timeout_s": patience_s, "idle_timeout_s": 0.3}
    first = {f"{stage}.{name}": value for name, value in ({"base_url": bad} | timeouts).items()}
    others = [{"base_url": good, "model": "m"}]
    fakes = {f"{role}.engine": "fake" for role in ASK if role != stage}
    return registry.make(load(None, {}, {**first, f"{stage}.model": "m", f"{stage}.fallbacks": others, **fakes}))


async def answered(engines: EngineSet, stage: str) -> str | float:
    """The words, or the seconds of sound."""
    said: str | float = ""
    async for piece in ASK[stage](engines):
        match piece:
            case TextDelta(text) | Transcript(text=text):
                said = f"{said}{text}"
            case np.ndarray():
                said = float(said or 0.0) + piece.size / engines.tts.rate
    return said


def script(stage: str, act: Act) -> Script:
    return msgspec.structs.replace(Script(transcript="from it", reply="from the bad one, at length"), **{stage: act})


async def sound_or_words(stage: str, said: str | float) -> bool:
    expected: dict[str, str | float] = {"stt": "hello there", "llm": "Hello. How can I help you?"}
    return said == expected[stage] if stage in expected else isinstance(said, float) and said > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("stage", ASK)
def test_what_fails_before_it_began_is_answered_by_the_next(stage: str) -> None:
    async def story() -> None:
        async with serving() as good, serving() as bad:
            for name, act in BEFORE.items():
                bad.script = script(stage, act)
                patience_s = 0.4 if name in ("stall", "slow") else PATIENCE_S
                await check(name, bad.base_url, good.base_url, patience_s)
            for name, address in ELSEWHERE.items():
                await check(name, address, good.base_url)
            await check("no TLS", bad.base_url.replace("http:", "https:"), good.base_url)

    async def check(name: str, bad: str, good: str, patience_s: float = PATIENCE_S) -> None:
        engines = engines_of(stage, bad, good, patience_s)
        tasks = asyncio.all_tasks()
        try:
            assert await sound_or_words(stage, await answered(engines, stage)), name
            assert await sound_or_words(stage, await answered(engines, stage)), name
        finally:
            await engines.close()
        await asyncio.sleep(0)
        assert {task for task in asyncio.all_tasks() - tasks if "probe" in task.get_name()} == set(), name

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.parametrize("stage", AFTER)
def test_what_breaks_in_the_middle_ends_with_a_reason_and_the_next_is_answered(stage: str) -> None:
    async def story() -> None:
        async with serving() as good, serving() as bad:
            for fault in AFTER[stage]:
                bad.script = script(stage, Act(fault=fault, fault_after=2))
                engines = engines_of(stage, bad.base_url, good.base_url)
                try:
                    with pytest.raises(EngineError):
                        await answered(engines, stage)
                    assert await sound_or_words(stage, await answered(engines, stage)), fault
                finally:
                    await engines.close()

    asyncio.run(story())


@pytest.mark.slow
def test_an_answer_that_trickles_is_an_answer() -> None:
    async def story() -> None:
        async with serving() as good, serving(Script(reply="slowly but surely", llm=Act(piece_ms=100))) as bad:
            engines = engines_of("llm", bad.base_url, good.base_url)
            assert await answered(engines, "llm") == "slowly but surely"
            assert not good.asked("/chat/completions")
            await engines.close()

    asyncio.run(story())
