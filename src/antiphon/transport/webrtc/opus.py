"""Opus, by libopus itself: mono at 24 kHz both ways, with what a lossy network needs.

FFmpeg's decoders, and PyAV's with them, can neither read the copy of the last frame that a packet may carry (FEC) nor
continue a sound over a gap, and no package on offer binds the whole library. PyAV's wheels contain it; this is the
part of it that we use. Packets and time are not known here.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import weakref
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples
from antiphon.errors import ConfigError
from antiphon.transport.webrtc.rtp import CLOCK_HZ

FRAME: Samples = WIRE_RATE // 50  # 20 ms, in which we speak
GRAIN: Samples = WIRE_RATE // 400  # 2.5 ms: every length in Opus is a multiple of it
LONGEST: Samples = WIRE_RATE * 12 // 100  # 120 ms: no packet holds more
LARGEST_PACKET = 1275  # bytes of one frame
ANY_NUMBER = 3  # in the last two bits of a packet: it holds so many frames as its second byte says

VOICE = 2048
SET_BITRATE, SET_COMPLEXITY, SET_FEC, SET_LOSS, SET_SIGNAL, RESET = 4002, 4010, 4012, 4014, 4024, 4028
SIGNAL_VOICE = 3001


class OpusEncoder:
    """Sound in frames of 20 ms, made into packets that each may carry the frame before once more."""

    def __init__(self, bitrate: int, complexity: int, loss_percent: int) -> None:
        """`complexity` from 0 to 10: how much is computed for the sake of the sound."""
        self._library = library()
        error = ctypes.c_int()
        self._state = self._library.opus_encoder_create(WIRE_RATE, 1, VOICE, ctypes.byref(error))
        _check(self._library, error.value)
        weakref.finalize(self, self._library.opus_encoder_destroy, self._state)
        self._packet = ctypes.create_string_buffer(LARGEST_PACKET)
        self._packet_bytes = memoryview(self._packet)
        for request, value in (
            (SET_BITRATE, bitrate),
            (SET_COMPLEXITY, complexity),
            (SET_SIGNAL, SIGNAL_VOICE),
            (SET_FEC, 1),
        ):
            self._control(request, value)
        self.expect_loss(loss_percent)

    def expect_loss(self, percent: int) -> None:
        """So much of what is sent gets lost: the more, the larger a share carries each frame twice."""
        self._control(SET_LOSS, max(0, min(100, percent)))

    def encode(self, pcm: bytes) -> bytes:
        """One packet of exactly `FRAME` samples, 16-bit little-endian."""
        length = self._library.opus_encode(self._state, pcm, FRAME, self._packet, LARGEST_PACKET)
        _check(self._library, min(0, length))
        return bytes(self._packet_bytes[:length])

    def restart(self) -> None:
        """What was encoded last will not be sent: the next packet is not to build on it. All settings stay."""
        self._control(RESET, 0)

    def _control(self, request: int, value: int) -> None:
        _check(self._library, self._library.opus_encoder_ctl(self._state, request, ctypes.c_int(value)))


class OpusDecoder:
    """One stream of packets, made into sound. What is lost is made up for with the sound around it."""

    def __init__(self) -> None:
        self._library = library()
        error = ctypes.c_int()
        self._state = self._library.opus_decoder_create(WIRE_RATE, 1, ctypes.byref(error))
        _check(self._library, error.value)
        weakref.finalize(self, self._library.opus_decoder_destroy, self._state)
        self._sound: Pcm16 = np.zeros(LONGEST, np.int16)
        self._place = self._sound.ctypes.data

    def decode(self, packet: bytes) -> Pcm16:
        """Its sound. Raises ValueError if it is no Opus."""
        return self._run(packet, LONGEST, from_next=False)

    def recover(self, following: bytes, length: Samples) -> Pcm16:
        """The sound of a lost packet, out of the copy in the one that follows it, or else made up."""
        return self._run(following, _whole(length), from_next=True)

    def conceal(self, length: Samples) -> Pcm16:
        """Sound in place of what is lost: the last one goes on and fades."""
        made = [self._run(b"", min(LONGEST, left), from_next=False) for left in range(_whole(length), 0, -LONGEST)]
        return np.concatenate(made) if made else np.zeros(0, np.int16)

    def _run(self, packet: bytes, room: Samples, *, from_next: bool) -> Pcm16:
        data = packet or None  # no packet at all is how a loss is told
        length: int = self._library.opus_decode(self._state, data, len(packet), self._place, room, int(from_next))
        if length < 0:
            raise ValueError(self._library.opus_strerror(length).decode())
        return self._sound[:length].copy()


def ticks_of(packet: bytes) -> int:
    """How long a packet's sound is, in ticks of the RTP clock. Raises ValueError if it is no Opus."""
    # The first byte says it, or the first two where it leaves the number of frames to the second.
    return _ticks_of_head(packet[:2] if packet and packet[0] & ANY_NUMBER == ANY_NUMBER else packet[:1])


@lru_cache(maxsize=1024)
def _ticks_of_head(head: bytes) -> int:
    length: int = library().opus_packet_get_nb_samples(head, len(head), CLOCK_HZ)
    if length <= 0:
        raise ValueError("no Opus packet")
    return length


def _whole(length: Samples) -> Samples:
    return length // GRAIN * GRAIN


def _check(library: ctypes.CDLL, status: int) -> None:
    if status < 0:
        raise ValueError(library.opus_strerror(status).decode())


# --- the library -----------------------------------------------------------------------------------------------------


@cache
def library() -> ctypes.CDLL:
    """libopus: the one that PyAV brings, or the system's. Reads files; raises `ConfigError` if there is none."""
    for place in (*_bundled(), ctypes.util.find_library("opus")):
        if place is None:
            continue
        try:
            return _declared(ctypes.CDLL(str(place)))
        except (OSError, AttributeError):
            continue
    raise ConfigError(
        "libopus was not found, which calls over WebRTC need",
        "Install PyAV from its wheel (pip install av), which contains it, or the system's: apt-get install libopus0",
    )


def _bundled() -> list[Path]:
    """Where wheels of PyAV keep it: beside the package on Linux and Windows, in it on macOS."""
    import av

    package = Path(av.__file__).parent
    folders = (package.parent / "av.libs", package / ".dylibs")
    return sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*opus*"))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Without this, ctypes takes every pointer for an int of 32 bits."""
    number, pointer, error = ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    for name, result, arguments in (
        ("opus_encoder_create", pointer, [number, number, number, error]),
        ("opus_encoder_destroy", None, [pointer]),
        ("opus_encode", number, [pointer, ctypes.c_char_p, number, pointer, number]),
        ("opus_decoder_create", pointer, [number, number, error]),
        ("opus_decoder_destroy", None, [pointer]),
        ("opus_decode", number, [pointer, ctypes.c_char_p, number, pointer, number, number]),
        ("opus_packet_get_nb_samples", number, [ctypes.c_char_p, number, number]),
        ("opus_strerror", ctypes.c_char_p, [number]),
        # Only what comes before the dots: the rest is passed as the C convention for variable arguments has it.
        ("opus_encoder_ctl", number, [pointer, number]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
