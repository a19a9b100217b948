"""Local voices by sherpa-onnx, on small voices of the shapes that it reads; espeak-ng spells for those that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import TtsRequest
from antiphon.engines.pool import Pool, Share
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_tts

pytest.importorskip("sherpa_onnx")
pytest.importorskip("onnx")
import tiny_voices
from tiny_models import tiny_vits

from antiphon.engines.tts.sherpa import SherpaTts, find_voice

# --- sherpa-onnx -----------------------------------------------------------------------------------------------------


@pytest.fixture
def share() -> Iterator[Share]:
    made = Pool(cores=2)
    yield made.share(1)
    made.close()


@pytest.mark.real
def test_it_keeps_the_contract(tmp_path: Path, share: Share) -> None:

    voice = SherpaTts(tiny_vits(tmp_path), share)
    assert voice.rate == 16_000
    asyncio.run(check_tts(voice))


@pytest.mark.real
def test_a_folder_that_holds_no_voice(tmp_path: Path, share: Share) -> None:

    with pytest.raises(ConfigError, match="holds no voice"):
        find_voice(tmp_path)
    folder = tiny_vits(tmp_path)
    whole = (folder / "voice.onnx").read_bytes()
    (folder / "voice.onnx").write_bytes(whole[:1_000])
    with pytest.raises(ConfigError, match="exported for sherpa-onnx"):
        find_voice(folder)
    (folder / "voice.onnx").write_bytes(whole)
    voice = SherpaTts(folder, share)
    (folder / "voice.onnx").write_bytes(b"changed meanwhile")
    with pytest.raises(EngineError) as failed:
        asyncio.run(voice.warm())
    assert failed.value.code == "model_broken"


# --- every kind of voice ---------------------------------------------------------------------------------------------


def voice_in(folder: Path, share: Share, kind: str) -> SherpaTts:
    make = {"kokoro": tiny_voices.tiny_kokoro, "piper": tiny_voices.tiny_piper, "pocket": tiny_voices.tiny_pocket}
    return SherpaTts(make[kind](folder / kind), share)


async def said(voice: SherpaTts, text: str, request: TtsRequest) -> Pcm:
    return np.concatenate([chunk async for chunk in voice.speak(text, request)])


@pytest.mark.real
@pytest.mark.parametrize(("kind", "rate_hz"), [("kokoro", 24_000), ("piper", 22_050), ("pocket", 24_000)])
def test_each_kind_of_voice_keeps_the_contract(tmp_path: Path, share: Share, kind: str, rate_hz: int) -> None:
    voice = voice_in(tmp_path, share, kind)
    assert voice.rate == rate_hz

    async def story() -> None:
        await check_tts(voice)
        await voice.close()

    asyncio.run(story())


@pytest.mark.real
def test_kokoro_speaks_as_whom_and_as_fast_as_it_is_asked(tmp_path: Path, share: Share) -> None:
    voice = voice_in(tmp_path, share, "kokoro")

    async def story() -> None:
        quiet, loud = [await said(voice, "Good morning.", TtsRequest(name)) for name in ("af", "bm_lewis")]
        assert quiet.size == loud.size > 0
        np.testing.assert_allclose(quiet * 5, loud, atol=1e-5)
        fast = await said(voice, "Good morning.", TtsRequest("af", speed=2.0))
        assert fast.size * 2 == quiet.size
        # What is longer than its styles would end the process, if it were handed over whole.
        long = await said(voice, "and then they said " * 12, TtsRequest("af"))
        assert long.size > 10 * quiet.size
        await voice.close()

    asyncio.run(story())


@pytest.mark.real
def test_pocket_tts_speaks_with_the_voice_that_it_was_given(tmp_path: Path, share: Share) -> None:
    voice = voice_in(tmp_path, share, "pocket")

    async def story() -> None:
        sound = await said(voice, "Hello there, how are you today?", TtsRequest("any"))
        assert sound.size % tiny_voices.FRAME == 0
        assert np.abs(sound).max() > 0.01
        await voice.close()

    asyncio.run(story())


@pytest.mark.real
def test_a_voice_that_knows_none_of_the_words_says_so(tmp_path: Path, share: Share) -> None:
    voice = SherpaTts(tiny_vits(tmp_path), share)

    async def story() -> None:
        with pytest.raises(EngineError, match="knows none of these words"):
            await said(voice, "шхуна", TtsRequest("0"))

    asyncio.run(story())


@pytest.mark.real
def test_files_that_would_end_the_process_are_found_before(tmp_path: Path, share: Share) -> None:
    folder = tiny_voices.tiny_kokoro(tmp_path / "kokoro")
    (folder / "voices.bin").write_bytes(bytes(400))
    with pytest.raises(ConfigError, match="should have"):
        SherpaTts(folder, share)
    folder = tiny_voices.tiny_pocket(tmp_path / "pocket")
    (folder / "lm_main.onnx").write_bytes(b"another file")
    with pytest.raises(EngineError, match="no ONNX model"):
        asyncio.run(SherpaTts(folder, share).warm())
    (folder / "voice.wav").unlink()
    with pytest.raises(ConfigError, match=r"has no voice\.wav"):
        SherpaTts(folder, share)
