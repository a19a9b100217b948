"""What is done to a sound before it is recognised."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.units import HEARING_RATE, Pcm16
from antiphon.engines.stt.pocketsphinx_sound import PADDING_S, STRETCH, pitch_of, prepared


def voice(pitch_hz: float, seconds: float = 1.0) -> Pcm16:
    """A buzz with falling harmonics, as vocal cords make it."""
    moment = np.arange(round(seconds * HEARING_RATE)) / HEARING_RATE
    buzz = sum(np.sin(2 * np.pi * pitch_hz * k * moment) / k for k in range(1, 20))
    wave: Pcm16 = np.round(4000 * buzz).astype(np.int16)
    return wave


@pytest.mark.parametrize("pitch_hz", [75, 100, 149, 151, 200, 320])
def test_the_pitch_of_a_voice(pitch_hz: float) -> None:
    assert pitch_of(float_from_int16(voice(pitch_hz))) == pytest.approx(pitch_hz, rel=0.03)


def test_noise_silence_and_a_click_have_no_pitch() -> None:
    noise = np.random.default_rng(1).normal(size=HEARING_RATE).astype(np.float32) * np.float32(0.1)
    assert pitch_of(noise) == 0
    assert pitch_of(np.zeros(HEARING_RATE, np.float32)) == 0
    assert pitch_of(np.ones(100, np.float32)) == 0


def made(pcm: Pcm16) -> bytes:
    sound = float_from_int16(pcm)
    return prepared(sound, pitch_of(sound))


@pytest.mark.parametrize(("pitch_hz", "factor"), [(110, 1.0), (210, STRETCH)])
def test_only_a_high_voice_is_stretched(pitch_hz: float, factor: float) -> None:
    samples = len(made(voice(pitch_hz))) // 2 - 2 * round(PADDING_S * HEARING_RATE)
    assert samples == pytest.approx(factor * HEARING_RATE, abs=2)


def test_the_same_sound_is_heard_the_same() -> None:
    assert made(voice(110)) == made(voice(110))
    assert len(made(np.zeros(0, np.int16))) == 4 * round(PADDING_S * HEARING_RATE)
