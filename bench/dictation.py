"""How long a dictation's text is waited for, whether a long one ends later than a short one, and what waiting costs.

The recogniser is scripted, so that what is measured is ours: with no time of its own for the first table, and with a
share of an utterance's length for the second. The detector is the real one, and so are the disk and the history.
Nothing is typed: what a window does with a text is its own.

    python bench/dictation.py            # about a minute; needs no sound card
    python bench/dictation.py --idle     # also antiphon dictate itself, doing nothing: needs PulseAudio's programs

Waits are real time, and noisy; processor time is less so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.resample import resampled
from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm, Seconds
from antiphon.desktop.dictation.control import ask, socket_path
from antiphon.desktop.dictation.dictation import Dictation
from antiphon.desktop.dictation.history import History
from antiphon.desktop.dictation.injection import Desktop, Injector
from antiphon.desktop.dictation.passage import Report, Show, Ways
from antiphon.desktop.dictation.preferences import Preferences
from antiphon.desktop.sound import Sound
from antiphon.engines.api import SttRequest, Transcript
from antiphon.engines.stt.agreement import Agreeing
from antiphon.engines.vad.silero import SileroVad
from antiphon.errors import TransportClosed
from antiphon.hearing.hub import HearingHub
from antiphon.testing.microphone import MemoryMicrophone
from common import TICK_S, machine, percentiles, speech

ROUNDS = 20
BLOCK_S: Seconds = 0.04
SHORT_S, LONG_S = 10, 600
PAUSE_S = 0.8  # between two sentences
TIMES_REAL = 10  # as fast as a long dictation is spoken
STT_SHARE = 0.02  # of an utterance's length: a recogniser that keeps up with so fast a speaker
END_TARGET_MS, IDLE_TARGET, IDLE_S = 30.0, 1.0, 20.0
ONCE_S = 3600.0  # between looks at an utterance: the scripted recogniser is asked once for each
TEXTS = ("The meeting is moved to Thursday.", "Please send me the numbers before noon.", "I will call you back.")
NOWHERE = Desktop("none", frozenset())


class SizedStt:
    """Takes a share of an utterance's length, and hears the same in all of them."""

    languages: frozenset[str] | None = None

    def __init__(self, share: float) -> None:
        self._share = share

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[Transcript]:
        await asyncio.sleep(self._share * pcm.size / HEARING_RATE)
        yield Transcript("Please send me the twenty one numbers before noon.", "en")


class Reports:
    """Of dictations, and how long after the key was let go each came."""

    def __init__(self) -> None:
        self.released_at: Seconds = 0.0
        self.waits_ms: list[float] = []
        self.tails_ms: list[float] = []

    def take(self, report: Report) -> None:
        self.waits_ms.append((asyncio.get_running_loop().time() - self.released_at) * 1000)
        self.tails_ms.append(report.took.tail_ms)


@asynccontextmanager
async def rigged(share: float) -> AsyncIterator[tuple[MemoryMicrophone, Dictation, Reports]]:
    microphone, reports = MemoryMicrophone(), Reports()
    hub = HearingHub(SileroVad())
    with tempfile.TemporaryDirectory() as folder:
        history = await asyncio.to_thread(History, Path(folder))
        async with Sound(lambda: microphone, None, print, rate_hz=HEARING_RATE) as sound:
            listener = Agreeing(SizedStt(share), ONCE_S)
            ways = Ways(sound, hub, listener, history, Injector(NOWHERE), Preferences())
            show = Show(lambda *_: None, reports.take, print)
            dictation = Dictation(ways, show, SttRequest(purpose="transcription"))
            yield microphone, dictation, reports
            await dictation.close()
        await hub.close()
        history.close()


async def hear(microphone: MemoryMicrophone, sound: Pcm, times_real: float) -> None:
    """In blocks, on a clock, as a card brings them."""
    loop = asyncio.get_running_loop()
    size, due = round(BLOCK_S * HEARING_RATE), loop.time()
    for start in range(0, sound.size, size):
        microphone.hear(sound[start : start + size])
        due += BLOCK_S / times_real
        await asyncio.sleep(max(0.0, due - loop.time()))


