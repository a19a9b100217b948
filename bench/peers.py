"""Antiphon beside Pipecat and LiveKit Agents: how late answers become as one process is given more conversations.

    python bench/peers.py                  three points for each, about nine minutes
    python bench/peers.py --full           more points, about half an hour

The callers are the same (`antiphon.bench`), on the other core: sentences of espeak-ng in a quiet room, in real time, in
frames of 20 ms; nobody interrupts. The scripted engines are the same: 50, 100 and 50 ms, and 3.1 s of answer. What
differs, differs in the others' favour: they get and give raw PCM on a bare socket, at the rates that they like best,
and we base64 in JSON in WebSocket frames. `added` is from the end of speech to the first sound of the answer, by the
caller, less the engines and the silence that each asks for to end a turn. That is 500 ms here; with the others as they
come, 200 ms in Pipecat and 300 in LiveKit, and a model of theirs then has to agree; without that model 500 ms.
LiveKit recognises within that silence, so only model and voice are taken off. `added` includes each detector's own tail
of 60 to 140 ms.

Both live in environments of their own: `make install-peers`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.bench.crowd import Crowd, Gauge, Wish, result_of
from antiphon.bench.line import Line, dial
from antiphon.bench.result import Result
from antiphon.bench.run import _talk
from antiphon.bench.sound import in_room, spoken, websocket_frame
from antiphon.bench.talker import Plan, Talker
from common import CALLER_CORE, LLM_MS, SCRIPTED_MS, TTS_MS, arguments_of, machine, pin
from common import Wish as ServerWish
from common import server as our_server

ROOT = Path(__file__).parents[1]
ANSWER = "It is about a quarter past nine in the morning."  # 3.1 s of the scripted voice
ANSWER_BYTES = round(3.1 * WIRE_RATE) * 2
PEER_HZ = 16_000


class System(Struct, frozen=True):
    """One that is measured."""

    points: tuple[int, ...]
    """How many sessions at once."""
    more_points: tuple[int, ...]
    own_ms: float
    """Of silence, by its settings, and of engines that work after it."""
    peer: tuple[str, str] | None = None
    """Its folder in .venv-peers, which names its script too, and the script's mode; None is ours."""


SYSTEMS = {
    "antiphon": System((25, 100, 200), (1, 10, 25, 50, 100, 150, 200, 250), 500 + SCRIPTED_MS),
    "pipecat": System((4, 12, 24), (1, 4, 8, 12, 16, 24), 200 + SCRIPTED_MS, ("pipecat", "smart")),
    "pipecat, no model": System((8, 16, 32), (1, 8, 16, 24, 32, 40, 48), 500 + SCRIPTED_MS, ("pipecat", "timeout")),
    "livekit": System((8, 24, 48), (1, 4, 8, 16, 24, 32, 48, 64), 300 + LLM_MS + TTS_MS, ("livekit", "model")),
    "livekit, no model": System((16, 64, 112), (1, 16, 48, 80, 96, 112), 500 + LLM_MS + TTS_MS, ("livekit", "vad")),
}
PLAN = Plan(interrupt_share=0.0)
PATIENCE_S: Seconds = 30.0
ATTEMPTS = 3  # of a run, where something else disturbed the callers
GIVEN_UP_MS = 1000.0  # of added at the median: more sessions would tell nothing further


class Point(Struct, frozen=True):
    """One run of one system."""

    system: str
    result: Result


