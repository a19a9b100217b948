"""E22, E24: what is written down, and what stays in memory, as the founding documents have it and here."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from antiphon.audio.units import WIRE_RATE
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.observe.timeline import Turn
from antiphon.runtime.drive import Drive, Equipment
from antiphon.runtime.workers import Engines
from antiphon.session.ids import Ids
from antiphon.session.outputs import Notice, ResponseEnded
from antiphon.session.session import Session
from antiphon.session.settings import SessionConfig, Settings, Transcription
from antiphon.store.changes import Change, ItemKept
from antiphon.store.database import SqliteShelf
from antiphon.store.drafts import Draft
from antiphon.store.keeping import Keeping
from antiphon.store.pace import OwnThread
from antiphon.store.writer import Writer
from antiphon.testing.conversation import Conversation
from antiphon.testing.virtual_time import run
from antiphon.tools.api import ToolContext
from experiment_row import Row

ENTRIES = 2000
EACH_S = 0.002  # between entries: some hundreds of conversations
BATCH, BATCH_S = 20, 0.1
HOUR_S = 3600.0
SETTLED_S = 900.0
FRAME = WIRE_RATE // 50
TURNS = 30
ROUNDS = 15


def rows() -> list[Row]:
    return [asyncio.run(writing()), asyncio.run(keeping(run(_told()))), *soak()]


async def writing() -> Row:
    """How long somebody who has something to keep is held up, at p99."""
    with tempfile.TemporaryDirectory() as folder:
        before = await _held_up_ms(_each(Path(folder, "each")), ENTRIES // 10)
        after = await _held_up_ms(_batched(Path(folder, "batched")), ENTRIES // 10)
        writer = Writer(SqliteShelf(Path(folder, "ours.sqlite")), OwnThread(asyncio.get_running_loop()))

        async def ours(number: int) -> None:
            item = ItemKept("s", f"item_{number}", number, 0.0, "user", "hello there", None, 0.0, 1.0, b"{}")
            writer.put(item)

        held_up = await _held_up_ms(ours, ENTRIES)
        await writer.close()
        await asyncio.to_thread(writer.join)
    return Row(
        "E22", "one entry kept: its writer is held up, p99", "ms", before, after, held_up, 0.0,
        f"before: a write and an fsync each; after: their batcher of {BATCH} or {BATCH_S * 1000:.0f} ms, without its "
        "two ways to hang; ours: nobody waits, and a thread writes",
    )  # fmt: skip


async def keeping(call: Conversation) -> Row:
    """What it costs a session that a turn is kept: the least that each of its steps took, the clock's own time off."""
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(SqliteShelf(Path(folder, "ours.sqlite")), OwnThread(asyncio.get_running_loop()))
        alone = _kept_us(call, lambda change: None)
        beside = _kept_us(call, writer.put)
        await writer.close()
        await asyncio.to_thread(writer.join)
    return Row(
        "E22", "one turn kept: what it costs its session", "µs", None, None, beside, 0.0,
        f"ours: {alone:.0f} µs without the thread that writes, beside which it has to live",
    )  # fmt: skip


async def _told() -> Conversation:
    words = FakeStt("please tell me about the weather in the mountains")
    async with Conversation(words, FakeLlm("It is about a quarter past nine in the morning.")) as call:
        for _ in range(TURNS):
            await call.exchange()
            await call.pause(3.0)
    return call


def _kept_us(call: Conversation, put: Callable[[Change | Draft], None]) -> float:
    rounds = [_spent_ns(call, put) for _ in range(ROUNDS)]
    clock = min(_clock_ns() for _ in range(1000))
    least = [min(step) - clock for step in zip(*rounds, strict=True)]
    return float(sum(least)) / 1000 / TURNS


def _spent_ns(call: Conversation, put: Callable[[Change | Draft], None]) -> list[int]:
    """Each step of the session, and each turn."""
    session = Session(call.drive.session.config, Ids(7))
    keeper, spent = Keeping(session.id, session.conversation, put, 0.0, 0.0), []
    for now, item, _ in call.steps:
        out = session.handle(item, now)
        began = time.perf_counter_ns()
        keeper.record(now, item, out)
        spent.append(time.perf_counter_ns() - began)
    for turn in call.timeline.turns:
        began = time.perf_counter_ns()
        keeper.turn_ended(turn)
        spent.append(time.perf_counter_ns() - began)
    return spent


