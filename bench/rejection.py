"""How well PocketSphinx tells the assistant's requests from everything else, measured through the real engine.

    python bench/rejection.py                     the held-out set, with a table of misses
    python bench/rejection.py --tuning            the set that thresholds are chosen on

Sentences are said by espeak-ng. The tuning set has its own sentences and voices; thresholds are chosen on it and never
on the held-out one. A sentence inside the grammar counts as right when the assistant would do exactly what was
asked; one outside counts as accepted when the assistant would do anything at all. Speech of people is not in it:
there is none here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import struct
import subprocess
import sys
import time
import wave
from collections import defaultdict
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np
import soxr
from msgspec import Struct

from antiphon.audio.units import HEARING_RATE, Pcm
from antiphon.engines.api import LlmRequest, SttRequest, Transcript, UserSaid
from antiphon.engines.llm.assistant import UNKNOWN, Call, answer_to
from antiphon.engines.llm.assistant.intents import INTENTS, SLOTS
from antiphon.engines.stt.pocketsphinx import PocketSphinx
from antiphon.tools.builtin import builtin_tools

RENDERER = Path(__file__).with_name("espeak_render.py")
LENGTH = struct.Struct("<I")
TOOLS = tuple(tool.spec for tool in builtin_tools(Path("unused.sqlite")))


class Voice(Struct, frozen=True):
    """A voice of espeak-ng, and how it speaks; "en" is British."""

    name: str
    words_per_minute: int = 160
    pitch: int = 50


TUNING_VOICES = (Voice("en-us"), Voice("en-us+f1", 150, 60), Voice("en+m1", 170), Voice("en-us+m4", 145, 40))
HELD_OUT_VOICES = (
    Voice("en-us+f2", 160, 55),
    Voice("en-us+m3", 150, 45),
    Voice("en", 165),
    Voice("en+f4", 175, 60),
    Voice("en-us+m7", 140, 35),
    Voice("en-us+f5", 180, 65),
)

TUNING_OUTSIDE = """
what is the price of bread | add a comment to my document | set the table for dinner | how much is the fish
what time does the train leave | tell me the truth | the weather is nice today | i went to the cinema last night
my brother lives in chicago | could we meet on thursday | where did you put the keys | it was twenty years ago
open the window | turn on the lights | play some music | call my mother | yes | no | maybe | banana | elephant
what is twelve | add milk | convert | the list is long | remove your shoes | clear the table | cancel the meeting
stop the car | what day is the party | hello world this is a test | i am very hungry | good idea | thank god it is
friday what do you think about politics | how many people live in london | how much time do we have for lunch
she said that again and again | tell me a story about a dragon | what is your name | who are you
set an alarm for seven | remind me to buy flowers | send a message to peter | put your coat on the chair
the quick brown fox jumps over the lazy dog | to be or not to be that is the question | i would like a cup of coffee
read the newspaper | what's on television tonight | how are the children | good luck with your exam | see what happens
start the engine | wake up early tomorrow | what can we do about it | help yourself to some cake | five hundred miles
what is the meaning of life | divide and conquer | times are changing | we need more time | repeat after me
""".strip()

OUTSIDE = """
what is the price of milk | what is the capital of france | add some salt to the soup | put the milk in the fridge
how much does a ticket cost | what time is the next bus | tell me the score | tell me a joke
the meeting was moved to monday | i have lost my umbrella | my sister plays the piano | could you open the door
where is the nearest hospital | he was born in nineteen eighty | close the curtains | turn off the radio
play the next song | call a taxi | okay | sure | never | giraffe | potato salad | umbrella | wonderful
set the volume to ten | set a new record | start the washing machine | wake the neighbours | cancel my subscription
stop talking | clear the snow from the driveway | remove the lid from the pot | delete the last message
take the dog for a walk | empty the dishwasher | empty the trash | read me a poem | read the instructions
what's in the news today | what is on the menu | what is on channel five | what day does school begin
what is the date of the wedding | what is the temperature outside | what's the matter with you
how many planets are there | how many days until christmas | how long is the movie | how long does it take to boil an
egg how much is the rent | how far is the moon | how old are you | how tall is the tower | good evening ladies and
gentlemen hello my name is robert | thank you for the flowers | thanks to your brother we won | goodbye my love goodbye
see you on saturday at nine | help is on the way | say hello to your parents | say that you love me
what can happen tomorrow | what did you buy at the market | what did the doctor say | repeat offenders are punished
i think it is going to rain | we should paint the kitchen yellow | the cat sleeps on the sofa
please send me the report before noon | my computer is very slow today | the bridge was closed for repairs
do you want to go for a swim | it costs more than i expected | the children are playing in the garden
she bought three pounds of apples | he ran ten miles yesterday | it is twenty degrees in the shade
the recipe needs two cups of flour | the bottle holds a liter of water | fifty percent of people agree
seven plus one equals eight of course | we waited for five minutes | the timer on the oven is broken
your list of demands is too long | my shopping bag is torn | bring bread and cheese to the picnic
the stock market fell sharply this morning | scientists discovered a new species of frog
the president will speak to the nation tonight | there is a spider in the bathroom
can i have the bill please | i do not believe a word of it | nobody knows what happened next
once upon a time there lived a king | all that glitters is not gold | a stitch in time saves nine
this is the best pizza in town | remember to water the plants | who wrote this book | why is the sky blue
where were you last summer | when does the store open | which way to the station | ask me later
order a large pepperoni pizza | book a flight to madrid | navigate to the airport | find my phone
let us talk about something else | that was a great performance | let me think about it
""".strip()


def phrases(block: str) -> list[str]:
    return [phrase.strip() for phrase in re.split(r"[|\n]", block) if phrase.strip()]


# --- sentences inside the grammar ------------------------------------------------------------------------------------


def inside(seed: int, each: int) -> list[str]:
    """Different sentences, `each` of every intent that has so many."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    for intent in INTENTS:
        made = {_sentence(chance.choice(intent.patterns), chance) for _ in range(20 * each)}
        found.update(dict.fromkeys(sorted(made, key=lambda text: (chance.random(), text))[:each]))
    return list(found)


