"""WAV, to and from bytes in memory: the one container that needs no codec.

It does not open files: who reads a path or an upload hands over its bytes. Other containers are `media`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.pcm import FULL_SCALE, guarded, interleaved, mono_from_frames
from antiphon.audio.units import Pcm, Pcm16
from antiphon.errors import PeerError

HEADER_BYTES = 44  # RIFF, one fmt chunk of 16 bytes, the data chunk's head
INTEGER, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


class Wav(Struct, frozen=True):
    """The sound of a WAV file."""

    pcm: Pcm
    """All channels folded into one; finite and in [-1, 1] whatever the file holds."""
    rate_hz: int


def wav_from_mono(pcm: Pcm16, rate_hz: int) -> bytes:
    """A complete 16-bit file with one channel."""
    return _header(pcm.size, rate_hz, channels=1) + pcm.astype("<i2", copy=False).tobytes()


def wav_from_stereo(left: Pcm16, right: Pcm16, rate_hz: int) -> bytes:
    """A complete 16-bit file: one voice on the left, one on the right; the shorter ends in silence."""
    frames = interleaved(left, right)
    return _header(frames.size, rate_hz, channels=2) + frames.astype("<i2", copy=False).tobytes()


def _header(samples: int, rate_hz: int, channels: int) -> bytes:
    data_bytes = samples * 2
    form = (INTEGER, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", HEADER_BYTES - 8 + data_bytes, b"WAVE")
    return riff + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, *form, b"data", data_bytes)


def read_wav(data: bytes) -> Wav:
    """The sound in `data`: any rate and number of channels; integers of 8 to 32 bits, floats of 32 or 64.

    A file cut short, or one whose writer never came back to fill in its length, gives what is there. Anything
    else is a `PeerError`. Blocks for about a millisecond per minute of sound.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise _refusal("this is not a WAV file")
    form: bytes | None = None
    for name, body in _chunks(data):
        if name == b"fmt ":
            form = body.tobytes()
        elif name == b"data":
            return _decoded(form, body)
    raise _refusal("this WAV file has no sound in it")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    position = 12
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"data" and size in (0, 0xFFFFFFFF):  # written to a pipe: the rest of the file is sound
            size = len(data)
        yield name, memoryview(data)[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _decoded(form: bytes | None, body: memoryview) -> Wav:
    if form is None or len(form) < 16:
        raise _refusal("this WAV file does not say how its sound is written")
    kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == EXTENSIBLE and len(form) >= 26:
        (kind,) = struct.unpack_from("<H", form, 24)  # the first two bytes of the sub-format's id
    if not channels or not rate_hz:
        raise _refusal(f"this WAV file has {channels} channels at {rate_hz} Hz")
    frame_bytes = max(1, bits // 8) * channels
    whole = body[: len(body) // frame_bytes * frame_bytes]
    frames = _floats(kind, bits, whole).reshape(-1, channels)
    return Wav(guarded(mono_from_frames(frames)).pcm, rate_hz)


def _floats(kind: int, bits: int, body: memoryview) -> NDArray[np.float32]:
    match kind, bits:
        case (1, 8):  # the only unsigned one
            return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / np.float32(128)
        case (1, 16):
            return np.frombuffer(body, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
        case (1, 24):
            wide = np.zeros((len(body) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
            return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        case (1, 32):
            return np.frombuffer(body, "<i4").astype(np.float32) / np.float32(2**31)
        case (3, 32):
            return np.frombuffer(body, "<f4").astype(np.float32)
        case (3, 64):
            return np.frombuffer(body, "<f8").astype(np.float32)
        case _:
            raise _refusal(f"this WAV file is written in format {kind} with {bits} bits")


def _refusal(message: str) -> PeerError:
    return PeerError(
        message,
        "Send PCM or float WAV; for example: ffmpeg -i FILE -c:a pcm_s16le out.wav",
        code="invalid_audio",
        param="file",
    )
