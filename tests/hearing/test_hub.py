"""Many streams through one detector, under virtual time: who gets scored when, and what their owners hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.units import Pcm16
from antiphon.engines.vad.energy import EnergyVad
from antiphon.errors import Bug, EngineError
from antiphon.hearing.edges import RESET_WINDOWS, WINDOW
from antiphon.hearing.hub import LARGEST_BATCH, LONGEST_WAIT_S, HearingHub
from antiphon.hearing.runners import Answer, InPlace
from antiphon.hearing.stream import HearingStream
from antiphon.session.inputs import HearingFailed, SilenceTick, VoiceBegan, VoiceDismissed, VoicePaused, VoiceSuspected
from antiphon.testing.virtual_time import run


class Events(list[Any]):
    """What an owner was told, without the suspicions that come before a voice."""

    def append(self, event: Any) -> None:
        if not isinstance(event, VoiceSuspected | VoiceDismissed):
            super().append(event)


REACH = 36  # samples at 24 kHz that the resampler looks ahead


def voice(windows: float, rate_hz: int = 24_000) -> Pcm16:
    length = round(windows * WINDOW * rate_hz / 24_000)
    return np.asarray(8000 * np.sin(np.arange(length) * 2 * np.pi * 500 / rate_hz), dtype=np.int16)


def quiet(windows: float, rate_hz: int = 24_000) -> Pcm16:
    return np.zeros(round(windows * WINDOW * rate_hz / 24_000), np.int16)


class RecordingVad(EnergyVad):
    """The level meter, with a memory that counts the windows of a stream, and a record of the batches."""

    memory = 1

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[NDArray[np.float32]] = []
        """The memories that came with each batch: how many windows its streams had behind them."""
        self.breaks_on: Callable[[NDArray[np.float32]], bool] = lambda windows: False
        self.answer_of: Callable[[NDArray[np.float32]], Any] | None = None

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.batches.append(memories[:, 0].copy())
        if self.breaks_on(windows):
            raise RuntimeError("the graph is torn")
        scores, _ = super().score(windows, memories[:, :0])
        return (self.answer_of(scores) if self.answer_of else scores), memories + 1


class OrderedVad(EnergyVad):
    """Takes several windows of a stream at once, and remembers how many each has behind it and how the last one was."""

    memory = 2
    most_at_once = 4

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[tuple[int, int]] = []
        """Of each call: streams, and windows of each."""

    def score(
        self, windows: NDArray[np.float32], memories: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        streams = memories.shape[0]
        count = windows.shape[0] // streams
        self.lengths.append((streams, count))
        scores, _ = super().score(windows, memories[:, :0])
        moments = scores.reshape(count, streams)
        after = np.stack((memories[:, 0] + count, moments[-1]), axis=1)
        # Two windows have to agree, so that a wrong order shows.
        before = np.concatenate((memories[None, :, 1], moments[:-1]))
        return np.minimum(moments, before).ravel(), after


class Slow:
    """Answers when told to: a thread whose speed the test decides."""

    def __init__(self) -> None:
        self.waiting: list[tuple[asyncio.Future[Any], Callable[[], Any]]] = []

    def run(self, work: Callable[[], Answer], *, is_short: bool) -> asyncio.Future[Answer]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting.append((future, work))
        return future

    async def finish(self) -> None:
        future, work = self.waiting.pop(0)
        future.set_result(work())
        await asyncio.sleep(LONGEST_WAIT_S)

    def close(self) -> None:
        pass


async def turns(count: int = 5) -> None:
    """Let everything happen that needs no time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settled(hub: HearingHub) -> None:
    """A minute later."""
    await asyncio.sleep(60)
    assert not hub.backlog_s


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_turn_is_told_in_positions_of_the_stream() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        stream = hub.open(events.append)
        stream.append(np.concatenate((quiet(3), voice(5), quiet(4))), 1.5)
        await settled(hub)
        assert events == [
            VoiceBegan(3 * WINDOW, 5 * WINDOW, 1.5),
            VoicePaused(8 * WINDOW, 9 * WINDOW, 1.5),
            SilenceTick(10 * WINDOW, 1.5),
            SilenceTick(11 * WINDOW, 1.5),  # the twelfth lacks its last 1.5 ms
        ]
        stream.turn_closed()
        stream.append(quiet(3), 2.0)
        await settled(hub)
        assert len(events) == 4
        assert hub.windows == 14
        await hub.close()

    run(story())


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_other_rates_have_the_same_ruler(rate_hz: int) -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        stream = hub.open(events.append, rate_hz=rate_hz, position=24_000)
        stream.append(np.concatenate((quiet(2, rate_hz), voice(3, rate_hz), quiet(2, rate_hz))), 0.0)
        await settled(hub)
        assert events[:2] == [
            VoiceBegan(24_000 + 2 * WINDOW, 24_000 + 4 * WINDOW, 0.0),
            VoicePaused(24_000 + 5 * WINDOW, 24_000 + 6 * WINDOW, 0.0),
        ]
        assert stream.position == 24_000 + 7 * WINDOW

    run(story())


