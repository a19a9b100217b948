"""Dictations from a microphone in memory: what becomes of what is said, and of what is said before that is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.desktop.dictation.dictation import Dictation
from antiphon.desktop.dictation.history import Entry, History
from antiphon.desktop.dictation.hotkeys.chord import Stroke
from antiphon.desktop.dictation.injection import Desktop, Injector
from antiphon.desktop.dictation.passage import Report, Show, Ways, Wish
from antiphon.desktop.dictation.preferences import Preferences
from antiphon.desktop.dictation.steering import Steering
from antiphon.desktop.sound import Sound
from antiphon.engines.api import SttRequest
from antiphon.engines.fake import Fail, FakeLlm, FakeStt
from antiphon.engines.stt.agreement import Agreeing
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.hub import HearingHub
from antiphon.testing.microphone import MemoryMicrophone

NOWHERE = Desktop("none", frozenset())
ONCE_S = 3600.0  # between looks at an utterance: the script is read once for each
pytestmark = pytest.mark.real  # the detector and the disk have threads of their own


class Rig:
    """A dictation, its microphone, and all that it had to say."""

    def __init__(self, history: History) -> None:
        self.microphone = MemoryMicrophone()
        self.history = history
        self.reports: list[Report] = []
        self.problems: list[str] = []
        self.states: list[str] = []
        self.dictation: Dictation

    async def entries(self) -> list[Entry]:
        return await asyncio.to_thread(self.history.find)

    def texts(self) -> list[str]:
        return [report.text for report in self.reports]


@asynccontextmanager
async def rigged(folder: Path, stt: FakeStt, llm: FakeLlm | None = None) -> AsyncIterator[Rig]:
    rig = Rig(await asyncio.to_thread(History, folder))
    hub = HearingHub(EnergyVad())
    async with Sound(lambda: rig.microphone, None, lambda _: None, rate_hz=HEARING_RATE) as sound:
        ways = Ways(sound, hub, Agreeing(stt, ONCE_S), rig.history, Injector(NOWHERE), Preferences(), llm)
        show = Show(lambda *_: None, rig.reports.append, rig.problems.append)
        rig.dictation = Dictation(ways, show, SttRequest(purpose="transcription"))
        rig.dictation.on_state = rig.states.append
        yield rig
        await rig.dictation.close()
    await hub.close()
    await asyncio.to_thread(rig.history.close)


def speech(seconds: float = 0.8) -> Pcm:
    """A voice, for a detector that is a level meter; and a pause in which it ends."""
    time_s = np.arange(int(seconds * HEARING_RATE)) / HEARING_RATE
    return np.concatenate([0.3 * np.sin(2 * np.pi * 220 * time_s), np.zeros(HEARING_RATE)]).astype(np.float32)


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not happens():  # noqa: ASYNC110 - of another thread's doing
            await asyncio.sleep(0.005)


def run(folder: Path, stt: FakeStt, story: Callable[[Rig], Awaitable[None]], llm: FakeLlm | None = None) -> None:
    async def play() -> None:
        async with rigged(folder, stt, llm) as rig:
            await story(rig)

    asyncio.run(play())


def test_what_was_said_just_before_the_key_is_in_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.microphone.hear(speech(0.4)[: HEARING_RATE // 2])
        assert await rig.dictation.act("toggle") == "recording"
        rig.microphone.hear(speech())
        assert await rig.dictation.act("toggle") == "working"
        await rig.dictation.settled()
        (entry,) = await rig.entries()
        assert (entry.text, entry.raw, entry.outcome) == ("One, two", "one comma two", "failed")
        assert entry.seconds == pytest.approx(0.5 + 1.8)
        assert entry.wait_ms is not None
        assert rig.states == ["recording", "working", "idle"]
        assert await rig.dictation.act("paste-last") == "failed", "there is no desktop here"

    run(tmp_path, FakeStt("one comma two"), story)


def test_raw_is_left_alone_and_a_model_cleans_the_rest(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        for wish in (Wish(raw=True), Wish()):
            rig.dictation.start(wish)
            rig.microphone.hear(speech())
            rig.dictation.stop()
            await rig.dictation.settled()
        assert rig.texts() == ["um we met", "We met."]

    run(tmp_path, FakeStt("um we met"), story, FakeLlm("We met."))


def test_the_next_one_begins_while_the_last_one_is_still_recognised(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        for _ in range(2):
            rig.dictation.start()
            rig.microphone.hear(speech())
            rig.dictation.stop()
        assert rig.dictation.state == "working"
        await rig.dictation.settled()
        assert sorted(rig.texts()) == ["First", "Second"]
        begun = [entry.id for entry in sorted(await rig.entries(), key=lambda entry: entry.began_at)]
        assert [report.entry_id for report in rig.reports] == begun, "texts come in the order of the keys"

    run(tmp_path, FakeStt(["first", "second"], delay_s=0.05), story)


def test_each_utterance_of_a_continuous_one_is_typed_at_its_pause(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.dictation.start(Wish(continuous=True))
        rig.microphone.hear(speech())
        await until(lambda: len(rig.problems) == 1)
        assert rig.dictation.state == "recording"
        rig.microphone.hear(speech())
        await until(lambda: len(rig.problems) == 2)
        rig.dictation.stop()
        await rig.dictation.settled()
        assert rig.texts() == ["It is late. We go"]

    run(tmp_path, FakeStt(["it is late full stop", "we go"]), story)


def test_what_is_cancelled_or_fails_keeps_its_sound(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        for end in (rig.dictation.cancel, rig.dictation.stop):
            rig.dictation.start()
            rig.microphone.hear(speech())
            end()
            await rig.dictation.settled()
        failed, cancelled = await rig.entries()
        assert (cancelled.outcome, cancelled.text) == ("cancelled", "")
        assert (failed.outcome, failed.text) == ("failed", "")
        assert (await asyncio.to_thread(rig.history.sound, failed)).size > HEARING_RATE
        assert "the script says so" in rig.problems[0]

    run(tmp_path, FakeStt([Fail(), "never"]), story)


def test_without_a_microphone_nothing_begins(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.dictation._ways.sound.ears = None
        assert await rig.dictation.act("start") == "idle"
        assert "there is no microphone now" in rig.problems[0]

    run(tmp_path, FakeStt(), story)


def test_a_microphone_that_is_replaced_in_mid_sentence_is_followed(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.dictation.start()
        rig.microphone.hear(speech(0.5)[: HEARING_RATE // 2])
        await asyncio.sleep(0.2)  # it has been taken
        rig.dictation._ways.sound.ears = rig.microphone = MemoryMicrophone()
        rig.microphone.hear(speech(0.4)[: HEARING_RATE // 2])
        await asyncio.sleep(0.2)
        rig.microphone.hear(speech(0.5))
        rig.dictation.stop()
        await rig.dictation.settled()
        (entry,) = await rig.entries()
        assert entry.seconds == pytest.approx(0.5 + 0.5 + 1.5)
        assert rig.texts() == ["Both halves"]

    run(tmp_path, FakeStt("both halves"), story)


def test_keys_hold_lock_and_throw_away(tmp_path: Path) -> None:
    times = iter([0.0, 2.0, 10.0, 10.1, 10.3, 10.4, 20.0, 20.1, 30.0, 31.0, 40.0])

    async def story(rig: Rig) -> None:
        steering = Steering(rig.dictation, "hold", lambda: next(times))
        seen: list[str] = []

        def stroke(name: str, *, is_down: bool) -> None:
            steering.take(Stroke(name, is_down))
            seen.append(rig.dictation.state)

        async def tap(name: str) -> None:
            stroke(name, is_down=True)
            stroke(name, is_down=False)

        stroke("dictate", is_down=True)
        rig.microphone.hear(speech())
        stroke("dictate", is_down=False)
        await rig.dictation.settled()
        await tap("dictate")
        await rig.dictation.settled()  # or the next may be written down before it
        await tap("dictate")
        assert seen == ["recording", "working", "recording", "working", "recording", "recording"], (
            "the second tap locks"
        )
        await tap("dictate")
        await rig.dictation.settled()
        stroke("raw", is_down=True)
        stroke("cancel", is_down=True)
        stroke("cancel", is_down=False)
        assert rig.dictation.state == "working"
        stroke("raw", is_down=False)
        await rig.dictation.settled()
        assert [entry.outcome for entry in await rig.entries()] == ["cancelled", "nothing", "cancelled", "failed"]

    run(tmp_path, FakeStt("hello"), story)


def test_a_lock_that_something_else_ended_is_none(tmp_path: Path) -> None:
    times = iter(range(10))

    async def story(rig: Rig) -> None:
        steering = Steering(rig.dictation, "toggle", lambda: next(times))
        steering.take(Stroke("dictate", is_down=True))
        await rig.dictation.act("cancel")
        await rig.dictation.settled()
        steering.take(Stroke("dictate", is_down=True))
        assert rig.dictation.state == "recording"

    run(tmp_path, FakeStt(), story)
