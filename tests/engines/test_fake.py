"""The scripted engines do as they are told, after the times that they are told, on the loop's clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import numpy as np
import pytest

from antiphon.engines.api import (
    CallDelta,
    LlmEnd,
    LlmRequest,
    SttRequest,
    TextDelta,
    Transcript,
    TtsRequest,
    UserSaid,
)
from antiphon.engines.fake import Call, Fail, FakeLlm, FakeStt, FakeTts, Hang
from antiphon.errors import EngineError
from antiphon.testing import virtual_time

T = TypeVar("T")
SILENCE = np.zeros(16_000, np.float32)
ASKED = LlmRequest(messages=(UserSaid("hello"),))
VOICE = TtsRequest("marin")


async def timed(events: AsyncIterator[T]) -> list[tuple[float, T]]:
    """What came, and how many seconds after the start."""
    now = asyncio.get_running_loop().time
    started = now()
    return [(round(now() - started, 6), event) async for event in events]


def hear(stt: FakeStt) -> list[tuple[float, object]]:
    return [*virtual_time.run(timed(stt.transcribe(SILENCE, SttRequest())))]


def ask(llm: FakeLlm) -> list[tuple[float, object]]:
    return [*virtual_time.run(timed(llm.write(ASKED)))]


def test_a_recogniser_hears_its_lines_in_order_and_the_last_one_for_ever() -> None:
    stt = FakeStt(["one", "two"], delay_s=0.3)
    assert [hear(stt) for _ in range(3)] == [[(0.3, Transcript(t, "en", 1.0))] for t in ("one", "two", "two")]


def test_a_model_writes_word_by_word_at_its_pace() -> None:
    events = ask(FakeLlm("It is noon.", first_token_s=0.2, token_s=0.05))
    assert [at for at, _ in events] == [0.2, 0.25, 0.3, 0.3]
    assert "".join(event.text for _, event in events if isinstance(event, TextDelta)) == "It is noon."
    assert isinstance(events[-1][1], LlmEnd)


def test_a_model_calls_a_function() -> None:
    (_, call), (_, end) = ask(FakeLlm([Call("time", '{"zone": "UTC"}')]))
    assert isinstance(call, CallDelta)
    assert (call.name, call.arguments) == ("time", '{"zone": "UTC"}')
    assert isinstance(end, LlmEnd)
    assert end.reason == "tool_calls"


def test_a_model_can_answer_what_it_was_asked() -> None:
    events = ask(FakeLlm(lambda request: f"{len(request.messages)} heard"))
    assert events[0][1] == TextDelta("1 ")


def test_a_voice_hums_as_long_as_the_text_takes_to_say() -> None:
    tts = FakeTts(first_audio_s=0.1, letters_per_second=10)
    events = virtual_time.run(timed(tts.speak("x" * 10, VOICE)))
    assert sum(pcm.size for _, pcm in events) == tts.rate
    assert {at for at, _ in events} == {0.1}
    twice = virtual_time.run(timed(tts.speak("x" * 10, TtsRequest("marin", speed=2.0))))
    assert sum(pcm.size for _, pcm in twice) == tts.rate // 2


def test_a_voice_can_be_as_slow_as_a_real_one() -> None:
    tts = FakeTts(letters_per_second=10, times_real_time=2.0)
    events = virtual_time.run(timed(tts.speak("x" * 10, VOICE)))
    assert events[-1][0] == pytest.approx(0.45)  # ten chunks of 100 ms, the first at once, at twice real time


def test_a_voice_is_quiet_and_the_same_every_time() -> None:
    first, second = (
        np.concatenate([pcm for _, pcm in virtual_time.run(timed(FakeTts().speak("hello", VOICE)))]) for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert 0.05 < np.abs(first).max() <= 0.1
    assert first.dtype == np.float32


@pytest.mark.parametrize("role", ["stt", "llm", "tts"])
def test_each_breaks_where_the_script_says_and_works_again(role: str) -> None:
    fail = Fail(code="full", message="no room")
    stt, llm, tts = FakeStt([fail, "hi"]), FakeLlm([fail, "hi"]), FakeTts(script=[fail])

    async def once() -> int:
        match role:
            case "stt":
                return len([e async for e in stt.transcribe(SILENCE, SttRequest())])
            case "llm":
                return len([e async for e in llm.write(ASKED)])
            case _:
                return len([e async for e in tts.speak("hi", VOICE)])

    with pytest.raises(EngineError) as caught:
        virtual_time.run(once())
    assert (caught.value.code, caught.value.message) == ("full", "no room")
    assert virtual_time.run(once()) > 0


def test_one_that_hangs_can_be_cancelled() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(3600):
            await timed(FakeLlm([Hang()]).write(ASKED))

    with pytest.raises(TimeoutError):
        virtual_time.run(impatient())
