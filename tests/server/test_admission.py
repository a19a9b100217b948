"""A place is given or refused at once: by a cap, by how busy it is, or because the server is stopping."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack

import pytest
from calling import client, refusal, server

from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.observe.looplag import LoopLag
from antiphon.server.admission import BUSY, DRAINING, FULL, KEY_FULL, Admission, Lateness, OwnRoom, Turnstile
from antiphon.server.limits import Places
from antiphon.testing.virtual_time import VirtualTimeLoop, run


def test_as_many_as_there_are_places_and_one_more_when_one_has_left() -> None:
    admission = Admission(OwnRoom(2))
    assert [admission.enter() for _ in range(3)] == [None, None, FULL]
    admission.leave()
    assert admission.enter() is None
    assert (admission.here, admission.let_in, admission.turned_away) == (2, 3, 1)


def test_a_key_has_only_so_many_of_the_places_and_those_without_one_are_not_counted() -> None:
    admission = Admission(OwnRoom(4), keys=Places(1))
    assert [admission.enter("ann"), admission.enter("ann"), admission.enter("ben")] == [None, KEY_FULL, None]
    assert [admission.enter(), admission.enter(), admission.enter()] == [None, None, FULL]
    admission.leave("ann")
    assert admission.room.taken == 3
    assert [admission.enter("ben"), admission.enter("ann")] == [KEY_FULL, None]
    for owner in ("ann", "ben", "", ""):
        admission.leave(owner)
    assert (admission.room.taken, admission.here) == (0, 0)


def test_fewer_places_than_are_taken_let_nobody_in_and_throw_nobody_out() -> None:
    admission = Admission(OwnRoom(2))
    assert [admission.enter(), admission.enter()] == [None, None]
    admission.room.most = 1
    admission.leave()
    assert admission.enter() is FULL
    assert admission.here == 1


def test_whoever_is_refused_is_told_when_to_come_again() -> None:
    for told in (FULL, BUSY, DRAINING):
        assert told.response.status_code == 503
        assert int(told.response.headers["retry-after"]) > 0


def test_a_busy_server_lets_nobody_more_in_but_the_first() -> None:
    load = 2.0
    admission = Admission(OwnRoom(10), lambda: load, most_lag_ms=1)
    assert admission.enter() is None, "with nobody here it cannot be sessions that make it late"
    assert admission.enter() is BUSY
    load = 0.9
    assert admission.enter() is None


def test_a_place_that_was_refused_for_load_is_not_taken() -> None:
    room = OwnRoom(2)
    admission = Admission(room, lambda: 30.0, most_lag_ms=30)
    assert [admission.enter(), admission.enter()] == [None, BUSY]
    assert room.taken == 1


def test_nobody_is_let_in_while_it_drains() -> None:
    admission = Admission(OwnRoom(10))
    admission.is_draining = True
    assert admission.enter() is DRAINING


class Stalled(VirtualTimeLoop):
    """A loop whose clock can be moved on, as if it had been held up, and does nothing else unless it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0.0

    def time(self) -> float:
        return super().time() + self._passed

    def stall(self, seconds: float) -> None:
        self._passed += seconds


def test_one_stall_is_forgiven_and_a_loop_that_is_always_late_is_not() -> None:
    async def story() -> tuple[float, float, list[float]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Stalled)
        told: list[float] = []
        lag = LoopLag(told.append)
        hub = HearingHub(EnergyVad(), InPlace())
        lateness_ms = Lateness(lag, hub)
        lag.start()
        await asyncio.sleep(0.01)
        loop.stall(0.45)
        await asyncio.sleep(0.01)
        once = lateness_ms()
        for _ in range(30):
            loop.stall(0.15)
            await asyncio.sleep(0.001)
        always = lateness_ms()
        lag.stop()
        await hub.close()
        return once, always, told

    with asyncio.Runner(loop_factory=Stalled) as runner:
        once, always, told = runner.run(story())
    assert 5 < once < 30
    assert always > 60
    assert max(told) == pytest.approx(0.26, abs=0.03)


def test_a_loop_that_is_in_time_is_rarely_woken_to_be_looked_at() -> None:
    async def story() -> list[float]:
        told: list[float] = []
        lag = LoopLag(told.append)
        lag.start()
        await asyncio.sleep(10)
        lag.stop()
        return told

    assert 45 <= len(run(story())) <= 50


def test_a_detector_that_was_late_once_and_has_nothing_to_do_keeps_nobody_out() -> None:
    async def story() -> list[float]:
        hub = HearingHub(EnergyVad(), InPlace())
        lateness_ms = Lateness(LoopLag(lambda late_s: None), hub)
        hub.batches, hub.lateness_ms = 1, 60.0
        found = [lateness_ms()]
        await asyncio.sleep(2.0)
        found.append(lateness_ms())
        await hub.close()
        return found

    assert run(story()) == [20.0, 0.0]


def test_zero_is_never_busy() -> None:
    admission = Admission(OwnRoom(2), lambda: 1e9, most_lag_ms=0)
    assert [admission.enter(), admission.enter()] == [None, None]


def test_a_crowd_comes_in_one_by_one_and_those_inside_are_heard_in_between() -> None:
    async def story() -> list[str]:
        turnstile, seen = Turnstile(), list[str]()

        async def knock(number: int) -> None:
            await turnstile.enter()
            seen.append(f"in {number}")

        async def talk() -> None:
            while "in 19" not in seen:
                seen.append("heard")
                await asyncio.sleep(0)

        await asyncio.gather(*(knock(number) for number in range(20)), talk())
        return seen

    seen = run(story())
    assert [one for one in seen if one != "heard"] == [f"in {number}" for number in range(20)]
    assert not any(first != "heard" and second != "heard" for first, second in itertools.pairwise(seen))


@pytest.mark.real
@pytest.mark.slow
def test_twice_as_many_who_knock_are_refused_while_those_inside_talk_on(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with server(server__max_sessions=4) as made, AsyncExitStack() as inside:
            calls = [await inside.enter_async_context(client(made)) for _ in range(4)]
            refused = asyncio.gather(*(refusal(made) for _ in range(8 * 5)))
            for call in calls:
                await call.speak()
            for call in calls:
                await call.receive("response.done")
            assert {(status, error["code"]) for status, error in await refused} == {(503, "server_full")}
            assert made.state.admission.turned_away == 40
            assert made.state.admission.here == 4

    asyncio.run(story())
    assert not [record for record in caplog.records if record.levelname == "ERROR"], "a refusal is no error of ours"
