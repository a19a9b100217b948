"""Sound of items is kept within a bound, and the oldest is given up first."""

import numpy as np

from antiphon.runtime.retained import RetainedAudio


def sound(samples: int, value: int = 1) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return np.full(samples, value, np.int16)


def test_the_oldest_is_given_up_first() -> None:
    kept = RetainedAudio(limit_bytes=400)
    for name in ("a", "b", "c"):
        kept.retain(name, sound(90))
    assert kept.of("a").size == 0
    assert kept.of("b").size == kept.of("c").size == 90
    assert kept.held_bytes == 360


def test_what_is_too_much_alone_pushes_nothing_out() -> None:
    kept = RetainedAudio(limit_bytes=400)
    kept.retain("a", sound(90))
    kept.retain("b", sound(201))
    assert kept.of("a").size == 90
    assert kept.of("b").size == 0


def test_trimmed_and_forgotten_sound_makes_room() -> None:
    kept = RetainedAudio(limit_bytes=400)
    kept.retain("a", sound(100))
    kept.trim("a", 40)
    kept.trim("a", 60)
    assert kept.of("a").size == 40
    assert kept.held_bytes == 80
    kept.trim("a", 0)
    assert kept.held_bytes == 0
    kept.retain("b", sound(100))
    kept.retain("b", sound(50))
    assert kept.held_bytes == 100
    kept.forget("b")
    kept.forget("b")
    assert kept.held_bytes == 0
