"""The resampler's three promises: exact in count, clean in sound, late by 2 ms at most."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.resample import Resampler, filter_between, resampled
from antiphon.audio.units import Pcm
from antiphon.errors import ConfigError

PAIRS = [
    (24_000, 16_000),
    (8_000, 16_000),
    (8_000, 24_000),
    (48_000, 16_000),
    (48_000, 24_000),
    (22_050, 24_000),
    (16_000, 24_000),
    (24_000, 8_000),
    (24_000, 48_000),
    (44_100, 16_000),
]


def tone(hz: float, rate_hz: int, seconds: float = 0.5) -> Pcm:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz).astype(np.float32)


def through(sound: Pcm, from_hz: int, to_hz: int, chunks: list[int]) -> Pcm:
    """Push `sound` in chunks of these lengths, over and over, and flush."""
    stream, out, position, turn = Resampler(from_hz, to_hz), [], 0, 0
    while position < sound.size:
        length = chunks[turn % len(chunks)]
        out.append(stream.push(sound[position : position + length]))
        position, turn = position + length, turn + 1
    return np.concatenate([*out, stream.flush()])


def level_db(sound: Pcm, hz: float, rate_hz: int) -> float:
    """Amplitude of the tone at `hz` in the middle of `sound`, in decibels against a full one."""
    middle = sound[sound.size // 5 : -sound.size // 5].astype(np.float64)
    window = np.hanning(middle.size)
    turning = np.exp(-2j * np.pi * hz * np.arange(middle.size) / rate_hz)
    return float(20 * np.log10(max(2 * abs(np.sum(middle * window * turning)) / window.sum(), 1e-12)))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_tone_comes_out_as_the_same_tone_at_the_same_moment(from_hz: int, to_hz: int) -> None:
    out = through(tone(1000, from_hz), from_hz, to_hz, [from_hz // 50])
    expected = tone(1000, to_hz)
    assert out.size == expected.size
    edge = to_hz // 100
    # -70 dB, including any click at a border between chunks.
    assert np.abs(out - expected)[edge:-edge].max() < 3.2e-4


def test_ten_kilohertz_leaves_no_alias_at_sixteen() -> None:
    out = through(tone(10_000, 24_000), 24_000, 16_000, [480])
    assert level_db(out, 6_000, 16_000) < -60
    middle = out[800:-800]
    assert 20 * np.log10(np.sqrt(np.mean(middle**2)) * np.sqrt(2)) < -60


@pytest.mark.parametrize(
    ("from_hz", "to_hz", "hz"),
    [(48_000, 16_000, 12_000), (48_000, 16_000, 20_000), (48_000, 24_000, 14_000), (24_000, 8_000, 6_000)],
)
def test_what_the_lower_rate_cannot_hold_is_gone(from_hz: int, to_hz: int, hz: float) -> None:
    out = through(tone(hz, from_hz), from_hz, to_hz, [from_hz // 50])
    assert np.abs(out[to_hz // 50 : -to_hz // 50]).max() < 1e-3


@pytest.mark.parametrize(("from_hz", "to_hz", "top_hz"), [(24_000, 16_000, 6_500), (8_000, 16_000, 3_300)])
def test_speech_passes_flat(from_hz: int, to_hz: int, top_hz: int) -> None:
    for hz in range(100, top_hz, 400):
        out = through(tone(hz, from_hz), from_hz, to_hz, [from_hz // 50])
        assert abs(level_db(out, hz, to_hz)) < 0.1, hz


def test_telephone_sound_has_no_image() -> None:
    out = through(tone(3_000, 8_000), 8_000, 24_000, [160])
    assert level_db(out, 5_000, 24_000) < -60
    assert level_db(out, 11_000, 24_000) < -60


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
@settings(max_examples=20)
@given(lengths=st.lists(st.integers(0, 700), min_size=1, max_size=12))
def test_samples_are_counted_exactly(from_hz: int, to_hz: int, lengths: list[int]) -> None:
    stream, pushed, given_out = Resampler(from_hz, to_hz), 0, 0
    for length in lengths:
        given_out += stream.push(np.ones(length, np.float32)).size
        pushed += length
        assert given_out == max(0, ceil((pushed - stream.delay) * to_hz / from_hz))
    given_out += stream.flush().size
    assert given_out == ceil(pushed * to_hz / from_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_result_does_not_depend_on_how_the_stream_is_cut(from_hz: int, to_hz: int) -> None:
    noise = np.random.default_rng(7).uniform(-1, 1, 3000).astype(np.float32)
    whole = through(noise, from_hz, to_hz, [noise.size])
    for chunks in ([480], [1, 2, 3, 500], [7], [36, 0, 1]):
        np.testing.assert_allclose(through(noise, from_hz, to_hz, chunks), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_delay_is_two_milliseconds_at_most(from_hz: int, to_hz: int) -> None:
    assert Resampler(from_hz, to_hz).delay / from_hz <= 0.002


def test_after_a_flush_another_stream_begins() -> None:
    stream, first = Resampler(24_000, 16_000), tone(440, 24_000, 0.1)
    once = np.concatenate((stream.push(first), stream.flush()))
    again = np.concatenate((stream.push(first), stream.flush()))
    np.testing.assert_array_equal(once, again)


def test_the_same_rate_is_no_work() -> None:
    stream, sound = Resampler(24_000, 24_000), tone(440, 24_000)
    assert stream.push(sound) is sound
    assert stream.flush().size == 0
    assert stream.delay == 0


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    how = filter_between(24_000, 16_000)
    rows = np.random.default_rng(3).standard_normal((9, 768 + 2 * how.reach)).astype(np.float32)
    together = how.apply(rows)
    assert together.shape == (9, 512)
    for row, expected in zip(rows, together, strict=True):
        np.testing.assert_array_equal(how.apply(np.ascontiguousarray(row[None])), expected[None])


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 15_999), (0, 16_000), (16_000, -1)])
def test_strange_rates_are_refused_with_a_hint(from_hz: int, to_hz: int) -> None:
    with pytest.raises(ConfigError, match="cannot resample") as refused:
        Resampler(from_hz, to_hz)
    assert "24000" in refused.value.hint


def test_whole_sounds_keep_their_length_and_place() -> None:
    out = resampled(tone(1000, 44_100), 44_100, 16_000)
    assert out.dtype == np.float32
    assert out.size == 8000
    assert np.abs(out - tone(1000, 16_000))[400:-400].max() < 1e-3
    assert resampled(out, 16_000, 16_000) is out
