"""Local voices by sherpa-onnx on a small VITS voice of its own shape, and the voice that speaks when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.engines.fake import FakeTts
from antiphon.engines.pool import Pool
from antiphon.engines.tts.fallback import REST_S, Fallback
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_tts
from antiphon.testing.virtual_time import run as run_virtually

# --- sherpa-onnx -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(cores=2)
    yield made
    made.close()


@pytest.mark.real
def test_it_keeps_the_contract(tmp_path: Path, pool: Pool) -> None:
    pytest.importorskip("sherpa_onnx")
    pytest.importorskip("onnx")
    from tiny_models import tiny_vits

    from antiphon.engines.tts.sherpa import SherpaTts

    voice = SherpaTts(tiny_vits(tmp_path), pool)
    assert voice.rate == 16_000
    asyncio.run(check_tts(voice))


@pytest.mark.real
def test_a_folder_that_holds_no_voice(tmp_path: Path, pool: Pool) -> None:
    pytest.importorskip("sherpa_onnx")
    pytest.importorskip("onnx")
    from tiny_models import tiny_vits

    from antiphon.engines.tts.sherpa import SherpaTts, find_voice

    with pytest.raises(ConfigError, match="holds no voice"):
        find_voice(tmp_path)
    folder = tiny_vits(tmp_path)
    whole = (folder / "voice.onnx").read_bytes()
    (folder / "voice.onnx").write_bytes(whole[:1_000])
    with pytest.raises(ConfigError, match="exported for sherpa-onnx"):
        find_voice(folder)
    (folder / "voice.onnx").write_bytes(whole)
    voice = SherpaTts(folder, pool)
    (folder / "voice.onnx").write_bytes(b"changed meanwhile")
    with pytest.raises(EngineError) as failed:
        asyncio.run(voice.warm())
    assert failed.value.code == "model_broken"


# --- when one fails --------------------------------------------------------------------------------------------------


class Broken:
    """A voice that says so many chunks, and fails."""

    rate = 16_000

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.asked = 0

    async def warm(self) -> None:
        raise EngineError("no weights", "It is a test.")

    async def speak(self, text: str, request: TtsRequest) -> AsyncIterator[Pcm]:
        self.asked += 1
        for _ in range(self.chunks):
            yield np.full(1600, 0.1, np.float32)
        raise EngineError("it broke", "It is a test.")


async def said(voice: Fallback) -> float:
    chunks = cast("AsyncGenerator[Pcm]", voice.speak("Hello there.", TtsRequest("marin")))
    return sum([chunk.size async for chunk in chunks]) / voice.rate


def test_the_next_voice_speaks_at_the_rate_of_the_first() -> None:
    async def speak() -> None:
        broken = Broken(0)
        voice = Fallback(broken, FakeTts())
        await voice.warm()
        assert voice.rate == 16_000
        assert abs(await said(voice) - 12 / 15) < 0.01
        assert abs(await said(voice) - 12 / 15) < 0.01
        assert broken.asked == 1, "it is left in peace for a while"
        await asyncio.sleep(REST_S)
        await said(voice)
        assert broken.asked == 2

    run_virtually(speak())


def test_a_clause_is_not_said_half_twice_and_the_last_failure_is_told() -> None:
    async def speak() -> None:
        with pytest.raises(EngineError):
            await said(Fallback(Broken(2), FakeTts()))
        nobody = Fallback(Broken(0), Broken(0))
        with pytest.raises(EngineError):
            await nobody.warm()
        for _ in range(2):
            with pytest.raises(EngineError):
                await said(nobody)

    run_virtually(speak())
