"""How long a client is without its session when its connection breaks: from the break to `antiphon.session.resumed`.

Two workers, started as people start them, and an answer that is being spoken all the while. The client comes back to
the worker that holds its session, or to the other one, which has to find it. The kernel gives a connection to a worker
by the ports at its ends: ports are tried beforehand, and a session's token tells which worker they reach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect

from antiphon.server.resuming import worker_of
from common import CALLER_CORE, arguments_of, machine, pin, row

READY_IN_A_ROW = 12  # answers of whichever worker is asked
PORTS = 6  # of ours that reach each worker: one rests before it is used again


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Two workers that are ready; yields their address."""
    settings = {
        "ANTIPHON_VAD__ENGINE": "energy",
        "ANTIPHON_HISTORY__KEEP": "false",
        "ANTIPHON_SERVER__DRAIN_S": "0.5",
        "ANTIPHON_SERVER__MAX_LAG_MS": "0",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    engines = ("--stt", "fake", "--llm", "fake", "--tts", "fake")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "antiphon", "serve", "--workers", "2", "--port", str(port), *engines,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | settings,
    )  # fmt: skip
    try:
        await _until_ready(f"http://127.0.0.1:{port}/ready")
        yield f"ws://127.0.0.1:{port}/v1/realtime"
    finally:
        process.terminate()
        await process.wait()


async def _until_ready(url: str) -> None:
    in_a_row = 0
    async with httpx.AsyncClient(headers={"Connection": "close"}) as http:
        while in_a_row < READY_IN_A_ROW:
            try:
                in_a_row = in_a_row + 1 if (await http.get(url)).status_code == 200 else 0
            except httpx.TransportError:
                in_a_row = 0
            await asyncio.sleep(0.05)


async def connected(url: str, port: int = 0) -> ClientConnection:
    """A connection from this port of ours, or from any."""
    end = socket.socket()
    end.setblocking(False)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # It is gone at once when it is dropped, so that its port is free again.
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.bind(("127.0.0.1", port))
    parts = urlsplit(url)
    await asyncio.get_running_loop().sock_connect(end, (parts.hostname, parts.port))
    return await connect(url, sock=end, compression=None)


async def until(connection: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(await connection.recv())
        if event["type"] == kind:
            return event


async def ports_of(url: str) -> dict[int, list[int]]:
    """Ports of ours, by the worker that they reach."""
    found: dict[int, list[int]] = defaultdict(list)
    while len(found) < 2 or min(map(len, found.values())) < PORTS:
        connection = await connected(f"{url}?antiphon=1&resumable=1")
        token = (await until(connection, "antiphon.session.resumable"))["token"]
        worker = worker_of(token)
        assert worker is not None
        found[worker].append(connection.local_address[1])
        await connection.close()
    return found


async def away_ms(url: str, first: int, second: int) -> float:
    """Milliseconds from the break of a connection from the first port to being back over one from the second."""
    connection = await connected(f"{url}?antiphon=1&resumable=1", first)
    token = (await until(connection, "antiphon.session.resumable"))["token"]
    await connection.send('{"type":"response.create"}')
    last = await until(connection, "response.output_audio.delta")
    connection.transport.abort()
    broke = time.monotonic()
    back = await connected(f"{url}?antiphon=1&resume={token}&after={last['event_id']}", second)
    resumed = await until(back, "antiphon.session.resumed")
    took_ms = 1000 * (time.monotonic() - broke)
    assert resumed["is_complete"]
    await back.close()
    return took_ms


async def run(options: argparse.Namespace) -> None:
    print(machine())
    print(f"{'':<34}{'times':>8}{'p50':>8}{'p95':>8}{'p99':>8}  ms")
    took: dict[str, list[float]] = {"at the worker that holds it": [], "at the other worker": []}
    async with serving() as url:
        one, other = (cycle(ports) for ports in (await ports_of(url)).values())
        for _ in range(options.times):
            took["at the worker that holds it"].append(await away_ms(url, next(one), next(one)))
            took["at the other worker"].append(await away_ms(url, next(one), next(other)))
            one, other = other, one
    for name, values in took.items():
        print(row(name, values))


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--times", type=int, default=100, help="at each of both")
    options = parser.parse_args()
    pin(CALLER_CORE)
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
