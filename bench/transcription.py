"""What transcription costs beside the recogniser, and what the recognisers' settings change.

    python bench/transcription.py [decode] [buffer] [share] [partials] [whisper] [settings] [batch] [long]

Figures are CPU time of this process on the loop that the server has, uvloop, unless they say otherwise. What stands
beside them as "before", "seed" or "limit" was measured in the same run; more of what the founding documents do is
measured by experiments.py. Recognisers have random weights of a real model's shape, made here: cost does not depend on
the weights' values, and accuracy is not measured. The number of decoded tokens is fixed, for random weights do not know
when to stop.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop
from faster_whisper import WhisperModel
from numpy.typing import NDArray
from starlette.websockets import WebSocket

# ruff: noqa: E402 - the tests' helpers are found by this
sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / folder) for folder in ("media", "engines")]
from recorder import recorded, sweep
from tiny_models import tiny_nemo_ctc, tiny_whisper

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import Pcm, Pcm16
from antiphon.audio.wav import read_wav, wav_from_mono
from antiphon.engines.api import Listener, SttRequest, Transcript, TranscriptDelta, Vad
from antiphon.engines.fake import FakeStt
from antiphon.engines.stt.agreement import Agreeing, WholeOnly
from antiphon.engines.stt.sherpa import Sherpa
from antiphon.engines.utterance import Utterance
from antiphon.engines.vad.silero import SileroVad
from antiphon.hearing.hub import HearingHub
from antiphon.runtime.live import Event, Final, LiveTranscription
from antiphon.server.limits import Bucket, ByteBudget, Size
from antiphon.server.minutes import Tab
from antiphon.server.transcribe import END, Budget, Captions, Form
from experiment_recording import codec_alone, decoded_live

RUNS = 5
SHARES = 9  # what others do on the machine only adds to it
TINY_EN = (384, 6, 4, 80)
TINY_EN_TOKENS = 51_864
TOKENS_PER_S = 4  # some three words a second
THRESHOLDS = {"compression_ratio_threshold": 2.4, "log_prob_threshold": -1.0, "no_speech_threshold": 0.6}
SPEECH = Path(__file__).parents[1] / "tests" / "data" / "hello.wav"


def main() -> None:
    parts: dict[str, Callable[[], None]] = {
        "decode": decode, "buffer": buffer, "share": share, "partials": partials,
        "whisper": whisper, "settings": settings, "batch": batch, "long": long,
    }  # fmt: skip
    for name in sys.argv[1:] or parts:
        parts[name]()


def cpu_ms(work: Callable[[], object], runs: int = RUNS) -> float:
    """The median of some runs, after one to warm up."""
    return statistics.median(cpu_ms_each(work, runs))


def cpu_ms_each(work: Callable[[], object], runs: int = RUNS) -> list[float]:
    work()
    times = []
    for _ in range(runs):
        before = time.process_time()
        work()
        times.append((time.process_time() - before) * 1000)
    return times


# --- a recorder's stream ---------------------------------------------------------------------------------------------


def decode() -> None:
    sound = sweep(20.0)
    frames = 1000
    print(f"\n== decoding a recorder's stream while it comes, 100 ms a message: µs of CPU for each 20 ms ({RUNS} runs)")
    for form in ("webm", "ogg", "mp4"):
        data = recorded(sound, form)
        live_ms = [ms / frames for ms in cpu_ms_each(partial(decoded_live, data, 200))]
        limit_ms = min(cpu_ms_each(partial(codec_alone, data))) / frames
        print(
            f"{form:5} ours {1000 * min(live_ms):6.1f} at best, {1000 * statistics.median(live_ms):6.1f} at the median"
            f"   limit: demuxer and codec alone, from memory {1000 * limit_ms:6.1f}"
        )
    print("Target: at most 100. What the founding documents do: experiments.py --only E2.")


# --- E3: the utterance's buffer --------------------------------------------------------------------------------------


def buffer() -> None:
    chunk = np.zeros(1600, np.float32)  # 100 ms
    count = 250  # 25 s

    def ours() -> None:
        utterance = Utterance()
        for _ in range(count):
            utterance.append(chunk)

    def joined() -> None:
        whole = np.zeros(0, np.float32)
        for _ in range(count):
            whole = np.concatenate((whole, chunk))

    def queued() -> None:
        pieces: deque[Pcm] = deque()
        for _ in range(count):
            pieces.append(chunk)
            np.concatenate(list(pieces)[-50:])

    utterance = Utterance()
    for _ in range(count):
        utterance.append(chunk)
    views = 20_000
    view_us = cpu_ms(lambda: [utterance.view(320_000) for _ in range(views)]) * 1000 / views
    print("\n== the sound of an utterance: µs of CPU to append 100 ms to up to 25 s, and to look at the last 5 s")
    print(f"ours   append {cpu_ms(ours) * 1000 / count:7.2f}   look {view_us:5.2f}, no copy (target 2, and no copy)")
    print(f"before append {cpu_ms(joined) * 1000 / count:7.2f}   (np.concatenate of all)")
    print(f"seed   append {cpu_ms(queued) * 1000 / count:7.2f}   with its look (a deque, joined each time)")
    print(f"limit  {cpu_ms(lambda: [chunk.copy() for _ in range(count)]) * 1000 / count:7.2f}   copying 6,400 bytes")


# --- the server's share ----------------------------------------------------------------------------------------------


def share() -> None:
    wav = read_wav(SPEECH.read_bytes())
    speech = int16_from_float(resampled(wav.pcm, wav.rate_hz, 16_000))
    quiet = np.zeros(16_000, np.int16)
    sound = np.concatenate([np.concatenate((speech, quiet)) for _ in range(10)])
    seconds = sound.size / 16_000
    print(
        f"\n== all but the recogniser, which costs nothing here: {seconds:.0f} s of sound in 10 utterances, "
        f"the least of {SHARES} runs"
    )
    for name, hears, step in (
        ("live, raw samples, 100 ms a message", _streamed, 1600),
        ("the same over the endpoint, with its JSON", _captioned, 1600),
        ("a file that is in memory", _streamed, sound.size),
    ):
        cpu_ms_each, late_ms = shared(hears, sound, SileroVad(), step)
        without, _ = shared(hears, sound, Level(), step)
        print(
            f"{name:42} CPU {cpu_ms_each:5.2f} ms for an utterance, of it {max(0, cpu_ms_each - without):5.2f} the "
            f"detector; end to text {late_ms:.2f} ms"
        )
    print("Target: under 5 ms, and under 2 % of what Whisper tiny.en takes for it: see `whisper`.")


class Level:
    """A detector that costs next to nothing."""

    window, memory, most_at_once, most_in_place = 512, 0, 8, 8

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return (windows.max(axis=1) > 0.01).astype(np.float32), memories


Hears = Callable[[Pcm16, Vad, int], Coroutine[Any, Any, tuple[float, float]]]
"""Has the sound written down, so many samples in each message: CPU ms for each utterance, and ms from its end to its
text."""


def shared(hears: Hears, sound: Pcm16, vad: Vad, step: int) -> tuple[float, float]:
    """The least of the CPU, and how late the text is at the median."""
    runs = [uvloop.run(hears(sound, vad, step)) for _ in range(SHARES)]
    _, late_ms = asyncio.run(hears(sound, vad, step))  # whose clock counts more than whole milliseconds
    return min(cpu_ms_each for cpu_ms_each, _ in runs), late_ms


async def _streamed(sound: Pcm16, vad: Vad, step: int) -> tuple[float, float]:
    finals: list[Final] = []

    async def show(event: Event) -> None:
        if isinstance(event, Final):
            finals.append(event)

    hub = HearingHub(vad, gates=True)
    live = LiveTranscription(hub, WholeOnly(FakeStt("hello")), show, SttRequest("en"))
    before = time.process_time()
    for start in range(0, sound.size, step):
        await live.push(sound[start : start + step])
    await live.end()
    cpu_s = time.process_time() - before
    await live.close()
    await hub.close()
    return 1000 * cpu_s / len(finals), statistics.median(final.took_ms for final in finals)


async def _captioned(sound: Pcm16, vad: Vad, step: int) -> tuple[float, float]:
    frames = [sound[start : start + step].tobytes() for start in range(0, sound.size, step)]
    line = Line([*frames, END])
    hub = HearingHub(vad, gates=True)
    bytes_allowed = ByteBudget(Bucket(Size(2.0**40, 60.0), asyncio.get_running_loop().time))
    budget = Budget(bytes_allowed, Tab(None))
    captions = Captions(cast("WebSocket", line), hub, WholeOnly(FakeStt("hello")), Form("en"), budget)
    before = time.process_time()
    await captions.serve(60.0, 60.0)
    cpu_s = time.process_time() - before
    await hub.close()
    finals = [message for message in map(json.loads, line.sent) if message.get("partial") is False]
    return 1000 * cpu_s / len(finals), statistics.median(final["transcribe_ms"] for final in finals)


class Line:
    """A socket whose other end sends these frames, waits for the last answer and goes."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = deque(frames)
        self.sent: list[str] = []
        self._is_answered = asyncio.Event()

    async def receive(self) -> dict[str, object]:
        if not self._frames:
            await self._is_answered.wait()
            return {"type": "websocket.disconnect"}
        return {"type": "websocket.receive", "bytes": self._frames.popleft()}

    async def send_text(self, text: str) -> None:
        self.sent.append(text)
        if text.startswith('{"type":"final"'):
            self._is_answered.set()