@pytest.mark.parametrize("chunk", [1, 7, 480, 767, 768, 769, 5000])
def test_messages_of_any_length_make_the_same_windows(chunk: int) -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        stream = hub.open(events.append)
        sound = np.concatenate((quiet(2), voice(3), quiet(3)))
        for start in range(0, sound.size, chunk):
            stream.append(sound[start : start + chunk], start + chunk)
        await settled(hub)
        assert [(type(event), event.heard) for event in events] == [
            (VoiceBegan, 4 * WINDOW),
            (VoicePaused, 6 * WINDOW),
            (SilenceTick, 7 * WINDOW),
        ]
        for event in events:  # the message that completed the window is the first to reach its end and lookahead
            assert event.arrived - chunk < event.heard + REACH <= event.arrived

    run(story())


def test_windows_that_wait_go_together_and_mean_what_they_mean_alone() -> None:
    async def heard_by(most_at_once: int) -> tuple[list[Events], OrderedVad]:
        vad = OrderedVad()
        vad.most_at_once = most_at_once
        hub = HearingHub(vad, InPlace())
        sounds = [
            np.concatenate((quiet(3), voice(5), quiet(4), voice(3), quiet(70), voice(4), quiet(2))),
            np.concatenate((voice(2.5), quiet(1), voice(40), quiet(9))),
            np.concatenate((quiet(2, 8000), voice(5, 8000), quiet(4, 8000))),
        ]
        told = [Events() for _ in sounds]
        rates = (24_000, 24_000, 8_000)
        streams = [hub.open(events.append, rate_hz=rate) for events, rate in zip(told, rates, strict=True)]
        for stream, sound in zip(streams, sounds, strict=True):
            stream.append(sound, 1.0)
        await settled(hub)
        await hub.close()
        return told, vad

    async def story() -> None:
        alone, one = await heard_by(1)
        together, four = await heard_by(4)
        assert together == alone
        assert {count for _, count in one.lengths} == {1}
        assert max(count for _, count in four.lengths) == 4
        assert len(four.lengths) < len(one.lengths) / 3

    run(story())


