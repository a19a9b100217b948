"""Streaming recognition by sherpa-onnx on a small model of its own shape: the library is the real one."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from antiphon.audio.units import Pcm
from antiphon.engines.api import Hypothesis, SttRequest, Transcript, Word
from antiphon.engines.stt import sherpa
from antiphon.engines.stt.sherpa import Sherpa, words_from
from antiphon.engines.utterance import Utterance
from antiphon.errors import ConfigError, EngineError
from antiphon.testing.contract import check_stt

pytest.importorskip("sherpa_onnx")
pytest.importorskip("onnx")
from tiny_models import tiny_nemo_ctc, tiny_zipformer

pytestmark = pytest.mark.real


@pytest.fixture(scope="module", params=[tiny_nemo_ctc, tiny_zipformer])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = request.param(tmp_path_factory.mktemp("model"))
    return made


@pytest.fixture
def stt(folder: Path) -> Sherpa:
    return Sherpa(folder)


def noise(seconds: float, seed: int = 3) -> Pcm:
    time = np.arange(round(16_000 * seconds)) / 16_000
    hum = np.sin(2 * np.pi * (200 + 150 * seed) * time * (1 + np.floor(time * 3) / 5))
    return (0.2 * hum + 0.05 * np.random.default_rng(seed).normal(size=time.size)).astype(np.float32)


async def heard(stt: Sherpa, sound: Pcm, step: int = 1600) -> list[Hypothesis | Transcript]:
    utterance = Utterance()

    async def speak() -> None:
        for start in range(0, sound.size, step):
            utterance.append(sound[start : start + step])
            await asyncio.sleep(0.002)
        utterance.end()

    async with asyncio.TaskGroup() as group:
        group.create_task(speak())
        return [event async for event in stt.listen(utterance, SttRequest("en"))]


def test_it_keeps_the_contract(stt: Sherpa) -> None:
    async def check() -> None:
        transcript = await check_stt(stt, noise(1.5))
        assert transcript.text
        assert " ".join(word.text for word in transcript.words) == transcript.text
        await stt.close()

    asyncio.run(check())


class Followed(Sherpa):
    """Tells when it has looked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.has_looked = asyncio.Event()

    async def _step(self, *arguments: Any, **named: Any) -> Any:
        try:
            return await super()._step(*arguments, **named)
        finally:
            self.has_looked.set()


def test_the_text_grows_and_does_not_depend_on_how_the_sound_was_cut(folder: Path) -> None:
    stt = Followed(folder)

    async def check() -> None:
        utterance, sound = Utterance(), noise(3.0)

        async def speak() -> None:
            for start in range(0, sound.size, 1600):
                stt.has_looked.clear()
                utterance.append(sound[start : start + 1600])
                await stt.has_looked.wait()
            utterance.end()

        async with asyncio.TaskGroup() as group:
            group.create_task(speak())
            *partials, last = [event async for event in stt.listen(utterance, SttRequest("en"))]
        (whole,) = [event async for event in stt.listen(Utterance(sound), SttRequest("en"))]
        assert isinstance(last, Transcript)
        assert last == whole
        stables = [partial.stable for partial in partials if isinstance(partial, Hypothesis)]
        assert len(stables) > 3
        assert all(last.text.startswith(stable) for stable in stables)
        await stt.close()

    asyncio.run(check())


def test_sessions_are_decoded_together_and_hear_what_they_would_hear_alone(stt: Sherpa) -> None:
    async def check() -> None:
        sounds = [noise(2.0, seed) for seed in range(8)]
        alone = [(await heard(stt, sound))[-1] for sound in sounds]
        batches = stt._batches
        assert batches is not None
        before = batches.batches, batches.decoded
        together = await asyncio.gather(*(heard(stt, sound) for sound in sounds))
        assert [events[-1] for events in together] == alone
        assert len({transcript.text for transcript in alone if isinstance(transcript, Transcript)}) > 4
        assert (batches.decoded - before[1]) / (batches.batches - before[0]) > 2
        assert batches.sessions == 0
        await stt.close()

    asyncio.run(check())


class Slow:
    """A recogniser of which each stream is so many chunks long; it decodes no batch before it is let to."""

    def __init__(self) -> None:
        self.batches: list[list[Lasting]] = []
        self.may_go_on = threading.Semaphore(0)
        self.has_begun = threading.Semaphore(0)

    def is_ready(self, stream: Lasting) -> bool:
        return stream.chunks > 0

    def decode_streams(self, streams: list[Lasting]) -> None:
        self.batches.append(streams)
        self.has_begun.release()
        self.may_go_on.acquire()
        for stream in streams:
            stream.chunks -= 1

    def get_result(self, stream: Lasting) -> str:
        return ""

    def tokens(self, stream: Lasting) -> list[str]:
        return []

    timestamps = tokens


class Lasting:
    def __init__(self, chunks: int) -> None:
        self.chunks = chunks

    def accept_waveform(self, rate_hz: int, sound: Pcm) -> None:
        pass

    def input_finished(self) -> None:
        pass


def test_what_nobody_waits_for_is_not_decoded_and_ends_come_before_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sherpa, "LARGEST_BATCH", 1)
    recogniser, gone = Slow(), set[Lasting]()
    batches = sherpa.Batches(recogniser)
    first, left, look, end = Lasting(1), Lasting(1), Lasting(1), Lasting(1)

    def put(stream: Lasting, *, is_last: bool) -> None:
        batches.put(sherpa.Step(stream, noise(0.1), is_last, lambda _: None, lambda: stream in gone))

    put(first, is_last=False)
    assert recogniser.has_begun.acquire(timeout=60)
    put(left, is_last=False)
    put(look, is_last=False)
    put(end, is_last=True)
    gone.add(left)
    for _ in range(2):
        recogniser.may_go_on.release()
        assert recogniser.has_begun.acquire(timeout=60)
    recogniser.may_go_on.release()
    assert recogniser.batches == [[first], [end], [look]]
    batches.close()


class Stuck:
    """A recogniser whose library never comes back; its thread ends with the process."""

    def is_ready(self, stream: object) -> bool:
        return threading.Event().wait()


def test_a_library_that_hangs_is_told_and_replaced(stt: Sherpa, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        monkeypatch.setattr(sherpa, "LIMIT_S", 0.1)
        await stt.warm()
        good, stt._recogniser = stt._recogniser, Stuck()
        stuck = stt._batches = sherpa.Batches(stt._recogniser)
        stt._recogniser = good
        with pytest.raises(EngineError, match="hangs"):
            async for _ in stt.transcribe(noise(0.5), SttRequest("en")):
                pass
        assert stt._batches is not stuck
        monkeypatch.setattr(sherpa, "LIMIT_S", 10)
        assert isinstance((await heard(stt, noise(1.0)))[-1], Transcript)
        await stt.close()

    asyncio.run(check())


def test_a_folder_with_a_wrong_file_does_not_end_the_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no streaming model"):
        Sherpa(tmp_path)
    tiny_nemo_ctc(tmp_path)
    good = (tmp_path / "model.onnx").read_bytes()
    for content in (b"", b"not a model", good[:-500]):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(EngineError) as failed:
            asyncio.run(Sherpa(tmp_path).warm())
        assert failed.value.code == "model_broken"


def test_pieces_become_words() -> None:
    words = words_from((" HE", "LLO", "\u2581wor", "ld"), (0.1, 0.2, 0.6, 0.8))
    assert words == (Word("HELLO", 0.1, 0.6), Word("world", 0.6, 0.6 + sherpa.LAST_WORD_S))
    assert words_from((), ()) == ()