def _sentence(pattern: str, chance: random.Random) -> str:
    """One of the sentences that a pattern has."""
    pattern = re.sub(r"<number>", lambda _: _number(chance), pattern)
    pattern = re.sub(r"<whole>", lambda _: _whole(chance), pattern)
    while slot := re.search(r"<(\w+)>", pattern):
        pattern = f"{pattern[: slot.start()]}({_sentence(SLOTS[slot[1]], chance)}){pattern[slot.end() :]}"
    while group := re.search(r"\(([^()\[\]]*)\)|\[([^()\[\]]*)\]", pattern):
        is_dropped = group[2] is not None and chance.random() < 0.5
        words = "" if is_dropped else chance.choice((group[1] or group[2]).split("|"))
        pattern = pattern[: group.start()] + words + pattern[group.end() :]
    return " ".join(chance.choice(pattern.split("|")).split())


ONES = "one two three four five six seven eight nine".split()  # noqa: SIM905
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905


def _number(chance: random.Random) -> str:
    return f"{chance.choice(ONES)} point {chance.choice(ONES)}" if chance.random() < 0.15 else _whole(chance)


def _whole(chance: random.Random) -> str:
    """Mostly small ones, as people say them."""
    one, ten = chance.choice(ONES), chance.choice(TENS)
    return chance.choice((one, one, one, chance.choice(TEENS), ten, f"{ten} {one}", f"{one} hundred"))


# --- sound -----------------------------------------------------------------------------------------------------------