def _clock_ns() -> int:
    began = time.perf_counter_ns()
    return time.perf_counter_ns() - began


async def _held_up_ms(keep: Callable[[int], object], entries: int) -> float:
    loop, found = asyncio.get_running_loop(), []

    async def one(number: int) -> None:
        start = loop.time()
        await keep(number)  # type: ignore[misc]
        found.append((loop.time() - start) * 1000)

    work = []
    for number in range(entries):
        work.append(asyncio.create_task(one(number)))
        await asyncio.sleep(EACH_S)
    await asyncio.gather(*work)
    return float(np.percentile(found, 99))


def _synced(file: int, text: bytes) -> None:
    os.write(file, text)
    os.fsync(file)


def _each(path: Path) -> Callable[[int], object]:
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    async def keep(number: int) -> None:
        await asyncio.to_thread(_synced, file, b"%d hello there\n" % number)

    return keep


def _batched(path: Path) -> Callable[[int], object]:
    """Theirs: whoever fills a batch, or waits too long, writes it under a lock; all of it wait for that."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    lock = asyncio.Lock()
    waiting: list[tuple[bytes, asyncio.Future[None]]] = []

    async def flush() -> None:
        async with lock:
            batch = waiting.copy()
            waiting.clear()
            if batch:
                await asyncio.to_thread(_synced, file, b"".join(text for text, _ in batch))
            for _, future in batch:
                if not future.done():
                    future.set_result(None)

    async def keep(number: int) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((b"%d hello there\n" % number, future))
        if len(waiting) >= BATCH:
            await flush()
        try:
            await asyncio.wait_for(asyncio.shield(future), BATCH_S)
        except TimeoutError:
            await flush()

    return keep


class Listener:
    """A connection that keeps nothing of what it is shown."""

    name = "soak"

    def __init__(self) -> None:
        self.answers = 0

    def show(self, notice: Notice, audio: bytes) -> None:
        self.answers += isinstance(notice, ResponseEnded)

    def report(self, turn: Turn) -> None: ...

    def close(self, reason: str) -> None: ...


class Soaked:
    """What an hour left."""

    early_bytes = 0
    late_bytes = 0
    turns = 0
    tasks = 0
    took_s = 0.0


def soak() -> list[Row]:
    found = Soaked()
    tracemalloc.start()
    run(_hour(found))
    tracemalloc.stop()
    grown = (found.late_bytes - found.early_bytes) / 1000
    return [
        Row(
            "E24", f"memory of a session, an hour of {found.turns} turns: growth after the first quarter", "kB", None,
            None, grown, None, f"under virtual time ({found.took_s:.0f} s); words are kept, sound within its budget",
        ),
        Row("E24", "tasks that a session leaves behind", "", None, None, found.tasks, 0),
    ]  # fmt: skip


async def _hour(found: Soaked) -> None:
    began, before = time.perf_counter(), len(asyncio.all_tasks())
    hub = HearingHub(EnergyVad(), InPlace())
    engines = Engines(FakeStt("hello there"), FakeLlm("It is a quarter past nine.", 0.1), FakeTts(0.05))
    config = SessionConfig(Settings(transcription=Transcription()))
    drive = Drive(Session(config, Ids(7)), Equipment(engines, hub), _context)
    listener, loop = Listener(), asyncio.get_running_loop()
    drive.attach(listener)
    tone = np.round(9000 * np.sin(2 * np.pi * 300 / WIRE_RATE * np.arange(FRAME * 5))).astype(np.int16)
    quiet = np.round(np.random.default_rng(0).normal(scale=40, size=FRAME * 5)).astype(np.int16)
    while loop.time() < HOUR_S:
        for number in range(70):  # a second of speech, and six for the answer, in messages of 100 ms
            await asyncio.sleep(0.1)
            drive.hear(tone if number < 10 else quiet)
        if not found.early_bytes and loop.time() >= SETTLED_S:
            found.early_bytes = tracemalloc.get_traced_memory()[0]
    found.late_bytes, found.turns = tracemalloc.get_traced_memory()[0], listener.answers
    await drive.close("the hour is over")
    await hub.close()
    await asyncio.sleep(1.0)
    found.tasks, found.took_s = len(asyncio.all_tasks()) - before, time.perf_counter() - began


def _context(drive: Drive) -> ToolContext:
    return ToolContext(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "en-US", drive.session.id, drive.announce)
