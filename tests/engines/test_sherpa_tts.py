"""Local voices by sherpa-onnx on a small VITS voice of its own shape, and the voice that speaks when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.engines.pool import Pool
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_tts

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
