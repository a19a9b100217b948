"""Whole files: any container, any rate, any number of channels, any damage, and never all of them in memory."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from recorder import FORMS, recorded, sweep

from antiphon.audio.units import Pcm16
from antiphon.errors import PeerError
from antiphon.media.encode import FORMS as SPOKEN
from antiphon.media.encode import Encoder, Format
from antiphon.media.files import PIECE_S, SoundFile, check_length

SENT = sweep(1.5)


def read(data: bytes) -> Pcm16:
    file = SoundFile(io.BytesIO(data))
    try:
        return np.concatenate([np.zeros(0, np.int16), *file.pieces()])
    finally:
        file.close()


def wav(frames: np.ndarray, rate_hz: int, kind: int = 1) -> bytes:
    """A WAV file of [n, channels] in the array's own type."""
    width, channels = frames.dtype.itemsize, frames.shape[1]
    form = struct.pack("<HHIIHH", kind, channels, rate_hz, rate_hz * channels * width, channels * width, 8 * width)
    body = frames.tobytes()
    return (
        struct.pack("<4sI4s", b"RIFF", 36 + len(body), b"WAVE")
        + struct.pack("<4sI", b"fmt ", 16)
        + form
        + struct.pack("<4sI", b"data", len(body))
        + body
    )


@pytest.mark.parametrize("form", list(FORMS))
def test_every_container(form: str) -> None:
    assert abs(read(recorded(SENT, form)).size / 16_000 - 1.5) < 0.08


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (96_000, 2), (44_100, 7), (11_025, 1)])
def test_any_rate_and_any_channels(rate_hz: int, channels: int) -> None:
    mono = sweep(1.5, rate_hz)
    sound = read(wav(np.repeat(mono.reshape(-1, 1), channels, axis=1), rate_hz))
    assert abs(sound.size / 16_000 - 1.5) < 0.01
    assert np.abs(sound).max() > 3_000


@pytest.mark.parametrize(("form", "says_duration"), [("webm", False), ("wav", True)])
def test_how_much_is_done_is_known_with_a_duration_and_without(form: str, says_duration: bool, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(recorded(np.random.default_rng(1).integers(-9_000, 9_000, 11 * 48_000).astype(np.int16), form))
    file = SoundFile(path)
    assert (file.duration_s is not None) == says_duration
    done_s, shares = 0.0, [file.share(0.0) or 0.0]
    for piece in file.pieces():
        done_s += piece.size / 16_000
        shares.append(file.share(done_s) or 0.0)
    file.close()
    assert shares == sorted(shares)
    assert 5 / 11 - 0.1 < shares[1] < 0.9, "bytes are read ahead, and not all of them"
    assert shares[-1] == pytest.approx(1.0, abs=0.01)


def test_how_much_is_done_of_what_has_no_known_size_is_unknown() -> None:
    file = SoundFile(io.BytesIO(recorded(SENT, "webm")))
    assert file.share(1.0) is None
    file.close()


def test_no_number_is_silence() -> None:
    frames = np.full((24_000, 1), 0.25, np.float32)
    frames[5_000:5_100] = np.nan
    frames[9_000] = np.inf
    sound = read(wav(frames, 16_000, kind=3))
    assert sound.size == 24_000
    assert sound[5_050] == 0
    assert abs(int(sound[20_000]) - 8192) < 3


def test_pieces_are_bounded() -> None:
    file = SoundFile(io.BytesIO(recorded(sweep(12.0, 16_000), "flac", 16_000)))
    sizes = [piece.size for piece in file.pieces()]
    assert sum(sizes) == 12 * 16_000
    assert max(sizes) < (PIECE_S + 1) * 16_000


def test_a_file_cut_short_gives_what_is_there() -> None:
    for form in ("webm", "ogg", "mp3", "flac", "wav"):
        data = recorded(SENT, form)
        assert 0.5 < read(data[: len(data) * 6 // 10]).size / 16_000 < 1.3


@pytest.mark.parametrize("data", [b"", b"no sound", b"\x1a\x45\xdf\xa3" * 100, b"RIFF\xff\xff\xff\xffWAVE"])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError) as refused:
        read(data)
    assert refused.value.code == "invalid_audio"


def test_a_playlist_opens_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(recorded(SENT, "wav"))
    monkeypatch.chdir(tmp_path)  # FFmpeg by itself refuses other names than such as lie beside the playlist
    for playlist in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret}\n",
        "ffconcat version 1.0\nfile secret.wav\n",
    ):
        with pytest.raises(PeerError):
            read(playlist.encode())


def test_what_is_too_long_is_told_how_long_it_may_be() -> None:
    check_length(None, 10)
    check_length(10, 10)
    with pytest.raises(PeerError, match=r"36000 s"):
        check_length(36_000, 3600)


@pytest.mark.parametrize("kind", list(SPOKEN))
def test_what_is_spoken_can_be_played_in_every_format(kind: Format) -> None:
    encoder = Encoder(kind)
    sound = sweep(1.5, 24_000)
    pieces = [encoder.push(sound[start : start + 1111]) for start in range(0, sound.size, 1111)]
    data = b"".join((*pieces, encoder.finish()))
    assert sum(map(bool, pieces)) > len(pieces) // 8, "it comes while it is made"
    heard = np.frombuffer(data, np.int16) if kind == "pcm" else read(data)
    rate_hz = 24_000 if kind == "pcm" else 16_000
    assert abs(heard.size / rate_hz - 1.5) < 0.1
    assert np.abs(heard).max() > 8_000
