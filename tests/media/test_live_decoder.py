"""Streams as recorders send them: decoded while they come, whatever the container, also when they are broken."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Sequence

import av
import numpy as np
import pytest
from recorder import opus_packets, recorded, sweep

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.resample import resampled
from antiphon.audio.units import Pcm16
from antiphon.errors import PeerError
from antiphon.media.live import LiveDecoder

SENT = sweep(1.5)


def cut(data: bytes, pieces: int) -> list[bytes]:
    size = -(-len(data) // pieces)
    return [data[start : start + size] for start in range(0, len(data), size)]


def decoded(pieces: Sequence[bytes], kind: str | None = None, rate_hz: int = 16_000, channels: int = 1) -> list[Pcm16]:
    """What each piece brought, and the end last."""

    async def decode() -> list[Pcm16]:
        decoder = LiveDecoder(kind, rate_hz, channels)
        try:
            return [await decoder.feed(piece) for piece in pieces] + [await decoder.finish()]
        finally:
            decoder.close()

    return asyncio.run(decode())


def likeness(heard: Pcm16, sent: Pcm16 = SENT, rate_hz: int = 48_000) -> float:
    """How much the two are the same sound, but for a shift of up to 100 ms: 1 is wholly."""
    wanted = resampled(float_from_int16(sent), rate_hz, 16_000)
    size = min(wanted.size, heard.size) - 3200
    reference = wanted[1600 : 1600 + size]
    both = heard.size + reference.size - 1  # long enough that nothing wraps around
    spectrum = np.fft.rfft(heard / 32768, both) * np.conj(np.fft.rfft(reference, both))
    found = np.fft.irfft(spectrum, both)[: heard.size - reference.size + 1]
    return float(found.max() / np.dot(reference, reference))


@pytest.mark.real
@pytest.mark.parametrize("form", ["webm", "ogg", "mp4", "wav", "flac", "mp3"])
def test_any_recorder_in_pieces_cut_anywhere(form: str) -> None:
    data = recorded(SENT, form)
    for pieces in (1, 15, 211):
        sound = np.concatenate(decoded(cut(data, pieces)))
        assert abs(sound.size / 16_000 - 1.5) < 0.08
        assert likeness(sound) > 0.9


@pytest.mark.real
@pytest.mark.parametrize("form", ["webm", "ogg", "mp4"])
def test_sound_comes_while_the_stream_goes_on(form: str) -> None:
    made = decoded(cut(recorded(SENT, form), 15))
    so_far = np.cumsum([piece.size for piece in made]) / 16_000
    for number, seconds in enumerate(so_far[:15]):  # a piece is 100 ms; half of the first is the header
        assert seconds > 0.1 * (number + 1) - 0.3


@pytest.mark.real
def test_a_recorder_that_is_started_again_in_another_codec_goes_on() -> None:
    pieces = [*cut(recorded(SENT, "webm"), 10), *cut(recorded(SENT, "ogg"), 10), *cut(recorded(SENT, "webm"), 10)]
    sound = np.concatenate(decoded(pieces))
    assert abs(sound.size / 16_000 - 4.5) < 0.15
    assert likeness(sound[-24_500:]) > 0.9


@pytest.mark.real
@pytest.mark.parametrize("form", ["webm", "ogg", "mp4"])
def test_a_stream_cut_short_gives_what_is_there(form: str) -> None:
    data = recorded(SENT, form)
    sound = np.concatenate(decoded(cut(data[: len(data) // 2], 7)))
    assert 0.5 < sound.size / 16_000 < 0.9


@pytest.mark.real
def test_damage_in_the_middle_costs_no_more_than_the_middle() -> None:
    data = bytearray(recorded(SENT, "ogg"))
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    assert np.concatenate(decoded(cut(bytes(data), 9))).size / 16_000 > 1.0


def test_the_middle_of_a_recording_says_that_its_header_is_missing() -> None:
    data = recorded(SENT, "webm")
    with pytest.raises(PeerError, match="header is missing") as refused:
        decoded([data[data.index(b"\x1f\x43\xb6\x75") :]])
    assert "MediaRecorder" in refused.value.hint
    packet = opus_packets(SENT)[20]
    block = data.rindex(b"\xa3", 0, data.index(packet))
    with pytest.raises(PeerError, match="header is missing"):
        decoded([data[block : data.index(packet) + len(packet)]])


@pytest.mark.real
def test_what_only_begins_like_a_container_is_refused() -> None:
    noise = np.random.default_rng(1).bytes(4000)
    for start in (b"\x1a\x45\xdf\xa3", b"OggS\x00\x02", b"\x00\x00\x00\x18ftypisom", b"fLaC"):
        with pytest.raises(PeerError, match=r"cannot be read|no sound"):
            decoded([start + noise])


def test_a_stream_that_is_not_what_it_was_said_to_be() -> None:
    with pytest.raises(PeerError, match="not the beginning of a webm stream"):
        decoded([bytes(1000)], "webm")
    for form in ("webm", "ogg"):
        for kind in ("opus", "pcm16"):
            with pytest.raises(PeerError, match=f"this stream is {form}, and the URL says format={kind}"):
                decoded([recorded(SENT[:4800], form)], kind)


@pytest.mark.real
def test_a_stream_of_which_nothing_can_be_read_says_so_at_its_end() -> None:
    flac = bytearray(recorded(SENT, "flac"))
    dice = np.random.default_rng(3)
    flac[200:] = dice.bytes(len(flac) - 200)
    with pytest.raises(PeerError, match="cannot be read"):
        decoded(cut(bytes(flac), 9))


@pytest.mark.real
def test_channels_that_nobody_can_mix_are_counted() -> None:
    header = recorded(SENT[:9600], "wav")
    nine = bytearray(header)
    at = nine.index(b"fmt ") + 8
    nine[at + 2 : at + 4] = (9).to_bytes(2, "little")
    nine[at + 12 : at + 14] = (18).to_bytes(2, "little")
    with pytest.raises(PeerError, match="9 channels"):
        decoded([bytes(nine)])


@pytest.mark.real
def test_a_thread_ends_with_its_stream_wherever_it_is() -> None:
    async def leave() -> None:
        decoder = LiveDecoder()
        await decoder.feed(recorded(SENT, "webm")[:3000])
        assert [thread for thread in threading.enumerate() if thread.name == "container"]
        decoder.close()

    asyncio.run(leave())
    for thread in threading.enumerate():
        if thread.name == "container":
            thread.join(5)
    assert not [thread for thread in threading.enumerate() if thread.name == "container"]


def test_raw_samples_at_any_rate_and_with_any_channels() -> None:
    stereo = np.repeat(SENT, 2).tobytes()
    for rate_hz, data in ((48_000, stereo), (16_000, stereo)):
        pieces = [data[start : start + 1001] for start in range(0, len(data), 1001)]
        sound = np.concatenate(decoded(pieces, "pcm16", rate_hz, 2))
        assert sound.size == SENT.size * 16_000 // rate_hz
        assert likeness(sound, SENT, rate_hz) > 0.98
    with pytest.raises(PeerError, match="resample"):
        decoded([bytes(100)], "pcm16", 15_999)


def test_raw_samples_are_what_has_no_header() -> None:
    assert np.array_equal(np.concatenate(decoded(cut(SENT.tobytes(), 7))), SENT)


@pytest.mark.parametrize("form", ["mp3", "aac"])
def test_frames_without_a_header_are_told_from_samples(form: str) -> None:
    frames = encoded(form)
    for kind in (None, form):
        sound = np.concatenate(decoded(cut(frames, 9), kind))
        assert abs(sound.size / 16_000 - 1.5) < 0.15
        assert likeness(sound) > 0.9
    for head in (b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80\x01\x00\x00"):  # as samples may begin
        noise = head + SENT.tobytes()[: 4000 - len(head)]
        assert np.concatenate(decoded([noise])).size == 2000


@pytest.mark.real
def test_what_goes_on_after_a_file_is_not_taken_for_samples() -> None:
    async def decode() -> None:
        decoder = LiveDecoder()
        await decoder.feed(recorded(SENT, "flac"))
        await decoder.pause()
        with pytest.raises(PeerError, match="not the beginning"):
            await decoder.feed(SENT.tobytes())
        assert likeness(np.concatenate([await decoder.feed(recorded(SENT, "wav")), await decoder.pause()])) > 0.9
        decoder.close()

    asyncio.run(decode())


def encoded(form: str) -> bytes:
    """Bare frames, as streams of them are."""
    made = io.BytesIO()
    with av.open(
        made,
        "w",
        format="adts" if form == "aac" else "mp3",
        options={"write_xing": "0", "id3v2_version": "0"} if form == "mp3" else {},
    ) as container:
        stream = container.add_stream("aac" if form == "aac" else "libmp3lame", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(SENT[None, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        for part in (frame, None):
            container.mux(stream.encode(part))
    return made.getvalue()


def test_bare_opus_packets() -> None:
    packets = opus_packets(SENT)
    sound = np.concatenate(decoded(packets, "opus"))
    assert abs(sound.size / 16_000 - 1.5) < 0.05
    assert likeness(sound) > 0.9
    assert np.concatenate(decoded([*packets[:20], b"\xff\xff\xff", b"", *packets[21:]], "opus")).size > 20_000
    with pytest.raises(PeerError, match="no Opus packets"):
        decoded([b"\xff\xff\xff"] * 60, "opus")
    with pytest.raises(PeerError, match="no Opus packets"):
        decoded([b"\xff\xff\xff"], "opus")
