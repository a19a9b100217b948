"""The labelled set for `bench/endpointing.py`: people who pause in their turns, and are recognised late and wrongly.

Four turns of one person make a conversation, for a person's pauses are alike. Clauses are said by espeak-ng one by one,
each with the melody of its own end, and joined by pauses of known length; then comes noise. What is heard of that is
heard by the server's own detector and its own ear for prosody, and kept, so that judging it costs nothing. It does not
know how a pause is judged.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from antiphon.audio.pcm import int16_from_float
from antiphon.audio.resample import resampled
from antiphon.audio.units import WIRE_RATE, Pcm, Pcm16, Samples, samples_from_ms
from antiphon.engines.vad.silero import SileroVad
from antiphon.hearing import edges, gate, hub, prosody, stream, windows
from antiphon.hearing.edges import HearingEvent
from antiphon.hearing.hub import HearingHub
from antiphon.hearing.runners import InPlace
from antiphon.session.inputs import HearingFailed, Prosody, VoicePaused
from antiphon.testing.virtual_time import run
from endpointing_texts import DEVELOPMENT, REPORT, Material

Part = Literal["development", "report"]
MATERIAL: dict[Part, Material] = {"development": DEVELOPMENT, "report": REPORT}
SEEDS: dict[Part, int] = {"development": 11, "report": 2047}

TURNS = 4  # in a conversation
SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS = 100.0, 1500.0
LEAD_MS, TAIL_MS = 400, 1200  # of noise before and after; what is judged for longer is silence like the tail's
SPEECH_END = 0.01  # of a clause's peak: what lies outside the first and last sample this loud is no speech
AT_ONCE = 64  # streams in a batch: as many as the hub scores together
RENDERER = Path(__file__).with_name("espeak_render.py")
LENGTH = struct.Struct("<I")

HESITATES = 0.3  # share of the pauses within a sentence that are filled with an "um"
HESITATIONS = ("um", "uh", "er")
FINAL_MELODY = {"hanging": 0.15, "whole": 0.5, "end": 0.88}
"""Share of the clauses of each kind that are said with the melody of a sentence's end."""
FULL_STOPS = {"hanging": 0.25, "whole": 0.75, "end": 0.9}
"""Share at whose end a recogniser that writes punctuation writes a full stop. It hears a clip that ends."""
ERRORS = (0.0, 0.05, 0.1, 0.2)  # share of the words that a recogniser gets wrong
DELAYS_MS = (60.0, 120.0, 250.0, 450.0)  # median from the question to the words
DELAY_SPREAD = 0.35  # standard deviation of the logarithm
LOST = 0.03  # share of the transcripts that never come
NOISES: tuple[tuple[str, float, float], ...] = (
    ("none", 60.0, 0.45), ("pink", 20.0, 0.2), ("pink", 10.0, 0.15), ("hum", 15.0, 0.1), ("babble", 15.0, 0.1),
)  # fmt: skip
"""Kind, decibels below the speech, and share of the conversations."""


class Clause(Struct, frozen=True):
    """What is said between two pauses."""

    words: str
    kind: Literal["hanging", "whole", "end"]
    """Whether what was said so far could be whole, and whether it is."""
    mark: str
    """What espeak-ng takes the melody from."""
    pause_ms: float
    """After it; 0 at the end."""


class Written(Struct, frozen=True):
    """What the recogniser makes of a turn up to one place."""

    text: str
    delay_ms: float | None
    """After it was asked; None: it never answers."""


class Turn(Struct, frozen=True):
    clauses: tuple[Clause, ...]


class Conversation(Struct, frozen=True):
    """One person in one place, with one recogniser."""

    voice: str
    words_per_minute: int
    pitch: int
    gain_db: float
    noise: str
    snr_db: float
    punctuates: bool
    error: float
    delay_ms: float
    turns: tuple[Turn, ...]
    seed: int


class Heard(Struct, frozen=True):
    """One turn as the server hears it."""

    end: Samples
    """Of the last word."""
    clause_ends: tuple[Samples, ...]
    clause_starts: tuple[Samples, ...]
    events: tuple[HearingEvent, ...]
    melodies: tuple[Prosody, ...]
    """Of each `VoicePaused`, in order."""


# --- what is said ----------------------------------------------------------------------------------------------------


def conversations(part: Part, count: int) -> list[Conversation]:
    """The first so many of this part: the same ones each time."""
    material = MATERIAL[part]
    return [_conversation(material, SEEDS[part] + 7919 * number) for number in range(count)]


def _conversation(material: Material, seed: int) -> Conversation:
    chance = random.Random(seed)
    noise, snr_db, _ = chance.choices(NOISES, [share for *_, share in NOISES])[0]
    usual_ms = math.exp(chance.uniform(math.log(250), math.log(900)))
    return Conversation(
        voice=chance.choice(material.voices),
        words_per_minute=chance.randint(140, 190),
        pitch=chance.randint(35, 65),
        gain_db=chance.uniform(-8, 4),
        noise=noise,
        snr_db=snr_db,
        punctuates=chance.random() < 0.6,
        error=chance.choice(ERRORS),
        delay_ms=chance.choice(DELAYS_MS),
        turns=tuple(_turn(material, usual_ms, chance) for _ in range(TURNS)),
        seed=seed,
    )


