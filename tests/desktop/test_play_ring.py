"""The speaker's ring and whose sound it plays: cushions, gaps, the flush, and what was heard."""

from __future__ import annotations

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.desktop.playback import FIRST_CUSHION_MS, Heard, Playlist, PlayRing

RATE = 48_000
BLOCK = 480


def pulled(ring: PlayRing, channels: int = 1) -> Pcm:
    out = np.full((BLOCK, channels), 7, np.float32)
    ring.pull(out.data)
    return out[:, -1]


def ones(ms: int) -> Pcm:
    return np.ones(ms * RATE // 1000, np.float32)


def test_an_answer_begins_when_its_cushion_is_there() -> None:
    ring = PlayRing(2 * RATE, RATE, 2)
    ring.put(ones(FIRST_CUSHION_MS - 10))
    assert not pulled(ring, 2).any()
    ring.put(ones(10))
    assert pulled(ring, 2).all()
    assert ring.played == BLOCK


def test_a_short_answer_needs_no_cushion() -> None:
    ring = PlayRing(2 * RATE, RATE)
    ring.put(ones(15))
    ring.complete()
    assert pulled(ring).all()
    last = pulled(ring)
    assert last[: BLOCK // 2].all()
    assert not last[BLOCK // 2 :].any()
    assert ring.gaps == 0
    assert not ring.is_busy


def test_a_gap_makes_the_cushion_larger_and_calm_makes_it_smaller() -> None:
    ring = PlayRing(2 * RATE, RATE)
    first = ring.cushion
    ring.put(ones(65))
    for _ in range(8):
        pulled(ring)
    assert (ring.gaps, ring.cushion) == (1, 2 * first)
    for _ in range(1100):
        ring.put(ones(10))
        pulled(ring)
    assert ring.cushion < 2 * first


def test_a_flush_is_silence_within_a_block() -> None:
    ring = PlayRing(2 * RATE, RATE)
    ring.put(ones(500))
    pulled(ring)
    ring.flush()
    fade = pulled(ring)
    assert fade[0] == 1
    assert np.all(np.diff(fade) <= 0), "it only gets quieter"
    assert not fade[200:].any()
    assert not pulled(ring).any()
    ring.put(ones(100))
    assert pulled(ring).all(), "what comes after it is heard"


def test_a_flush_before_anything_played_is_no_click() -> None:
    ring = PlayRing(2 * RATE, RATE)
    ring.put(ones(30))
    ring.flush()
    assert not pulled(ring).any()
    assert not ring.is_busy


def test_what_does_not_fit_waits_and_comes_in_order() -> None:
    ring = PlayRing(RATE, RATE)
    playlist = Playlist(ring)
    ramp = np.arange(3 * RATE, dtype=np.float32)
    playlist.add("a", 0, ramp)
    playlist.finish()
    heard = []
    while playlist.is_busy:
        heard.append(pulled(ring))
        playlist.feed()
    assert np.array_equal(np.concatenate(heard), ramp)
    assert ring.gaps == 0


def test_more_than_the_longest_answer_is_counted() -> None:
    playlist = Playlist(PlayRing(RATE, RATE), longest_s=2.0)
    playlist.add("a", 0, ones(1500))
    playlist.add("a", 0, ones(2500))
    assert playlist.dropped == 2500 * RATE // 1000


def test_where_an_interruption_cut() -> None:
    ring = PlayRing(4 * RATE, RATE)
    playlist = Playlist(ring)
    playlist.add("first", 0, ones(100))
    playlist.add("second", 1, ones(400))
    for _ in range(25):
        pulled(ring)
    assert playlist.heard() == Heard("second", 1, 150, is_whole=False)
    assert playlist.flush(latency=20 * RATE // 1000) == Heard("second", 1, 130, is_whole=False)
    assert playlist.flush() is None, "there was nothing more to cut"
    pulled(ring)
    playlist.add("third", 0, ones(400))
    pulled(ring)
    assert playlist.heard() == Heard("third", 0, 10, is_whole=False)


def test_nothing_was_heard_of_what_never_played() -> None:
    playlist = Playlist(PlayRing(RATE, RATE))
    assert playlist.heard() is None
    playlist.add("a", 0, ones(10))
    assert playlist.flush() == Heard("a", 0, 0, is_whole=False)
