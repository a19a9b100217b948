"""The sound card: the only place that has to do with PortAudio.

A callback does no more than copy a block into a ring or out of one. Everything else (resampling, levels, checks, what
to do when a device goes away) is done by whoever reads, on another thread. It knows neither speech nor messages.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from msgspec import Struct

from antiphon.desktop.devices import Device, chosen, installed, load_portaudio
from antiphon.desktop.playback import PlayRing
from antiphon.desktop.ring import CaptureRing
from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.desktop")

KEPT_S = 30  # of the microphone's sound: what a reader that was held up can still get
PLAYED_S = 20  # of sound that may lie in the speaker's ring
RATES = (48_000, 44_100, 32_000, 24_000, 16_000)  # Hz, tried in this order after the device's own
COST_SAMPLES = 4096  # callbacks whose own processor time is remembered


class Counters:
    """What a card's thread has to report. Written by that thread alone."""

    def __init__(self) -> None:
        self.blocks = 0
        self.overruns = 0
        """Blocks before which the card had thrown sound away."""
        self.underruns = 0
        """Blocks before which the card had had nothing to play."""
        self.costs_ns = [0] * COST_SAMPLES
        """Processor time of the latest callbacks."""

    def cost_us(self, percentile: float) -> float:
        """Of the callback's own processor time, in microseconds; 0 before the first."""
        known = self.costs_ns[: min(self.blocks, COST_SAMPLES)]
        return float(np.percentile(known, percentile)) / 1000 if known else 0.0


class Ears(Protocol):
    """A microphone, open."""

    ring: CaptureRing
    rate_hz: int
    counters: Counters

    def close(self) -> None: ...

    @property
    def is_alive(self) -> bool:
        """Whether blocks come."""
        ...


class Mouth(Protocol):
    """A speaker, open."""

    ring: PlayRing
    rate_hz: int
    latency: int
    """Samples between the ring and the air."""
    counters: Counters

    def close(self) -> None: ...

    @property
    def is_alive(self) -> bool: ...


class Request(Struct, frozen=True):
    """What to open: names or numbers as a person says them; None is the system's default."""

    microphone: str | None = None
    speaker: str | None = None
    latency_ms: int = 40
    """Of the card's own buffer. Less than 20 is not kept up with by most sound servers."""
    block_ms: int = 10
    """Of sound that comes or goes at once: half as many cost half of the processor while nobody speaks."""


class Form(Struct, frozen=True):
    """How sound is to pass a device."""

    rate_hz: int
    channels: int
    latency_ms: int
    block_ms: int


class Opened:
    """A device from `__init__` to `close`, with what both directions have."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.counters = Counters()
        self.channels = max(1, min(2, device.channels))
        self.rate_hz = _rate_for(device)
        self._stream: Any = None

    def _start(self, kind: str, callback: Callable[..., None], request: Request) -> None:
        form = Form(self.rate_hz, self.channels, request.latency_ms, request.block_ms)
        self._stream = _opened(self.device, kind, callback, form)

    @property
    def is_alive(self) -> bool:
        return bool(self._stream.active)

    def close(self) -> None:
        _close(self._stream)


class Microphone(Opened):
    """A recording device that is open from `__init__` to `close`."""

    def __init__(self, request: Request) -> None:
        """Raises `ConfigError` if there is none, it is busy, or it has no usable rate. Blocks for some 100 ms."""
        super().__init__(chosen(installed(), "microphone", request.microphone))
        self.ring = CaptureRing(KEPT_S * self.rate_hz, self.channels)
        self._start("RawInputStream", self._take, request)

    def _take(self, data: Any, frames: int, when: Any, status: Any) -> None:
        began = time.thread_time_ns()
        if status.input_overflow:
            self.counters.overruns += 1
        self.ring.write(data)
        _count(self.counters, began)


class Speaker(Opened):
    """A playing device that is open from `__init__` to `close`."""

    def __init__(self, request: Request) -> None:
        """Raises `ConfigError` as `Microphone` does."""
        super().__init__(chosen(installed(), "speaker", request.speaker))
        self.ring = PlayRing(PLAYED_S * self.rate_hz, self.rate_hz, self.channels)
        self._start("RawOutputStream", self._give, request)
        self.latency = round(self._stream.latency * self.rate_hz)

    def _give(self, data: Any, frames: int, when: Any, status: Any) -> None:
        began = time.thread_time_ns()
        if status.output_underflow:
            self.counters.underruns += 1
        self.ring.pull(data)
        _count(self.counters, began)


def refresh() -> None:
    """Look for devices anew: PortAudio keeps the list of its first look. Only while nothing is open."""
    portaudio = load_portaudio()
    portaudio._terminate()
    portaudio._initialize()


def _count(counters: Counters, began_ns: int) -> None:
    counters.costs_ns[counters.blocks % COST_SAMPLES] = time.thread_time_ns() - began_ns
    counters.blocks += 1


def _rate_for(device: Device) -> int:
    """Its own rate if it can be had, else the first that can. Raises `ConfigError`."""
    portaudio = load_portaudio()
    check = portaudio.check_input_settings if device.kind == "microphone" else portaudio.check_output_settings
    for rate_hz in (device.rate_hz, *RATES):
        try:
            check(device=device.index, channels=max(1, min(2, device.channels)), dtype="float32", samplerate=rate_hz)
        except portaudio.PortAudioError as error:
            last = error
        else:
            return int(rate_hz)
    raise _refused(device, last)


def _opened(device: Device, kind: str, callback: Any, form: Form) -> Any:
    portaudio = load_portaudio()
    try:
        with _served(device):
            stream = getattr(portaudio, kind)(
                device=device.index,
                dtype="float32",
                samplerate=form.rate_hz,
                channels=form.channels,
                blocksize=form.rate_hz * form.block_ms // 1000,
                latency=form.latency_ms / 1000,
                callback=callback,
            )
            stream.start()
    except portaudio.PortAudioError as error:
        raise _refused(device, error) from None
    return stream


@contextmanager
def _served(device: Device) -> Iterator[None]:
    """The sound server takes the name of the device that is meant from the environment, while it is opened."""
    if device.served_as is None:
        yield
        return
    name = "PULSE_SOURCE" if device.kind == "microphone" else "PULSE_SINK"
    before = os.environ.get(name)
    os.environ[name] = device.served_as
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _refused(device: Device, error: Exception) -> ConfigError:
    text = str(error)
    hint = "Choose another one; antiphon doctor lists them."
    if "unavailable" in text or "busy" in text.lower():
        hint = "Another program holds it: close that program, or choose another device; antiphon doctor lists them."
    return ConfigError(f"the {device.kind} {device.name!r} cannot be opened: {text}", hint)


def _close(stream: Any) -> None:
    portaudio = load_portaudio()
    try:
        stream.abort()
        stream.close()
    except portaudio.PortAudioError as error:  # it was unplugged
        log.debug("a device was gone before it was closed: %s", error)
