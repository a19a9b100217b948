"""E2: a recorder's stream, decoded while it comes, as the founding documents do it and as it is done here.

Theirs keep all bytes and decode all of them again and again; they need an `ffmpeg`, and without one their columns stay
empty. The fault by which theirs fell silent after its first result is left out.
"""

from __future__ import annotations

import io
import resource
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "media"))
from recorder import recorded, sweep

from antiphon.media.live import LiveDecoder
from experiment_row import Row
from experiment_sound import HEARING_HZ, pcm_form, run_ffmpeg

SECONDS = 30
MESSAGES = 10 * SECONDS  # of 100 ms
EACH_FIFTH, EACH_THIRD = 5, 3  # messages, at which theirs decode: before, and after
ROUNDS = 3


def rows() -> list[Row]:
    data = recorded(sweep(SECONDS), "webm")
    return [
        Row(
            "E2", f"{SECONDS} s of a recorder's WebM/Opus, decoded while it comes", "ms",
            _theirs(data, EACH_FIFTH, _by_files), _theirs(data, EACH_THIRD, _by_pipes),
            _cpu_ms(lambda: decoded_live(data, MESSAGES)), _cpu_ms(lambda: codec_alone(data)),
            f"of processor time, of all processes; before: at each {EACH_FIFTH}th of {MESSAGES} messages all that has "
            f"come, by ffmpeg through files; after: at each {EACH_THIRD}rd, through pipes; ours: each message once, "
            "when it comes; bound: demuxer and codec alone, from memory",
        )
    ]  # fmt: skip


def decoded_live(data: bytes, messages: int) -> int:
    """How many samples came of it, through the decoder of a connection, in so many messages."""
    return uvloop.run(_decoded(data, messages))


async def _decoded(data: bytes, messages: int) -> int:
    decoder, samples = LiveDecoder(), 0
    for start, end in pairwise([0, *_ends(data, messages)]):
        samples += (await decoder.feed(data[start:end])).size
    samples += (await decoder.finish()).size
    decoder.close()
    return samples


def codec_alone(data: bytes) -> None:
    with av.open(io.BytesIO(data), "r") as container:
        for _ in container.decode(audio=0):
            pass


def _ends(data: bytes, messages: int) -> list[int]:
    """Where each message ends."""
    return [len(data) * number // messages for number in range(1, messages + 1)]


def _theirs(data: bytes, each: int, decode: Callable[[str, bytes], bytes]) -> float | None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None

    def stream() -> None:
        for end in _ends(data, MESSAGES)[each - 1 :: each]:
            decode(ffmpeg, data[:end])

    return _cpu_ms(stream)


def _by_files(ffmpeg: str, so_far: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        webm, low = Path(folder, "in.webm"), Path(folder, "out.pcm")
        webm.write_bytes(so_far)
        run_ffmpeg(ffmpeg, "-i", str(webm), *pcm_form(HEARING_HZ), str(low))
        return low.read_bytes()


def _by_pipes(ffmpeg: str, so_far: bytes) -> bytes:
    return run_ffmpeg(ffmpeg, "-i", "pipe:0", *pcm_form(HEARING_HZ), "pipe:1", given=so_far)


def _cpu_ms(work: Callable[[], object]) -> float:
    """The median of some rounds, after one to warm up; what ended processes took is counted."""
    found = []
    for _ in range(ROUNDS + 1):
        before = _used_s()
        work()
        found.append((_used_s() - before) * 1000)
    return statistics.median(found[1:])


def _used_s() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)