async def release_to_text(sentence: Pcm) -> None:
    """The recogniser takes no time here: all that is left is ours."""
    print(f"\nrelease to text, less the recogniser's time (at most {END_TARGET_MS:.0f} ms), {ROUNDS} dictations")
    print(f"  {'the key is let go':<42}{'':8}{'p50 ms':>8}{'p95 ms':>8}")
    silence = np.zeros(HEARING_RATE, np.float32)
    async with rigged(0.0) as (microphone, dictation, reports):
        for name, sound in (
            ("a second after the last word", np.concatenate([sentence, silence])),
            ("in the middle of a word", sentence[: sentence.size // 2]),
        ):
            reports.waits_ms, reports.tails_ms = [], []
            for _ in range(ROUNDS):
                dictation.start()
                await hear(microphone, sound, 4)
                reports.released_at = asyncio.get_running_loop().time()
                dictation.stop()
                rest = asyncio.create_task(hear(microphone, sentence[sentence.size // 2 :], 1))
                await dictation.settled()
                await rest
            ours = [wait - tail for wait, tail in zip(reports.waits_ms, reports.tails_ms, strict=True)]
            print(f"  {name:<42}{'all':>8}{percentiles(reports.waits_ms)}")
            print(f"  {'':<42}{'tail':>8}{percentiles(reports.tails_ms)}")
            print(f"  {'':<42}{'rest':>8}{percentiles(ours)}")


async def short_and_long(sentences: list[Pcm]) -> None:
    """The end waits for the last utterance, however many there were."""
    print(f"\nthe end of a dictation, with a recogniser that takes {STT_SHARE:.0%} of what was said")
    print(f"  {'spoken':<26}{'release to text ms':>20}{'our processor time, % of the sound':>38}")
    pause = np.zeros(round(PAUSE_S * HEARING_RATE), np.float32)
    for seconds in (SHORT_S, LONG_S):
        pieces: list[Pcm] = []
        while sum(piece.size for piece in pieces) < seconds * HEARING_RATE:
            pieces += [sentences[len(pieces) // 2 % len(sentences)], pause]
        sound = np.concatenate(pieces[:-1])
        async with rigged(STT_SHARE) as (microphone, dictation, reports):
            dictation.start()
            before = time.process_time()
            await hear(microphone, sound, TIMES_REAL)
            spent = time.process_time() - before
            reports.released_at = asyncio.get_running_loop().time()
            dictation.stop()
            microphone.hear(pause)
            await dictation.settled()
        length = sound.size / HEARING_RATE
        print(f"  {f'{length:.0f} s':<26}{reports.waits_ms[0]:>20.0f}{100 * spent / length:>38.1f}")


# --- the program itself -----------------------------------------------------------------------------------------------


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def until_answered() -> None:
    for _ in range(400):
        try:
            ask("status", socket_path())
        except TransportClosed:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("antiphon dictate did not start")


def cpu_s(process: subprocess.Popen[bytes]) -> Seconds:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def idle() -> None:
    """With a microphone that exists only in memory, in a folder of its own: nothing of whoever measures is touched."""
    card = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes",
            "-L", "module-native-protocol-unix", "-L", "module-null-sink sink_name=room",
            "-L", "module-remap-source source_name=microphone master=room.monitor"]  # fmt: skip
    program = [sys.executable, "-m", "antiphon", "dictate", "--stt", "fake", "--microphone", "microphone"]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in ("XDG_RUNTIME_DIR", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            os.environ[name] = folder
        stack.enter_context(started(*card))
        time.sleep(2)
        process = stack.enter_context(started(*program, "--hotkeys", "none"))
        until_answered()
        time.sleep(2)
        before = cpu_s(process)
        time.sleep(IDLE_S)
        share = 100 * (cpu_s(process) - before) / IDLE_S
        print(f"\nantiphon dictate, idle, its microphone open: {share:.1f} % of a core (at most {IDLE_TARGET:.0f})")
        print(f"  {ask('counters', socket_path())}")
        busy = [
            stack.enter_context(started(sys.executable, "-c", "while True: pass")) for _ in range(os.cpu_count() or 1)
        ]
        time.sleep(IDLE_S / 2)
        print(f"  beside {len(busy)} programs that do nothing else: {ask('counters', socket_path())}")


async def measure() -> None:
    said = [resampled(float_from_int16(pcm), WIRE_RATE, HEARING_RATE) for pcm in await speech(TEXTS)]
    await release_to_text(said[0])
    await short_and_long(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--idle", action="store_true", help="also antiphon dictate itself: needs PulseAudio's programs")
    wanted = parser.parse_args()
    print(machine())
    asyncio.run(measure())
    if wanted.idle:
        idle()


if __name__ == "__main__":
    main()
