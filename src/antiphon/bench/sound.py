"""What callers say: sentences of the built-in voice, or recordings, in the noise of a room, ready to be sent.

Frames are made beforehand, once for all callers, so that sending one is a write to a socket. It knows neither callers
nor servers.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.pcm import float_from_int16, int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE, Pcm16
from antiphon.audio.wav import read_wav
from antiphon.bench.talker import Frame, Sentence, Sound
from antiphon.engines.api import TtsRequest
from antiphon.errors import ConfigError, PeerError

FRAMES_A_SECOND = 50
ROOM_S = 10  # of noise, before it comes again
SPEECH_END = 0.01  # of an utterance's peak: what follows the last sample this loud is no speech
SENTENCES = (
    "please tell me about the weather in the mountains",
    "could you read me the first message of today",
    "I would like to know how far it is to the sea",
    "set an alarm for half past six in the morning",
    "turn the lights off in the kitchen and the hall",
)
VOICES = ("en-us", "en-us+f2", "en-us+m3", "en+f4", "en")


async def spoken() -> list[Pcm16]:
    """The sentences in several voices of espeak-ng, at 24 kHz."""
    from antiphon.engines.tts.espeak import Espeak

    voice, said = Espeak(), []
    try:
        for text, name in zip(SENTENCES, VOICES, strict=True):
            chunks = [chunk async for chunk in voice.speak(text, TtsRequest(name))]
            said.append(_to_its_end(int16_from_float(resampled(np.concatenate(chunks), voice.rate, WIRE_RATE))))
    finally:
        await voice.close()
    return said


def recorded(paths: Sequence[Path]) -> list[Pcm16]:
    """The speech in these WAV files, at 24 kHz. `ConfigError` for what is none."""
    said = []
    for path in paths:
        try:
            wav = read_wav(path.read_bytes())
        except PeerError as error:
            raise ConfigError(f"{path}: {error.message}", "Give 16-bit WAV files of speech.") from None
        pcm = int16_from_float(resampled(wav.pcm, wav.rate_hz, WIRE_RATE))
        if not pcm.size or not np.any(pcm):
            raise ConfigError(f"{path} is silent", "Give recordings of somebody who speaks.")
        said.append(_to_its_end(pcm))
    return said


def _to_its_end(pcm: Pcm16) -> Pcm16:
    loud = np.abs(pcm.astype(np.int32))
    return pcm[: int(np.flatnonzero(loud > SPEECH_END * loud.max())[-1]) + 1]


def in_room(said: Sequence[Pcm16], room_dbfs: float, rate_hz: int, make: Callable[[Pcm16], Frame]) -> Sound[Frame]:
    """Mix all with a room's noise, and make frames of 20 ms at `rate_hz` with `make`."""
    size = rate_hz // FRAMES_A_SECOND
    amplitude = 32768 * 10 ** (room_dbfs / 20)
    room = np.random.default_rng(0).normal(0, amplitude, ROOM_S * rate_hz)

    def frames(sound: NDArray[np.float64]) -> list[Frame]:
        pcm = np.clip(np.round(sound), -32768, 32767).astype(np.int16)
        return [make(pcm[start : start + size]) for start in range(0, pcm.size, size)]

    sentences = []
    for pcm in said:
        voice = pcm if rate_hz == WIRE_RATE else int16_from_float(resampled(float_from_int16(pcm), WIRE_RATE, rate_hz))
        whole = np.zeros(-(-voice.size // size) * size)
        whole[: voice.size] = voice
        mixed = frames(whole + np.resize(room, whole.size))
        sentences.append(Sentence(mixed, (whole.size - voice.size) / rate_hz))
    return Sound(frames(room), sentences)


def websocket_frame(pcm: Pcm16) -> bytes:
    """An append as it goes over the wire. A mask of zeros is a mask: the server has the same work to take it off."""
    text = b'{"type":"input_audio_buffer.append","audio":"' + base64.b64encode(pcm.tobytes()) + b'"}'
    return bytes((0x81, 0x80 | 126)) + len(text).to_bytes(2) + bytes(4) + text
