"""What is concluded from looks at memory."""

from __future__ import annotations

import math
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


def wandering(step: float, per_hour: float, count: int = 600) -> list[tuple[float, int]]:
    """Seven tenths of what memory is away from its line stay until the next half minute."""
    chance, away, found = random.Random(3), 0.0, []
    for n in range(count):
        if n % BLOCK == 0:
            away = 0.7 * away + chance.gauss(0, step)
        found.append((2.0 * n, round(2e8 + per_hour * 2 * n / 3600 + away)))
    return found


def test_what_wanders_is_not_what_grows() -> None:
    slope = slope_of(wandering(1e6, 0.0), BLOCK)
    assert slope.independent < 600 / BLOCK / 2
    assert not slope.is_growth
    assert slope_of(wandering(1e6, 1e8), BLOCK).is_growth


def test_a_machine_that_does_nothing_else_than_wander_tells_nothing() -> None:
    swing = [(2.0 * n, round(2e8 + 1e7 * math.sin(n / 90))) for n in range(300)]
    with pytest.raises(ValueError, match="look for longer"):
        slope_of(swing, BLOCK)


def test_nothing_is_concluded_from_little() -> None:
    with pytest.raises(ValueError, match="5 are needed"):
        slope_of(looks(0.0, 1.0, 30), BLOCK)