class RawLine(asyncio.Protocol):
    """A bare socket: PCM out, PCM in."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.talker: Talker[bytes] | None = None
        self.is_lost = False
        self._loop = asyncio.get_running_loop()
        self._got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(None)
            data = data[1:]
        if self.talker is None or not data:
            return
        now = self._loop.time()
        self.talker.sound_came(len(data) / 2 / WIRE_RATE, now)
        self._got += len(data)
        if self._got >= ANSWER_BYTES:
            self._got = 0
            self.talker.answer_ended(now)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True

    def send(self, frame: bytes) -> None:
        if not self.is_lost:
            self.transport.write(frame)

    def close(self) -> None:
        self.transport.close()


def python_of(folder: str) -> Path:
    return ROOT / ".venv-peers" / folder / "bin/python"


@contextlib.asynccontextmanager
async def peer(folder: str, mode: str) -> AsyncIterator[tuple[int, int]]:
    """Its port and its process."""
    command = (str(python_of(folder)), str(ROOT / f"bench/peer_{folder}.py"), mode)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"OMP_NUM_THREADS": "1"}
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"it did not start: {' '.join(command)} says why")
        yield int(line), process.pid
    finally:
        process.stdin.close()
        await process.wait()


async def raw_line(port: int) -> tuple[RawLine, Seconds]:
    loop = asyncio.get_running_loop()
    before = loop.time()
    _, line = await loop.create_connection(RawLine, "127.0.0.1", port)
    async with asyncio.timeout(PATIENCE_S):
        await line.opened
    return line, loop.time() - before


def pcm_bytes(pcm: Pcm16) -> bytes:
    return pcm.tobytes()


async def run(name: str, sessions: int, said: Sequence[Pcm16], seconds: Seconds) -> Result:
    system = SYSTEMS[name]
    async with contextlib.AsyncExitStack() as stack:
        opened: list[tuple[Line, Seconds]] | list[tuple[RawLine, Seconds]]
        if system.peer is None:
            ours = await stack.enter_async_context(our_server(ServerWish(answer=ANSWER)))
            await asyncio.sleep(1.0)
            process, gauge = ours.process_id, Gauge(ours.process_id)
            opened = [await dial(ours.url, None) for _ in range(sessions)]
            sound = in_room(said, -50.0, WIRE_RATE, websocket_frame)
        else:
            port, process = await stack.enter_async_context(peer(*system.peer))
            await asyncio.sleep(1.0)
            gauge = Gauge(process)
            opened = [await raw_line(port) for _ in range(sessions)]
            sound = in_room(said, -50.0, PEER_HZ, pcm_bytes)
        wish = Wish(name, sessions, seconds, PLAN, system.own_ms, process)
        lines = [line for line, _ in opened]
        try:
            crowd = Crowd(wish, lines, sound)
            costs = await _talk(crowd, gauge, lambda _: None)
            return result_of(wish, crowd, [took_s for _, took_s in opened], sum(one.is_lost for one in lines), costs)
        finally:
            for line in lines:
                line.close()


HEADER = (
    f"{'system':<20}{'sessions':>9}{'added p50':>11}{'p95':>8}{'ms':>4}{'voice to voice p50':>20}{'p95':>8}"
    f"{'turns':>7}{'missed':>8}{'core %/session':>16}{'MB/session':>12}{'generator late':>16}"
)


def show(point: Point) -> None:
    found = point.result
    assert found.added_ms is not None
    print(
        f"{point.system:<20}{found.sessions:>9}{found.added_ms.p50:>11.0f}{found.added_ms.p95:>8.0f}{'':>4}"
        f"{found.voice_to_voice_ms.p50:>20.0f}{found.voice_to_voice_ms.p95:>8.0f}{found.turns:>7}{found.missed:>8}"
        f"{found.server_percent:>16.2f}{found.server_megabytes:>12.2f}{found.generator_late_ms.p95:>16.1f}",
        flush=True,
    )


async def measure(options: argparse.Namespace) -> list[Point]:
    said = await spoken()
    points = []
    print(HEADER)
    for name in options.only or SYSTEMS:
        system = SYSTEMS[name]
        for sessions in options.sessions or (system.more_points if options.full else system.points):
            found = await trusted(name, sessions, said, options.seconds)
            if found is None:
                continue
            points.append(Point(name, found))
            added = found.added_ms
            if added is not None and (added.p50 > GIVEN_UP_MS or not added.count):
                break
    return points


async def trusted(system: str, sessions: int, said: Sequence[Pcm16], seconds: Seconds) -> Result | None:
    """A run in which the callers were on time: whatever else this machine does may disturb one."""
    for _ in range(ATTEMPTS):
        found = await run(system, sessions, said, seconds)
        show(Point(system, found))
        if not found.warnings:
            return found
        print(f"  not kept: {found.warnings[0]}", flush=True)
    return None


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--full", action="store_true", help="more points")
    parser.add_argument("--only", nargs="*", choices=list(SYSTEMS), help="these systems")
    parser.add_argument("--sessions", type=int, nargs="*", help="instead of the points that are set")
    parser.add_argument("--seconds", type=float, default=21.0, help="that callers talk, of each run")
    parser.add_argument("--json", type=Path, help="where to keep the figures, for bench/results.py")
    options = parser.parse_args()
    if not all(python_of(folder).exists() for folder in ("pipecat", "livekit")):
        raise SystemExit("the others are not installed: make install-peers")
    pin(CALLER_CORE)
    print(machine())
    points = uvloop.run(measure(options))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(msgspec.json.encode({"machine": machine(), "points": points}))


if __name__ == "__main__":
    main()