def test_a_crowd_brings_one_window_each() -> None:
    async def story() -> None:
        vad = OrderedVad()
        hub = HearingHub(vad, InPlace())
        for stream in [hub.open(lambda event: None) for _ in range(LARGEST_BATCH // 2 + 1)]:
            stream.append(quiet(5.1), 0.0)
        await settled(hub)
        assert {count for _, count in vad.lengths} == {1}

    run(story())


def test_no_run_goes_on_when_the_memory_is_begun_anew() -> None:
    class Watched(OrderedVad):
        longest = 0.0

        def score(self, windows: Any, memories: Any) -> Any:
            scores, after = super().score(windows, memories)
            self.longest = max(self.longest, float(after[:, 0].max()))
            return scores, after

    async def story() -> None:
        vad = Watched()
        hub = HearingHub(vad, InPlace())
        hub.open(lambda event: None).append(quiet(RESET_WINDOWS * 3 + 0.1), 0.0)
        await settled(hub)
        assert vad.longest == RESET_WINDOWS

    run(story())


def test_an_idle_hub_answers_at_once() -> None:
    async def story() -> None:
        hub, heard_at = HearingHub(EnergyVad(), InPlace()), []
        stream = hub.open(lambda event: heard_at.append(now()))
        await asyncio.sleep(1)
        stream.append(voice(2.1), now())
        await turns(20)
        assert heard_at == [1.0, 1.0]  # suspected, and certain

    run(story())


def test_a_crowd_waits_for_company_but_not_for_long() -> None:
    async def story() -> None:
        vad = RecordingVad()
        hub = HearingHub(vad, InPlace())
        streams = [hub.open(lambda event: None) for _ in range(128)]
        for step in range(128):  # each stream has its own phase of the same 32 ms
            streams[step].append(quiet(1.1), now())
            await asyncio.sleep(0.032 / 128)
        await settled(hub)
        assert hub.windows == 128
        assert hub.batches <= 6
        assert hub.lateness_ms <= LONGEST_WAIT_S * 1000
        assert max(len(batch) for batch in vad.batches) <= LARGEST_BATCH

    run(story())


def test_a_full_batch_does_not_wait() -> None:
    async def story() -> None:
        vad = RecordingVad()
        hub = HearingHub(vad, InPlace())
        streams = [hub.open(lambda event: None) for _ in range(LARGEST_BATCH + 5)]
        streams[-1].append(quiet(1.1), now())
        await turns()
        started = now()
        for stream in streams[:-1]:
            stream.append(quiet(1.1), now())
        await turns()
        assert [len(batch) for batch in vad.batches] == [1, LARGEST_BATCH]
        assert now() == started
        await settled(hub)
        assert [len(batch) for batch in vad.batches] == [1, LARGEST_BATCH, 4]

    run(story())


def test_one_long_message_gets_one_window_a_batch() -> None:
    async def story() -> None:
        vad, slow = RecordingVad(), Slow()
        hub, order = HearingHub(vad, slow), []
        greedy = hub.open(lambda event: order.append("greedy"))
        modest = hub.open(lambda event: order.append("modest"))
        greedy.append(quiet(1000.1), 0.0)
        await turns()
        modest.append(voice(2.1), 0.0)
        for _ in range(3):
            await slow.finish()
        assert order == ["modest", "modest"]  # suspected, and certain
        assert [len(batch) for batch in vad.batches] == [1, 2, 2]
        assert greedy.waiting == 1000 - 4  # three are scored, the fourth is under way
        greedy.close()
        modest.close()

    run(story())


def test_over_the_bound_the_oldest_is_dropped_and_counted_and_told_once() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), Slow(), backlog_s=0.32)
        events = Events()
        stream = hub.open(events.append)
        stream.append(quiet(8.1), 0.0)
        stream.append(quiet(10), 0.1)
        stream.append(quiet(10), 0.2)
        await turns()
        assert stream.waiting <= 10
        assert stream.dropped == hub.dropped == 18 * WINDOW
        assert [type(event) for event in events] == [HearingFailed]
        assert events[0].code == "audio_backlog"

    run(story())


def test_a_jam_that_lasts_takes_no_more_memory_than_its_bound() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), Slow(), backlog_s=0.32)
        stream = hub.open(lambda event: None)
        for number in range(2_000):
            stream.append(quiet(1), float(number))
        await turns()
        assert stream.dropped > 1_900 * WINDOW
        assert len(stream._arrivals) <= 10

    run(story())


def test_what_is_left_after_a_drop_is_where_it_was() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace(), backlog_s=0.32)
        events = Events()
        stream = hub.open(events.append)
        stream.append(np.concatenate((quiet(100), voice(3), quiet(4.1))), 7.0)
        await settled(hub)
        assert [event for event in events if isinstance(event, VoiceBegan | VoicePaused)] == [
            VoiceBegan(100 * WINDOW, 102 * WINDOW, 7.0),
            VoicePaused(103 * WINDOW, 104 * WINDOW, 7.0),
        ]
        stream.append(np.concatenate((quiet(100),)), 8.0)
        await settled(hub)
        assert [type(event) for event in events].count(HearingFailed) == 2  # the jam was over in between

    run(story())


def test_a_torn_detector_is_told_to_those_it_failed_and_the_hub_goes_on() -> None:
    async def story() -> None:
        vad = RecordingVad()
        vad.breaks_on = lambda windows: bool(np.abs(windows).max() > 0.9)
        hub = HearingHub(vad, InPlace())
        hurt, others = Events(), Events()
        first, second = hub.open(hurt.append), hub.open(others.append)
        first.append(np.concatenate((np.full(3 * WINDOW, 32767, np.int16), quiet(0.1))), 0.0)
        await settled(hub)
        assert [(type(event), event.code) for event in hurt] == [(HearingFailed, "engine_failed")]
        assert "torn" in hurt[0].message
        assert hub.failures == 3
        first.append(np.concatenate((quiet(2), voice(2.1))), 1.0)
        await settled(hub)
        second.append(voice(2.1), 2.0)
        await settled(hub)
        assert [type(event) for event in others] == [VoiceBegan]
        assert isinstance(hurt[-1], VoiceBegan)
        first.append(np.full(WINDOW, 32767, np.int16), 3.0)
        await settled(hub)
        assert [type(event) for event in hurt].count(HearingFailed) == 2  # another failure after a success

    run(story())


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda scores: scores * np.nan, "no number"),
        (lambda scores: scores[:, None], "contract"),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_failure(answer: Callable[[Any], Any], words: str) -> None:
    async def story() -> None:
        vad = RecordingVad()
        vad.answer_of = answer
        hub = HearingHub(vad, InPlace())
        events = Events()
        hub.open(events.append).append(voice(1.1), 0.0)
        await settled(hub)
        assert words in events[0].message

    run(story())


