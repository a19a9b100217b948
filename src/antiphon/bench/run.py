"""A whole run: sound made, lines opened one after the other, everybody talks, everybody hangs up.

By WebSocket or by WebRTC; what is the same for both is `Crowd`'s.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.bench.crowd import Costs, Crowd, Gauge, Live, Wish, own_cpu_s, result_of
from antiphon.bench.line import Line, dial
from antiphon.bench.result import Result
from antiphon.bench.sound import in_room, websocket_frame

Show = Callable[[Live], None]


async def over_websocket(wish: Wish, said: Sequence[Pcm16], room_dbfs: float, key: str | None, show: Show) -> Result:
    """Raises `TransportClosed` if a line cannot be opened; lines that are lost later are counted."""
    sound = in_room(said, room_dbfs, WIRE_RATE, websocket_frame)
    gauge = None if wish.server is None else Gauge(wish.server)
    lines: list[Line] = []
    connect_s = []
    try:
        for _ in range(wish.sessions):
            line, took_s = await dial(wish.url, key)
            lines.append(line)
            connect_s.append(took_s)
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
    gauge = None if wish.server is None else Gauge(wish.server)
    calls: list[Call] = []
    connect_s = []
    try:
        for _ in range(wish.sessions):
            one, took_s = await call(wish.url, key)
            calls.append(one)
            connect_s.append(took_s)
        crowd = Crowd(wish, calls, sound)
        costs = await _talk(crowd, gauge, show)
        lost = sum(one.connection.connectionState in ("failed", "closed") for one in calls)
        return result_of(wish, crowd, connect_s, lost, costs)
    finally:
        await asyncio.gather(*(one.close() for one in calls))


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
