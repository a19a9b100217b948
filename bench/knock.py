"""What those who have a place notice while twice as many knock at a full server.

    python bench/knock.py                       50 sessions, 100 knock at once, once a second; about a minute
    python bench/knock.py --sessions 100

As many callers as the server takes hold conversations, as in `density.py`. Half of the time nobody else comes; half of
the time twice as many connect in the same instant, are refused, and come again a second later, all of them. Told are
what the server added to answers, how late it heard, and how the knocking ended. Nobody may be let in, and every
refusal has to say when to come again.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import uvloop
from websockets.uri import parse_uri

from antiphon.audio.units import Seconds
from antiphon.observe.timeline import Turn
from common import CALLER_CORE, SCRIPTED_MS, Server, Wish, arguments_of, machine, percentiles, pin, server, speech
from density import ANSWER, CYCLE_S, FRAME_S, SENTENCES, SLOTS, Caller, connect, prepare

KNOCK = (
    b"GET /v1/realtime?model=x HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
EVERY_S: Seconds = 1.0


class Knocking:
    """Connections that are refused."""

    def __init__(self, url: str) -> None:
        self.answers: Counter[str] = Counter()
        self.took_ms: list[float] = []
        self._address = parse_uri(url)

    async def burst(self, count: int) -> None:
        await asyncio.gather(*(self._knock() for _ in range(count)))

    async def _knock(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        reader, writer = await asyncio.open_connection(self._address.host, self._address.port)
        writer.write(KNOCK)
        head = await reader.readuntil(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        self.answers[status + (", with Retry-After" if b"retry-after" in head.lower() else "")] += 1
        self.took_ms.append((loop.time() - began) * 1000)
        writer.close()


async def talk(callers: list[Caller], seconds: Seconds, tick: int) -> int:
    """All callers go on for so long. Returns the next tick."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(round(seconds / FRAME_S)):
        for slot in range(SLOTS):
            due = began + (number + slot / SLOTS) * FRAME_S
            await asyncio.sleep(max(0.0, due - loop.time()))
            for caller in callers[slot::SLOTS]:
                caller.send(tick + number, may_speak=True)
    return tick + round(seconds / FRAME_S)


async def every_second(what: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await what()
        await asyncio.sleep(max(0.0, began + EVERY_S - loop.time()))


def show(name: str, turns: list[Turn], core_percent: float) -> None:
    added = [
        (turn.first_audio - turn.silence_complete) * 1000 - SCRIPTED_MS
        for turn in turns
        if turn.first_audio is not None and turn.silence_complete is not None
    ]
    print(f"{name:<12}{len(added):>7}{core_percent:>9.1f}{percentiles(added)}{max(added, default=0):>8.1f}", flush=True)


async def measured(one: Server, callers: list[Caller], tick: int, seconds: Seconds, name: str) -> int:
    await one.report()
    cpu, loop = one.cpu_s(), asyncio.get_running_loop()
    began = loop.time()
    tick = await talk(callers, seconds, tick)
    core_percent = 100 * (one.cpu_s() - cpu) / (loop.time() - began)
    show(name, (await one.report()).turns, core_percent)
    return tick


async def run(options: argparse.Namespace) -> None:
    sound = prepare(await speech(SENTENCES))
    async with server(Wish(answer=ANSWER, max_sessions=options.sessions)) as one:
        callers = await connect(one.url, options.sessions, sound)
        knocking = Knocking(one.url)
        print(f"{'':<12}{'turns':>7}{'core %':>9}{'added p50':>10}{'p95':>6}{'worst':>8}  ms")
        tick = await talk(callers, CYCLE_S, 0)
        for _ in range(options.rounds):
            tick = await measured(one, callers, tick, options.seconds, "alone")
            task = asyncio.create_task(every_second(lambda: knocking.burst(2 * options.sessions)))
            tick = await measured(one, callers, tick, options.seconds, "knocked at")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for caller in callers:
            caller.line.close()
    print(f"refused: {dict(knocking.answers)}; a refusal took (p50, p95){percentiles(knocking.took_ms)} ms")


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=14.0, help="of each half")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    pin(CALLER_CORE)
    print(machine())
    uvloop.run(run(options))


if __name__ == "__main__":
    main()
