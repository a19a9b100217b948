"""Which containers of sound we read, how one is told by its first bytes, and how it is opened in memory.

FFmpeg's libraries do the reading, through PyAV, in this process. They can do far more than we want: a playlist that
somebody uploads would make them open other files and addresses. So the formats are an allow-list, and no protocol is
allowed at all: what is opened is the bytes at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

from antiphon.errors import PeerError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

Container = Literal["webm", "ogg", "mp4", "wav", "mp3", "flac", "adts"]

DEMUXERS: dict[Container, str] = {
    "webm": "matroska",
    "ogg": "ogg",
    "mp4": "mp4",
    "wav": "wav",
    "mp3": "mp3",
    "flac": "flac",
    "adts": "aac",
}
"""FFmpeg's name for the reader of each."""
ALLOWED = "matroska,webm,ogg,mov,mp4,m4a,wav,w64,mp3,flac,aac,aiff,caf,amr,au,asf"
MIDDLES = (b"\x1f\x43\xb6\x75", b"moof", b"mdat")
"""How a WebM cluster and an MP4 fragment begin: what comes of a recorder whose beginning was lost."""
BLOCK, FIRST_TRACK = 0xA3, 0x81  # of WebM
SNIFF_BYTES = 12
RECORDED: tuple[Container, ...] = ("webm", "ogg", "mp4")
"""What recorders make, which go on for as long as they like; the others are whole files."""
MP3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_KBITS_LOW = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MP3_RATES = (44_100, 48_000, 32_000)
ADTS_HEADER_BYTES = 7


def sniffed(start: bytes) -> Container | None:
    """The container that begins with these bytes, all of a message and at least `SNIFF_BYTES`; None for anything else,
    raw samples included. Raises `PeerError` for the middle of a container: no reader finds its way into that."""
    if start.startswith(MIDDLES[0]) or start[4:8] in MIDDLES[1:] or _is_webm_block(start):
        raise PeerError(
            "this is the middle of a recording, and its header is missing",
            "Send a recorder's chunks from the first one on; after a break, start a new MediaRecorder.",
            code="invalid_audio",
        )
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm"
    if start.startswith(b"OggS"):
        return "ogg"
    if start[4:8] == b"ftyp":
        return "mp4"
    if start.startswith(b"RIFF") and start[8:12] == b"WAVE":
        return "wav"
    if start.startswith(b"fLaC"):
        return "flac"
    if start.startswith(b"ID3") or _is_followed(start, _mp3_frame_bytes):
        return "mp3"
    if _is_followed(start, _adts_frame_bytes):
        return "adts"
    return None


def _is_webm_block(data: bytes) -> bool:
    """Whether a block of a WebM's first track begins here, and another one, or the next message, after its end: what a
    browser's recorder sends most of the time."""
    width = 9 - data[1].bit_length()
    if data[0] != BLOCK or width > 8 or data[1 + width] != FIRST_TRACK:
        return False
    end = 1 + width + int.from_bytes(data[1 : 1 + width]) - (1 << 7 * width)
    return end == len(data) or data[end : end + 1] == BLOCK.to_bytes() or data.startswith(MIDDLES[0], end)


def _is_followed(start: bytes, frame_bytes: Callable[[bytes], int]) -> bool:
    """Whether a frame begins here, and another where it ends: two bytes alone might as well be a sample."""
    size = frame_bytes(start)
    return size > 0 and frame_bytes(start[size:]) > 0


def _mp3_frame_bytes(start: bytes) -> int:
    """How long the frame of MPEG's layer 3 is that begins here; 0 if none does."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE6 != 0xE2 or start[1] & 0x18 == 0x08:
        return 0
    kbits, rate = start[2] >> 4, start[2] >> 2 & 3
    if kbits in (0, 15) or rate == 3:
        return 0
    is_low, halvings = start[1] & 0x08 == 0, {0x18: 0, 0x10: 1, 0x00: 2}[start[1] & 0x18]
    bits = (MP3_KBITS_LOW if is_low else MP3_KBITS)[kbits - 1] * 1000
    return (72 if is_low else 144) * bits // (MP3_RATES[rate] >> halvings) + (start[2] >> 1 & 1)


def _adts_frame_bytes(start: bytes) -> int:
    """How long the frame of AAC is that begins here; 0 if none does."""
    if len(start) < ADTS_HEADER_BYTES or start[0] != 0xFF or start[1] & 0xF6 != 0xF0:
        return 0
    size = (start[3] & 3) << 11 | start[4] << 3 | start[5] >> 5
    return size if size > ADTS_HEADER_BYTES else 0


def opened(source: Any, container: Container | None = None) -> tuple[InputContainer, AudioStream]:
    """A binary file object, open for reading, and the first sound in it. Blocks while it reads. Raises `PeerError`.

    Without a `container` FFmpeg looks for itself, among those that we allow.
    """
    import av

    try:
        made = av.open(
            source,
            "r",
            format=DEMUXERS[container] if container else None,
            container_options={"format_whitelist": ALLOWED, "protocol_whitelist": ""},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        raise unreadable(error) from None
    if not made.streams.audio:
        made.close()
        raise PeerError("there is no sound in this file", "Send one with an audio track.", code="invalid_audio")
    return cast("InputContainer", made), made.streams.audio[0]


def unreadable(error: Exception) -> PeerError:
    """FFmpeg's refusal, for who sent the bytes."""
    return PeerError(
        f"this sound cannot be read: {getattr(error, 'strerror', None) or error}",
        "Send WebM, Ogg, MP4, WAV, MP3 or FLAC, whole or from its beginning on.",
        code="invalid_audio",
    )
