"""Ids for items, responses and everything else that a client may name, from a seed.

The seed is chance enough for the live server when it is itself random, and it makes a replay name everything alike.
"""

from __future__ import annotations

import random
import string

ALPHABET = string.ascii_letters + string.digits
LENGTH = 21  # characters after the prefix, as the official servers' ids: 125 bits


class Ids:
    """Makes ids such as "item_Fd3…", the same ones in the same order for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self, prefix: str) -> str:
        """A new id that starts with `prefix` and an underscore."""
        return prefix + "_" + "".join(self._random.choices(ALPHABET, k=LENGTH))
