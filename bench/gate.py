"""What the gate before the voice detector saves, and whether it loses a word.

    python bench/gate.py                   about a minute

Sentences of espeak-ng, at four levels, in rooms of several kinds, are heard twice: with every window scored, and
through the gate. `lost` is the windows that the detector would have called a voice and the gate let nobody score:
there must be none. `found` is the sentences in which a voice was heard, without and with the gate; `false` is the
seconds of voice where nobody spoke, likewise. They differ where speech is faint: the detector's memory is not the
same, and it finds more when it has not listened to noise for long. In babble a voice is a voice, whoever's. No clock
is in it but the sound's.
"""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples
from antiphon.engines.vad.silero import SileroVad
from antiphon.hearing.edges import WINDOW
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.hearing.stream import HearingStream
from antiphon.session.inputs import SilenceTick
from common import arguments_of, babble, machine, noise, speech

SENTENCES = (
    "please tell me about the weather in the mountains",
    "five fish fast",
    "how far is it to the sea",
    "hush",
    "she sells sea shells",
    "who was that",
)
LEVELS_DB = (0, -15, -25, -30)
SECONDS = 60
PAUSE = 2 * WIRE_RATE
VOICE = 0.5
TAIL = WIRE_RATE * 3 // 10  # after a sentence that the detector still may hear it
SILENCE_WINDOWS = 16  # that end a turn


Span = tuple[Samples, Samples]
Scores = dict[Samples, float]
"""Of each window that was scored, by where it ends."""


def listen(sound: Pcm16, vad: SileroVad, *, gates: bool) -> Scores:
    async def story() -> Scores:
        scores: Scores = {}
        silent = 0

        def on_event(event: object) -> None:
            nonlocal silent
            silent = silent + 1 if isinstance(event, SilenceTick) else 0
            if silent == SILENCE_WINDOWS:
                stream.turn_closed()

        hub = HearingHub(vad, InPlace(), gates=gates)
        stream = hub.open(on_event)
        stream.on_score = scores.__setitem__
        for start in range(0, sound.size, WINDOW // 2):
            stream.append(sound[start : start + WINDOW // 2], start / WIRE_RATE)
            await settled(stream)
        await hub.close()
        return scores

    return asyncio.run(story())


async def settled(stream: HearingStream) -> None:
    await stream.caught_up()
    await asyncio.sleep(0)


def spoken_in(room: NDArray[np.float64], said: list[Pcm16], level_db: float) -> tuple[Pcm16, list[Span]]:
    sound, at, chance = room.copy(), PAUSE, np.random.default_rng(1)
    spans: list[Span] = []
    while at + 4 * WIRE_RATE < sound.size:
        sentence = said[len(spans) % len(said)]
        sound[at : at + sentence.size] += sentence * 10 ** (level_db / 20)
        spans.append((at, at + sentence.size))
        at += sentence.size + PAUSE + int(chance.integers(WINDOW))
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16), spans


def judged(scores: Scores, spans: list[Span]) -> tuple[int, float]:
    """How many sentences were found, and the seconds of voice that were in none."""
    voiced = np.array([at for at, score in scores.items() if score >= VOICE])
    inside = [(voiced > start) & (voiced <= stop + TAIL) for start, stop in spans]
    false = voiced.size - int(np.any(inside, axis=0).sum())
    return sum(bool(mask.any()) for mask in inside), false * WINDOW / WIRE_RATE


def main() -> None:
    arguments_of(__doc__).parse_args()
    print(machine())
    said = asyncio.run(speech(SENTENCES))
    size = SECONDS * WIRE_RATE
    hum = np.sin(np.arange(size) * 2 * np.pi * 50 / WIRE_RATE) * 32768 * 10 ** (-40 / 20)
    rooms = {
        "hiss, -50 dBFS": noise(size, -50),
        "pink, -50 dBFS": noise(size, -50, slope=0.5),
        "rumble, -45 dBFS": noise(size, -45, slope=1.0),
        "hum of 50 Hz, -43 dBFS": noise(size, -60) + hum,
        "babble, -50 dBFS": noise(size, -60) + babble(said, size, -50),
        "babble, -40 dBFS": noise(size, -60) + babble(said, size, -40),
    }
    print(
        f"{'room':<24}{'speech':>8}{'voiced':>8}{'scored':>8}{'lost':>6}{'sentences':>11}{'found':>7}{'gated':>7}"
        f"{'false s':>9}{'gated':>7}"
    )
    vad = SileroVad()
    for name, room in rooms.items():
        for level_db in LEVELS_DB:
            sound, spans = spoken_in(room, said, level_db)
            every, gated = (listen(sound, vad, gates=gates) for gates in (False, True))
            voiced = {at for at, score in every.items() if score >= VOICE}
            (found, false_s), (found_gated, false_gated_s) = judged(every, spans), judged(gated, spans)
            print(
                f"{name:<24}{level_db:>5} dB{len(voiced) / len(every):>8.0%}{len(gated) / len(every):>8.0%}"
                f"{len(voiced - gated.keys()):>6}{len(spans):>11}{found:>7}{found_gated:>7}"
                f"{false_s:>9.1f}{false_gated_s:>7.1f}"
            )


if __name__ == "__main__":
    main()
