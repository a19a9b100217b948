"""A voice that falls is told from one that rises."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.hearing.prosody import SPAN, measured


def voice(start_hz: float, stop_hz: float, fade_db: float = 0.0, noise: float = 0.0) -> Pcm16:
    """A gliding voice of ten harmonics, half a second long."""
    pitch = np.geomspace(start_hz, stop_hz, SPAN)
    phase = 2 * np.pi * np.cumsum(pitch) / WIRE_RATE
    sound = sum(np.sin(n * phase) / n for n in range(1, 11))
    sound *= 10 ** (-np.linspace(0, fade_db, SPAN) / 20)
    sound += noise * np.random.default_rng(1).normal(size=SPAN)
    return np.asarray(4000 * sound, dtype=np.int16)


@pytest.mark.parametrize("start_hz", [90, 130, 220, 300])
@pytest.mark.parametrize("octaves", [-0.3, 0.0, 0.3])
def test_the_pitch_falls_or_rises_by_about_so_much(start_hz: float, octaves: float) -> None:
    fall = measured(voice(start_hz, start_hz * 2**-octaves), 7).pitch_fall
    assert fall == pytest.approx(0.55 * octaves, abs=0.06)  # between the middles of two parts of the glide


def test_noise_of_a_room_does_not_change_it() -> None:
    assert measured(voice(200, 150, noise=0.05), 0).pitch_fall == pytest.approx(0.23, abs=0.08)


def test_the_loudness_at_the_end() -> None:
    assert measured(voice(150, 150), 0).energy_fall_db == pytest.approx(0, abs=0.5)
    assert measured(voice(150, 150, fade_db=20), 0).energy_fall_db == pytest.approx(10, abs=2)


def test_the_silence_after_the_voice_is_not_its_end() -> None:
    sound = voice(150, 150)
    sound[-WIRE_RATE // 10 :] = 0
    assert abs(measured(sound, 0).energy_fall_db) < 1.5


@pytest.mark.parametrize("sound", [np.zeros(0, np.int16), np.zeros(100, np.int16), np.zeros(SPAN, np.int16)])
def test_what_is_no_voice_has_no_pitch(sound: Pcm16) -> None:
    assert measured(sound, 0).pitch_fall is None


@pytest.mark.parametrize("level", [-32768, 32767, 20_000, 200])
def test_b13_no_level_overflows(level: int) -> None:
    """int16 squared does not fit into int16, nor does the opposite of its least value."""
    result = measured(np.full(SPAN, level, np.int16), 0)
    assert abs(result.energy_fall_db) < 0.1


def test_noise_has_no_pitch() -> None:
    noise = np.asarray(3000 * np.random.default_rng(3).normal(size=SPAN), dtype=np.int16)
    assert measured(noise, 0).pitch_fall is None