# --- partials --------------------------------------------------------------------------------------------------------


def partials() -> None:
    print("\n== words on the screen: ms of new sound from one look to the next, for 8 s that come in real time")
    with tempfile.TemporaryDirectory() as folder:
        tiny_nemo_ctc(Path(folder), words=1024, layers=24, width=1024)
        makes: dict[str, Callable[[Looks], tuple[Listener, Any]]] = {
            "streaming, sherpa-onnx, 25 M random weights": lambda looks: _twice(WatchedSherpa(Path(folder), looks)),
            "LocalAgreement-2, 100 ms a look": lambda looks: _agreeing(Watched(0.1, looks)),
            "LocalAgreement-2, 400 ms a look": lambda looks: _agreeing(Watched(0.4, looks)),
        }
        for name, make in makes.items():
            gaps = uvloop.run(_gaps(make))
            print(f"{name:46} median {statistics.median(gaps):4.0f}   longest {max(gaps):4.0f}   ({len(gaps)} looks)")
    print("Target: at most 300 on an engine that can. Half of the time is left to others: 400 ms a look make 400.")


def _twice(sherpa: WatchedSherpa) -> tuple[Listener, WatchedSherpa]:
    return sherpa, sherpa


def _agreeing(stt: Watched) -> tuple[Listener, Watched]:
    return Agreeing(stt), stt


