"""The binding of libopus: sound survives it, and what is lost is made up for."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.transport.webrtc.opus import FRAME, OpusDecoder, OpusEncoder, ticks_of


def speech_like(seconds: float) -> Pcm16:
    """A voice as far as a codec can tell: harmonics of a moving pitch, louder and softer."""
    time = np.arange(round(WIRE_RATE * seconds)) / WIRE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 2 * time)) / WIRE_RATE
    wave = sum(np.sin(k * phase) / k for k in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
    return np.asarray(np.round(6000 * wave), np.int16)


def packets_of(pcm: Pcm16, loss_percent: int = 20) -> list[bytes]:
    encoder = OpusEncoder(40_000, 1, loss_percent)
    return [encoder.encode(pcm[start : start + FRAME].tobytes()) for start in range(0, pcm.size - FRAME + 1, FRAME)]


def likeness(one: Pcm16, other: Pcm16) -> float:
    """The best correlation of two stretches over the codec's delay, in [-1, 1]."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    scores = [np.corrcoef(a[shift:], b[: b.size - shift])[0, 1] for shift in range(0, 300, 2)]
    return float(max(scores))


def test_sound_survives() -> None:
    pcm = speech_like(1.0)
    decoder = OpusDecoder()
    packets = packets_of(pcm)
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.size == pcm.size
    assert likeness(heard[4800:], pcm[4800:]) > 0.7
    assert all(ticks_of(packet) == 960 for packet in packets)
    bits_per_second = 8 * sum(map(len, packets))
    assert 15_000 < bits_per_second < 60_000


def test_a_lost_packet_comes_out_of_the_next_one_better_than_out_of_nothing() -> None:
    pcm = speech_like(2.0)
    packets = packets_of(pcm)

    def heard(recovers: bool) -> Pcm16:
        decoder = OpusDecoder()
        made = []
        for number, packet in enumerate(packets):
            if number % 5 == 4 and number + 1 < len(packets):
                following = packets[number + 1]
                made.append(decoder.recover(following, FRAME) if recovers else decoder.conceal(FRAME))
            else:
                made.append(decoder.decode(packet))
        return np.concatenate(made)

    whole = OpusDecoder()
    intact = np.concatenate([whole.decode(packet) for packet in packets])

    def error(sound: Pcm16) -> float:
        return float(np.mean((sound.astype(np.float64) - intact) ** 2))

    assert heard(recovers=True).size == heard(recovers=False).size == pcm.size
    assert error(heard(recovers=True)) < 0.5 * error(heard(recovers=False))


def test_a_long_concealment_has_its_length_and_fades() -> None:
    decoder = OpusDecoder()
    for packet in packets_of(speech_like(0.5)):
        decoder.decode(packet)
    made = decoder.conceal(10 * FRAME)
    assert made.size == 10 * FRAME
    assert np.abs(made[-FRAME:]).max() < np.abs(made[:FRAME]).max() / 2
    assert decoder.conceal(0).size == 0
    assert decoder.conceal(61).size == 60, "whole grains of 2.5 ms"


def test_copies_cost_what_the_loss_asks_for() -> None:
    pcm = speech_like(1.0)
    assert len(packets_of(pcm)[30]) > 0
    encoder = OpusEncoder(40_000, 1, 0)
    encoder.expect_loss(250)
    encoder.encode(bytes(2 * FRAME))


@pytest.mark.parametrize("packet", [b"", b"\xff", b"\x03\xff" + bytes(5)])
def test_what_is_no_opus_is_a_value_error(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ticks_of(packet)
    if packet:
        with pytest.raises(ValueError, match=r"."):
            OpusDecoder().decode(packet)


def test_an_encoder_that_begins_anew_leaves_no_click_where_packets_were_thrown_away() -> None:
    pcm = speech_like(1.0)

    def silence_after(at: int) -> int:
        """The loudest sample from 20 ms after the last sound on, where four more packets were made and not sent."""
        encoder, decoder = OpusEncoder(40_000, 1, 5), OpusDecoder()
        for number in range(at + 4):
            packet = encoder.encode(pcm[number * FRAME : (number + 1) * FRAME].tobytes())
            if number < at:
                decoder.decode(packet)
        encoder.restart()
        silent = [decoder.decode(encoder.encode(bytes(2 * FRAME))) for _ in range(4)]
        return max(int(np.abs(sound.astype(np.int32)).max()) for sound in silent[1:])

    assert max(silence_after(at) for at in range(10, 40, 3)) < 100