def _turn(material: Material, usual_ms: float, chance: random.Random) -> Turn:
    line = re.sub(r"\{(\w+)\}", lambda found: chance.choice(material.fillings[found[1]]), chance.choice(material.lines))
    words, last_mark = line[:-1], line[-1]
    parts = re.split(r"\s*([|/])\s*", words)
    kept = _joined(parts, chance.choices((0, 1, 2, 3), (0.25, 0.4, 0.25, 0.1))[0], chance)
    clauses = []
    for text, mark in kept:
        kind: Literal["hanging", "whole", "end"] = {"|": "hanging", "/": "whole", "": "end"}[mark]  # type: ignore[assignment]
        if kind == "hanging" and chance.random() < HESITATES:
            text = f"{text} {chance.choice(HESITATIONS)}"
        is_final = chance.random() < FINAL_MELODY[kind]
        pause_ms = min(LONGEST_PAUSE_MS, max(SHORTEST_PAUSE_MS, usual_ms * math.exp(chance.gauss(0, 0.55))))
        melody = (last_mark if kind == "end" else ".") if is_final else ","
        clauses.append(Clause(text, kind, melody, 0.0 if kind == "end" else round(pause_ms, 1)))
    return Turn(tuple(clauses))


def _joined(parts: Sequence[str], pauses: int, chance: random.Random) -> list[tuple[str, str]]:
    """Texts and the marks after them, with at most so many of the marks kept."""
    places = range(1, len(parts), 2)
    kept = set(chance.sample(list(places), min(pauses, len(places))))
    found: list[tuple[str, str]] = []
    text = parts[0]
    for place in places:
        if place in kept:
            found.append((text, parts[place]))
            text = parts[place + 1]
        else:
            text = f"{text} {parts[place + 1]}"
    return [*found, (text, "")]


# --- what the recogniser writes --------------------------------------------------------------------------------------


def written(conversation: Conversation, number: int, heard: Heard, at: Samples) -> Written:
    """What it makes of this turn up to `at`: late, with errors, and with full stops where it believes in them."""
    chance = random.Random(f"{conversation.seed} {number} {at}")
    vocabulary = _vocabulary(conversation)
    text = ""
    for clause, start, end in zip(
        conversation.turns[number].clauses, heard.clause_starts, heard.clause_ends, strict=True
    ):
        if start >= at:
            break
        words = clause.words.split()
        share = min(1.0, (at - start + samples_from_ms(60)) / (end - start))
        said = words[: max(1, round(share * len(words)))]
        kind = clause.kind if len(said) == len(words) else "hanging"
        text += " " + " ".join(_misheard(said, conversation.error, vocabulary, chance))
        if conversation.punctuates:
            text += _mark(kind, clause, chance)
    is_lost = chance.random() < LOST
    delay_ms = conversation.delay_ms * math.exp(chance.gauss(0, DELAY_SPREAD))
    text = text.strip()
    text = text[:1].upper() + text[1:] if conversation.punctuates else text.lower()
    return Written(text, None if is_lost else delay_ms)


def _mark(kind: str, clause: Clause, chance: random.Random) -> str:
    if chance.random() < FULL_STOPS[kind]:
        return "?" if clause.mark == "?" and kind == "end" else "."
    return chance.choice(("", ",", "...") if kind == "hanging" else ("", ","))


def _misheard(words: Sequence[str], error: float, vocabulary: Sequence[str], chance: random.Random) -> Iterator[str]:
    for place, word in enumerate(words):
        is_last = place == len(words) - 1  # its end is cut off, and nothing that follows helps
        if chance.random() >= error * (2 if is_last else 1):
            yield word
            continue
        match chance.choices(("other", "nothing", "more"), (0.6, 0.25, 0.15))[0]:
            case "other":
                yield chance.choice(vocabulary)
            case "more":
                yield word
                yield chance.choice(vocabulary)
            case _:
                pass


def _vocabulary(conversation: Conversation) -> list[str]:
    return sorted({word for turn in conversation.turns for clause in turn.clauses for word in clause.words.split()})


# --- how it sounds ---------------------------------------------------------------------------------------------------


def sounds(found: Sequence[Conversation]) -> Iterator[tuple[Pcm16, tuple[Samples, ...], tuple[Samples, ...]]]:
    """Each turn at 24 kHz, and where its clauses begin and end."""
    requests = [
        [each.voice, each.words_per_minute, each.pitch, clause.words + clause.mark]
        for each in found
        for turn in each.turns
        for clause in turn.clauses
    ]
    spoken = _spoken(requests)
    for each in found:
        chance = np.random.default_rng(each.seed)
        for turn in each.turns:
            yield _placed(each, turn, [next(spoken) for _ in turn.clauses], chance)


