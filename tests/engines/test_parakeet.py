"""Parakeet on a small TDT model of its own shape: onnx-asr is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest, Word
from antiphon.engines.pool import Pool, Share
from antiphon.engines.stt.agreement import final
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_stt

pytest.importorskip("onnx_asr")
pytest.importorskip("onnx")
from tiny_models import tiny_parakeet

from antiphon.engines.stt.parakeet import LONGEST_S, Parakeet, cuts

pytestmark = pytest.mark.real


@pytest.fixture
def share() -> Iterator[Share]:
    made = Pool(cores=2)
    yield made.share(1)
    made.close()


def noise(seconds: float) -> Pcm:
    return (0.1 * np.random.default_rng(3).normal(size=round(16_000 * seconds))).astype(np.float32)


def test_it_keeps_the_contract_and_knows_when_words_were_said(tmp_path: Path, share: Share) -> None:
    stt = Parakeet(tiny_parakeet(tmp_path), share, frozenset({"en"}))
    heard = asyncio.run(check_stt(stt, noise(1.5)))
    assert heard.text
    assert heard.language == "en"
    assert " ".join(word.text for word in heard.words) == heard.text
    assert all(0 <= word.start_s <= 1.6 for word in heard.words)
    assert asyncio.run(final(stt, noise(0.1), SttRequest())).text == ""


def test_a_folder_that_holds_no_model(tmp_path: Path, share: Share) -> None:
    with pytest.raises(ConfigError, match="holds no NeMo model"):
        Parakeet(tmp_path, share)
    tiny_parakeet(tmp_path)
    (tmp_path / "encoder-model.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError) as failed:
        asyncio.run(Parakeet(tmp_path, share).warm())
    assert failed.value.code == "model_broken"


def test_long_sound_is_cut_in_quiet_places(tmp_path: Path, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = noise(61)
    for second in (20, 41):
        sound[16_000 * second : 16_000 * second + 3_200] = 0
    stops = cuts(sound)
    assert [stop // 16_000 for stop in stops] == [20, 41, 61]
    assert cuts(noise(LONGEST_S)) == [round(16_000 * LONGEST_S)]

    given: list[int] = []
    stt = Parakeet(tiny_parakeet(tmp_path), share)

    def heard(pcm: Pcm) -> tuple[str, tuple[Word, ...]]:
        given.append(pcm.size)
        return "word", (Word("word", 1.0, 1.5),)

    monkeypatch.setattr(stt, "_heard", heard)
    whole = asyncio.run(final(stt, sound, SttRequest()))
    assert np.cumsum(given).tolist() == stops
    assert whole.text == "word word word"
    assert [int(word.start_s) for word in whole.words] == [1, 21, 42]
