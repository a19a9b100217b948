"""The gate before the voice detector: it shuts on a room that does not change, and no voice is lost to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.units import Pcm16
from antiphon.engines.vad.energy import EnergyVad
from antiphon.hearing.edges import WINDOW
from antiphon.hearing.gate import STEADY_WINDOWS, Gate
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.hearing.stream import LEAD_IN
from antiphon.session.inputs import SilenceTick, VoiceBegan, VoiceDismissed, VoicePaused, VoiceSuspected
from antiphon.testing.virtual_time import run

MESSAGE = 480


def room(windows: int, dbfs: float = -50.0, *, seed: int = 0, slope: float = 0.0) -> NDArray[np.float64]:
    """Noise whose amplitude falls with frequency to the power of `slope`: 0 is white, 1 is a deep rumble."""
    size = windows * WINDOW
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=size))
    sound = np.fft.irfft(spectrum * np.maximum(np.fft.rfftfreq(size, 1 / 24_000), 20.0) ** -slope, size)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)) * 32768 * 10 ** (dbfs / 20))


def tone(windows: float, dbfs: float, hz: float = 600.0) -> NDArray[np.float64]:
    time_s = np.arange(round(windows * WINDOW)) / 24_000
    return np.asarray(32768 * 10 ** (dbfs / 20) * np.sqrt(2) * np.sin(2 * np.pi * hz * time_s))


def pcm(sound: NDArray[np.float64]) -> Pcm16:
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


def shut(gate: Gate, sound: Pcm16) -> list[bool]:
    """Whether it is shut after each window, where the detector hears nothing in any."""
    states = []
    for start in range(0, sound.size, WINDOW):
        gate.measure(sound[start : start + WINDOW])
        gate.scored(is_dead=True)
        states.append(gate.is_shut)
    return states


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0], ids=["white", "pink", "rumble"])
def test_it_shuts_on_a_steady_room_after_half_a_second(slope: float) -> None:
    states = shut(Gate(WINDOW), pcm(room(300, slope=slope)))
    assert not any(states[: STEADY_WINDOWS - 1])
    assert np.mean(states) > (0.2 if slope == 1.0 else 0.9)


@pytest.mark.parametrize("level", [-32768, 32767, 20_000, 200])
def test_b13_no_level_overflows(level: int) -> None:
    gate = Gate(WINDOW)
    steady = np.tile(np.array([level, -max(level, -32767)], np.int16), WINDOW // 2 * 2 * STEADY_WINDOWS)
    assert shut(gate, steady)[-1], "it is as steady as silence"


def test_digital_silence_and_its_dither_are_one() -> None:
    silence = np.zeros(20 * WINDOW)
    dithered = np.random.default_rng(1).integers(-1, 2, 20 * WINDOW).astype(float)
    assert all(shut(Gate(WINDOW), pcm(np.concatenate((silence, dithered))))[STEADY_WINDOWS:])


@pytest.mark.parametrize(("slope", "dbfs"), [(0.0, -53.0), (1.0, -66.0)], ids=["white", "rumble"])
def test_a_voice_below_the_level_of_the_noise_opens_it(slope: float, dbfs: float) -> None:
    """Under a rumble a voice of a fortieth of its power is heard plainly: level alone would not show it."""
    gate, noise = Gate(WINDOW), room(60, slope=slope, seed=3)
    for start in range(0, noise.size, WINDOW):
        if gate.is_shut:
            break
        gate.measure(pcm(noise[start : start + WINDOW]))
        gate.scored(is_dead=True)
    assert gate.is_shut
    gate.measure(pcm(noise[-WINDOW:] + tone(1, dbfs, 1200)))
    assert not gate.is_shut


def test_a_room_that_becomes_silent_opens_it_as_well() -> None:
    gate = Gate(WINDOW)
    shut(gate, pcm(room(30)))
    assert gate.is_shut
    gate.measure(pcm(room(1, -60)))
    assert not gate.is_shut


def test_it_stays_open_while_the_detector_has_doubts() -> None:
    gate, noise = Gate(WINDOW), pcm(room(100))
    for number in range(100):
        gate.measure(noise[number * WINDOW : (number + 1) * WINDOW])
        gate.scored(is_dead=number % STEADY_WINDOWS != 0)
        assert not gate.is_shut


class CountingVad(EnergyVad):
    windows = 0

    def score(self, windows: NDArray[np.float32], memories: NDArray[np.float32]) -> Any:
        self.windows += len(windows)
        return super().score(windows, memories)


def heard(sound: Pcm16, *, gates: bool, message: int = MESSAGE) -> tuple[list[Any], int]:
    """The events of this sound, whose turns end after half a second of silence; and how many windows were scored."""

    async def story() -> tuple[list[Any], int]:
        import asyncio

        vad = CountingVad()
        hub, events = HearingHub(vad, InPlace(), gates=gates), []
        silent = 0

        def hear(event: Any) -> None:
            nonlocal silent
            events.append(event)
            silent = silent + 1 if isinstance(event, SilenceTick) else 0
            if silent == 16:
                stream.turn_closed()

        stream = hub.open(hear)
        for start in range(0, sound.size, message):
            stream.append(sound[start : start + message], start / 24_000)
            await asyncio.sleep(0.02)
        await stream.caught_up()
        await asyncio.sleep(0)
        await hub.close()
        return events, vad.windows

    return run(story())


def moments(events: list[Any]) -> list[Any]:
    """What happened and where, without when its message came: windows of the lead-in come late."""
    return [
        (type(event), event.heard)
        for event in events
        if isinstance(event, VoiceBegan | VoicePaused | SilenceTick | VoiceSuspected | VoiceDismissed)
    ]


@pytest.mark.parametrize("message", [MESSAGE, 333, 5 * WINDOW, 40 * WINDOW])
def test_a_gated_stream_tells_what_an_open_one_does_at_less_cost(message: int) -> None:
    sound = np.concatenate([
        room(80, seed=1), room(20, seed=2) + tone(20, -25), room(100, seed=3),
        room(2, seed=4) + tone(2, -30), room(60, seed=5), room(10, -35, seed=6), room(90, seed=7),
    ])  # fmt: skip
    open_events, open_windows = heard(pcm(sound), gates=False, message=message)
    gated_events, gated_windows = heard(pcm(sound), gates=True, message=message)
    assert moments(gated_events) == moments(open_events)
    assert any(isinstance(event, VoiceBegan) for event in gated_events)
    assert gated_windows < open_windows * (0.6 if message < 5 * WINDOW else 1.01)


def test_the_lead_in_is_heard_before_what_opened_the_gate() -> None:
    """The tone begins in the middle of the sound; the detector gets the windows just before it once it does."""
    scored: list[float] = []

    class LevelVad(EnergyVad):
        def score(self, windows: NDArray[np.float32], memories: NDArray[np.float32]) -> Any:
            scored.extend(np.sqrt(np.mean(windows**2, axis=1)).tolist())
            return super().score(windows, memories)

    async def story() -> None:
        import asyncio

        hub = HearingHub(LevelVad(), InPlace(), gates=True)
        stream = hub.open(lambda _: None)
        noise = room(60, seed=1)
        for window in range(60):
            piece = noise[window * WINDOW : (window + 1) * WINDOW]
            stream.append(pcm(piece + tone(1, -20) * (window == 50)), 0.0)
            await asyncio.sleep(0.03)
            if window == 49:
                before = len(scored)
        await hub.close()
        levels = scored[before:]
        assert before < 30
        loud = next(index for index, level in enumerate(levels) if level > 0.05)
        assert loud == LEAD_IN

    run(story())
