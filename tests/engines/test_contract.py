"""Scripted, remote and embedded engines keep the same contract; and the checks notice who does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from remote import connected

from antiphon import config
from antiphon.audio.resample import resampled
from antiphon.audio.units import Pcm
from antiphon.audio.wav import read_wav
from antiphon.engines import fake, registry
from antiphon.engines.api import (
    LlmEnd,
    LlmRequest,
    SttRequest,
    TextDelta,
    Transcript,
    TranscriptDelta,
    TtsRequest,
)
from antiphon.engines.llm.openai import OpenAiLlm
from antiphon.engines.stt import pocketsphinx
from antiphon.engines.stt.clip import spoken_clip
from antiphon.engines.stt.openai import OpenAiStt
from antiphon.engines.tts.openai import OpenAiTts
from antiphon.engines.vad.energy import EnergyVad
from antiphon.engines.vad.silero import SileroVad
from antiphon.testing.contract import ContractError, check_llm, check_stt, check_tts, check_vad
from antiphon.testing.virtual_time import run as run_virtually

DATA = Path(__file__).parent.parent / "data"


def utterance() -> Pcm:
    wav = read_wav((DATA / "hello.wav").read_bytes())
    return resampled(wav.pcm, wav.rate_hz, 16_000)


# --- who keeps it ----------------------------------------------------------------------------------------------------


def test_scripted_engines() -> None:
    async def check() -> None:
        assert (await check_stt(fake.FakeStt("hello", delay_s=0.3), utterance())).text == "hello"
        assert await check_llm(fake.FakeLlm("Good morning.", first_token_s=0.2, token_s=0.05)) == "Good morning."
        await check_llm(fake.FakeLlm([fake.Call("weather", "{}")]))
        await check_tts(fake.FakeTts(first_audio_s=0.1, times_real_time=2.0))

    run_virtually(check())


@pytest.mark.real
@pytest.mark.parametrize("stream", [False, True])
def test_remote_recogniser(stream: bool) -> None:
    async def check() -> str:
        async with connected() as (_, upstream):
            return (await check_stt(OpenAiStt(upstream, "m", stream=stream), utterance())).text

    assert asyncio.run(check()) == "hello there"


@pytest.mark.real
def test_remote_model() -> None:
    async def check() -> str:
        async with connected() as (_, upstream):
            return await check_llm(OpenAiLlm(upstream, "m"))

    assert asyncio.run(check()) == "Hello. How can I help you?"


@pytest.mark.real
def test_remote_voice() -> None:
    async def check() -> None:
        async with connected() as (_, upstream):
            await check_tts(OpenAiTts(upstream))

    asyncio.run(check())


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("role", "name"), [("stt", "pocketsphinx"), ("llm", "assistant"), ("tts", "espeak")])
def test_embedded_engines(role: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocketsphinx, "START_S", 150.0)  # models that are long in coming are no worker that hangs
    clip = spoken_clip()  # which is soon understood

    async def check() -> None:
        engines = registry.make(
            config.Config(
                vad=config.Detector(engine="energy"),
                stt=config.Recogniser(engine=name if role == "stt" else "fake"),
                llm=config.Model(engine=name if role == "llm" else "fake"),
                tts=config.Voice(engine=name if role == "tts" else "fake"),
            )
        )
        try:
            match role:
                case "stt":
                    await check_stt(engines.stt, clip)
                case "llm":
                    await check_llm(engines.llm)
                case _:
                    await check_tts(engines.tts)
        finally:
            await engines.close()

    asyncio.run(check())


@pytest.mark.parametrize("make", [EnergyVad, pytest.param(SileroVad, marks=pytest.mark.real)])
def test_voice_detectors(make: Callable[[], EnergyVad | SileroVad]) -> None:
    check_vad(make())


# --- who does not ----------------------------------------------------------------------------------------------------


class Recogniser:
    """Says what it is told to."""

    languages: frozenset[str] | None = None

    def __init__(self, *events: TranscriptDelta | Transcript) -> None:
        self._events = events

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        for event in self._events:
            yield event


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ((), "nothing came"),
        ((TranscriptDelta("hi"),), "not a Transcript"),
        ((Transcript("hi"), Transcript("hi")), "more than one"),
        ((Transcript("hi"), TranscriptDelta("hi")), "not a Transcript"),
        ((Transcript("hi", confidence=2.0),), "confidence"),
    ],
)
def test_a_recogniser_that_breaks_it(events: tuple[TranscriptDelta | Transcript, ...], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        run_virtually(check_stt(Recogniser(*events), utterance()))


class Voice:
    """Makes the chunks that it is told to; will not be stopped for `stubborn_s`."""

    rate = 24_000

    def __init__(self, *chunks: Any, stubborn_s: float = 0.0) -> None:
        self._chunks = chunks
        self._stubborn_s = stubborn_s

    async def warm(self) -> None:
        pass

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        try:
            for chunk in self._chunks:
                yield chunk
                await asyncio.sleep(0.1)
        finally:
            if self._stubborn_s:
                await asyncio.sleep(self._stubborn_s)


GOOD = np.full(2_400, 0.5, np.float32)


@pytest.mark.parametrize(
    ("chunks", "complaint"),
    [
        ((), "no sound"),
        ((GOOD.astype(np.float64),), "float64"),
        ((GOOD.reshape(2, -1),), "float32"),
        ((GOOD * np.float32(np.nan),), "NaN"),
        ((GOOD * 3,), "leaves"),
        ((np.tile(GOOD, 3),), "300 ms"),
        ((GOOD[:100], GOOD), "under 10 ms"),
        ((GOOD * 0,), "silence"),
    ],
)
def test_a_voice_that_breaks_it(chunks: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        run_virtually(check_tts(Voice(*chunks)))


def test_a_voice_that_will_not_stop() -> None:
    run_virtually(check_tts(Voice(GOOD, GOOD)))
    with pytest.raises(ContractError, match=r"took 5\.00 s"):
        run_virtually(check_tts(Voice(GOOD, GOOD, stubborn_s=5.0)))


class Model:
    """Answers with these pieces."""

    sees: bool = False

    def __init__(self, *pieces: Any) -> None:
        self._pieces = pieces

    async def warm(self) -> None:
        pass

    async def write(self, request: LlmRequest) -> AsyncIterator[Any]:
        for piece in self._pieces:
            yield piece


@pytest.mark.parametrize(
    ("pieces", "complaint"),
    [
        ((), "nothing came"),
        ((TextDelta("hi"),), "not an LlmEnd"),
        ((TextDelta("hi"), LlmEnd(), LlmEnd()), "more than one"),
        ((LlmEnd(),), "empty"),
    ],
)
def test_a_model_that_breaks_it(pieces: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        run_virtually(check_llm(Model(*pieces)))


class Detector(EnergyVad):
    """Scores by the loudest stream of the batch, which no stream may see."""

    def score(self, windows: Any, memories: Any) -> Any:
        scores, memories = super().score(windows, memories)
        return np.where(scores > 0, scores * np.float32(1 / len(scores)), scores), memories


def test_a_detector_whose_streams_see_each_other() -> None:
    with pytest.raises(ContractError, match="depends on the others"):
        check_vad(Detector())
