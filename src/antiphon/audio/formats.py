"""Sound as it is written on the wire, and back: 16-bit PCM at 24 kHz, and the two telephone formats of ITU-T G.711.

A reader and a writer are each of one stream: where the rate differs they carry a resampler from chunk to chunk. They
do not know messages, nor who chose the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import float_from_int16, int16_from_bytes, int16_from_float
from antiphon.audio.resample import Resampler
from antiphon.audio.units import WIRE_RATE, Pcm16, Samples

Kind = Literal["pcm", "pcmu", "pcma"]

TELEPHONE_RATE = 8_000  # Hz, of both laws
BYTES_PER_SECOND: Mapping[Kind, int] = {"pcm": 2 * WIRE_RATE, "pcmu": TELEPHONE_RATE, "pcma": TELEPHONE_RATE}


class SoundReader:
    """Bytes of one stream in one format, made into samples at 24 kHz."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._resampler = None if kind == "pcm" else Resampler(TELEPHONE_RATE, WIRE_RATE)

    def read(self, data: bytes, param: str | None = None) -> Pcm16:
        """The samples that can be had now: a telephone's come 2 ms late. Half a sample is a `PeerError` about
        `param`."""
        if self._resampler is None:
            return int16_from_bytes(data, param)
        expanded = _expansion(self.kind)[np.frombuffer(data, np.uint8)]
        return int16_from_float(self._resampler.push(float_from_int16(expanded)))


class SoundWriter:
    """Samples of one stream at 24 kHz, made into bytes of one format."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._resampler = None if kind == "pcm" else Resampler(WIRE_RATE, TELEPHONE_RATE)

    def write(self, pcm: Pcm16) -> bytes:
        """The bytes that can be had now: a telephone's come 2 ms late."""
        if self._resampler is None:
            return pcm.tobytes()
        return self._compressed(int16_from_float(self._resampler.push(float_from_int16(pcm))))

    def finish(self) -> bytes:
        """What was held back. The next `write` begins another stream."""
        if self._resampler is None:
            return b""
        return self._compressed(int16_from_float(self._resampler.flush()))

    def _compressed(self, pcm: Pcm16) -> bytes:
        return _compression(self.kind)[pcm.view(np.uint16)].tobytes()


def read_whole(data: bytes, kind: Kind, param: str | None = None) -> Pcm16:
    """A whole sound in this format, at 24 kHz."""
    reader = SoundReader(kind)
    pcm = reader.read(data, param)
    if reader._resampler is None:
        return pcm
    return np.concatenate((pcm, int16_from_float(reader._resampler.flush())))


def write_whole(pcm: Pcm16, kind: Kind) -> bytes:
    """A whole sound at 24 kHz, in this format."""
    writer = SoundWriter(kind)
    return writer.write(pcm) + writer.finish()


def samples_in(data: bytes, kind: Kind) -> Samples:
    """How long a sound of so many bytes is, at 24 kHz."""
    return len(data) * WIRE_RATE // BYTES_PER_SECOND[kind]


# --- the two laws ----------------------------------------------------------------------------------------------------

BIAS, CLIP = 0x84, 32_635  # of the mu law: what makes its segments begin at powers of two, and the loudest it can say


@cache
def _expansion(kind: Kind) -> NDArray[np.int16]:
    """[256]: what each byte of this law means."""
    code = np.arange(256)
    if kind == "pcmu":
        code = ~code & 0xFF
        magnitude = ((((code & 0x0F) << 3) + BIAS) << ((code & 0x70) >> 4)) - BIAS
        return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
    code = code ^ 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


@cache
def _compression(kind: Kind) -> NDArray[np.uint8]:
    """[65536]: the byte for each sample, which is read as an unsigned number."""
    sample = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32)
    if kind == "pcmu":
        magnitude = np.minimum(np.abs(sample), CLIP) + BIAS
        segment = np.floor(np.log2(magnitude)).astype(np.int32) - 7
        code = (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)
        return np.asarray(~np.where(sample < 0, code | 0x80, code) & 0xFF, np.uint8)
    magnitude = np.where(sample < 0, -sample - 1, sample) >> 4  # in the smallest steps: 11 bits
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 3, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment - 1, 0)) & 0x0F)
    return np.asarray(np.where(sample < 0, code, code | 0x80) ^ 0x55, np.uint8)