Looks = list[int]
"""How much had been said when each look was over, whatever it had found: random weights may find nothing new."""


class WatchedSherpa(Sherpa):
    def __init__(self, folder: Path, looks: Looks) -> None:
        super().__init__(folder)
        self._looks = looks
        self.utterance = Utterance()

    async def _step(self, *arguments: Any, **named: Any) -> Any:
        said = await super()._step(*arguments, **named)
        self._looks.append(self.utterance.size)
        return said


class Watched:
    """A recogniser that takes its time."""

    languages: frozenset[str] | None = None

    def __init__(self, look_s: float, looks: Looks) -> None:
        self._look_s = look_s
        self._looks = looks
        self.utterance = Utterance()

    async def warm(self) -> None:
        pass

    async def transcribe(self, pcm: Pcm, request: SttRequest) -> AsyncIterator[TranscriptDelta | Transcript]:
        await asyncio.sleep(self._look_s)
        self._looks.append(self.utterance.size)
        yield Transcript("and so on")


async def _gaps(make: Callable[[Looks], tuple[Listener, Any]]) -> list[float]:
    """Ms of new sound from the end of one look to that of the next."""
    looks: Looks = []
    listener, watched = make(looks)
    utterance = watched.utterance
    chance = np.random.default_rng(5)

    async def speak() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(160):  # 50 ms each
            await asyncio.sleep(max(0.0, began + number * 0.05 - loop.time()))
            utterance.append((0.1 * chance.normal(size=800)).astype(np.float32))
        utterance.end()

    await watched.warm()
    async with asyncio.TaskGroup() as group:
        group.create_task(speak())
        async for _ in listener.listen(utterance, SttRequest("en")):
            pass
    inside = [place for place in looks if place < utterance.size]
    return [(after - before) / 16 for before, after in pairwise([0, *inside])]


