"""Whisper on models of its own shape with random weights, made here: the library is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest, Transcript, Word
from antiphon.engines.pool import Pool, Share
from antiphon.engines.stt.agreement import final
from antiphon.engines.stt.checks import Heard
from antiphon.engines.stt.whisper import Whisper, WhisperOptions, language_for
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_stt

pytest.importorskip("faster_whisper")
from tiny_models import tiny_whisper

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper(tmp_path_factory.mktemp("english"))


@pytest.fixture
def share() -> Iterator[Share]:
    made = Pool(cores=2)
    yield made.share(1)
    made.close()


def noise(seconds: float) -> Pcm:
    return (0.1 * np.random.default_rng(3).normal(size=round(16_000 * seconds))).astype(np.float32)


def test_it_keeps_the_contract(english: Path, share: Share) -> None:
    asyncio.run(check_stt(Whisper(english, share), noise(1.0)))


class Scripted(Whisper):
    """Hears what the test says, after the real model has heard the sound."""

    def __init__(self, folder: Path, share: Share, script: list[Heard]) -> None:
        super().__init__(folder, share, WhisperOptions())
        self.script = script
        self.sizes: list[tuple[int, int]] = []

    def heard(self, pcm: Pcm, request: SttRequest, *, beam_size: int) -> tuple[Heard, str, tuple[Word, ...]]:
        super().heard(pcm, request, beam_size=beam_size)
        self.sizes.append((pcm.size, beam_size))
        return self.script.pop(0), "en", ()


def transcript(stt: Whisper, request: SttRequest | None = None, seconds: float = 2.0) -> Transcript:
    return asyncio.run(final(stt, noise(seconds), request or SttRequest("en")))


def test_what_is_doubted_is_heard_once_more_with_quiet_around_it(english: Path, share: Share) -> None:
    loop = Heard("I'm sorry. " * 12, 2.0, -0.4, 0.1)
    better = Scripted(english, share, [loop, Heard("I'm sorry.", 2.6, -0.4, 0.1)])
    assert transcript(better).text == "I'm sorry."
    assert better.sizes == [(32_000, 1), (32_000 + 9_600, 5)]
    assert transcript(Scripted(english, share, [loop, loop])).text == ""
    look = Scripted(english, share, [loop])
    assert transcript(look, SttRequest("en", is_partial=True)).text == ""
    assert len(look.sizes) == 1


def test_languages(english: Path, share: Share) -> None:
    stt = Whisper(english, share)
    assert transcript(stt, SttRequest("de")).language == "en"
    assert (stt.languages, stt.translates) == (frozenset({"en"}), False)
    assert language_for(SttRequest("de-CH"), ("de", "en")) == "de"
    assert language_for(SttRequest(None), ("de", "en")) is None
    with pytest.raises(EngineError, match="does not know the language"):
        language_for(SttRequest("tlh"), ("de", "en"))


def test_vocabulary_prompts_and_word_times(english: Path, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    stt = Whisper(english, share, WhisperOptions(vocabulary=("Antiphon", "Kyrie"), word_times=True))
    transcript(stt)
    long_prompt = SttRequest("en", prompt="what was said before " * 200)
    heard, _, words = (transcript(stt, long_prompt), *(stt.heard(noise(3), long_prompt, beam_size=1)[1:]))
    assert all(0 <= word.start_s <= word.end_s <= 30 for word in words)
    model: Any = stt._model
    make, prompts = model.get_prompt, list[list[int]]()

    def kept(*args: Any, **more: Any) -> list[int]:
        prompts.append(make(*args, **more))
        return prompts[-1]

    monkeypatch.setattr(model, "get_prompt", kept)
    transcript(stt, long_prompt)
    said = model.hf_tokenizer.decode(prompts[0])
    assert "Kyrie" in said
    assert "said before" in said
    assert heard.confidence is None or 0 <= heard.confidence <= 1


def test_a_folder_that_is_no_model(tmp_path: Path, english: Path, share: Share) -> None:
    with pytest.raises(ConfigError, match=r"no model\.bin") as refused:
        Whisper(tmp_path, share)
    assert "antiphon models pull" in refused.value.hint
    broken = tiny_whisper(tmp_path / "broken")
    (broken / "model.bin").write_bytes((broken / "model.bin").read_bytes()[:5_000])
    with pytest.raises(EngineError) as failed:
        asyncio.run(Whisper(broken, share).warm())
    assert failed.value.code == "model_broken"
