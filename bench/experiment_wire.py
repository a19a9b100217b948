"""E6, E7, E8, E13, E16, E17: messages, the log and the metrics page, as the founding documents have them and here."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import threading
import time
import zlib

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from antiphon.audio.ring import Ring
from antiphon.observe.metrics import Metrics
from antiphon.protocol import client
from antiphon.protocol.codec import decode
from experiment_row import Row, cpu_us, wall_ms
from experiment_sound import linear

FRAME = 480
SESSIONS = 20_000
APPEND_MS = 200


def rows() -> list[Row]:
    return [size(), asyncio.run(hand_over()), log_line(), large(), page_bytes(), page_time(), receive()]


def _append(samples: int) -> tuple[bytes, str]:
    """Speech-like sound, and the message that carries it."""
    sound = (3000 * np.sin(np.arange(samples) / 9)) + np.random.default_rng(0).normal(scale=300, size=samples)
    pcm = sound.astype("<i2").tobytes()
    return pcm, json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})


def size() -> Row:
    pcm, text = _append(24 * APPEND_MS)
    deflated = len(zlib.compress(text.encode(), 6))
    return Row(
        "E6", f"{APPEND_MS} ms of 24 kHz sound on the wire", "B", len(text), deflated, len(pcm), len(pcm),
        "before: base64 in JSON, which we take too; after: deflated; ours: a binary frame",
    )  # fmt: skip


async def hand_over() -> Row:
    """From what makes sound to what sends it."""
    loop, rounds = asyncio.get_running_loop(), 300
    sent: asyncio.Queue[bytes] = asyncio.Queue(8)

    async def send(data: bytes) -> None:
        await sent.put(data)

    def from_thread() -> float:
        start = time.perf_counter()
        for _ in range(rounds):
            asyncio.run_coroutine_threadsafe(send(b""), loop).result()
        return (time.perf_counter() - start) / rounds * 1e6

    async def drain() -> None:
        while True:
            await sent.get()

    draining = asyncio.create_task(drain())
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(from_thread()))
    thread.start()
    await asyncio.to_thread(thread.join)
    start = time.perf_counter()
    for _ in range(rounds * 10):
        await send(b"")
    ours = (time.perf_counter() - start) / rounds / 10 * 1e6
    draining.cancel()
    return Row(
        "E7", "one message from the voice to the socket's task", "µs", found[0], None, ours, None,
        "before: a thread and run_coroutine_threadsafe; ours: a bounded queue on one loop",
    )  # fmt: skip


def log_line() -> Row:
    _, text = _append(FRAME)
    event = json.loads(text)
    log = logging.getLogger("bench.lines")
    log.propagate = False
    log.addHandler(logging.StreamHandler(io.StringIO()))

    def eager() -> None:
        log.debug(f"received {json.dumps(event)}")

    def lazy() -> None:
        log.debug("received %s", event)

    log.setLevel(logging.DEBUG)
    before = cpu_us(eager, 300)
    log.setLevel(logging.WARNING)
    return Row(
        "E8", "a debug line for one message", "µs", before, cpu_us(eager, 300), cpu_us(lazy, 5000),
        cpu_us(lambda: log.level <= logging.DEBUG, 10_000),
        "after: the level is off, but the words are made all the same; bound: one branch. Ours has no line for a "
        "message at all: one for a turn",
    )  # fmt: skip


def large() -> Row:
    """A tool's result of about 5 MB: how long nobody else is heard."""
    value = {"matches": [{"file": f"f{number}.txt", "line": number, "text": "x" * 60} for number in range(45_000)]}
    short = {"matches": value["matches"][:180], "more": True}

    async def in_thread() -> None:
        await asyncio.to_thread(lambda: (len(str(value)) > 10_000, json.dumps(value)))

    return Row(
        "E13", "a result of 5 MB as JSON", "ms",
        wall_ms(lambda: json.dumps(value), 5), wall_ms(lambda: asyncio.run(in_thread()), 5),
        wall_ms(lambda: msgspec.json.encode(short), 30), wall_ms(lambda: msgspec.json.encode(value), 5),
        "after: in a thread, where it has the interpreter's lock; ours: cut to what the model may have before it is "
        "written; bound: all of it, by msgspec",
    )  # fmt: skip


def _theirs() -> CollectorRegistry:
    registry = CollectorRegistry()
    gauge = Gauge("voice_memory_bytes", "Memory of a session.", ["session_id"], registry=registry)
    for number in range(SESSIONS):
        gauge.labels(f"sess_{number:012x}").set(number)
    return registry


def page_bytes() -> Row:
    return Row(
        "E16", f"the metrics page after {SESSIONS} sessions", "kB", None, len(generate_latest(_theirs())) / 1000,
        len(_ours().page_of_instruments()) / 1000, None, "after: a label with the session's id; ours: all metrics",
    )  # fmt: skip


def _ours() -> Metrics:
    metrics = Metrics(("clock", "weather"))
    for _ in range(SESSIONS):
        metrics.session_bytes.observe(300_000)
    return metrics


def page_time() -> Row:
    theirs, ours = _theirs(), _ours()
    return Row(
        "E16", "one scrape of it", "ms", None, cpu_us(lambda: generate_latest(theirs), 1, 5) / 1000,
        cpu_us(ours.page_of_instruments, 1) / 1000, None,
    )  # fmt: skip


def receive() -> Row:
    """From the text of a message to sound that lies where the detector takes it."""
    _, text = _append(FRAME)
    kept: list[bytes] = []
    log = logging.Logger("bench", logging.WARNING)
    ring = Ring(24_000, 24_000)
    sound = np.zeros(FRAME, np.int16)

    def theirs() -> None:
        event = json.loads(text)
        log.debug(f"received {json.dumps(event)}")
        pcm = base64.b64decode(event["audio"])
        kept.append(pcm)
        linear(np.frombuffer(pcm, "<i2").astype(np.float32))
        if len(kept) > 250:
            kept.clear()

    def ours() -> None:
        message = decode(text)
        assert isinstance(message, client.AudioAppend)
        ring.append(np.frombuffer(message.audio, "<i2"))

    percent = 50 / 1e6 * 100  # of a core, of one µs for each of 50 messages a second
    return Row(
        "E17", "receiving one person, of a core", "%", cpu_us(theirs, 300) * percent, None,
        cpu_us(ours, 2000) * percent, cpu_us(lambda: ring.append(sound), 5000) * percent,
        "without socket and detector; ours resamples in the detector's batch; bound: a copy of the sound. With all: "
        "bench/density.py",
    )  # fmt: skip