def test_the_engine_may_say_itself_what_is_wrong() -> None:
    class Polite(EnergyVad):
        def score(self, windows: Any, memories: Any) -> Any:
            raise EngineError("out of memory", "Close another program.", code="out_of_memory")

    async def story() -> None:
        hub = HearingHub(Polite(), InPlace())
        events = Events()
        hub.open(events.append).append(voice(1.1), 0.0)
        await settled(hub)
        assert events[0].code == "out_of_memory"
        assert "another program" in events[0].message

    run(story())


def test_a_stream_that_is_closed_in_a_batch_frees_its_row_for_a_fresh_one() -> None:
    async def story() -> None:
        vad, slow = RecordingVad(), Slow()
        hub = HearingHub(vad, slow)
        events = Events()
        old = hub.open(events.append)
        old.append(voice(3.1), 0.0)
        await turns()
        old.close()
        old.close()
        new = hub.open(events.append)
        assert new.slot == old.slot
        new.append(quiet(2.1), 0.0)
        await slow.finish()  # the old one's window: its memory must not reach the row
        await slow.finish()
        await slow.finish()
        assert [batch.tolist() for batch in vad.batches] == [[0], [0], [1]]
        assert events == []
        assert hub.streams == {new}

    run(story())


def test_a_closed_stream_is_deaf_and_dumb() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        stream = hub.open(events.append)
        stream.append(voice(5.1), 0.0)
        stream.close()
        stream.append(voice(5.1), 0.0)
        stream.listen(0.3)
        stream.reset()
        await settled(hub)
        assert events == []
        assert hub.windows == 0

    run(story())


def test_more_streams_than_rows_make_the_pool_grow() -> None:
    async def story() -> None:
        vad = RecordingVad()
        hub = HearingHub(vad, InPlace())
        streams = [hub.open(lambda event: None) for _ in range(200)]
        assert len({stream.slot for stream in streams}) == 200
        for _ in range(2):
            for stream in streams:
                stream.append(quiet(1.1), now())
            await settled(hub)
        assert hub.windows == 400
        assert sum(batch.sum() for batch in vad.batches) == 200  # half of the windows had one behind them

    run(story())


def test_without_a_threshold_nothing_is_scored_and_the_position_goes_on() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        stream = hub.open(events.append, threshold=None)
        stream.append(voice(4.5), 0.0)
        await settled(hub)
        assert hub.windows == 0
        stream.listen(0.5)
        stream.append(voice(2.1), 1.0)
        await settled(hub)
        start = round(4.5 * WINDOW)
        assert events == [VoiceBegan(start, start + 2 * WINDOW, 1.0)]
        stream.listen(None)
        stream.append(quiet(4), 2.0)
        await settled(hub)
        assert hub.windows == 2
        assert stream.position == start + round(2.1 * WINDOW) + 4 * WINDOW

    run(story())


def test_another_threshold_applies_from_the_next_window_and_keeps_the_turn() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(middle_dbfs=-15.3), InPlace())  # the voice scores one half
        events = Events()
        stream = hub.open(events.append, threshold=0.9)
        stream.append(voice(3), 0.0)
        await settled(hub)
        assert events == []
        stream.listen(0.3)
        stream.append(voice(3), 0.0)
        await settled(hub)
        assert [type(event) for event in events] == [VoiceBegan]
        stream.listen(0.9)
        stream.append(voice(1), 0.0)
        await settled(hub)
        assert [type(event) for event in events] == [VoiceBegan, VoicePaused]

    run(story())


