"""Words that can be read off their sound, in both directions, so that it can be told what was really heard.

The person's words are tones, one pitch for each; our voice's letters are levels, one for each. It knows neither
sessions nor engines.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm, Pcm16, Samples, Seconds

WORDS = 44  # of one conversation: each is said once, so that it is known when it was
WORD_S: Seconds = 0.2
LOWEST_HZ, STEP_HZ = 400.0, 62.5  # two lines of the spectrum apart
WINDOW = 512  # samples at 16 kHz
LOUD = 0.05  # RMS of a window that is a word's
FEWEST_WINDOWS = 3  # of a word that was not only touched

LETTER: Samples = 1_600  # at 24 kHz: fifteen a second, as people speak
LEVEL = 64  # int16 steps between two letters


COUGH = -4  # a sound that is no word


@cache
def tone(word: int) -> Pcm16:
    """One word of the person's, int16 at 24 kHz."""
    moments = np.arange(round(WORD_S * WIRE_RATE)) / WIRE_RATE
    sound: Pcm16 = np.round(9000 * np.sin(2 * np.pi * (LOWEST_HZ + STEP_HZ * word) * moments)).astype(np.int16)
    return sound


def words_in(pcm: Pcm) -> list[int]:
    """The words of an utterance at 16 kHz, in order."""
    count = pcm.size // WINDOW
    windows = pcm[: count * WINDOW].reshape(count, WINDOW)
    loud = np.sqrt(np.mean(np.square(windows), axis=1)) > LOUD
    lines = np.argmax(np.abs(np.fft.rfft(windows * np.hanning(WINDOW), axis=1)), axis=1)
    heard = np.round((lines * HEARING_RATE / WINDOW - LOWEST_HZ) / STEP_HZ).astype(int)
    found: list[int] = []
    run, last = 0, None
    for word, is_loud in zip(heard.tolist(), loud.tolist(), strict=True):
        run = run + 1 if is_loud and word == last else 1
        last = word if is_loud else None
        if is_loud and word >= 0 and run == FEWEST_WINDOWS and (not found or found[-1] != word):
            found.append(word)
    return found


def name(word: int) -> str:
    """What the recogniser writes for it."""
    return f"w{word}"


def voiced(text: str) -> Pcm:
    """A text in our voice, float32 at 24 kHz: each letter for a fifteenth of a second."""
    levels = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.float32) * np.float32(LEVEL / 32768)
    return np.repeat(levels, LETTER)


def text_in(sound: bytes | bytearray) -> str:
    """What our voice says in this sound, int16 at 24 kHz; a letter that was cut off is not heard."""
    samples = np.frombuffer(bytes(sound[: len(sound) // (2 * LETTER) * 2 * LETTER]), np.int16)
    return bytes((samples[LETTER // 2 :: LETTER] // LEVEL).clip(0, 127).astype(np.uint8).tolist()).decode("ascii")
