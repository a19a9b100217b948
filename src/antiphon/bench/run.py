"""A whole run: sound made, lines opened one after the other, everybody talks, everybody hangs up.

By WebSocket or by WebRTC; what is the same for both is `Crowd`'s.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.bench.crowd import Costs, Crowd, Gauge, Live, Wish, own_cpu_s, result_of
from antiphon.bench.line import Line, dial
from antiphon.bench.result import Result
from antiphon.bench.sound import in_room, websocket_frame

Show = Callable[[Live], None]
AnyWay = TypeVar("AnyWay")


async def over_websocket(wish: Wish, said: Sequence[Pcm16], room_dbfs: float, key: str | None, show: Show) -> Result:
    """Raises `TransportClosed` if a line cannot be opened; lines that are lost later are counted."""
    sound = in_room(said, room_dbfs, WIRE_RATE, websocket_frame)
    gauge = _gauge(wish)
    lines: list[Line] = []
    try:
        connect_s = await _open(lines, wish.sessions, lambda: dial(wish.url, key))
        crowd = Crowd(wish, lines, sound)
        costs = await _talk(crowd, gauge, show)
        return result_of(wish, crowd, connect_s, sum(line.is_lost for line in lines), costs)
    finally:
        for line in lines:
            line.close()
        await asyncio.sleep(0.05)  # for what was written to leave


async def over_webrtc(wish: Wish, said: Sequence[Pcm16], room_dbfs: float, key: str | None, show: Show) -> Result:
    """As `over_websocket`, for the server's calls."""
    from antiphon.bench.call import RATE_HZ, Call, call

    sound = in_room(said, room_dbfs, RATE_HZ, _same)
    gauge = _gauge(wish)
    calls: list[Call] = []
    try:
        connect_s = await _open(calls, wish.sessions, lambda: call(wish.url, key))
        crowd = Crowd(wish, calls, sound)
        costs = await _talk(crowd, gauge, show)
        return result_of(wish, crowd, connect_s, sum(one.is_lost for one in calls), costs)
    finally:
        await asyncio.gather(*(one.close() for one in calls))


def _gauge(wish: Wish) -> Gauge | None:
    return None if wish.server is None else Gauge(wish.server)


async def _open(ways: list[AnyWay], count: int, dial: Callable[[], Awaitable[tuple[AnyWay, Seconds]]]) -> list[Seconds]:
    """One after the other, into `ways`, where they are found also if the next cannot be opened. How long each took."""
    took_s = []
    for _ in range(count):
        way, seconds = await dial()
        ways.append(way)
        took_s.append(seconds)
    return took_s


def _same(pcm: Pcm16) -> Pcm16:
    return pcm


async def _talk(crowd: Crowd[bytes] | Crowd[Pcm16], gauge: Gauge | None, show: Show) -> Costs:
    gc.collect()
    gc.freeze()  # the frames: to look through them again and again would make us late
    loop = asyncio.get_running_loop()
    began, own, before = loop.time(), own_cpu_s(), (0.0, 0) if gauge is None else gauge.used()
    try:
        await crowd.talk(show)
    finally:
        gc.unfreeze()
    after = None if gauge is None else gauge.used()
    server = None if after is None else (after[0] - before[0], after[1])
    return Costs(loop.time() - began, own_cpu_s() - own, server)
