"""Windows are cut where they say, at every rate."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.pcm import float_from_int16, int16_from_float
from antiphon.audio.resample import Resampler
from antiphon.errors import ConfigError
from antiphon.hearing.windows import Cutter, cutter_for


def spans_of(cutter: Cutter, pcm: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[bytes]:
    padded = np.concatenate((np.zeros(cutter.reach, np.int16), pcm))
    return [
        padded[start : start + cutter.span].tobytes() for start in range(0, padded.size - cutter.span + 1, cutter.step)
    ]


@pytest.mark.parametrize(("rate_hz", "step"), [(8_000, 256), (16_000, 512), (24_000, 768), (48_000, 1536)])
def test_a_window_is_thirty_two_milliseconds_at_any_rate(rate_hz: int, step: int) -> None:
    cutter = cutter_for(rate_hz, 512)
    assert cutter.step == step
    assert cutter.reach <= rate_hz * 0.002
    assert cutter.windows([bytes(2 * cutter.span)] * 3).shape == (3, 512)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_windows_join_to_the_stream_that_the_resampler_makes(rate_hz: int) -> None:
    noise = np.random.default_rng(5).integers(-20_000, 20_000, rate_hz // 2).astype(np.int16)
    cutter = cutter_for(rate_hz, 512)
    windows = cutter.windows(spans_of(cutter, noise)).reshape(-1)
    expected = Resampler(rate_hz, 16_000).push(float_from_int16(noise))
    np.testing.assert_allclose(windows, expected[: windows.size], atol=1e-5)


def test_a_sound_is_in_the_window_that_its_position_says() -> None:
    sound = np.zeros(768 * 6, np.float32)
    sound[768 * 3 : 768 * 4] = np.sin(np.arange(768))
    cutter = cutter_for(24_000, 512)
    windows = cutter.windows(spans_of(cutter, int16_from_float(sound)))
    loud = np.sqrt(np.mean(windows**2, axis=1)) > 0.1
    assert loud.tolist() == [False, False, False, True, False]


def test_a_row_is_the_same_in_any_company() -> None:
    cutter, dice = cutter_for(24_000, 512), np.random.default_rng(6)
    spans = [dice.integers(-999, 999, cutter.span).astype(np.int16).tobytes() for _ in range(33)]
    together = cutter.windows(spans)
    for span, row in zip(spans, together, strict=True):
        np.testing.assert_array_equal(cutter.windows([span])[0], row)


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 11_025, 7_999])
def test_rates_that_do_not_make_whole_windows_are_refused(rate_hz: int) -> None:
    with pytest.raises(ConfigError, match="Hz"):
        Cutter(rate_hz, 512)
