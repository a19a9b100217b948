"""What recorders send, made in memory: the same sound in each of their containers."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from antiphon.audio.units import Pcm16

FORMS = {
    "webm": ("webm", "libopus", {"live": "1", "cluster_time_limit": "100"}),
    "ogg": ("ogg", "libopus", {"page_duration": "100000"}),
    "mp4": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "100000"}),
    "m4a": ("mp4", "aac", {}),
    "mp3": ("mp3", "libmp3lame", {}),
    "flac": ("flac", "flac", {}),
    "wav": ("wav", "pcm_s16le", {}),
}
"""Container, codec and the muxer's options: as Chromium's and Firefox's MediaRecorder and Safari's do it, and files."""


class Unseekable(io.RawIOBase):
    """A place to write to that cannot go back, as a recorder's stream cannot."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += memoryview(data)  # type: ignore[arg-type]
        return len(memoryview(data))  # type: ignore[arg-type]


def recorded(pcm: Pcm16, form: str, rate_hz: int = 48_000) -> bytes:
    """The bytes that a recorder makes of mono sound."""
    name, codec, options = FORMS[form]
    place: io.RawIOBase | io.BytesIO = io.BytesIO() if form in ("m4a", "wav", "flac", "mp3") else Unseekable()
    with av.open(place, "w", format=name, container_options=options) as container:
        stream = cast("AudioStream", container.add_stream(codec, rate=rate_hz, layout="mono"))
        frame = AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        frame.time_base = Fraction(1, rate_hz)
        frame.pts = 0
        for packet in stream.encode(frame):
            container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return place.getvalue() if isinstance(place, io.BytesIO) else bytes(place.data)  # type: ignore[attr-defined]


def opus_packets(pcm: Pcm16) -> list[bytes]:
    """What an encoder makes of mono sound at 48 kHz, without a container: one packet for each 20 ms."""
    with av.open(io.BytesIO(recorded(pcm, "webm")), "r") as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def sweep(seconds: float, rate_hz: int = 48_000) -> Pcm16:
    """A tone that rises, so that what is lost or doubled shows."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.round(12_000 * np.sin(2 * np.pi * (300 + 200 * time) * time)).astype(np.int16)