# --- E18: Whisper ----------------------------------------------------------------------------------------------------


def whisper() -> None:
    clips = {seconds: _clip(seconds) for seconds in (1, 2, 5, 10)}
    print(f"\n== Whisper of tiny.en's shape, random weights, {TOKENS_PER_S} tokens for each second: wall ms (CPU ms)")
    with _tiny_en() as folder:
        for threads in (1, 2):
            model = WhisperModel(folder, compute_type="int8", cpu_threads=threads)
            row = "   ".join(f"{seconds} s {_timed(model, clip)}" for seconds, clip in clips.items())
            print(f"int8, beam 1, threads {threads}:  {row}")


def settings() -> None:
    clip = _clip(2)
    print("\n== what each setting of Whisper's changes, 2 s, 1 thread, otherwise as above: wall ms (CPU ms)")
    with _tiny_en() as folder:
        int8 = WhisperModel(folder, compute_type="int8", cpu_threads=1)
        float32 = WhisperModel(folder, compute_type="float32", cpu_threads=1)
        for name, model, setting in (
            ("ours", int8, {}),
            ("times of segments", int8, {"without_timestamps": False}),
            ("their thresholds of doubt", int8, THRESHOLDS),
            ("beam 5", int8, {"beam_size": 5}),
            ("224 tokens, unbounded", int8, {"max_new_tokens": 224}),
            ("word times", int8, {"without_timestamps": False, "word_timestamps": True}),
            ("float32", float32, {}),
            ("after: the seed's, all", float32, {"without_timestamps": False} | THRESHOLDS),
            ("before: the library's, all", float32, {"without_timestamps": False, "beam_size": 5} | THRESHOLDS),
        ):
            print(f"{name:28} {_timed(model, clip, **setting)}")
        mel_ms = cpu_ms(lambda: int8.feature_extractor(clip))
        encoder_ms = cpu_ms(lambda: int8.encode(np.zeros((80, 3000), np.float32)))
        print(
            f"limit: one pass of the encoder over 30 s, which every clip pays: {encoder_ms:.0f} ms; mel {mel_ms:.0f} ms"
        )


def _clip(seconds: int) -> Pcm:
    return (0.1 * np.random.default_rng(seconds).normal(size=16_000 * seconds)).astype(np.float32)


@contextmanager
def _tiny_en() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        tiny_whisper(Path(folder), TINY_EN, TINY_EN_TOKENS)
        yield folder


def _timed(model: WhisperModel, clip: Pcm, **changed: object) -> str:
    tokens = TOKENS_PER_S * clip.size // 16_000
    ours = {
        "language": "en", "beam_size": 1, "temperature": 0.0, "without_timestamps": True, "max_new_tokens": tokens,
        "condition_on_previous_text": False, "compression_ratio_threshold": None, "log_prob_threshold": None,
        "no_speech_threshold": None,
    } | changed  # fmt: skip
    walls, cpus = [], []
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        list(model.transcribe(clip, **ours)[0])
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return f"{statistics.median(walls):5.0f} ({statistics.median(cpus):.0f})"


