"""Sound in the formats that people play: PCM, WAV, and by FFmpeg's libraries Opus, MP3, AAC and FLAC, piece by piece.

What comes out of each piece can be sent at once: nothing is a file, and nothing goes back to fill in a length. It does
not know where the sound comes from.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Literal, cast

import numpy as np
from msgspec import Struct

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.audio.wav import wav_from_mono

Format = Literal["pcm", "wav", "opus", "mp3", "aac", "flac"]


class Form(Struct, frozen=True):
    """How a format is written."""

    media_type: str
    container: str = ""
    codec: str = ""
    rate_hz: int = WIRE_RATE
    bit_rate: int = 0
    options: dict[str, str] = {}
    """Of the container."""
    codec_options: dict[str, str] = {}


FORMS: dict[Format, Form] = {
    "pcm": Form("audio/pcm"),
    "wav": Form("audio/wav"),
    "opus": Form("audio/ogg", "ogg", "libopus", 48_000, 48_000, {"page_duration": "100000"}),
    "mp3": Form("audio/mpeg", "mp3", "libmp3lame", bit_rate=96_000, options={"write_xing": "0", "id3v2_version": "0"}),
    "aac": Form("audio/aac", "adts", "aac", bit_rate=96_000),
    "flac": Form("audio/flac", "flac", "flac"),
}

ARCHIVE = Form("audio/ogg", "ogg", "libopus", 24_000, 48_000, {"page_duration": "1000000"}, {"compression_level": "5"})
"""Two channels of speech to be kept: a quarter of what "opus" costs to make, in pages of a second."""


class Place(io.RawIOBase):
    """Where FFmpeg writes: it cannot go back, and is emptied after each piece."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(cast("bytes", data))
        self.data += view
        return view.nbytes

    def take(self) -> bytes:
        data = bytes(self.data)
        self.data.clear()
        return data


class Encoder:
    """One stream of int16 at 24 kHz on its way to a format. Blocks for a percent of the sound's length."""

    def __init__(self, kind: Format | Form, channels: Literal[1, 2] = 1) -> None:
        """Two channels, of shape (n, 2), only for a format of FFmpeg's."""
        self._kind = kind
        self._layout = "mono" if channels == 1 else "stereo"
        self._form = kind if isinstance(kind, Form) else FORMS[kind]
        self._place = Place()
        self._position = 0
        self._begun = False
        if self._form.codec:
            self._open()

    def _open(self) -> None:
        import av
        from av.audio.fifo import AudioFifo
        from av.audio.resampler import AudioResampler
        from av.audio.stream import AudioStream

        form = self._form
        self._container = av.open(self._place, "w", format=form.container, container_options=form.options)
        stream = self._container.add_stream(form.codec, form.rate_hz, form.codec_options, layout=self._layout)
        self._stream = cast("AudioStream", stream)
        if form.bit_rate:
            self._stream.bit_rate = form.bit_rate
        self._resampler = AudioResampler(self._stream.format, self._layout, form.rate_hz)
        self._fifo = AudioFifo()

    def push(self, pcm: Pcm16) -> bytes:
        """What can be sent now; may be empty."""
        if self._form.codec:
            return self._encoded(pcm)
        head = b"" if self._begun or self._kind == "pcm" else _endless_header()
        self._begun = True
        return head + pcm.astype("<i2", copy=False).tobytes()

    def finish(self) -> bytes:
        """The rest. Nothing may be pushed after it."""
        if not self._form.codec:
            return self.push(np.zeros(0, np.int16))
        for frame in self._resampler.resample(None):
            self._fifo.write(frame)
        self._mux(self._fifo.read(0, partial=True) if self._fifo.samples else None)
        if self._position:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
        self._container.close()
        return self._place.take()

    def _encoded(self, pcm: Pcm16) -> bytes:
        from av.audio.frame import AudioFrame

        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate = WIRE_RATE
        size = self._stream.codec_context.frame_size or 1024
        for made in self._resampler.resample(frame):
            made.pts = None
            self._fifo.write(made)
        while self._fifo.samples >= size:
            self._mux(self._fifo.read(size))
        return self._place.take()

    def _mux(self, frame: object) -> None:
        from av.audio.frame import AudioFrame

        if not isinstance(frame, AudioFrame):
            return
        frame.pts, frame.time_base = self._position, Fraction(1, self._form.rate_hz)
        self._position += frame.samples
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _endless_header() -> bytes:
    """Of a WAV file whose length nobody knows yet: players read on to the end."""
    head = bytearray(wav_from_mono(np.zeros(0, np.int16), WIRE_RATE))
    struct.pack_into("<I", head, 4, 0xFFFFFFFF)
    struct.pack_into("<I", head, 40, 0xFFFFFFFF)
    return bytes(head)
