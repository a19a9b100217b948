"""E1, E3, E4, E19: sound on its way through a turn, as the founding documents handle it and as it is handled here.

E1's files and pipes need an `ffmpeg`; without one their columns stay empty.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import guarded, int16_from_float
from antiphon.audio.ring import Ring
from antiphon.audio.units import Pcm, Pcm16
from antiphon.audio.wav import wav_from_mono
from antiphon.hearing.windows import cutter_for
from experiment_row import Row, cpu_us, wall_ms

SECONDS = 3
WIRE_HZ, HEARING_HZ = 24_000, 16_000
FRAME = 480  # samples of 20 ms
RING_S = 5
CROWD = 32
CUTTER = cutter_for(WIRE_HZ, 512)
Samples = NDArray[np.float32]


def rows() -> list[Row]:
    return [transcode(), buffer(), *resample(), level_of_alias(), validate()]


def transcode() -> Row:
    """A turn's sound to the recogniser and the answer's sound back, 3 s each, without the services themselves."""
    heard = np.random.default_rng(0).integers(-3000, 3000, SECONDS * WIRE_HZ).astype(np.int16)
    return Row(
        "E1", f"what {SECONDS} s in and {SECONDS} s out cost a turn", "ms",
        _by_files(heard), _by_pipes(heard), cpu_us(lambda: wav_from_mono(heard, WIRE_HZ), 100) / 1000,
        cpu_us(lambda: heard.tobytes(), 1000) / 1000,
        "before: ffmpeg three times, through files; after: through pipes, with the `-f` that was missing; ours: a WAV "
        "header, and a voice that is asked for PCM; bound: a copy",
    )  # fmt: skip


def _by_files(heard: Pcm16) -> float | None:
    """To WebM for the recogniser; the voice's WebM to 16 kHz, and that to 24."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        raw, webm, low, high = (Path(folder, name) for name in ("in.pcm", "in.webm", "low.pcm", "high.pcm"))

        def turn() -> None:
            raw.write_bytes(heard.tobytes())
            run_ffmpeg(ffmpeg, *pcm_form(WIRE_HZ), "-i", str(raw), "-c:a", "libopus", "-b:a", "32k", str(webm))
            run_ffmpeg(ffmpeg, "-i", str(webm), *pcm_form(HEARING_HZ), str(low))
            run_ffmpeg(ffmpeg, *pcm_form(HEARING_HZ), "-i", str(low), *pcm_form(WIRE_HZ), str(high))
            high.read_bytes()

        return wall_ms(turn)


def _by_pipes(heard: Pcm16) -> float | None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    data = heard.tobytes()

    def turn() -> None:
        encode = (*pcm_form(WIRE_HZ), "-i", "pipe:0", "-c:a", "libopus", "-b:a", "32k", "-f", "webm", "pipe:1")
        webm = run_ffmpeg(ffmpeg, *encode, given=data)
        low = run_ffmpeg(ffmpeg, "-i", "pipe:0", *pcm_form(HEARING_HZ), "pipe:1", given=webm)
        run_ffmpeg(ffmpeg, *pcm_form(HEARING_HZ), "-i", "pipe:0", *pcm_form(WIRE_HZ), "pipe:1", given=low)

    return wall_ms(turn)


def pcm_form(rate_hz: int) -> tuple[str, ...]:
    """Raw samples, as ffmpeg is told of them."""
    return ("-f", "s16le", "-ac", "1", "-ar", str(rate_hz))


def run_ffmpeg(ffmpeg: str, *arguments: str, given: bytes | None = None) -> bytes:
    """What it writes to its standard output."""
    command = (ffmpeg, "-loglevel", "fatal", "-y", *arguments)  # half a recording is no error
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout


def buffer() -> Row:
    """The last five seconds at hand, in chunks of 20 ms."""
    chunk = np.zeros(FRAME, np.int16)
    most = RING_S * WIRE_HZ
    joined = [np.zeros(most, np.int16)]
    pieces: deque[Pcm16] = deque([chunk] * (most // FRAME), maxlen=most // FRAME)
    ring = Ring(most, most)
    copied = bytearray(FRAME * 2)

    def join() -> None:
        joined[0] = np.concatenate((joined[0], chunk))[-most:]

    data = chunk.tobytes()

    def copy() -> None:
        copied[:] = data

    return Row(
        "E3", "20 ms into a buffer of the last 5 s", "µs",
        cpu_us(join, 1000), cpu_us(lambda: pieces.append(chunk), 10_000), cpu_us(lambda: ring.append(chunk), 5000),
        cpu_us(copy, 10_000), "before: concatenated; after: a deque, which is joined at each look; bound: the copy",
    )  # fmt: skip


def linear(pcm: Samples) -> Samples:
    """Theirs: each frame for itself, straight lines between samples."""
    wanted = np.arange(pcm.size * HEARING_HZ // WIRE_HZ) * (WIRE_HZ / HEARING_HZ)
    straight: Samples = np.interp(wanted, np.arange(pcm.size), pcm).astype(np.float32)
    return straight


def resample() -> list[Row]:
    """As the detector cuts its windows out of what comes: with those of the others, where there are any."""
    frame = np.random.default_rng(0).normal(scale=0.1, size=FRAME).astype(np.float32)
    batch = np.tile(frame, 7)
    taps, blocks = np.ones((48, 32), np.float32), frame.reshape(-1, 48)
    span = int16_from_float(np.resize(frame, CUTTER.span)).tobytes()

    def ours(streams: int) -> float:
        spans = [span] * streams
        return FRAME / CUTTER.step / streams * cpu_us(lambda: CUTTER.windows(spans), 1000)

    return [
        Row(
            "E4", "20 ms from 24 to 16 kHz for the voice detector", "µs",
            cpu_us(lambda: linear(frame), 1000), cpu_us(lambda: linear(batch), 300) / 7,
            ours(1), cpu_us(lambda: blocks @ taps, 1000),
            "after: in batches of 140 ms, which is so much later; bound: one matrix product of that size",
        ),
        Row("E4", f"the same, among {CROWD} people's", "µs", None, None, ours(CROWD), None),
    ]  # fmt: skip


def level_of_alias() -> Row:
    """Of a tone that 16 kHz cannot carry."""
    tone = np.sin(2 * np.pi * 10_000 / WIRE_HZ * np.arange(WIRE_HZ)).astype(np.float32)
    theirs = np.concatenate([linear(frame) for frame in tone.reshape(-1, FRAME)])
    pcm, step = int16_from_float(tone), CUTTER.step
    starts = range(0, pcm.size - CUTTER.span, step)
    filtered = np.concatenate([CUTTER.windows([pcm[at : at + CUTTER.span].tobytes()])[0] for at in starts])
    return Row(
        "E4",
        "what a tone at 10 kHz leaves there",
        "dB",
        _db(theirs),
        _db(theirs),
        _db(filtered),
        None,
        "less is better",
    )


def _db(pcm: Pcm) -> float:
    return 20 * math.log10(float(np.sqrt(np.mean(pcm**2))) * math.sqrt(2))


def validate() -> Row:
    window = np.random.default_rng(0).normal(scale=0.1, size=512).astype(np.float32)

    def fully() -> bool:
        return bool(np.isfinite(window).all() and np.abs(window).max() <= 1.0)

    def sampled() -> bool:
        few = window[::32]
        return bool(np.isfinite(few).all() and np.abs(few).max() <= 1.0)

    return Row(
        "E19", "512 samples checked", "µs",
        cpu_us(fully, 1000), cpu_us(sampled, 1000), cpu_us(lambda: guarded(window), 1000),
        cpu_us(lambda: np.dot(window, window), 5000),
        "after: one sample of 32, so that one broken sample is missed 97 times of 100; ours sees each "
        "and gives the level",
    )  # fmt: skip
