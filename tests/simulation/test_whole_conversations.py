"""A thousand whole conversations in all weathers keep every law, and leave nothing behind. `make simulate` has more."""

from __future__ import annotations

import gc
from itertools import count

import laws
import pytest
import world

PARTS = 8  # that may run side by side
CONVERSATIONS = 1_000
FIRST = 1_000_000  # not those that were looked at while this was written


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_goes_wrong_the_laws_hold(part: int) -> None:
    faults, had = 0, 0
    seeds = count(FIRST * (1 + part))
    while had < CONVERSATIONS / PARTS:
        seed = next(seeds)
        account = world.live(seed)
        assert laws.breaches(account) == [], f"make simulate N=1 FIRST={seed}"
        faults += sum(account.weather.faults.values())
        had += len(account.calls)
    assert faults > had, "chance has left out what is to be tried"


@pytest.mark.slow
def test_memory_returns_to_its_start() -> None:
    def objects_after_some() -> int:
        drives = [drive for seed in range(4) for drive in world.live(seed).drives]
        gc.collect()
        assert not [drive for drive in drives if drive() is not None], "a session outlives its end"
        del drives
        return len(gc.get_objects())

    objects_after_some()
    first = objects_after_some()
    assert objects_after_some() - first < 50


@pytest.mark.slow
def test_a_seed_is_a_conversation() -> None:
    def once(seed: int) -> list[list[bytes]]:
        return [laws.recorded(call) for call in world.live(seed).calls]

    assert once(3) == once(3) != once(4)
