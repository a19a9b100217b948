"""E9, E12, E15: waiting for servers and programs, as the founding documents do it and as it is done here.

The model's server is a scripted one in this process; a relay before it holds each byte up by half a round trip. E12
needs an `ffmpeg`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable

import av
import httpx
import numpy as np

from antiphon.audio.units import Seconds
from antiphon.engines.deadlines import Deadlines
from antiphon.engines.http import Call, Upstream, open_client
from antiphon.media.live import LiveDecoder
from experiment_row import Row

ROUND_TRIPS_MS = (0, 20, 80)
CALLS = 15
CROWD = 100
FIRST_BYTE_S: Seconds = 0.1
ANSWER_S: Seconds = 1.0
PIECES = 10
RECORDERS = 4
PARTING_S: Seconds = 0.2  # for connections to end after their clients
RECORDED_S = 3


def rows() -> list[Row]:
    found = [asyncio.run(connection(round_trip)) for round_trip in ROUND_TRIPS_MS]
    return [*found, asyncio.run(crowd()), asyncio.run(lag())]


@contextlib.asynccontextmanager
async def scripted(first_byte_s: Seconds, answer_s: Seconds) -> AsyncIterator[int]:
    """A server's port: each request is answered in pieces over so long."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                await asyncio.sleep(first_byte_s)
                writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                for _ in range(PIECES):
                    writer.write(b"4\r\nword\r\n")
                    await asyncio.sleep(answer_s / PIECES)
                writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.sleep(PARTING_S)


@contextlib.asynccontextmanager
async def far_away(port: int, round_trip_ms: float) -> AsyncIterator[int]:
    """The port of a relay. A connection takes a round trip to open, and a byte half of one each way."""
    half_s = round_trip_ms / 2000

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2 * half_s)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, other_writer), carry(other_reader, writer))

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(65_536):
            loop.call_later(half_s, writer.write, data)
        loop.call_later(half_s, writer.close)

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.sleep(2 * half_s + PARTING_S)


async def connection(round_trip_ms: int) -> Row:
    """One short question to a server that is so far away: to the first byte of its answer."""
    async with scripted(0.0, 0.0) as near, far_away(near, round_trip_ms) as port:
        url = f"http://127.0.0.1:{port}/v1"

        async def anew() -> None:
            async with httpx.AsyncClient() as client:
                await client.post(f"{url}/chat/completions", json={})

        async with httpx.AsyncClient() as kept, open_client() as ours:
            upstream = Upstream(ours, url, None, Deadlines())
            await upstream.warm()

            async def ask() -> None:
                async with upstream.answer(Call("/chat/completions", json={})) as answer:
                    await answer.piece()
                    await answer.body()

            before, after = await _median_ms(anew), await _median_ms(lambda: kept.post(f"{url}/audio/speech", json={}))
            return Row(
                "E9", f"a question to a server {round_trip_ms} ms away", "ms", before, after, await _median_ms(ask),
                float(round_trip_ms),
                "before: a client for each; after: one that is kept; ours is warm at start-up too; TLS would add a "
                "round trip to before; bound: one round trip",
            )  # fmt: skip


async def _median_ms(ask: Callable[[], Awaitable[object]]) -> float:
    loop, found = asyncio.get_running_loop(), []
    for _ in range(CALLS + 1):
        start = loop.time()
        await ask()
        found.append((loop.time() - start) * 1000)
    return float(np.median(found[1:]))


async def crowd() -> Row:
    """A hundred who ask at once, of a server that begins after 100 ms and speaks for a second."""
    async with scripted(FIRST_BYTE_S, ANSWER_S) as port:
        url = f"http://127.0.0.1:{port}/v1"
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=20)
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(limits=limits, timeout=60) as theirs, open_client() as client:
            upstream = Upstream(client, url, None, Deadlines())

            async def their_first() -> float:
                start = loop.time()
                async with theirs.stream("POST", f"{url}/audio/speech", json={}) as response:
                    pieces = response.aiter_bytes()
                    await anext(pieces)
                    took = loop.time() - start
                    async for _ in pieces:
                        pass
                return took * 1000

            async def our_first() -> float:
                start = loop.time()
                async with upstream.answer(Call("/audio/speech", json={})) as answer:
                    await answer.piece()
                    took = loop.time() - start
                    await answer.body()
                return took * 1000

            capped = await asyncio.gather(*(their_first() for _ in range(CROWD)))
            await asyncio.gather(*(our_first() for _ in range(CROWD)))  # all connections open, as in a busy server
            free = await asyncio.gather(*(our_first() for _ in range(CROWD)))
            return Row(
                "E15", f"{CROWD} answers at once: the first byte, median", "ms", None, float(np.median(capped)),
                float(np.median(free)), FIRST_BYTE_S * 1000, "after: a pool of 20; bound: the server's own time",
            )  # fmt: skip


def recorded() -> bytes:
    """So much of a recorder's WebM."""
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000 * RECORDED_S), np.int16), "s16", "mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue()


async def lag() -> Row:
    """How late the event loop is at p99 while four people's recordings are decoded, again and again."""
    data, ffmpeg = recorded(), shutil.which("ffmpeg")
    command = (ffmpeg or "", "-loglevel", "error", "-i", "pipe:0", "-f", "s16le", "-ar", "16000", "pipe:1")

    async def blocking() -> None:
        subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True)  # noqa: ASYNC221 - theirs

    async def beside() -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        await process.communicate(data)

    async def inside() -> None:
        decoder = LiveDecoder()
        await decoder.feed(data)
        await decoder.finish()
        decoder.close()

    before = await _late_ms(blocking) if ffmpeg else None
    after = await _late_ms(beside) if ffmpeg else None
    return Row(
        "E12", f"the loop's lateness at p99, {RECORDERS} recordings decoded", "ms", before, after,
        await _late_ms(inside), await _late_ms(lambda: asyncio.sleep(0.05)),
        "before: ffmpeg, waited for on the loop; after: as a process beside it; ours: in a thread, without a process; "
        "bound: nobody decodes",
    )  # fmt: skip


async def _late_ms(decode: Callable[[], Awaitable[object]]) -> float:
    loop, late = asyncio.get_running_loop(), []

    async def one() -> None:
        for _ in range(6):
            await decode()
            await asyncio.sleep(0.01)

    work = asyncio.gather(*(one() for _ in range(RECORDERS)))
    while not work.done():
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        late.append((loop.time() - due) * 1000)
    await work
    return float(np.percentile(late, 99))
