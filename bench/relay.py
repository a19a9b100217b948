"""What a relayed session costs its caller: the way of a message to the other server and back, beside the direct one.

The other server is a stand-in in a process of its own, which answers every piece of sound with a piece of sound.
Both sides write down when a piece left and when it came, on the one clock of the machine, so each way is measured for
itself, and with and without our server between. Then: how long a session takes to reach the other server on a warm
connection and on a cold one, where greeting takes it 100 ms, as it does over an ocean.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from antiphon.audio.units import Seconds
from common import CALLER_CORE, SERVER_CORE, arguments_of, machine, pin, row

FRAME = 480  # samples in 20 ms
FRAME_S: Seconds = 0.02
SETTLE_S: Seconds = 1.0  # until the pool of warm connections is full
GREETING_S: Seconds = 0.1  # what it takes a server over an ocean to greet
REFILL_S: Seconds = GREETING_S + 0.02  # until the one that was taken has been replaced
Moments = dict[str, float]
"""When a piece was seen, by its session and its number there; seconds on the machine's clock."""


# --- the other server -------------------------------------------------------------------------------------------------


class StandIn:
    """Speaks just enough of the protocol to be a voice."""

    def __init__(self, greeting_s: Seconds) -> None:
        self.came: Moments = {}
        self.left: Moments = {}
        self.told: list[float] = []
        """When connections were told who they are, in the order of their being told."""
        self._greeting_s = greeting_s

    async def talk(self, socket: ServerConnection) -> None:
        await asyncio.sleep(self._greeting_s)
        await socket.send(json.dumps({"type": "session.created", "session": {"id": "s", "expires_at": 2_000_000_000}}))
        try:
            await self._listen(socket)
        except ConnectionClosed:
            return

    async def _listen(self, socket: ServerConnection) -> None:
        begun = False
        async for frame in socket:
            now = time.monotonic()
            event = json.loads(frame)
            if event["type"] == "session.update":
                self.told.append(now)
                await socket.send('{"type":"session.updated","session":{}}')
            elif event["type"] == "input_audio_buffer.append":
                if not begun:
                    begun = True
                    await self._begin(socket)
                await self._answer(socket, event["audio"], now)

    async def _begin(self, socket: ServerConnection) -> None:
        item = {"id": "item_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        response = {"id": "resp_1", "status": "in_progress", "conversation_id": "conv"}
        for event in (
            {"type": "response.created", "response": response},
            {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0, "item": item},
        ):
            await socket.send(json.dumps(event))

    async def _answer(self, socket: ServerConnection, audio: str, now: float) -> None:
        name = name_of(audio)
        self.came[name] = now
        self.left[name] = time.monotonic()
        await socket.send(
            f'{{"type":"response.output_audio.delta","response_id":"resp_1","item_id":"item_1","output_index":0,'
            f'"content_index":0,"delta":"{audio}"}}'
        )


async def stand_in(greeting_s: Seconds) -> None:
    """Serve until standard input ends; each line of it is answered with all that was seen since the last."""
    voice = StandIn(greeting_s)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with serve(voice.talk, "127.0.0.1", 0, compression=None) as made:
        port = next(iter(made.sockets)).getsockname()[1]
        print(f"ws://127.0.0.1:{port}/v1/realtime", flush=True)
        while await stdin.readline():
            print(json.dumps([voice.came, voice.left, voice.told]), flush=True)
            voice.came, voice.left, voice.told = {}, {}, []


def name_of(audio: str) -> str:
    """What a piece of sound is called: its first samples are its session and its number."""
    session, number = np.frombuffer(base64.b64decode(audio[:8]), "<i2")[:2]
    return f"{session}/{number}"


def piece(session: int, number: int) -> str:
    pcm = np.zeros(FRAME, "<i2")
    pcm[:2] = session, number
    return base64.b64encode(pcm.tobytes()).decode()


# --- processes --------------------------------------------------------------------------------------------------------


class Process:
    """One that says where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    async def report(self) -> tuple[Moments, Moments, list[float]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        came, left, told = json.loads(await self._process.stdout.readline())
        return came, left, told

    def cpu_s(self) -> Seconds:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def started(*command: str, **environment: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, limit=2**26,
        env=os.environ | environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1]
        yield Process(process, url)
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def relay_to(url: str, warm: int) -> AsyncIterator[Process]:
    """Our server, ready, with that one for a voice."""
    settings = {
        "ANTIPHON_RELAY__URL": url,
        "ANTIPHON_RELAY__WARM": str(warm),
        "ANTIPHON_HISTORY__KEEP": "false",
        "ANTIPHON_SERVER__DRAIN_S": "0.5",
        "ANTIPHON_SERVER__MAX_BYTES_PER_MINUTE": str(10**12),
        "ANTIPHON_SERVER__MAX_LAG_MS": "0",
    }
    program = f"import os; os.sched_setaffinity(0, {{{SERVER_CORE}}}); from antiphon.cli import main; main()"
    async with started("-c", program, "serve", "--port", "0", **settings) as ours:
        address = ours.url.replace("ws:", "http:").replace("/v1/realtime", "/ready")
        async with httpx.AsyncClient() as http:
            while (await http.get(address)).status_code != 200:  # noqa: ASYNC110 - once, at start
                await asyncio.sleep(0.1)
        yield ours


# --- what is measured -------------------------------------------------------------------------------------------------


class Caller:
    """One session that sends a piece every 20 ms."""

    def __init__(self, number: int, socket: ClientConnection) -> None:
        self.number = number
        self.left: Moments = {}
        self.came: Moments = {}
        self._socket = socket
        self._sent = 0

    async def send(self) -> None:
        self._sent += 1
        audio = piece(self.number, self._sent)
        self.left[f"{self.number}/{self._sent}"] = time.monotonic()
        await self._socket.send(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')

    async def listen(self) -> None:
        try:
            async for frame in self._socket:
                now = time.monotonic()
                event = json.loads(frame)
                if event["type"] == "response.output_audio.delta":
                    self.came[name_of(event["delta"])] = now
        except ConnectionClosed:
            return


async def ways(url: str, other: Process, sessions: int, seconds: Seconds) -> dict[str, list[float]]:
    """Milliseconds of each way, by its name."""
    sockets = [await connect(url, compression=None, max_size=None) for _ in range(sessions)]
    callers = [Caller(number, socket) for number, socket in enumerate(sockets, 1)]
    listening = [asyncio.create_task(caller.listen()) for caller in callers]
    await asyncio.sleep(SETTLE_S)
    await other.report()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for tick in range(round(seconds / FRAME_S)):
        for place, caller in enumerate(callers):
            due = began + (tick + place / sessions) * FRAME_S
            await asyncio.sleep(max(0.0, due - loop.time()))
            await caller.send()
    await asyncio.sleep(0.5)
    came, left, _ = await other.report()
    for socket in sockets:
        await socket.close()
    await asyncio.gather(*listening)
    found: dict[str, list[float]] = {"there": [], "back": []}
    for caller in callers:
        found["there"] += [1000 * (came[name] - moment) for name, moment in caller.left.items() if name in came]
        found["back"] += [1000 * (moment - left[name]) for name, moment in caller.came.items() if name in left]
        assert len(caller.came) > 0.95 * len(caller.left), f"{len(caller.came)} of {len(caller.left)} came back"
    return found


async def reached_ms(url: str, other: Process) -> float:
    """Milliseconds from the request of a client to what the other server is told of its session."""
    began = time.monotonic()
    async with connect(url, compression=None) as socket:
        await socket.recv()
        told: list[float] = []
        while not told:
            await asyncio.sleep(REFILL_S)
            _, _, told = await other.report()
    return 1000 * (told[0] - began)


async def told_ms(other: Process) -> float:
    """The same for a client that asks the other server itself, which greets it at once."""
    began = time.monotonic()
    async with connect(other.url, compression=None) as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
        await socket.recv()
    _, _, told = await other.report()
    return 1000 * (told[0] - began)


async def pieces(options: argparse.Namespace) -> None:
    """What each way of a piece of sound takes, without us and with us, in turns."""
    async with started(__file__, "--stand-in", "0") as other, relay_to(other.url, 2) as ours:
        await asyncio.sleep(SETTLE_S)
        rounds: dict[str, dict[str, list[float]]] = {"direct": {}, "relayed": {}}
        cpu_s = 0.0
        for _ in range(options.rounds):
            for name, url in (("direct", other.url), ("relayed", ours.url)):
                before = ours.cpu_s()
                for way, values in (await ways(url, other, options.sessions, options.seconds)).items():
                    rounds[name].setdefault(way, []).extend(values)
                cpu_s += ours.cpu_s() - before if name == "relayed" else 0.0
    for way in ("there", "back"):
        for name in rounds:
            print(row(f"{way}, {name}", rounds[name][way]))
        p50, p95 = np.percentile(rounds["relayed"][way], (50, 95)) - np.percentile(rounds["direct"][way], (50, 95))
        print(f"{way + ', added':<42}{p50:>8.2f}{p95:>8.2f}")
    count = len(rounds["relayed"]["there"])
    print(f"{1e6 * cpu_s / count:.0f} µs of processor time for a piece there and back")


async def starts(options: argparse.Namespace) -> None:
    """How long sessions take to reach the other server, on a warm connection and on a cold one, and clients
    without us, in turns."""
    found: dict[str, list[float]] = {"to the other server, direct": [], "warm": [], "cold": []}
    async with (
        started(__file__, "--stand-in", str(GREETING_S)) as other,
        started(__file__, "--stand-in", "0") as near,
        relay_to(other.url, 2) as warm,
        relay_to(other.url, 0) as cold,
    ):
        await asyncio.sleep(SETTLE_S)
        await other.report()
        for _ in range(options.starts):
            found["to the other server, direct"].append(await told_ms(near))
            found["warm"].append(await reached_ms(warm.url, other))
            found["cold"].append(await reached_ms(cold.url, other))
        assert await taken_warm(warm.url) == options.starts
    for name, values in found.items():
        print(row(name, values))


async def run(options: argparse.Namespace) -> None:
    print(machine())
    print(f"{'':<34}{'times':>8}{'p50':>8}{'p95':>8}{'p99':>8}  ms")
    if options.rounds:
        await pieces(options)
    if options.starts:
        await starts(options)


async def taken_warm(url: str) -> int:
    """How many sessions of our server have found a connection open."""
    async with httpx.AsyncClient() as http:
        page = (await http.get(url.replace("ws:", "http:").replace("/v1/realtime", "/metrics"))).text
    (line,) = (line for line in page.splitlines() if line.startswith('voice_relay_sessions_total{connection="warm"'))
    return int(float(line.split()[-1]))


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=2, help="0: only how sessions start")
    parser.add_argument("--starts", type=int, default=200, help="of each kind; 0: only how sound goes by")
    parser.add_argument("--stand-in", type=float, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    pin(CALLER_CORE)
    if options.stand_in is not None:
        asyncio.run(stand_in(options.stand_in))
        return
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
