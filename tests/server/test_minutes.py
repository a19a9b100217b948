"""Minutes of sessions by key: taken ahead in slices, given back where they were not used, told when they are over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from calling import KEY, client, refusal, server
from websockets.exceptions import ConnectionClosed

from antiphon.server.limits import OwnLimits, Size
from antiphon.server.minutes import SLICE_S, Minutes, Stay
from antiphon.server.refusals import Refusal
from antiphon.server.shared import SharedLimits, SharedTable

TWO_MINUTES_AN_HOUR = Size(120.0, 3600.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def begun(minutes: Minutes, owner: str = "ann") -> Stay:
    stay = minutes.begin(owner)
    assert isinstance(stay, Stay)
    return stay


def until_spent(clock: Clock, *stays: Stay) -> float:
    """Seconds that these may all go on, looked at every five."""
    began = clock.now
    while all(stay.goes_on(5.0) for stay in stays):
        clock.now += 5.0
    return clock.now - began


def test_a_key_has_so_much_and_what_comes_back_meanwhile() -> None:
    clock = Clock()
    minutes = Minutes(OwnLimits().buckets("", TWO_MINUTES_AN_HOUR, clock), clock)
    assert until_spent(clock, begun(minutes)) == pytest.approx(120, abs=SLICE_S)
    refused = minutes.begin("ann")
    assert isinstance(refused, Refusal)
    assert (refused.status, refused.code) == (429, "minutes_used_up")
    assert "allows 2 in 1 hours" in refused.message
    begun(minutes, "ben")
    clock.now += 3600 / 120 * SLICE_S  # half a minute for every second
    begun(minutes)


def test_two_at_a_time_have_half_of_it() -> None:
    clock = Clock()
    minutes = Minutes(OwnLimits().buckets("", TWO_MINUTES_AN_HOUR, clock), clock)
    assert until_spent(clock, begun(minutes), begun(minutes)) == pytest.approx(60, abs=SLICE_S)


def test_what_was_taken_and_not_used_is_there_again() -> None:
    clock = Clock()
    minutes = Minutes(OwnLimits().buckets("", TWO_MINUTES_AN_HOUR, clock), clock)
    for _ in range(100):
        begun(minutes).end()


def test_workers_share_them_and_bytes_are_counted_apart(tmp_path: Path) -> None:
    clock = Clock()
    tables = [SharedTable(tmp_path / "limits", number, 2) for number in range(2)]
    limits = [SharedLimits(table) for table in tables]
    one, other = (Minutes(limit.buckets("minutes ", TWO_MINUTES_AN_HOUR, clock), clock) for limit in limits)
    assert limits[0].budgets(1000, clock).of("ann").allow(1000)
    assert until_spent(clock, begun(one), begun(other)) == pytest.approx(60, abs=SLICE_S)
    assert isinstance(one.begin("ann"), Refusal)
    del one, other, limits
    for table in tables:
        table.close()


@pytest.mark.real
def test_who_has_used_up_their_minutes_is_told_and_not_let_in() -> None:
    async def story() -> None:
        async with server(server__keys=(KEY,), server__max_minutes_per_key=1) as made, client(made, key=KEY) as call:
            await call.receive("session.created")
            made.state.sessions.end_spent(45.0)
            status, error = await refusal(made, key=KEY)
            assert (status, error["code"]) == (429, "minutes_used_up")
            made.state.sessions.end_spent(3600.0)
            with pytest.raises(ConnectionClosed) as closed:
                await call.receive_all()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                1008, "This key has used up its minutes of sessions.",
            )  # fmt: skip
            (told,) = (event["error"] for event in call.events if event["type"] == "error")
            assert told["code"] == "minutes_used_up"
            assert "server.max_minutes_per_key allows 1 in 24 hours" in told["message"]

    asyncio.run(story())
