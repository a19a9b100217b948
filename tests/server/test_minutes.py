"""Minutes of sessions by key: taken ahead in slices, given back where they were not used, told when they are over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calling import KEY, Client, client, refusal, server, web
from recorder import recorded
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close

from antiphon.errors import PeerError
from antiphon.server.limits import OwnLimits, Size
from antiphon.server.minutes import SLICE_S, Minutes, Stay
from antiphon.server.refusals import Refusal
from antiphon.server.run import Running
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


def test_sound_beside_sessions_is_charged_as_it_goes_by_and_what_was_begun_may_end() -> None:
    clock = Clock()
    minutes = Minutes(OwnLimits().buckets("", TWO_MINUTES_AN_HOUR, clock), clock)
    tab = minutes.tab("ann")
    assert tab.charge(100.0)
    assert not tab.charge(50.0)  # a long file
    with pytest.raises(PeerError) as refused:
        minutes.tab("ann")
    assert refused.value.code == "minutes_used_up"
    assert isinstance(minutes.begin("ann"), Refusal)
    clock.now += 3600 / 120 * 31  # what it was too long by has to come back first
    minutes.tab("ann")


def test_workers_share_what_is_charged_and_what_is_corrected(tmp_path: Path) -> None:
    clock = Clock()
    tables = [SharedTable(tmp_path / "limits", number, 2) for number in range(2)]
    one, other = (SharedLimits(table).buckets("", TWO_MINUTES_AN_HOUR, clock).of("ann") for table in tables)
    assert one.take(20)
    other.charge(130)
    assert one.left <= 0
    other.correct(60.0)
    assert one.left == pytest.approx(60, abs=1)
    assert one.take(50)
    assert not other.take(50)
    del one, other
    for table in tables:
        table.close()


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
@pytest.mark.slow
def test_sound_that_is_transcribed_or_spoken_without_a_session_counts() -> None:
    async def story() -> None:
        ours: dict[str, Any] = {"server__keys": (KEY,), "server__max_minutes_per_key": 1, "history__keep": False}
        async with server(**ours) as made, web(made, key=KEY) as http:
            minutes, owner = made.state.sessions.minutes, made.state.door.tokens.name_of(KEY)
            assert minutes is not None
            spoken = await http.post("/v1/audio/speech", json={"input": "Hello there.", "response_format": "pcm"})
            spoken_s = len(spoken.content) / 48_000
            assert minutes.spent[owner] == pytest.approx(spoken_s, abs=0.01)
            quiet = {"file": ("quiet.wav", recorded(np.zeros(40 * 16_000, np.int16), "wav", 16_000))}
            assert (await http.post("/v1/audio/transcriptions", files=quiet)).status_code == 200
            assert minutes.spent[owner] == pytest.approx(40 + spoken_s, abs=0.1)
            told = await overheard(made, 25)
            assert (told.code, told.reason) == (1008, "minutes_used_up")
            for asked in (
                http.post("/v1/audio/transcriptions", files=quiet),
                http.post("/v1/audio/speech", json={"input": "Hello."}),
            ):
                answer = await asked
                assert (answer.status_code, answer.json()["error"]["code"]) == (429, "minutes_used_up")
            with pytest.raises(InvalidStatus) as refused:
                await overheard(made, 1)
            assert refused.value.response.status_code == 429

    async def overheard(made: Running, seconds: int) -> Close:
        """How live captions of so much silence end."""
        address = made.url.replace("/v1/realtime", "/ws/transcribe")
        async with connect(address, additional_headers={"Authorization": f"Bearer {KEY}"}) as socket:
            for _ in range(seconds):
                await socket.send(bytes(32_000))
            with pytest.raises(ConnectionClosed) as closed:
                await Client(socket).receive_all()
        assert closed.value.rcvd is not None
        return closed.value.rcvd

    asyncio.run(story())


@pytest.mark.real
@pytest.mark.slow
def test_they_are_kept_over_a_restart(tmp_path: Path) -> None:
    ours: dict[str, Any] = {
        "server__keys": (KEY,), "server__max_minutes_per_key": 1, "history__path": tmp_path / "kept.sqlite3"
    }  # fmt: skip

    async def used(seconds: float) -> float:
        async with server(history__keep=True, **ours) as made:
            minutes, owner = made.state.sessions.minutes, made.state.door.tokens.name_of(KEY)
            assert minutes is not None
            left = minutes.left(owner)
            minutes.tab(owner).charge(seconds)
            return left

    assert asyncio.run(used(40.0)) == 60.0
    assert asyncio.run(used(30.0)) == pytest.approx(20, abs=1)
    with pytest.raises(PeerError):
        asyncio.run(used(1.0))


@pytest.mark.real
def test_who_has_used_up_their_minutes_is_told_and_not_let_in() -> None:
    async def story() -> None:
        ours: dict[str, Any] = {"server__keys": (KEY,), "server__max_minutes_per_key": 1, "history__keep": False}
        async with server(**ours) as made, client(made, key=KEY) as call:
            await call.receive("session.created")
            made.state.sessions.end_spent(45.0)
            status, error = await refusal(made, key=KEY)
            assert (status, error["code"]) == (429, "minutes_used_up")
            made.state.sessions.end_spent(3600.0)
            with pytest.raises(ConnectionClosed) as closed:
                await call.receive_all()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
                1008, "This key has used up its minutes.",
            )  # fmt: skip
            (told,) = (event["error"] for event in call.events if event["type"] == "error")
            assert told["code"] == "minutes_used_up"
            assert "server.max_minutes_per_key allows 1 in 24 hours" in told["message"]

    asyncio.run(story())
