"""Everything that reads what a stranger sends, each with good samples of it, to be mutilated.

    make fuzz     until it is stopped, or finds something

The messages of the protocol have a fuzzer of their own, which knows what they are made of: tests/protocol/fuzz.py. What
a seed makes of a sample is the same each time.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import random
import struct
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from aioice.stun import Class, Message, Method, parse_message
from aiortc.rtcsctptransport import DataChunk, HeartbeatChunk, parse_packet, serialize_packet
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSourceInfo, RtcpSrPacket
from fuzz import MUTILATIONS
from google_crc32c import value as crc32c
from msgspec import Struct
from recorder import recorded, sweep
from starlette.requests import Request
from webrtc_samples import CHROMIUM

from antiphon.audio.units import HEARING_RATE
from antiphon.audio.wav import read_wav, wav_from_mono
from antiphon.errors import PeerError
from antiphon.media.files import SoundFile
from antiphon.media.live import ContainerDecoder
from antiphon.server.frames import frame_at
from antiphon.server.limits import Bucket, ByteBudget, Size
from antiphon.server.opening import read_wish
from antiphon.server.tokens import Grant, Tokens
from antiphon.server.transcribe import read_command
from antiphon.server.upload import Uploads
from antiphon.server.wyoming_events import LONGEST_HEADER_BYTES, read_event
from antiphon.transport.webrtc.arrivals import Arrivals
from antiphon.transport.webrtc.offer import read_offer
from antiphon.transport.webrtc.opus import OpusDecoder, OpusEncoder, ticks_of
from antiphon.transport.webrtc.reports import Reports
from antiphon.transport.webrtc.rtp import RtpPacket, read_packet, write_packet

TOKENS = Tokens((), b"a secret of at least thirty-two characters")
LIMIT_S = 2.0  # of processor time for one input of some ten thousand bytes; a busy machine needs room
LONGEST_SOUND_S = 600.0  # that so few bytes may become, before it counts as a bomb


class Decoder(Struct, frozen=True):
    """Something that reads bytes."""

    read: Callable[[bytes], object]
    """Raises one of `refuses` for what it cannot read, and nothing else."""
    samples: Callable[[], list[bytes]]
    refuses: tuple[type[Exception], ...] = (PeerError,)


# --- how each is called ----------------------------------------------------------------------------------------------


def _read_file(data: bytes) -> None:
    file = SoundFile(io.BytesIO(data))
    try:
        heard = 0
        for piece in file.pieces():
            heard += piece.size
            if heard > LONGEST_SOUND_S * HEARING_RATE:
                return  # the caller's limit on length ends it here, and memory has held a piece at a time
    finally:
        file.close()


def _read_stream(data: bytes) -> None:
    async def read() -> None:
        decoder = ContainerDecoder("webm" if data[:2] == b"\x1a\x45" else "ogg")
        try:
            for start in range(0, len(data), 4_000):
                await decoder.feed(data[start : start + 4_000])
            await decoder.finish()
        finally:
            decoder.close()

    asyncio.run(read())


def _read_form(data: bytes) -> None:
    """The boundary is what the first line says, as far as it says one."""
    boundary = data.partition(b"\r\n")[0].removeprefix(b"--").decode("latin-1")
    pieces = iter([data[: len(data) // 2], data[len(data) // 2 :]])

    async def receive() -> dict[str, Any]:
        body = next(pieces, None)
        return {"type": "http.request", "body": body or b"", "more_body": body is not None}

    async def read() -> None:
        content_type = f"multipart/form-data; boundary={boundary}".encode("latin-1")
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type)]}
        async with Uploads().form(
            Request(scope, receive), 100_000, ByteBudget(Bucket(Size(10**9, 60.0), lambda: 0.0))
        ) as form:
            assert len(form.multi_items()) <= 65

    asyncio.run(read())


def _read_opus(data: bytes) -> None:
    ticks_of(data)
    assert OpusDecoder().decode(data).size <= 120 * 24  # of a packet's 120 ms


def _read_events(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader(limit=LONGEST_HEADER_BYTES)
        reader.feed_data(data)
        reader.feed_eof()
        while first := await reader.read(1):
            await read_event(reader, first)

    asyncio.run(read())


def _read_report(data: bytes) -> None:
    Reports(7, Arrivals(ticks_of)).read(data, 0.0, 0.0)


def _read_sctp(data: bytes) -> None:
    """Whoever sends it has a checksum that fits."""
    data = data.ljust(12, b"\0")
    checksum = crc32c(data[:8] + bytes(4) + data[12:])
    parse_packet(data[:8] + struct.pack("<L", checksum) + data[12:])


def _read_query(data: bytes) -> None:
    read_wish(Request({"type": "http", "query_string": data}).query_params)


# --- what they like --------------------------------------------------------------------------------------------------


def _recordings(*forms: str) -> list[bytes]:
    return [recorded(sweep(0.4), form) for form in forms]


def _opus_packets() -> list[bytes]:
    encoder = OpusEncoder(24_000, 5, 10)
    return [encoder.encode(np.zeros(480, np.int16).tobytes()) for _ in range(3)]


def _forms() -> list[bytes]:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    file = part % (b"file", b'; filename="a.wav"', wav_from_mono(np.zeros(100, np.int16), 16_000))
    return [file + part % (b"model", b"", b"whisper-1") + b"--x--\r\n", file + b"--x--\r\n"]


def _tokens() -> list[bytes]:
    tokens = TOKENS
    return [tokens.make(tokens.name_of(""), Grant(expires_at=2**40), 0).encode()]


def _events() -> list[bytes]:
    data = b'{"rate":16000,"width":2,"channels":1}'
    return [
        b'{"type":"audio-chunk","data_length":%d,"payload_length":2}\n%sab' % (len(data), data),
        b'{"type":"ping","data":{"text":"x"}}\n',
    ]


def _reports() -> list[bytes]:
    heard = RtcpReceiverInfo(7, 3, 9, 100, 5, 1, 2)
    sent = RtcpSenderInfo(1 << 40, 48_000, 10, 1_000)
    named = RtcpSdesPacket([RtcpSourceInfo(9, [(1, b"somebody")])])
    return [bytes(RtcpSrPacket(9, sent, [heard])) + bytes(named), bytes(RtcpRrPacket(9, [heard]))]


def _stun() -> list[bytes]:
    message = Message(Method.BINDING, Class.REQUEST, b"transaction_")
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["PRIORITY"] = 1_853_759_231
    message.add_message_integrity(b"a password")
    return [bytes(message)]


def _sctp() -> list[bytes]:
    data = DataChunk(flags=3)
    data.tsn, data.stream_id, data.stream_seq, data.protocol, data.user_data = 1, 0, 0, 51, b'{"type":"x"}'
    return [serialize_packet(5000, 5000, 7, chunk) for chunk in (data, HeartbeatChunk(body=b"\x00\x01\x00\x08abcd"))]


def _read_token(data: bytes) -> None:
    TOKENS.read(data.decode("latin-1"))


DECODERS: Mapping[str, Decoder] = {
    "file": Decoder(_read_file, lambda: _recordings("webm", "ogg", "mp4", "m4a", "mp3", "flac", "wav")),
    "stream": Decoder(_read_stream, lambda: _recordings("webm", "ogg")),
    "wav": Decoder(read_wav, lambda: [wav_from_mono(sweep(0.1), 16_000), *_recordings("wav")]),
    "form": Decoder(_read_form, _forms),
    "offer": Decoder(lambda data: read_offer(data.decode("utf-8", "replace")), lambda: [CHROMIUM.encode()]),
    "opus": Decoder(_read_opus, _opus_packets, (ValueError,)),
    "rtp": Decoder(read_packet, lambda: [write_packet(RtpPacket(111, 1, 2, 3, b"x" * 60), after_silence=True)], ()),
    "frame": Decoder(lambda data: frame_at(data, 0), lambda: [b"\x81\x85abcdhello", b"\x82\xfe\x01\x00abcd"], ()),
    "token": Decoder(_read_token, _tokens, ()),
    "wyoming": Decoder(_read_events, _events),
    "command": Decoder(
        lambda data: read_command(data.decode("utf-8", "surrogateescape")),
        lambda: [b'{"action":"language","language":"de"}', b'{"action":"end"}'],
    ),
    "report": Decoder(_read_report, _reports, ()),
    "stun": Decoder(parse_message, _stun, (ValueError, struct.error)),
    "sctp": Decoder(_read_sctp, _sctp, (ValueError, struct.error)),
    "query": Decoder(_read_query, lambda: [b"model=x&intent=conversation&antiphon=1&resumable=1"]),
}


# --- the trial -------------------------------------------------------------------------------------------------------


def mutilated(sample: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    data = sample
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        data = chance.choice(MUTILATIONS)(data, chance)
    return data


def try_out(name: str, data: bytes) -> bool:
    """Whether it was read. Raises AssertionError if a promise was broken."""
    decoder = DECODERS[name]
    began = time.process_time()
    try:
        decoder.read(data)
        was_read = True
    except decoder.refuses:
        was_read = False
    took_s = time.process_time() - began
    assert took_s < LIMIT_S, f"{took_s:.1f} s for {len(data)} bytes"
    return was_read


def check(name: str, seed: int, samples: list[bytes]) -> bool:
    """Try out a sample as this seed has mutilated it; a failure shows it."""
    data = mutilated(samples[seed % len(samples)], seed)
    try:
        return try_out(name, data)
    except Exception as error:
        raise AssertionError(f"{name}, seed {seed}: {data[:500]!r}") from error


def main() -> None:
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    samples = {name: decoder.samples() for name, decoder in DECODERS.items()}
    for seed in itertools.count(first):
        for name in DECODERS:
            check(name, seed, samples[name])
        if (seed - first + 1) % 1_000 == 0:
            print(f"{seed - first + 1:,} seeds from {first}, on each of {len(DECODERS)} decoders", flush=True)


if __name__ == "__main__":
    main()
