"""What a session costs behind Ray Serve, beside the same server with a port of its own.

    .venv-cluster/bin/python bench/cluster.py              10 sessions, 20 s each way of serving; about three minutes

`make cluster` makes that environment. Three servers, one after the other, each with the same callers, who speak in real
time in a noisy room: `antiphon serve`; Serve with its own proxy; and Serve with HAProxy in front, where the replica
itself has the connections. Engines are scripted and take no time, so what is seen is the way of the messages. Counted
is the processor time of all processes that the server consists of, less what they use while nobody talks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.bench.crowd import Wish
from antiphon.bench.result import Result
from antiphon.bench.run import over_websocket
from antiphon.bench.sound import spoken
from antiphon.bench.talker import Plan
from common import machine

KEY = "a-key-for-the-bench"
PORT = 18_770
ROOM_DBFS = -50.0
PATIENCE_S: Seconds = 120.0
REST_S: Seconds = 10.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ENVIRONMENT = {
    "ANTIPHON_SERVER__KEYS": KEY,
    "ANTIPHON_HISTORY__KEEP": "false",
    "ANTIPHON_STT__ENGINE": "fake",
    "ANTIPHON_LLM__ENGINE": "fake",
    "ANTIPHON_TTS__ENGINE": "fake",
    "RAY_USAGE_STATS_ENABLED": "0",
}
SERVE = f"""
import time
import ray
from ray import serve
from antiphon.cluster.application import build
ray.init(num_cpus=4, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
serve.start(http_options={{"host": "127.0.0.1", "port": {PORT}}})
serve.run(build({{"most_sessions": 1, "most_ears": 1, "most_voices": 1}}), name="antiphon")
time.sleep(3600)
"""


class Way(Struct, frozen=True):
    """A way of serving."""

    name: str
    command: tuple[str, ...]
    more: dict[str, str]


WAYS = (
    Way("antiphon serve", (sys.executable, "-m", "antiphon", "serve", "--port", str(PORT)), {}),
    Way("Ray Serve, its proxy", (sys.executable, "-c", SERVE), {"RAY_SERVE_ENABLE_HA_PROXY": "0"}),
    Way("Ray Serve, HAProxy", (sys.executable, "-c", SERVE), {"RAY_SERVE_ENABLE_HA_PROXY": "1"}),
)


@contextmanager
def served(way: Way) -> Iterator[int]:
    """The process that all the server's others come from. Raises `RuntimeError` if it does not get ready."""
    with subprocess.Popen(
        way.command,
        env=os.environ | ENVIRONMENT | way.more,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait_until_ready(way)
            yield process.pid
        finally:
            for each in (everybody := family(process.pid)):
                _kill(each, signal.SIGTERM)
            time.sleep(5)
            for each in everybody:
                _kill(each, signal.SIGKILL)


def family(top: int) -> dict[int, Seconds]:
    """A process and all that it started, directly or not, each with its processor time so far."""
    parents, times = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        number = int(path.parent.name)
        parents[number] = int(fields[1])
        times[number] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    found = {top}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return {each: times[each] for each in found if each in times}


def _kill(number: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, how)


def _wait_until_ready(way: Way) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            if httpx.get(f"http://127.0.0.1:{PORT}/ready", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"{way.name} does not get ready")


def used(top: int) -> Seconds:
    """Processor time of all of a server's processes."""
    return sum(family(top).values())


async def measured(way: Way, sessions: int, seconds: Seconds) -> tuple[Result, float]:
    """The run, and percent of a core for each session."""
    said = await spoken()
    with served(way) as top:
        await asyncio.sleep(REST_S)  # for what follows a start
        before, began = used(top), time.monotonic()
        await asyncio.sleep(REST_S)
        at_rest = (used(top) - before) / (time.monotonic() - began)
        wish = Wish(f"ws://127.0.0.1:{PORT}/v1/realtime", sessions, seconds, Plan(), None, None)
        before, began = used(top), time.monotonic()
        result = await over_websocket(wish, said, ROOM_DBFS, KEY, lambda live: None)
        busy = (used(top) - before) / (time.monotonic() - began)
    return result, 100 * (busy - at_rest) / sessions


async def main(sessions: int, seconds: Seconds) -> None:
    print(machine())
    print(f"{sessions} sessions, {seconds:.0f} s\n")
    print(f"{'':22} {'% of a core':>12} {'voice to voice ms':>22} {'missed':>7} {'gaps':>5} {'connect ms':>11}")
    for way in WAYS:
        result, percent = await measured(way, sessions, seconds)
        voice = result.voice_to_voice_ms
        print(
            f"{way.name:22} {percent:12.2f} {f'p50 {voice.p50:.0f}, p95 {voice.p95:.0f}':>22} {result.missed:7} "
            f"{result.gaps_ms.count:5} {result.connect_ms.p50:11.0f}",
            *result.warnings,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0)
    wishes = parser.parse_args()
    asyncio.run(main(wishes.sessions, wishes.seconds))
