"""WAV files are written so that others read them, and read however they were written."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest

from antiphon.audio.units import Pcm16
from antiphon.audio.wav import HEADER_BYTES, read_wav, wav_from_mono, wav_from_stereo
from antiphon.errors import PeerError

RAMP: Pcm16 = np.arange(-3000, 3000, 7).astype(np.int16)


def riff(kind: int, bits: int, channels: int, data: bytes, tail: bytes = b"") -> bytes:
    """A file by hand, with a chunk of odd length before the sound."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", kind, channels, 16_000, 16_000 * frame, frame, bits) + tail
    body = b"fmt " + struct.pack("<I", len(form)) + form
    body += b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def test_the_standard_library_reads_what_we_write() -> None:
    data = wav_from_mono(RAMP, 24_000)
    assert len(data) == HEADER_BYTES + 2 * RAMP.size
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert file.readframes(file.getnframes()) == RAMP.tobytes()


def test_two_voices_are_two_channels() -> None:
    with wave.open(io.BytesIO(wav_from_stereo(RAMP, RAMP[:10], 24_000))) as file:
        assert file.getnchannels() == 2
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    np.testing.assert_array_equal(frames[:, 0], RAMP)
    assert not frames[10:, 1].any()


def test_what_we_write_comes_back() -> None:
    back = read_wav(wav_from_mono(RAMP, 22_050))
    assert back.rate_hz == 22_050
    np.testing.assert_array_equal(back.pcm * 32768, RAMP)


@pytest.mark.parametrize(("kind", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_every_width_is_the_same_sound(kind: int, bits: int) -> None:
    sound = np.array([0.0, 0.5, -0.5, -1.0])
    if kind == 3:
        data = sound.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = (sound * 128 + 128).astype(np.uint8).tobytes()
    else:
        wide = (sound * 2**31).astype("<i8").astype("<i4")
        data = wide.view(np.uint8).reshape(-1, 4)[:, 4 - bits // 8 :].tobytes()
    back = read_wav(riff(kind, bits, 1, data))
    assert back.rate_hz == 16_000
    assert back.pcm.dtype == np.float32
    np.testing.assert_allclose(back.pcm, sound, atol=1e-6)


def test_channels_are_folded() -> None:
    frames = np.array([[1000, 3000], [-2000, -2000]], np.int16)
    assert (read_wav(riff(1, 16, 2, frames.tobytes())).pcm * 32768).tolist() == [2000, -2000]


def test_the_extensible_form_names_its_kind_further_on() -> None:
    tail = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    assert (read_wav(riff(0xFFFE, 16, 1, RAMP.tobytes(), tail)).pcm * 32768 == RAMP).all()


@pytest.mark.parametrize("claimed", [0, 0xFFFFFFFF, 10**6])
def test_a_file_from_a_pipe_or_cut_short_gives_what_is_there(claimed: int) -> None:
    data = wav_from_mono(RAMP, 16_000)
    streamed = data[:40] + struct.pack("<I", claimed) + data[44:-1]
    np.testing.assert_array_equal(read_wav(streamed).pcm * 32768, RAMP[:-1])


def test_floats_from_a_file_are_not_trusted() -> None:
    data = np.array([np.nan, 5.0, 0.25], "<f4").tobytes()
    assert read_wav(riff(3, 32, 1, data)).pcm.tolist() == [0.0, 1.0, 0.25]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a WAV"),
        (b"ID3\x04" + bytes(60), "not a WAV"),
        (b"RIFF\x04\0\0\0WAVE", "no sound"),
        (b"RIFF\x0c\0\0\0WAVEdata\x02\0\0\0ab", "how its sound is written"),
        (riff(7, 8, 1, b"abcd"), "format 7 with 8 bits"),
        (riff(1, 12, 1, b"abcd"), "format 1 with 12 bits"),
        (riff(1, 16, 0, b"abcd"), "0 channels"),
    ],
)
def test_other_files_are_refused_in_words(data: bytes, complaint: str) -> None:
    with pytest.raises(PeerError, match=complaint) as refused:
        read_wav(data)
    assert "ffmpeg" in refused.value.hint
