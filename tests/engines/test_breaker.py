"""How long an engine that fails is left alone."""

from __future__ import annotations

from antiphon.engines.breaker import FIRST_REST_S, LONGEST_REST_S, Breaker


def test_it_rests_twice_as_long_with_each_failure_in_a_row() -> None:
    breaker, now, rests = Breaker(), 100.0, []
    for _ in range(9):
        breaker.failed(now)
        assert breaker.is_open
        rests.append(breaker.rests_until - now)
        now = breaker.rests_until
        breaker.probed()
    assert rests[:4] == [FIRST_REST_S, 2 * FIRST_REST_S, 4 * FIRST_REST_S, 8 * FIRST_REST_S]
    assert rests[-1] == LONGEST_REST_S
    breaker.worked()
    breaker.failed(now)
    assert breaker.rests_until - now == FIRST_REST_S


def test_what_it_asked_for_is_obeyed() -> None:
    breaker = Breaker()
    breaker.failed(10.0, retry_after_s=90.0)
    assert (breaker.rests_until, breaker.is_told_to_wait) == (100.0, True)
    breaker.failed(11.0)  # a request that was on its way all the while
    assert breaker.rests_until == 100.0
    breaker.probed()
    assert not breaker.is_open
    assert not breaker.is_told_to_wait
