"""Packets become sound, also when they do not come."""

from __future__ import annotations

import asyncio
import random
import time

import numpy as np
import pytest

from antiphon.audio.units import Pcm16
from antiphon.testing.virtual_time import run
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.opus import FRAME, OpusEncoder, library
from antiphon.transport.webrtc.rounds import Rounds
from antiphon.transport.webrtc.rtp import RtpPacket

library()  # read before there is a loop, as a server does


def packets(count: int) -> list[RtpPacket]:
    encoder = OpusEncoder(40_000, 0, 20)
    wave = np.round(8000 * np.sin(2 * np.pi * 300 / 24_000 * np.arange(count * FRAME))).astype(np.int16)
    frames = (wave[n * FRAME : (n + 1) * FRAME].tobytes() for n in range(count))
    return [RtpPacket(96, n, 960 * n, 7, encoder.encode(frame)) for n, frame in enumerate(frames)]


def listening(heard: list[Pcm16]) -> tuple[Ear, Rounds]:
    """An ear, and what makes its rounds."""
    ear, rounds = Ear(heard.append), Rounds()
    rounds.join(ear)
    return ear, rounds


def take(ear: Ear, packet: RtpPacket) -> None:
    now = asyncio.get_running_loop().time()
    ear.take(packet, now, now)


def stop(ear: Ear, rounds: Rounds) -> None:
    rounds.leave(ear)
    ear.close()


def test_each_packet_is_heard_as_it_comes_and_a_silence_by_the_clock() -> None:
    async def story() -> None:
        heard: list[Pcm16] = []
        ear, rounds = listening(heard)
        for packet in packets(10):
            take(ear, packet)
            await asyncio.sleep(0.02)
        assert [pcm.size for pcm in heard] == [FRAME] * 10
        await asyncio.sleep(1)
        silence = np.concatenate(heard[10:])
        assert not silence.any()
        assert abs(silence.size / 24_000 - 0.8) < 0.05
        stop(ear, rounds)
        before = len(heard)
        await asyncio.sleep(1)
        assert len(heard) == before, "it is closed"

    run(story())


def test_a_lost_packet_and_one_that_is_broken_leave_no_hole() -> None:
    async def story() -> None:
        heard: list[Pcm16] = []
        ear, rounds = listening(heard)
        for packet in packets(20):
            if packet.sequence == 5:
                continue
            broken = packet.sequence == 9
            take(ear, packet._replace(payload=packet.payload[:1] + b"\xff" * 3) if broken else packet)
            await asyncio.sleep(0.02)
        assert sum(pcm.size for pcm in heard) == 20 * FRAME
        stop(ear, rounds)

    run(story())


@pytest.mark.parametrize("seed", range(5))
def test_with_a_tenth_lost_and_the_rest_out_of_order_the_sound_is_whole(seed: int) -> None:
    """Two seconds of a tone through a network that loses and overtakes: as long as it was, and without a hole."""
    lots = random.Random(seed)

    async def story() -> None:
        heard: list[Pcm16] = []
        ear, rounds = listening(heard)
        loop = asyncio.get_running_loop()
        lost = 0
        for packet in packets(100):
            if lots.random() < 0.1 and 0 < packet.sequence < 99:
                lost += 1
            else:
                loop.call_later(lots.random() * 0.05, take, ear, packet)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.15)  # the longest patience, and some; silence would come later
        stop(ear, rounds)
        pcm = np.concatenate(heard)
        assert abs(pcm.size / 24_000 - 2.0) < 0.05
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 1000)
        assert np.diff(loud).max() < 0.1 * 24_000, "what was lost was made up for"
        tally = ear.arrivals.tally
        assert lost > 3
        assert tally.lost >= lost
        assert tally.recovered > 0
        assert ear.arrivals.jitter > 0.003

    run(story())


@pytest.mark.real
@pytest.mark.slow
def test_a_loop_that_was_held_up_hears_what_lies_in_the_socket_before_it_fills_in_silence() -> None:
    async def story() -> None:
        heard: list[Pcm16] = []
        ear, rounds = listening(heard)
        some = packets(40)
        loop = asyncio.get_running_loop()
        for packet in some[:5]:
            take(ear, packet)
            await asyncio.sleep(0.02)
        # As uvloop has it: timers first, then what came meanwhile.
        loop.call_later(0.0, lambda: time.sleep(0.35))
        for packet in some[5:23]:
            loop.call_later(0.352, take, ear, packet)
        await asyncio.sleep(0.4)
        assert ear.arrivals.tally.silence_ticks == 0
        assert sum(pcm.size for pcm in heard) == 23 * FRAME
        stop(ear, rounds)

    asyncio.run(story())