def test_a_reset_forgets_the_voice_the_memory_and_what_waits() -> None:
    async def story() -> None:
        vad, slow = RecordingVad(), Slow()
        hub = HearingHub(vad, slow)
        events = Events()
        stream = hub.open(events.append)
        stream.append(voice(5.1), 0.0)
        await turns()
        await slow.finish()
        stream.reset()
        stream.append(quiet(1.1), 1.0)
        await slow.finish()  # was under way
        await slow.finish()
        assert [batch.tolist() for batch in vad.batches] == [[0], [1], [0]]
        assert events == []
        assert stream.position == round(5.1 * WINDOW) + round(1.1 * WINDOW)

    run(story())


def test_the_memory_is_begun_anew_after_two_seconds_without_a_voice() -> None:
    async def story() -> None:
        vad = RecordingVad()
        hub = HearingHub(vad, InPlace())
        hub.open(lambda event: None).append(quiet(130.1), 0.0)
        await settled(hub)
        ages = [int(batch[0]) for batch in vad.batches]
        assert ages == [*range(63), *range(63), *range(4)]

    run(story())


def test_what_one_owner_raises_reaches_no_other_stream() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        reported: list[Exception] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))

        def break_down(event: object) -> None:
            raise ValueError("not my day")

        broken, sound = hub.open(break_down), hub.open(events.append)
        broken.append(voice(2.1), 0.0)
        sound.append(voice(2.1), 0.0)
        await settled(hub)
        assert [str(error) for error in reported] == ["not my day"] * 2  # at the suspicion, and at the voice
        assert [type(event) for event in events] == [VoiceBegan]

    run(story())


def test_an_owner_may_close_its_stream_on_an_event() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events: list[object] = []
        streams: list[HearingStream] = []

        def leave(event: object) -> None:
            events.append(event)
            streams[0].close()

        streams.append(hub.open(leave))
        streams[0].append(np.concatenate((voice(3), quiet(5))), 0.0)
        await settled(hub)
        assert len(events) == 1

    run(story())


def test_b14_who_gives_more_on_an_event_or_leaves_in_a_batch_holds_nobody_up() -> None:
    async def story() -> None:
        slow = Slow()
        hub = HearingHub(EnergyVad(), slow)
        heard, others = Events(), Events()
        streams: list[HearingStream] = []

        def give_more(event: object) -> None:
            heard.append(event)
            if len(heard) == 1:
                streams[0].append(np.concatenate((quiet(5), voice(3))), 0.0)

        streams.append(hub.open(give_more))
        leaving, staying = hub.open(heard.append), hub.open(others.append)
        for stream in (streams[0], leaving, staying):
            stream.append(voice(3.1), 0.0)
        await turns()
        leaving.close()  # its window is with the detector
        while slow.waiting:
            await slow.finish()
        assert [type(event) for event in heard][:2] == [VoiceBegan, VoicePaused]
        assert isinstance(heard[-1], VoiceBegan)
        assert [type(event) for event in others] == [VoiceBegan]

    run(story())


def test_every_shape_of_a_batch_is_rehearsed_before_anybody_speaks() -> None:
    async def story() -> None:
        vad = OrderedVad()
        hub = HearingHub(vad, InPlace())
        hub.rehearse()
        assert sorted(vad.lengths) == [
            (streams, windows) for streams in range(1, 65) for windows in range(1, 5) if streams * windows <= 64
        ]
        assert hub.windows == 0
        hub.open(Events().append)
        with pytest.raises(Bug, match="before open"):
            hub.rehearse()

    run(story())


def test_a_closed_hub_takes_nobody() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        hub.open(events.append).append(voice(3.1), 0.0)
        await hub.close()
        await asyncio.sleep(1)
        assert events == []
        with pytest.raises(Bug, match="closed"):
            hub.open(events.append)

    run(story())


def test_a_detector_with_other_windows_is_our_mistake() -> None:
    vad = EnergyVad()
    vad.window = 256
    with pytest.raises(Bug, match="256"):
        HearingHub(vad)


def test_events_of_a_stream_come_in_order() -> None:
    async def story() -> None:
        hub = HearingHub(EnergyVad(), InPlace())
        events = Events()
        stream, dice = hub.open(events.append), np.random.default_rng(8)
        for _ in range(200):
            stream.append((voice if dice.random() < 0.5 else quiet)(dice.uniform(0, 3)), now())
            await asyncio.sleep(dice.uniform(0, 0.02))
        await settled(hub)
        heard = [event.heard for event in events]
        assert len(heard) > 20
        assert all(one < other for one, other in pairwise(heard))

    run(story())
