"""Sound on the wire: PCM as it is, telephone formats by the tables of G.711."""

import numpy as np
import pytest

from antiphon.audio.formats import (
    Kind,
    SoundReader,
    SoundWriter,
    _compression,
    _expansion,
    read_whole,
    samples_in,
    write_whole,
)
from antiphon.audio.units import WIRE_RATE
from antiphon.errors import PeerError

LAWS: tuple[Kind, ...] = ("pcmu", "pcma")


def test_values_of_the_mu_law_are_those_of_the_standard() -> None:
    table = _expansion("pcmu")
    # ITU-T G.711, table 2a, times 4: decoder output values 8031, 7775, 4191, 2079, 1023, 495, 231, 99, 33, 2, 0.
    codes = {0x80: 8031, 0x81: 7775, 0x8F: 4191, 0x9F: 2079, 0xAF: 1023, 0xBF: 495, 0xCF: 231, 0xDF: 99, 0xEF: 33}
    assert {code: int(table[code]) for code in codes} == {code: 4 * value for code, value in codes.items()}
    assert table[0xFF] == 0
    assert table[0x7F] == 0
    assert table[0x00] == -4 * 8031


def test_values_of_the_a_law_are_those_of_the_standard() -> None:
    table = _expansion("pcma")
    # ITU-T G.711, table 1a, times 8, even bits inverted: values 4032, 2112, 1056, 528, 264, 132, 66, 1.
    codes = {0xFF: 4032, 0xF0: 2112, 0xE0: 1056, 0xD0: 528, 0xC0: 264, 0xB0: 132, 0xA0: 66, 0x80: 1}
    assert {code: int(table[code ^ 0x55]) for code in codes} == {code: 8 * value for code, value in codes.items()}
    assert table[0x80 ^ 0x80 ^ 0x55] == -8


@pytest.mark.parametrize("kind", LAWS)
def test_each_value_of_a_law_keeps_its_byte(kind: Kind) -> None:
    expansion, compression = _expansion(kind), _compression(kind)
    again = expansion[compression[expansion.view(np.uint16)]]
    assert np.array_equal(again, expansion)


@pytest.mark.parametrize("kind", LAWS)
def test_a_sample_becomes_one_of_the_two_values_around_it(kind: Kind) -> None:
    expansion, compression = _expansion(kind), _compression(kind)
    samples = np.arange(-32768, 32768).astype(np.int16)
    values = np.unique(expansion.astype(int))
    near = expansion[compression[samples.view(np.uint16)]].astype(int)
    inside = (samples >= values[0]) & (samples <= values[-1])
    place = np.searchsorted(values, samples[inside])
    above = values[np.minimum(place, values.size - 1)]
    below = values[np.maximum(place - 1, 0)]
    assert np.all((near[inside] == above) | (near[inside] == below))


@pytest.mark.parametrize("kind", LAWS)
def test_a_tone_survives_the_telephone(kind: Kind) -> None:
    moment = np.arange(WIRE_RATE) / WIRE_RATE
    tone = np.round(8000 * np.sin(2 * np.pi * 440 * moment)).astype(np.int16)
    data = write_whole(tone, kind)
    assert len(data) == 8000
    assert samples_in(data, kind) == WIRE_RATE
    back = read_whole(data, kind)
    assert back.size == WIRE_RATE
    middle = slice(1000, -1000)
    noise = np.std(back[middle].astype(float) - tone[middle])
    assert 20 * np.log10(8000 / np.sqrt(2) / noise) > 30  # dB: G.711 reaches some 38 on a loud tone


@pytest.mark.parametrize("kind", ["pcm", "pcmu", "pcma"])
def test_a_stream_is_the_same_however_it_is_cut(kind: Kind) -> None:
    pcm = np.random.default_rng(1).integers(-9000, 9000, 4801).astype(np.int16)
    writer = SoundWriter(kind)
    data = b"".join(writer.write(piece) for piece in np.split(pcm, [7, 480, 481, 3000])) + writer.finish()
    assert data == write_whole(pcm, kind)
    reader = SoundReader(kind)
    pieces = [reader.read(data[start : start + 160]) for start in range(0, len(data), 160)]
    read = np.concatenate(pieces)
    assert np.array_equal(read, read_whole(data, kind)[: read.size])
    assert len(pcm) - read.size <= WIRE_RATE // 500  # 2 ms are held back


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(PeerError, match="even number of bytes"):
        SoundReader("pcm").read(b"\x00\x01\x02", "audio")
