"""What the speed benches share: a server in a process of its own, speech to send it, and words about the machine.

The server is the real one on uvloop, as `antiphon serve` runs it, with Silero's detector and scripted engines whose
delays are known, so that they can be taken off. It is told what to do by lines on its standard input. Nothing here
knows what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import uvloop
from msgspec import Struct
from numpy.typing import NDArray

from antiphon import config
from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.engines.api import CallDelta, LlmEnd, LlmRequest, TextDelta, TtsRequest
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.engines.registry import EngineSet
from antiphon.engines.tts.espeak import Espeak
from antiphon.engines.vad.silero import SileroVad
from antiphon.hearing import hub
from antiphon.observe.timeline import Turn
from antiphon.server import memory
from antiphon.server.run import running

STT_MS, LLM_MS, TTS_MS = 50, 100, 50  # of the scripted engines: to the transcript, the first token, the first audio
SCRIPTED_MS = STT_MS + LLM_MS + TTS_MS
SERVER_CORE, CALLER_CORE = 0, 1
VOICES = ("en-us", "en-us+f2", "en-us+m3", "en+f4", "en")
TICK_S: Seconds = 1 / os.sysconf("SC_CLK_TCK")  # the grain of a process's times in /proc
SPEECH_END = 0.01  # of an utterance's peak: what follows the last sample this loud is no speech


class Report(Struct, frozen=True):
    """What the server says of itself when it is asked."""

    turns: list[Turn]
    """Those that have ended since it was last asked."""
    windows: int
    batches: int
    """Scored since the start."""
    left: list[Seconds]
    """When the model's answers ended or were broken off since it was last asked, on the clock of the trace."""


class Wish(Struct, frozen=True):
    """How the server is to run."""

    core: int = SERVER_CORE
    answer: str = "Hello there."
    stt_ms: float = STT_MS
    llm_ms: float = LLM_MS
    token_ms: float = 0.0
    tts_ms: float = TTS_MS
    """Of the scripted engines."""
    prepare: Literal["always", "never"] = "never"
    """Whether answers are begun before their turn is over. By default not: the delays above could not be taken off."""
    trace: str = ""
    """A folder, or none."""
    history: str = ""
    """A file to keep conversations in, or none: never that of whoever measures."""
    gated: bool = True
    """False: every window is scored, also where it cannot be anything but the room."""
    max_sessions: int = 10_000
    most_lag_ms: float = 30.0
    """From which lateness on it lets nobody more in; 0 is never."""
    batched: bool = True
    """False: one call of the detector for each window, as a baseline."""


class Server:
    """A server process that listens at `url`."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self._process = process

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def report(self) -> Report:
        """Ask it. The numbers since the last question are gone from it afterwards."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"report\n")
        return msgspec.json.decode(await self._line(), type=Report)

    def cpu_s(self) -> Seconds:
        """Processor time of the process so far, its threads and the kernel's work for it included."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def memory_bytes(self) -> int:
        """Its resident set."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("the server has ended: its complaint is above")
        return line


@contextlib.asynccontextmanager
async def server(wish: Wish) -> AsyncIterator[Server]:
    """Start one that is ready to answer; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, msgspec.json.encode(wish).decode(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**26,
    )  # fmt: skip
    try:
        found = Server(process, "")
        found.url = (await found._line()).decode().strip()
        yield found
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class CountingVad(SileroVad):
    """Silero, with a count of what it was asked."""

    windows = 0
    batches = 0

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.batches += 1
        self.windows += windows.shape[0]
        return super().score(windows, memories)


class WatchedLlm(FakeLlm):
    """The scripted model, with a note of when each answer ended: to the model's own server, its connection closes."""

    left: list[Seconds]

    async def write(self, request: LlmRequest) -> AsyncIterator[TextDelta | CallDelta | LlmEnd]:
        try:
            async for event in super().write(request):
                yield event
        finally:
            self.left.append(asyncio.get_running_loop().time())


