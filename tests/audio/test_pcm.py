"""Samples change shape without changing sound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.pcm import (
    QUIETEST_DBFS,
    dbfs,
    float_from_int16,
    guarded,
    int16_from_bytes,
    int16_from_float,
    interleaved,
    mono_from_frames,
    rms,
)
from antiphon.errors import Bug, PeerError


def test_every_int16_survives_the_way_to_float_and_back() -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    floats = float_from_int16(every)
    assert floats.dtype == np.float32
    assert floats.min() == -1.0
    assert floats.max() < 1.0
    np.testing.assert_array_equal(int16_from_float(floats), every)


def test_floats_out_of_range_are_clipped_and_not_wrapped() -> None:
    loud = np.array([1.0, 1.5, -1.0, -7.0], np.float32)
    assert int16_from_float(loud).tolist() == [32767, 32767, -32768, -32768]


def test_bytes_are_little_endian_samples() -> None:
    assert int16_from_bytes(b"\x01\x00\xff\xff\x00\x80").tolist() == [1, -1, -32768]
    assert int16_from_bytes(b"").size == 0


def test_half_a_sample_is_refused_by_name() -> None:
    with pytest.raises(PeerError, match="even number of bytes, and this has 3") as refused:
        int16_from_bytes(b"abc", "audio")
    assert refused.value.param == "audio"
    assert refused.value.code == "invalid_value"


def test_good_sound_passes_the_guard_untouched() -> None:
    sound = np.full(1000, 0.25, np.float32)
    answer = guarded(sound)
    assert answer.pcm is sound
    assert answer.rms == pytest.approx(0.25)
    assert answer.repaired == 0


def test_loud_sound_in_range_passes_too() -> None:
    sound = np.where(np.arange(480) % 2, 1.0, -1.0).astype(np.float32)
    assert guarded(sound).pcm is sound
    assert guarded(sound).rms == pytest.approx(1.0)


@given(
    where=st.integers(0, 999),
    bad=st.sampled_from([math.nan, math.inf, -math.inf, 1.0001, -3.0, 3e38, 1e20]),
    level=st.sampled_from([0.0, 0.01, 0.9]),
)
def test_one_bad_sample_anywhere_is_found(where: int, bad: float, level: float) -> None:
    sound = np.full(1000, level, np.float32)
    sound[where] = bad
    answer = guarded(sound)
    assert answer.repaired == 1
    assert answer.pcm[where] == (math.copysign(1.0, bad) if math.isfinite(bad) else 0.0)
    assert np.count_nonzero(answer.pcm != np.float32(level)) <= 1
    assert math.isfinite(answer.rms)


def test_no_samples_are_silent() -> None:
    nothing = np.zeros(0, np.float32)
    assert guarded(nothing).rms == 0.0
    assert rms(nothing) == 0.0


def test_b13_the_level_of_int16_cannot_overflow() -> None:
    assert rms(np.zeros(0, np.int16)) == 0.0
    assert rms(np.full(100, 20_000, np.int16)) == pytest.approx(20_000 / 32768)
    assert rms(np.full(24_000 * 60, -32768, np.int16)) == pytest.approx(1.0, rel=1e-4)
    assert rms(np.full(100, 200, np.int16)) == pytest.approx(200 / 32768)
    assert rms(np.full(100, 0.5, np.float32)) == pytest.approx(0.5)


def test_decibels_are_finite() -> None:
    assert dbfs(1.0) == 0.0
    assert dbfs(0.1) == pytest.approx(-20.0)
    assert dbfs(0.0) == QUIETEST_DBFS
    assert dbfs(1e-30) == QUIETEST_DBFS


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_channels_fold_to_their_mean_in_memory_of_their_own(channels: int) -> None:
    frames = np.random.default_rng(1).uniform(-1, 1, (50, channels)).astype(np.float32)
    expected = frames.mean(axis=1)
    folded = mono_from_frames(frames)
    frames[:] = 0
    np.testing.assert_allclose(folded, expected, atol=1e-6)
    assert folded.dtype == np.float32


def test_sound_that_is_not_in_frames_is_our_mistake() -> None:
    with pytest.raises(Bug, match="1 dimensions"):
        mono_from_frames(np.zeros(4, np.float32))


def test_two_voices_stand_side_by_side() -> None:
    left, right = np.array([1, 2, 3], np.int16), np.array([-1], np.int16)
    assert interleaved(left, right).tolist() == [1, -1, 2, 0, 3, 0]
