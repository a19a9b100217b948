"""One stream's live transcription, with the real cutting and a detector and a recogniser that tests can follow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray
from ticking import TickingStt, counting, word

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.units import Pcm
from antiphon.engines.api import SttRequest
from antiphon.engines.fake import Fail, FakeStt
from antiphon.engines.stt.agreement import Agreeing, WholeOnly
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.runtime.live import Event, Failed, Final, LiveTranscription, Partial
from antiphon.testing.virtual_time import run as run_virtually

Talk = Callable[[LiveTranscription], Awaitable[None]]


def silence(seconds: float) -> Pcm:
    return np.zeros(round(16_000 * seconds), np.float32)


class CountingVad(EnergyVad):
    """The level meter, as one that takes eight windows at once, and how often it was asked."""

    most_at_once = 8
    calls = 0

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.calls += 1
        return super().score(windows, memories)


def transcribed(
    talk: Talk, stt: TickingStt | FakeStt, *, partials: bool = False, vad: EnergyVad | None = None
) -> list[Event]:
    async def run() -> list[Event]:
        shown: list[Event] = []

        async def show(event: Event) -> None:
            shown.append(event)

        hub = HearingHub(vad or EnergyVad(), InPlace())
        listener = Agreeing(stt) if partials else WholeOnly(stt)
        live = LiveTranscription(hub, listener, show, SttRequest("en"))
        try:
            await talk(live)
        finally:
            await live.close()
            await hub.close()
        assert len(asyncio.all_tasks()) == 1
        return shown

    return run_virtually(run())


async def say(live: LiveTranscription, *sounds: Pcm) -> None:
    await live.push(int16_from_float(np.concatenate(sounds)))


def finals(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Final)]


def test_every_word_once_however_long_and_fast_it_comes() -> None:
    async def talk(live: LiveTranscription) -> None:
        await say(live, silence(1), counting(0, 300), silence(1), counting(300, 310))
        await live.end()

    stt = TickingStt()
    events = transcribed(talk, stt)
    said = " ".join(finals(events)).split()
    # A cut at the quietest place of a voice that never pauses may go through one word.
    assert len(finals(events)) == 4
    assert [said.count(word(number)) for number in range(310)].count(1) >= 308
    assert max(stt.heard_s) <= 31


def test_partials_of_one_utterance_never_show_the_next() -> None:
    async def talk(live: LiveTranscription) -> None:
        for start in range(0, 40, 8):
            await say(live, counting(start, start + 8), silence(0.8))
        await live.end()

    events = transcribed(talk, TickingStt(), partials=True)
    assert finals(events) == [" ".join(map(word, range(start, start + 8))) for start in range(0, 40, 8)]
    texts = {event.number: event.text for event in events if isinstance(event, Final)}
    partials = [event for event in events if isinstance(event, Partial)]
    assert partials
    assert all(texts[partial.number].startswith(partial.stable) for partial in partials)
    numbers = [event.number for event in events if not isinstance(event, Failed)]
    assert numbers == sorted(numbers)


def test_a_recogniser_that_fails_costs_one_utterance() -> None:
    async def talk(live: LiveTranscription) -> None:
        await say(live, counting(0, 4), silence(1), counting(0, 4), silence(1))
        await live.end()

    failed, heard = transcribed(talk, FakeStt([Fail("no_luck"), "hello"]))
    assert isinstance(failed, Failed)
    assert failed.code == "no_luck"
    assert isinstance(heard, Final)
    assert heard.text == "hello"


def test_clearing_forgets_what_is_being_said_and_the_next_is_heard_whole() -> None:
    async def talk(live: LiveTranscription) -> None:
        await say(live, counting(0, 8))
        await live.clear()
        await say(live, silence(0.5), counting(20, 24), silence(1))
        await live.end()

    assert finals(transcribed(talk, TickingStt())) == [" ".join(map(word, range(20, 24)))]


def test_who_sends_faster_than_can_be_recognised_waits() -> None:
    async def talk(live: LiveTranscription) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(20):
            await say(live, counting(0, 8), silence(1))
        assert loop.time() - began > 20  # two seconds of speech take two to recognise, and a few may wait
        await live.end()

    assert len(finals(transcribed(talk, TickingStt(seconds_per_second=1.0)))) == 20


def test_the_detector_is_asked_when_it_can_tell_something_new_and_the_end_is_told_as_soon_as_ever() -> None:
    async def talk(live: LiveTranscription) -> None:
        for number in range(20):
            await say(live, counting(number, number + 1)[:1600])
        assert live.is_hearing
        for message in range(7):
            assert live.is_hearing is (message < 6)  # the sixth brings the last window of half a second
            await say(live, silence(0.1))
        for _ in range(10):
            await say(live, silence(0.1))

    vad = CountingVad()
    assert len(finals(transcribed(talk, TickingStt(), vad=vad))) == 1
    assert vad.calls < 27  # of 37 messages
