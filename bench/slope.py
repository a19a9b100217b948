"""Whether memory grows: the slope of a line through what was looked at, with its confidence interval.

It does not know whose memory it is, nor when enough has happened for a look to count.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

FEWEST_BLOCKS = 5
STUDENT = {3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 8: 2.31, 10: 2.23, 15: 2.13, 20: 2.09, 30: 2.04, 60: 2.00, 120: 1.98}
"""Quantiles at 97.5 % of Student's distribution, by degrees of freedom; 1.96 for more."""


class Slope(Struct, frozen=True):
    """Bytes for each step of what memory was looked at over: a second, say."""

    mean: float
    margin: float
    """Half of the 95 % confidence interval."""

    @property
    def is_growth(self) -> bool:
        return self.mean - self.margin > 0


def slope_of(looks: list[tuple[float, int]], block: int) -> Slope:
    """Of memory over time, or over whatever else comes first in a look; so many looks make one mean.

    Raises `ValueError` for too few of them.
    """
    count = len(looks) // block
    if count < FEWEST_BLOCKS:
        raise ValueError(f"{len(looks)} looks make {count} means, and {FEWEST_BLOCKS} are needed")
    times, sizes = np.array(looks[: count * block], float).reshape(count, block, 2).mean(axis=1).T
    centred = times - times.mean()
    spread = float(centred @ centred)
    mean = float(centred @ sizes) / spread
    residue = sizes - sizes.mean() - mean * centred
    error = math.sqrt(float(residue @ residue) / (count - 2) / spread)
    quantile = next((value for degrees, value in STUDENT.items() if count - 2 <= degrees), 1.96)
    return Slope(mean, quantile * error)
