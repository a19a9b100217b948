"""Whatever a stranger sends, reading it ends soon: with what is in it, or with an error that can be told."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from recorder import recorded

from antiphon.errors import PeerError
from antiphon.media.files import PIECE_S, SoundFile
from decoders import DECODERS, Decoder, check, mutilated, try_out

TRIALS = {"file": 60, "stream": 20, "form": 150}
USUAL = 300  # of those that take microseconds


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DECODERS))
def test_what_is_mutilated_is_read_or_refused(name: str) -> None:
    samples = DECODERS[name].samples()
    assert all(try_out(name, sample) for sample in samples), "a good sample is not read"
    trials = TRIALS.get(name, USUAL)
    read = sum(check(name, seed, samples) for seed in range(trials))
    assert read or DECODERS[name].refuses, "all of it was too broken to get far"


def test_a_decoder_that_breaks_or_takes_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        raise IndexError(data)

    monkeypatch.setitem(DECODERS, "broken", Decoder(broken, lambda: [b"good"]))
    with pytest.raises(AssertionError, match="broken, seed 7"):
        check("broken", 7, [b"good"])
    moments = iter((0.0, 100.0))
    monkeypatch.setattr("time.process_time", lambda: next(moments))
    with pytest.raises(AssertionError, match="s for 4 bytes"):
        try_out("frame", b"\x81\x80ab")


def test_a_seed_mutilates_the_same_way_each_time() -> None:
    assert [mutilated(b"something" * 9, seed) for seed in range(40)] == [
        mutilated(b"something" * 9, seed) for seed in range(40)
    ]


def silence_of(seconds: int) -> bytes:
    """FLAC that is a thousandth of what it becomes."""
    return recorded(np.zeros(seconds * 8_000, np.int16), "flac", 8_000)


@pytest.mark.slow
def test_a_small_file_that_becomes_much_sound_is_had_in_small_pieces() -> None:
    data = silence_of(1_800)
    file = SoundFile(io.BytesIO(data))
    sizes = [piece.nbytes for piece in file.pieces()]
    file.close()
    assert sum(sizes) > 100 * len(data), "it is no bomb"
    assert max(sizes) < 4 * PIECE_S * 16_000


@pytest.mark.parametrize("rate_hz", [1, 7, 100])
def test_a_rate_that_no_sound_has_is_refused(rate_hz: int) -> None:
    """Each of its samples would become thousands."""
    data = bytearray(recorded(np.zeros(40_000, np.int16), "wav"))
    struct.pack_into("<I", data, 24, rate_hz)
    with pytest.raises(PeerError):
        list(SoundFile(io.BytesIO(bytes(data))).pieces())
