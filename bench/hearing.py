"""What hearing costs: an append, a window in batches of several sizes, and how many sessions a core holds.

Run it on a quiet machine: `python bench/hearing.py`. Figures are medians; the last part is a hub with its
thread under messages of 20 ms in real time, and the processor time that it cost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import onnxruntime

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.resample import Resampler
from antiphon.audio.units import Pcm16, Seconds
from antiphon.engines.vad.silero import SileroVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.hearing.windows import cutter_for

MESSAGE = 480  # samples at 24 kHz: 20 ms
SLOTS = 10  # in the 20 ms of a message; each session sends in one of them
SLOT_S: Seconds = 0.020 / SLOTS


def noise(samples: int) -> Pcm16:
    return np.random.default_rng(0).integers(-3000, 3000, samples).astype(np.int16)


def median_us(work: Callable[[], object], rounds: int = 300) -> float:
    for _ in range(20):
        work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


async def append_us() -> float:
    """One message into a stream, the detector's work not counted: its windows are taken away as the hub
    would.
    """
    hub = HearingHub(SileroVad(), InPlace())
    stream, sound, times = hub.open(lambda event: None), noise(MESSAGE), []
    stream.is_waiting = True  # so that nothing is started
    for _ in range(5000):
        start = time.perf_counter_ns()
        stream.append(sound, 0.0)
        times.append(time.perf_counter_ns() - start)
        if stream.waiting:
            stream.take(1)
    stream.close()
    return statistics.fmean(sorted(times)[: len(times) * 99 // 100]) / 1000


def window_us(vad: SileroVad, batch: int) -> tuple[float, float]:
    """Per window: cutting and resampling, and the model."""
    cutter = cutter_for(24_000, vad.window)
    spans = [noise(cutter.span).tobytes()] * batch
    windows, memories = cutter.windows(spans), np.zeros((batch, vad.memory), np.float32)
    cut = median_us(lambda: cutter.windows(spans)) / batch
    return cut, median_us(lambda: vad.score(windows, memories), 100) / batch


async def live(sessions: int, seconds: float, threshold: float | None) -> tuple[float, float, float]:
    """Share of a core in percent, windows a batch, and lateness in ms, with this many people talking.

    With no threshold nothing is scored, and the share is that of the bench's own timers.
    """
    hub, loop, dice = HearingHub(SileroVad()), asyncio.get_running_loop(), np.random.default_rng(1)
    streams, sound = [hub.open(lambda event: None, threshold=threshold) for _ in range(sessions)], noise(MESSAGE)
    for stream in streams:
        stream.append(noise(int(dice.integers(0, 768))), loop.time())  # each has windows of its own phase
    began, cpu_began = loop.time(), time.process_time()
    for slot in range(round(seconds / SLOT_S)):
        # Always a turn of the loop in between, as between the messages of different sockets.
        await asyncio.sleep(max(0.0, began + slot * SLOT_S - loop.time()))
        for stream in streams[slot % SLOTS :: SLOTS]:
            stream.append(sound, loop.time())
    cpu, wall = time.process_time() - cpu_began, loop.time() - began
    answer = 100 * cpu / wall, hub.windows / max(1, hub.batches), hub.lateness_ms
    await hub.close()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each live measurement")
    parser.add_argument("--sessions", type=int, nargs="*", default=[1, 10, 50, 100, 200, 300])
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"numpy {np.__version__}, onnxruntime {onnxruntime.__version__}")
    print(f"append of 20 ms: {asyncio.run(append_us()):.2f} µs")
    vad = SileroVad()
    for batch in (1, 8, 32, 64):
        cut, score = window_us(vad, batch)
        print(f"window in a batch of {batch:2}: {cut:5.1f} µs cut and resampled, {score:6.1f} µs scored")
    chunk = float_from_int16(noise(MESSAGE))
    for from_hz, to_hz in ((24_000, 16_000), (8_000, 24_000), (22_050, 24_000), (48_000, 24_000), (24_000, 8_000)):
        stream, sound = Resampler(from_hz, to_hz), np.resize(chunk, from_hz // 50).astype(np.float32)
        print(f"20 ms from {from_hz} to {to_hz} Hz: {median_us(lambda: stream.push(sound)):.1f} µs")  # noqa: B023
    for sessions in arguments.sessions:
        timers, _, _ = asyncio.run(live(sessions, arguments.seconds, None))
        share, together, late_ms = asyncio.run(live(sessions, arguments.seconds, 0.5))
        share -= timers
        print(
            f"{sessions:4} sessions: {share:5.1f} % of a core, {together:.1f} windows a batch, {late_ms:.1f} ms late; "
            f"at this rate {sessions * 100 / share:.0f} sessions a core"
        )


if __name__ == "__main__":
    main()
