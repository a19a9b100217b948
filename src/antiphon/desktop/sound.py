"""The microphone and the speaker of one program: opened, watched, and opened again when they go away.

A headset that is unplugged, a machine that slept, a sound server that was restarted: the program goes on, and takes
the system's default until what was chosen is there again. It knows neither speech nor messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.resample import Resampler
from antiphon.audio.units import WIRE_RATE, Pcm, Pcm16, Seconds
from antiphon.desktop.card import Ears, Mouth
from antiphon.desktop.intake import Intake
from antiphon.desktop.playback import Heard, Playlist
from antiphon.desktop.sleep import SLEPT_S, Asleep, asleep_s
from antiphon.errors import ConfigError

LOOK_S: Seconds = 0.5  # between looks at whether blocks still come
SILENT_S: Seconds = 2.0  # without a block: the device is gone or the machine slept
AGAIN_S: Seconds = 2.0  # between attempts to open it
HALF_DUPLEX_TAIL_MS = 250  # after our own sound, for what the room and the card still hold

T = TypeVar("T")


class Sound:
    """Use as `async with`. Either side may be None: a conversation can be typed, or only shown."""

    def __init__(
        self,
        open_ears: Callable[[], Ears] | None,
        open_mouth: Callable[[], Mouth] | None,
        tell: Callable[[str], None],
        *,
        refresh: Callable[[], None] = lambda: None,
        rate_hz: int = WIRE_RATE,
        is_half_duplex: bool = False,
        asleep: Asleep = asleep_s,
    ) -> None:
        """`refresh` is called while nothing is open and before devices are looked for again; `tell` with what
        happened, in words. `rate_hz` is that of `take`, and `asleep` tells how long the machine has slept so far."""
        self.ears: Ears | None = None
        self.mouth: Mouth | None = None
        self.reopened = 0
        self._open_ears = open_ears
        self._open_mouth = open_mouth
        self._tell = tell
        self._refresh = refresh
        self._rate_hz = rate_hz
        self._is_half_duplex = is_half_duplex
        self._asleep = asleep
        self._intake: Intake | None = None
        self._playlist: Playlist | None = None
        self._upsampler: Resampler | None = None
        self._deaf_until: Seconds = float("-inf")

    async def __aenter__(self) -> Sound:
        """Raises `ConfigError` if what was asked for is not there."""
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._close)

    # --- the microphone

    def take(self) -> Pcm:
        """What the microphone has brought since the last time, mono; silence of the same length while it would only
        hear us, if it is half-duplex. May be empty."""
        if self._intake is None:
            return np.zeros(0, np.float32)
        pcm = self._intake.take()
        now = asyncio.get_running_loop().time()
        if self._is_half_duplex and self.is_playing:
            self._deaf_until = now + HALF_DUPLEX_TAIL_MS / 1000 + self._latency_s
        return np.zeros_like(pcm) if now < self._deaf_until else pcm

    @property
    def level_dbfs(self) -> float:
        """Of the microphone."""
        return self._intake.level_dbfs if self._intake is not None else -120.0

    @property
    def lost_frames(self) -> int:
        return self._intake.lost if self._intake is not None else 0

    # --- the speaker

    @property
    def is_playing(self) -> bool:
        return self._playlist is not None and self._playlist.is_busy

    def play(self, item_id: str, content_index: int, sound: Pcm16) -> None:
        """More sound of this item, at 24 kHz."""
        if self._playlist is None or self._upsampler is None:
            return
        self._playlist.add(item_id, content_index, self._upsampler.push(float_from_int16(sound)))

    def finish(self) -> None:
        """The answer is complete."""
        if self._playlist is not None and self._upsampler is not None:
            self._playlist.finish(self._upsampler.flush())

    def feed(self) -> None:
        """To be called every few tens of ms while something plays."""
        if self._playlist is not None:
            self._playlist.feed()

    def heard(self) -> Heard | None:
        """What is in the air now, and how far."""
        return self._playlist.heard(self._latency) if self._playlist is not None else None

    def hush(self) -> Heard | None:
        """Silence, within one block; returns what was cut and where, or None if nothing was."""
        if self._playlist is None or self._upsampler is None:
            return None
        self._upsampler.flush()
        return self._playlist.flush(self._latency)

    # --- devices that come and go

    async def tend(self) -> None:
        """Run for as long as the sound is used: opens again what went silent."""
        if self.ears is None and self.mouth is None:
            return
        loop = asyncio.get_running_loop()
        blocks, moved_at, asleep = -1, loop.time(), self._asleep()
        while True:
            await asyncio.sleep(LOOK_S)
            now, slept = loop.time(), self._asleep() - asleep >= SLEPT_S
            if (seen := self._blocks()) != blocks:
                blocks, moved_at = seen, now
            if self._is_alive() and now - moved_at < SILENT_S and not slept:
                continue
            self._tell("the machine slept" if slept else "the sound device is gone: looking for another")
            await self._reopen()
            self._tell("the sound is back")
            blocks, moved_at, asleep = -1, loop.time(), self._asleep()

    async def _reopen(self) -> None:
        await asyncio.to_thread(self._close)
        while True:
            try:
                await asyncio.to_thread(self._refresh)
                await self._open()
            except ConfigError:
                await asyncio.sleep(AGAIN_S)
            else:
                self.reopened += 1
                return

    async def _open(self) -> None:
        try:
            self.ears = await _in_thread(self._open_ears)
            self.mouth = await _in_thread(self._open_mouth)
        except ConfigError:
            await asyncio.to_thread(self._close)
            raise
        if self.ears is not None:
            self._intake = Intake(self.ears.ring, self.ears.rate_hz, self._rate_hz)
        if self.mouth is not None:
            self._playlist = Playlist(self.mouth.ring)
            self._upsampler = Resampler(WIRE_RATE, self.mouth.rate_hz)

    def _close(self) -> None:
        for device in (self.ears, self.mouth):
            if device is not None:
                device.close()
        self.ears = self.mouth = None
        self._intake = self._playlist = None

    def _is_alive(self) -> bool:
        return all(device is None or device.is_alive for device in (self.ears, self.mouth))

    def _blocks(self) -> int:
        """Of the device that brings them: a microphone's never pause, and a speaker's do neither."""
        device = self.ears or self.mouth
        return device.counters.blocks if device is not None else 0

    @property
    def _latency(self) -> int:
        return self.mouth.latency if self.mouth is not None else 0

    @property
    def _latency_s(self) -> Seconds:
        return self._latency / self.mouth.rate_hz if self.mouth is not None else 0.0


async def _in_thread(work: Callable[[], T] | None) -> T | None:
    return None if work is None else await asyncio.to_thread(work)