# --- batching --------------------------------------------------------------------------------------------------------


def batch() -> None:
    from sherpa_onnx import OnlineRecognizer

    print("\n== streaming by sherpa-onnx, random weights (24 layers of 1024², 25 M), 1 thread: sessions on one core")
    sound = (0.1 * np.random.default_rng(2).normal(size=16_000 * 4)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        tiny_nemo_ctc(Path(folder), words=1024, layers=24, width=1024)
        files = {"tokens": f"{folder}/tokens.txt", "model": f"{folder}/model.onnx"}
        recogniser = OnlineRecognizer.from_nemo_ctc(**files, num_threads=1)
        first = 0.0
        for size in (1, 2, 4, 8, 16, 32):
            cpu = cpu_ms(partial(_together, recogniser, sound, size), 3)
            sessions = size * 4000 / cpu
            first = first or sessions
            print(
                f"batches of {size:2}: {sessions:6.1f} sessions  ({sessions / first:.1f} times those of batches of 1)"
            )


def _together(recogniser: object, sound: Pcm, count: int) -> None:
    streams = [recogniser.create_stream() for _ in range(count)]  # type: ignore[attr-defined]
    for stream in streams:
        stream.accept_waveform(16_000, sound)
        stream.input_finished()
    while ready := [stream for stream in streams if recogniser.is_ready(stream)]:  # type: ignore[attr-defined]
        recogniser.decode_streams(ready)  # type: ignore[attr-defined]


# --- long ------------------------------------------------------------------------------------------------------------


def long() -> None:
    """A file of ten hours through `antiphon transcribe`, and an hour of silence live."""
    speech = read_wav(SPEECH.read_bytes())
    said = int16_from_float(resampled(speech.pcm, speech.rate_hz, 8_000))
    hours, rate_hz = 10, 8_000
    with tempfile.TemporaryDirectory() as folder:
        path, config = Path(folder) / "long.wav", Path(folder) / "antiphon.toml"
        config.write_text('[stt]\nengine = "fake"\n')
        with path.open("wb") as file:
            file.write(wav_from_mono(np.zeros(0, np.int16), rate_hz)[:40] + (2**32 - 1).to_bytes(4, "little"))
            for at in (1.0, 9.5):
                file.seek(44 + 2 * round(at * 3600 * rate_hz))
                file.write(said.tobytes())
            file.truncate(44 + 2 * hours * 3600 * rate_hz)  # silence, which takes no room on the disk
        command = [sys.executable, "-m", "antiphon", "transcribe", "--config", str(config), "-f", "srt", str(path)]
        began = time.perf_counter()
        text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\n== {hours} hours of silence with two sentences in it, {rate_hz} Hz, through `antiphon transcribe`")
    print(
        f"{time.perf_counter() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU, "
        f"{used.ru_maxrss / 1024:.0f} MB; sentences at {', '.join(re.findall('^0.{7}', text, re.M))}"
    )
    cpu_s, asked = uvloop.run(_silence(3600))
    print(f"an hour of silence, live: {cpu_s:.1f} s of CPU; the recogniser was asked {asked} times")


async def _silence(seconds: int) -> tuple[float, int]:
    asked = 0

    async def show(event: Event) -> None:
        nonlocal asked
        asked += 1

    hub = HearingHub(SileroVad(), gates=True)
    live = LiveTranscription(hub, Agreeing(FakeStt("hello")), show, SttRequest("en"))
    message = np.zeros(1_600, np.int16)
    before = time.process_time()
    for _ in range(seconds * 10):
        await live.push(message)
    await live.end()
    cpu_s = time.process_time() - before
    await live.close()
    await hub.close()
    return cpu_s, asked


if __name__ == "__main__":
    main()
