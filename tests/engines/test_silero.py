"""Silero's graph, with its real weights: batches, memory, and what happens without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.wav import read_wav
from antiphon.engines.vad.energy import EnergyVad
from antiphon.engines.vad.silero import HERE, SileroVad
from antiphon.errors import ConfigError

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad()


def hello() -> NDArray[np.float32]:
    """1.7 s of a synthetic voice at 16 kHz, which asks: "Hello there, can you hear me?"."""
    sound = read_wav((Path(__file__).parents[1] / "data" / "hello.wav").read_bytes())
    assert sound.rate_hz == 16_000
    return sound.pcm


def scores_alone(vad: SileroVad, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    memory, scores = np.zeros((1, vad.memory), np.float32), []
    for start in range(0, sound.size - vad.window + 1, vad.window):
        score, memory = vad.score(sound[None, start : start + vad.window], memory)
        scores.append(score[0])
    return np.array(scores)


def test_a_voice_scores_high_and_quiet_noise_low(vad: SileroVad) -> None:
    noise = np.random.default_rng(1).normal(0, 10 ** (-50 / 20), 16_000).astype(np.float32)
    assert scores_alone(vad, noise)[5:].max() < 0.3
    assert np.median(scores_alone(vad, hello())) > 0.7


def test_a_stream_in_a_batch_gets_what_it_gets_alone_to_the_bit(vad: SileroVad) -> None:
    dice, voice = np.random.default_rng(2), hello()
    sounds = [voice[row * 1000 :][:12_000] + dice.normal(0, 0.01, 12_000).astype(np.float32) for row in range(7)]
    alone = np.array([scores_alone(vad, sound) for sound in sounds])
    for crowd in (7, 70):  # there is room for 64 at first
        memories = np.zeros((crowd, vad.memory), np.float32)
        for index, start in enumerate(range(0, sounds[0].size - vad.window + 1, vad.window)):
            windows = np.array([sounds[row % 7][start : start + vad.window] for row in range(crowd)])
            scores, memories = vad.score(windows, memories)
            np.testing.assert_array_equal(scores, np.resize(alone[:, index], crowd))


def test_windows_of_one_stream_at_once_get_what_they_get_in_turn_to_the_bit(vad: SileroVad) -> None:
    voice = hello()
    expected = scores_alone(vad, voice)
    windows = voice[: expected.size * vad.window].reshape(-1, vad.window)
    for length in (1, 2, 3, 5, 8, expected.size):
        memory, scores = np.zeros((1, vad.memory), np.float32), []
        for start in range(0, expected.size, length):
            run, memory = vad.score(windows[start : start + length], memory)
            scores.append(run)
        np.testing.assert_array_equal(np.concatenate(scores), expected)


def test_the_graph_scores_as_its_owners_does(vad: SileroVad) -> None:
    """The figures are the original's: version 6.2.3 by onnxruntime 1.31, on this sound."""
    original = json.loads((Path(__file__).parents[1] / "data" / "silero_scores.json").read_text())
    np.testing.assert_allclose(scores_alone(vad, hello()), original, atol=2e-5)


def test_the_arguments_stay_as_they_were(vad: SileroVad) -> None:
    windows = np.full((2, vad.window), 0.1, np.float32)
    memories = np.full((2, vad.memory), 0.1, np.float32)
    scores, after = vad.score(windows, memories)
    assert (windows == 0.1).all()
    assert (memories == np.float32(0.1)).all()
    assert scores.shape == (2,)
    assert after.shape == memories.shape
    assert scores.dtype == after.dtype == np.float32


def test_weights_that_were_changed_are_not_loaded(tmp_path: Path) -> None:
    for name in ("silero_vad.onnx", "silero_vad.json"):
        shutil.copy(HERE / name, tmp_path / name)
    with (tmp_path / "silero_vad.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff")
    with pytest.raises(ConfigError, match="not the file of Silero VAD"):
        SileroVad(tmp_path)


@pytest.mark.parametrize("description", [None, b"{", b'{"name": 7}'])
def test_weights_that_are_missing_are_said_to_be(tmp_path: Path, description: bytes | None) -> None:
    if description is not None:
        (tmp_path / "silero_vad.json").write_bytes(description)
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        SileroVad(tmp_path)
    assert "energy" in refused.value.hint


def test_the_licence_lies_beside_the_weights() -> None:
    assert "Silero Team" in (HERE / "SILERO_LICENSE").read_text()


def test_the_level_meter_scores_by_level_alone() -> None:
    vad = EnergyVad(middle_dbfs=-40)
    levels_dbfs = np.array([-120.0, -50, -45, -40, -30, 0])
    windows = np.repeat(10 ** (levels_dbfs[:, None] / 20), vad.window, axis=1).astype(np.float32)
    scores, memories = vad.score(windows, np.zeros((6, 0), np.float32))
    np.testing.assert_allclose(scores, [0, 0, 0.25, 0.5, 1, 1], atol=1e-4)
    assert memories.shape == (6, 0)
