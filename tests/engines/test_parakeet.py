"""Parakeet on a small TDT model of its own shape: onnx-asr is the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest
from antiphon.engines.pool import Pool
from antiphon.engines.stt.agreement import final
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_stt

pytest.importorskip("onnx_asr")
pytest.importorskip("onnx")
from tiny_models import tiny_parakeet

from antiphon.engines.stt.parakeet import Parakeet

pytestmark = pytest.mark.real


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(cores=2)
    yield made
    made.close()


def noise(seconds: float) -> Pcm:
    return (0.1 * np.random.default_rng(3).normal(size=round(16_000 * seconds))).astype(np.float32)


def test_it_keeps_the_contract_and_knows_when_words_were_said(tmp_path: Path, pool: Pool) -> None:
    stt = Parakeet(tiny_parakeet(tmp_path), pool, "en")
    heard = asyncio.run(check_stt(stt, noise(1.5)))
    assert heard.text
    assert heard.language == "en"
    assert " ".join(word.text for word in heard.words) == heard.text
    assert all(0 <= word.start_s <= 1.6 for word in heard.words)
    assert asyncio.run(final(stt, noise(0.1), SttRequest())).text == ""


def test_a_folder_that_holds_no_model(tmp_path: Path, pool: Pool) -> None:
    with pytest.raises(ConfigError, match="holds no NeMo model"):
        Parakeet(tmp_path, pool)
    tiny_parakeet(tmp_path)
    (tmp_path / "encoder-model.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError) as failed:
        asyncio.run(Parakeet(tmp_path, pool).warm())
    assert failed.value.code == "model_broken"
