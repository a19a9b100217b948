"""Moonshine's own classes, with only their native library replaced. No model of its shape can be made here: its files
are onnxruntime's own format, with graphs that only its owner's tools write."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import Hypothesis, SttRequest, Transcript
from antiphon.engines.pool import Pool, Share
from antiphon.engines.utterance import Utterance
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_stt

pytest.importorskip("moonshine_voice")
from moonshine_voice import transcriber as library
from moonshine_voice.moonshine_api import TranscriptC, TranscriptLineC

from antiphon.engines.stt.moonshine import ONE_THREAD, Moonshine

pytestmark = pytest.mark.real

WORDS = "ever tried ever failed no matter try again fail again fail better".split()  # noqa: SIM905
NO_STREAM = -3


class Native:
    """The library's C functions: a stream hears one word in each half second, and has a line for every four."""

    def __init__(self) -> None:
        self.streams: dict[int, int] = {}
        """Samples of each that is open."""
        self.opened = 0
        self.kept: list[Any] = []
        """What C would own."""
        self.is_broken = False

    def moonshine_load_transcriber_from_files(self, *arguments: Any) -> int:
        return -1 if self.is_broken else 1

    def moonshine_error_to_string(self, error: int) -> bytes:
        return b"it is broken"

    def moonshine_free_transcriber(self, handle: int) -> None:
        assert not self.streams

    def moonshine_create_stream(self, handle: int, flags: int) -> int:
        self.opened += 1
        self.streams[self.opened] = 0
        return self.opened

    def moonshine_free_stream(self, handle: int, stream: int) -> int:
        del self.streams[stream]
        return 0

    def moonshine_start_stream(self, handle: int, stream: int) -> int:
        return 0 if stream in self.streams else NO_STREAM

    moonshine_stop_stream = moonshine_start_stream

    def moonshine_transcribe_add_audio_to_stream(
        self, handle: int, stream: int, audio: Any, size: int, rate_hz: int, flags: int
    ) -> int:
        assert rate_hz == 16_000
        self.streams[stream] += size
        return 0

    def moonshine_transcribe_stream(self, handle: int, stream: int, flags: int, out: Any) -> int:
        said = WORDS[: self.streams[stream] // 8_000]
        texts = [" ".join(said[start : start + 4]).encode() for start in range(0, len(said), 4)]
        lines = (TranscriptLineC * max(1, len(texts)))()
        for line, text in zip(lines, texts, strict=False):
            buffer = ctypes.create_string_buffer(text)
            self.kept.append(buffer)
            line.text = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_char))
        transcript = TranscriptC()
        transcript.lines, transcript.line_count = lines, len(texts)
        self.kept += [lines, transcript]
        out._obj.contents = transcript
        return 0


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> Native:
    made = Native()

    class Library:
        lib = made

    monkeypatch.setattr(library, "_MoonshineLib", Library)
    return made


@pytest.fixture
def share() -> Iterator[Share]:
    made = Pool(cores=2)
    yield made.share(1)
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("encoder.ort", "tokenizer.bin"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def sound(seconds: float) -> Pcm:
    return np.zeros(round(16_000 * seconds), np.float32)


def test_it_keeps_the_contract_and_leaves_no_stream_open(native: Native, folder: Path, share: Share) -> None:
    stt = Moonshine(folder, share)

    async def check() -> None:
        assert (await check_stt(stt, sound(2.0))).text == "ever tried ever failed"
        async with asyncio.timeout(10):  # those who were cancelled close theirs on a thread
            while native.streams:  # noqa: ASYNC110 - the library tells nobody
                await asyncio.sleep(0.01)
        await stt.close()

    asyncio.run(check())


@pytest.mark.parametrize(("threads", "told"), [(1, "1"), (2, None)])
def test_the_library_is_told_to_compute_with_one_thread(
    threads: int, told: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ONE_THREAD, "")
    monkeypatch.delenv(ONE_THREAD)
    Moonshine(folder, Pool(cores=2).share(threads))
    assert os.environ.get(ONE_THREAD) == told


def test_words_come_while_they_are_said(native: Native, folder: Path, share: Share) -> None:
    stt = Moonshine(folder, share)

    async def check() -> list[Hypothesis | Transcript]:
        utterance = Utterance()

        async def speak() -> None:
            for _ in range(60):
                utterance.append(sound(0.1))
                await asyncio.sleep(0.002)
            utterance.end()

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            return [event async for event in stt.listen(utterance, SttRequest("en"))]

    *partials, last = asyncio.run(check())
    assert isinstance(last, Transcript)
    assert last.text == " ".join(WORDS)
    stables = [partial.stable for partial in partials if isinstance(partial, Hypothesis)]
    assert len(stables) > 3
    assert all(last.text.startswith(stable) for stable in stables)


def test_a_look_that_hangs_takes_one_thread_and_closes_its_stream_when_it_comes_back(
    native: Native, folder: Path, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    stt = Moonshine(folder, share)
    gate, run = threading.Event(), share.run

    async def check() -> None:
        await stt.warm()
        add = native.moonshine_transcribe_add_audio_to_stream

        def hang(*arguments: Any) -> int:
            gate.wait()
            return add(*arguments)

        monkeypatch.setattr(native, "moonshine_transcribe_add_audio_to_stream", hang)
        monkeypatch.setattr(share, "run", lambda call, **options: run(call, **{**options, "limit_s": 0.2}))
        with pytest.raises(EngineError) as failed:
            await check_stt(stt, sound(1.0))
        assert failed.value.code == "engine_hangs"
        assert share.pool.hung == 1
        assert native.streams
        gate.set()
        async with asyncio.timeout(20):
            while native.streams or share.pool.hung:  # noqa: ASYNC110 - the library tells nobody
                await asyncio.sleep(0.01)

    asyncio.run(check())


def test_what_is_no_model(native: Native, tmp_path: Path, folder: Path, share: Share) -> None:
    with pytest.raises(ConfigError, match="no Moonshine model"):
        Moonshine(tmp_path / "nothing", share)
    native.is_broken = True
    with pytest.raises(EngineError) as failed:
        asyncio.run(Moonshine(folder, share).warm())
    assert failed.value.code == "model_broken"