async def _serve(wish: Wish) -> None:
    turns: list[Turn] = []
    detector = CountingVad()
    stt, tts = FakeStt("hello", wish.stt_ms / 1000), FakeTts(wish.tts_ms / 1000)
    llm = WatchedLlm(wish.answer, wish.llm_ms / 1000, wish.token_ms / 1000)
    llm.left = []
    engines = EngineSet(detector, stt, llm, tts, ())
    limits = config.Server(
        port=0, max_sessions=wish.max_sessions, max_lag_ms=wish.most_lag_ms, max_bytes_per_minute=10**12, drain_s=1.0
    )
    # The sound of items that is kept to be retrieved has a budget of its own; here it would only hide the rest.
    session = config.SessionDefaults(retained_audio_bytes=0)
    trace = config.Trace(Path(wish.trace) if wish.trace else None)
    settings = config.Config(
        server=limits,
        session=session,
        trace=trace,
        vad=config.Detector(gate=wish.gated),
        turns=config.Turns(prepare=wish.prepare),
        history=config.History(keep=bool(wish.history), path=Path(wish.history) if wish.history else None),
    )
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with running(settings, engines=engines, tools=(), on_turn=turns.append) as listening:
        await memory.put_away(listening.state.warmed)
        tending = asyncio.create_task(memory.give_back())
        print(listening.url, flush=True)
        while await stdin.readline():
            report = Report(turns.copy(), detector.windows, detector.batches, llm.left.copy())
            turns.clear()
            llm.left.clear()
            print(msgspec.json.encode(report).decode(), flush=True)
        tending.cancel()


async def speech(texts: tuple[str, ...], voices: tuple[str, ...] = VOICES) -> list[Pcm16]:
    """Each text, said by espeak-ng in the voices in turn, at 24 kHz; cut where the speech ends."""
    voice = Espeak()
    said = []
    try:
        for number, text in enumerate(texts):
            request = TtsRequest(voices[number % len(voices)])
            sound = np.concatenate([chunk async for chunk in voice.speak(text, request)])
            pcm = int16_from_float(resampled(sound, voice.rate, WIRE_RATE))
            loud = np.abs(pcm.astype(np.int32)) > SPEECH_END * np.abs(pcm.astype(np.int32)).max()
            said.append(pcm[: np.flatnonzero(loud)[-1] + 1])
    finally:
        await voice.close()
    return said


def noise(samples: int, dbfs: float, *, slope: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    """A room in steps of int16, whose amplitude falls with frequency to the power of `slope`: 0 hisses, 1 rumbles."""
    sound = np.random.default_rng(seed).normal(size=samples)
    if slope:
        hz = np.maximum(np.fft.rfftfreq(samples, 1 / WIRE_RATE), 20.0)
        sound = np.fft.irfft(np.fft.rfft(sound) * hz**-slope, samples)
    return _at_level(sound, dbfs)


def babble(said: list[Pcm16], samples: int, dbfs: float, *, talkers: int = 7) -> NDArray[np.float64]:
    """Seven people who talk at once, next door, in steps of int16."""
    chance, together = np.random.default_rng(5), np.zeros(samples)
    for _ in range(talkers):
        order = chance.permutation(len(said))
        line = np.concatenate([np.pad(said[i], (0, int(chance.integers(2_000, 9_000)))) for i in order])
        together += np.resize(np.roll(line, chance.integers(line.size)), samples)
    return _at_level(together, dbfs)


def _at_level(sound: NDArray[np.float64], dbfs: float) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = sound / np.sqrt(np.mean(sound**2)) * 32768 * 10 ** (dbfs / 20)
    return scaled


def machine() -> str:
    """Which one this is, what runs on it, and what else it was doing: figures mean nothing without."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    git = ("git", "-C", str(Path(__file__).parent))
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    return (
        f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, uvloop {version('uvloop')}; "
        f"commit {commit or 'unknown'}{' with changes' if changed else ''}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; "
        f"load {os.getloadavg()[0]:.1f} before"
    )


def stolen_s(core: int) -> Seconds:
    """What this machine's host has taken from one of its cores since the start: nothing runs on it meanwhile."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            return int(line.split()[8]) * TICK_S
    return 0.0


def pin(core: int) -> None:
    """Stay on this core, where the system lets one choose and has it."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {core})


def percentiles(values: list[float]) -> str:
    """p50 and p95, in a table's two columns."""
    if not values:
        return f"{'–':>8}{'–':>8}"
    return f"{np.percentile(values, 50):8.1f}{np.percentile(values, 95):8.1f}"


def row(name: str, values: list[float]) -> str:
    """A table's line: how many they are, p50, p95 and p99."""
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return f"{name:<34}{len(values):>8}{p50:>8.2f}{p95:>8.2f}{p99:>8.2f}"


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


if __name__ == "__main__":
    told = msgspec.json.decode(sys.argv[1], type=Wish)
    pin(told.core)
    if not told.batched:
        hub.LARGEST_BATCH = 1
    uvloop.run(_serve(told))