def said(lines: Iterable[tuple[str, Voice]]) -> list[Pcm]:
    """Each sentence in its voice, at 16 kHz."""
    requests = [(voice.name, voice.words_per_minute, voice.pitch, text) for text, voice in lines]
    done = subprocess.run([sys.executable, RENDERER], input=json.dumps(requests).encode(), capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    rate, *_ = LENGTH.unpack_from(done.stdout)
    place, sounds = LENGTH.size, []
    for _ in requests:
        (length,) = LENGTH.unpack_from(done.stdout, place)
        place += LENGTH.size + length
        sounds.append(_heard(done.stdout[place - length : place], rate))
    return sounds


def _heard(sound: bytes, rate: int) -> Pcm:
    pcm = np.frombuffer(sound, "<i2").astype(np.float32) / 32_768
    resampled: Pcm = soxr.resample(pcm, rate, HEARING_RATE)
    return resampled


def bursts(count: int, seed: int) -> list[Pcm]:
    """Coughs, knocks, hum and hiss: sounds without words, 0.3 to 1.5 s."""
    chance = np.random.default_rng(seed)
    sounds = []
    for number in range(count):
        length = round(chance.uniform(0.3, 1.5) * HEARING_RATE)
        moment = np.arange(length) / HEARING_RATE
        noise = chance.normal(size=length)
        match number % 4:
            case 0:  # a cough: noise in a few bursts, low in pitch
                shape = sum(np.exp(-np.abs(moment - at) / 0.05) for at in chance.uniform(0.1, moment[-1], 2))
                sound = np.convolve(noise, np.ones(12) / 4, "same") * shape
            case 1:  # knocks on a table
                shape = sum(np.where(moment > at, np.exp(-(moment - at) / 0.02), 0) for at in (0.05, 0.2, 0.35))
                sound = np.sin(2 * np.pi * 180 * moment) * shape + 0.1 * noise * shape
            case 2:
                sound = 0.3 * np.sign(np.sin(2 * np.pi * 100 * moment)) + 0.1 * noise
            case _:
                sound = 0.3 * noise
        sounds.append((0.2 * sound).clip(-1, 1).astype(np.float32))
    return sounds


# --- measuring -------------------------------------------------------------------------------------------------------


class Case(Struct, frozen=True):
    """A sound, and what it is. `text` is empty for a sound without words."""

    text: str
    voice: str
    is_inside: bool
    pcm: Pcm


class Outcome(Struct, frozen=True):
    case: Case
    heard: str
    is_good: bool
    took_ms: float


def cases(*, tuning: bool, each: int = 8) -> list[Case]:
    """The whole set; voices take turns."""
    voices = TUNING_VOICES if tuning else HELD_OUT_VOICES
    avoided = set(inside(1, each)) if not tuning else set()
    within = [text for text in inside(1 if tuning else 2, each) if text not in avoided or len(text.split()) < 6]
    outside = phrases(TUNING_OUTSIDE if tuning else OUTSIDE)
    lines = [(text, True) for text in within] + [(text, False) for text in outside]
    turns = [(text, voice, is_inside) for (text, is_inside), voice in zip(lines, cycle(voices), strict=False)]
    sounds = said((text, voice) for text, voice, _ in turns)
    found = [
        Case(text, voice.name, is_inside, pcm) for (text, voice, is_inside), pcm in zip(turns, sounds, strict=True)
    ]
    return found + [Case("", "noise", False, pcm) for pcm in bursts(12, 1 if tuning else 2)]


def meant(text: str) -> str | Call:
    """What the assistant would do."""
    return answer_to(LlmRequest((UserSaid(text),), tools=TOOLS)) if text else UNKNOWN


async def measured(engine: PocketSphinx, case: Case) -> Outcome:
    began = time.perf_counter()
    async for event in engine.transcribe(case.pcm, SttRequest("en")):
        if isinstance(event, Transcript):
            took_ms = 1000 * (time.perf_counter() - began)
            answer = meant(event.text)
            is_good = answer == (meant(case.text) if case.is_inside else UNKNOWN)
            return Outcome(case, event.text, is_good, took_ms)
    raise SystemExit("no transcript")


async def all_measured(found: list[Case]) -> list[Outcome]:
    engine = PocketSphinx()
    try:
        await engine.warm()
        return [await measured(engine, case) for case in found]
    finally:
        await engine.close()


def altered(found: list[Case], gain_db: float, noise_dbfs: float | None) -> list[Case]:
    """The same, louder or quieter, with noise."""
    chance = np.random.default_rng(3)
    changed = []
    for case in found:
        pcm = case.pcm * 10 ** (gain_db / 20)
        if noise_dbfs is not None:
            pcm = pcm + 10 ** (noise_dbfs / 20) * chance.normal(size=pcm.size)
        changed.append(Case(case.text, case.voice, case.is_inside, pcm.clip(-1, 1).astype(np.float32)))
    return changed


def report(outcomes: list[Outcome]) -> None:
    """A line for each voice, the misses, and how long it took."""
    groups: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.case.voice].append(outcome)
    print(f"{'voice':14} {'inside right':>16} {'outside accepted':>18}")
    for name, group in (*groups.items(), ("all", outcomes)):
        within = [o.is_good for o in group if o.case.is_inside]
        outside = [not o.is_good for o in group if not o.case.is_inside]
        print(f"{name:14} {_share(within):>16} {_share(outside):>18}")
    for o in outcomes:
        if not o.is_good:
            print(f"  {'in ' if o.case.is_inside else 'out'} {o.case.voice:10} {o.case.text!r} -> {o.heard!r}")
    for kind, chosen in (("inside", True), ("outside", False)):
        if not any(o.case.is_inside is chosen for o in outcomes):
            continue
        took = sorted(o.took_ms for o in outcomes if o.case.is_inside is chosen)
        length = median(o.case.pcm.size / HEARING_RATE for o in outcomes if o.case.is_inside is chosen)
        late = took[int(0.95 * len(took))]
        print(f"{kind}: median {median(took):.0f} ms, 95 % within {late:.0f} ms; {length:.1f} s of sound")


def _share(flags: list[bool]) -> str:
    return f"{sum(flags)}/{len(flags)} {100 * sum(flags) / len(flags):.1f} %" if flags else "-"


def from_file(path: Path) -> Case:
    """A recording of 16-bit mono sound, which is none of our sentences."""
    with wave.open(str(path)) as file:
        return Case(path.name, "file", False, _heard(file.readframes(file.getnframes()), file.getframerate()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--gain-db", type=float, default=0.0)
    parser.add_argument("--noise-dbfs", type=float)
    parser.add_argument("--file", type=Path, action="append", default=[])
    options = parser.parse_args()
    found = [from_file(path) for path in options.file] or cases(tuning=options.tuning)
    report(asyncio.run(all_measured(altered(found, options.gain_db, options.noise_dbfs))))


if __name__ == "__main__":
    main()
