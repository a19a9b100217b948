"""The hub with its thread, Silero and a real loop: speech is found, and nobody is held up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import Pcm16
from antiphon.audio.wav import read_wav
from antiphon.engines.vad.silero import SileroVad
from antiphon.hearing.edges import WINDOW, HearingEvent
from antiphon.hearing.hub import HearingHub
from antiphon.session.inputs import HearingFailed, VoiceBegan, VoicePaused

pytestmark = [pytest.mark.real, pytest.mark.slow]

MESSAGE = 480  # samples: 20 ms


def hello_in_noise(seed: int) -> Pcm16:
    """0.8 s of noise at -50 dBFS, "Hello there, can you hear me?" until 2.5 s, and noise until 3.3 s; at 24
    kHz.
    """
    spoken = read_wav((Path(__file__).parents[1] / "data" / "hello.wav").read_bytes())
    sound = np.zeros(24_000 * 33 // 10, np.float32)
    voice = resampled(spoken.pcm, spoken.rate_hz, 24_000)
    sound[19_200 : 19_200 + voice.size] = voice
    sound += np.random.default_rng(seed).normal(0, 10 ** (-50 / 20), sound.size).astype(np.float32)
    return int16_from_float(sound)


def edges(events: list[HearingEvent | HearingFailed]) -> list[VoiceBegan | VoicePaused]:
    return [event for event in events if isinstance(event, VoiceBegan | VoicePaused)]


def test_speech_is_found_where_it_is_by_every_stream_alike() -> None:
    async def story() -> None:
        hub = HearingHub(SileroVad())
        heard: list[list[HearingEvent | HearingFailed]] = [[] for _ in range(10)]
        streams = [hub.open(events.append) for events in heard]
        sounds = [hello_in_noise(seed % 2) for seed in range(10)]
        for start in range(0, sounds[0].size, MESSAGE):
            for stream, sound in zip(streams, sounds, strict=True):
                stream.append(sound[start : start + MESSAGE], start / 24_000)
        while hub.windows < 10 * (sounds[0].size // WINDOW):  # noqa: ASYNC110 - a counter is what there is to wait for
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
        for index, events in enumerate(heard):
            first, last = edges(events)[0], edges(events)[-1]
            assert isinstance(first, VoiceBegan)
            assert isinstance(last, VoicePaused)
            assert 0.8 <= first.at / 24_000 <= 0.95
            assert 2.4 <= last.at / 24_000 <= 2.65
            assert events == heard[index % 2]  # whoever else was in the batch
        await hub.close()

    asyncio.run(story())


def test_fifteen_megabytes_of_one_stream_delay_no_other() -> None:
    """Counted in batches, not in milliseconds: the machine that runs this may be busy with other things."""

    async def story() -> None:
        hub, loop = HearingHub(SileroVad(), backlog_s=400.0), asyncio.get_running_loop()
        heard: list[HearingEvent | HearingFailed] = []
        waits: list[int] = []
        greedy, modest = hub.open(lambda event: None), hub.open(heard.append)
        sound = hello_in_noise(3)[19_200 : 19_200 + 60 * WINDOW + MESSAGE]
        greedy.append(np.zeros(15 * 2**20 // 2, np.int16), loop.time())
        assert greedy.waiting == 10_239
        modest.append(sound[:MESSAGE], loop.time())
        async with asyncio.timeout(30):
            for start in range(MESSAGE, sound.size - WINDOW, WINDOW):
                before = hub.batches
                modest.append(sound[start : start + WINDOW], loop.time())
                while modest.is_waiting:  # noqa: ASYNC110 - a state is what there is to wait for
                    await asyncio.sleep(0)
                waits.append(hub.batches - before)
        assert greedy.waiting > 5000  # it was busy all the time
        assert max(waits) <= 2  # the batch that was under way, and its own
        assert len(waits) == 59
        assert any(isinstance(event, VoiceBegan) for event in heard)
        await hub.close()

    asyncio.run(story())


def test_closing_the_hub_ends_its_thread() -> None:
    async def story() -> None:
        hub = HearingHub(SileroVad())
        stream = hub.open(lambda event: None)
        stream.append(np.zeros(24_000, np.int16), 0.0)
        while not hub.windows:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        await hub.close()
        assert stream.is_open is False
        with pytest.raises(RuntimeError, match="shutdown"):
            hub._runner.run(lambda: None, is_short=False)

    asyncio.run(story())