def _spoken(requests: Sequence[Sequence[object]]) -> Iterator[Pcm]:
    """Each clause at 24 kHz, without the silence around it."""
    done = subprocess.run([sys.executable, RENDERER], input=json.dumps(requests).encode(), capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    rate, *_ = LENGTH.unpack_from(done.stdout)
    place = LENGTH.size
    for _ in requests:
        (length,) = LENGTH.unpack_from(done.stdout, place)
        place += LENGTH.size + length
        said: Pcm = np.frombuffer(done.stdout[place - length : place], "<i2").astype(np.float32) / np.float32(32_768)
        pcm = resampled(said, rate, WIRE_RATE)
        loud = np.flatnonzero(np.abs(pcm) > SPEECH_END * np.abs(pcm).max())
        yield pcm[loud[0] : loud[-1] + 1]


def _placed(
    each: Conversation, turn: Turn, spoken: Sequence[Pcm], chance: np.random.Generator
) -> tuple[Pcm16, tuple[Samples, ...], tuple[Samples, ...]]:
    starts, ends, place = [], [], samples_from_ms(LEAD_MS)
    for clause, pcm in zip(turn.clauses, spoken, strict=True):
        starts.append(place)
        ends.append(place + pcm.size)
        place += pcm.size + samples_from_ms(clause.pause_ms)
    speech = np.zeros(ends[-1] + samples_from_ms(TAIL_MS), np.float32)
    for start, pcm in zip(starts, spoken, strict=True):
        speech[start : start + pcm.size] = pcm
    loudness = math.sqrt(float(np.mean(np.square(np.concatenate(spoken)))))
    noise = _noise(each.noise, speech.size, spoken, chance) * loudness * 10 ** (-each.snr_db / 20)
    sound = (speech + noise) * (0.07 / loudness) * 10 ** (each.gain_db / 20)
    return int16_from_float(np.clip(sound, -1, 1).astype(np.float32)), tuple(starts), tuple(ends)


def _noise(kind: str, size: int, spoken: Sequence[Pcm], chance: np.random.Generator) -> Pcm:
    """With a mean square of 1."""
    match kind:
        case "hum":
            moment = np.arange(size) / WIRE_RATE
            noise = np.sign(np.sin(2 * np.pi * 100 * moment)) + chance.normal(size=size)
        case "babble":  # many voices: speech laid over itself, backwards too, until no word is left
            voice = np.concatenate(spoken)
            noise = np.zeros(size)
            for number in range(12):
                one = np.roll(voice, int(chance.integers(voice.size)))[:: 1 if number % 2 else -1]
                noise += np.resize(one, size)
        case _:  # pink
            spectrum = np.fft.rfft(chance.normal(size=size))
            spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size), 20 * size / WIRE_RATE))
            noise = np.fft.irfft(spectrum, size)
    return np.asarray(noise / math.sqrt(float(np.mean(np.square(noise)))), np.float32)


# --- what is heard of it ---------------------------------------------------------------------------------------------


def heard(found: Sequence[Conversation], cache: Path | None) -> list[list[Heard]]:
    """Each conversation's turns through the server's own ear. Kept in the folder `cache`, by all that it depends on."""
    name = hashlib.sha256(msgspec.json.encode(found) + _sources()).hexdigest()[:24]
    path = cache / f"endpointing-{name}.json" if cache is not None else None
    if path is not None and path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=list[list[Heard]])
    turns: list[Heard] = []
    for start in range(0, len(found), AT_ONCE // TURNS):
        turns += run(_listened(list(sounds(found[start : start + AT_ONCE // TURNS]))))
    grouped = [turns[start : start + TURNS] for start in range(0, len(turns), TURNS)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(grouped))
    return grouped


def _sources() -> bytes:
    ears = (edges, gate, hub, prosody, stream, windows)
    files = [Path(__file__), RENDERER, *(Path(str(ear.__file__)) for ear in ears)]
    return b"".join(file.read_bytes() for file in files)


async def _listened(spoken: list[tuple[Pcm16, tuple[Samples, ...], tuple[Samples, ...]]]) -> list[Heard]:
    events: list[list[HearingEvent | HearingFailed]] = [[] for _ in spoken]
    ear = HearingHub(SileroVad(), InPlace(), gates=True)  # as the server does
    streams = [ear.open(each.append) for each in events]
    for one, (pcm, *_) in zip(streams, spoken, strict=True):
        one.append(pcm, 0.0)
    for one in streams:
        await one.caught_up()
    await ear.close()
    return [_as_heard(pcm, starts, ends, told) for (pcm, starts, ends), told in zip(spoken, events, strict=True)]


def _as_heard(
    pcm: Pcm16, starts: tuple[Samples, ...], ends: tuple[Samples, ...], told: list[HearingEvent | HearingFailed]
) -> Heard:
    events = tuple(event for event in told if not isinstance(event, HearingFailed))
    if len(events) != len(told):
        raise SystemExit("the voice detector failed: see the log")
    melodies = tuple(
        prosody.measured(pcm[max(0, event.at - prosody.SPAN) : event.at], event.at)
        for event in events
        if isinstance(event, VoicePaused)
    )
    return Heard(ends[-1], ends, starts, events, melodies)
