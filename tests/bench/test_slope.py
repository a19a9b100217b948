"""What is concluded from looks at memory."""

from __future__ import annotations

import random

import pytest

from slope import slope_of

BLOCK = 15


def looks(per_hour: float, noise: float, count: int = 300) -> list[tuple[float, int]]:
    chance = random.Random(1)
    return [(2.0 * n, round(2e8 + per_hour * 2 * n / 3600 + chance.gauss(0, noise))) for n in range(count)]


def test_memory_that_stays_has_no_slope_and_noise_makes_none() -> None:
    slope = slope_of(looks(0.0, 1e6), BLOCK)
    assert not slope.is_growth
    assert abs(slope.mean) < slope.margin


@pytest.mark.parametrize("per_hour", [1e7, 1e9])
def test_a_leak_is_found_and_measured(per_hour: float) -> None:
    slope = slope_of(looks(per_hour, 1e5), BLOCK)
    assert slope.is_growth
    assert abs(3600 * slope.mean - per_hour) < 2 * 3600 * slope.margin


def test_nothing_is_concluded_from_little() -> None:
    with pytest.raises(ValueError, match="5 are needed"):
        slope_of(looks(0.0, 1.0, 30), BLOCK)
