"""Whether memory grows: the slope of a line through what was looked at, with its confidence interval.

It does not know whose memory it is, nor when enough has happened for a look to count.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

FEWEST_BLOCKS = 5
FEWEST_INDEPENDENT = 3.0  # means: with fewer, one slow swing passes for a line
STUDENT = {
    1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 8: 2.31, 10: 2.23, 15: 2.13, 20: 2.09, 30: 2.04, 60: 2.00
}  # fmt: skip
"""Quantiles at 97.5 % of Student's distribution, by degrees of freedom."""


class Slope(Struct, frozen=True):
    """Bytes for each step of what memory was looked at over: a second, say."""

    mean: float
    margin: float
    """Half of the 95 % confidence interval."""
    independent: float
    """How many independent means those that were looked at are worth."""

    @property
    def is_growth(self) -> bool:
        return self.mean - self.margin > 0


def slope_of(looks: list[tuple[float, int]], block: int) -> Slope:
    """Of memory over time, or over whatever else comes first in a look; so many looks make one mean.

    Memory wanders: what is left over from the line is like what was left over just before, and many looks are worth a
    few. Each mean is counted for as much as their correlation leaves of it, as Santer and others do for the weather
    (J. Geophys. Res. 105, 7337, 2000); without it every slow swing would be growth.

    Raises `ValueError` where nothing can be concluded: of too few looks, or of those that wander all the time.
    """
    count = len(looks) // block
    if count < FEWEST_BLOCKS:
        raise ValueError(f"{len(looks)} looks make {count} means, and {FEWEST_BLOCKS} are needed")
    times, sizes = np.array(looks[: count * block], float).reshape(count, block, 2).mean(axis=1).T
    centred = times - times.mean()
    spread = float(centred @ centred)
    mean = float(centred @ sizes) / spread
    residue = sizes - sizes.mean() - mean * centred
    scatter = float(residue @ residue)
    likeness = max(0.0, float(residue[1:] @ residue[:-1]) / scatter) if scatter else 0.0
    independent = count * (1 - likeness) / (1 + likeness)
    if independent < FEWEST_INDEPENDENT:
        raise ValueError(f"{count} means that wander are worth {independent:.1f} independent ones: look for longer")
    freedom = independent - 2
    quantile = next(value for degrees, value in reversed(STUDENT.items()) if degrees <= freedom)
    return Slope(mean, quantile * math.sqrt(scatter / freedom / spread), independent)
