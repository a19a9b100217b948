"""How well PocketSphinx tells the assistant's requests from everything else, measured through the real engine.

    python bench/rejection.py                     the held-out set, with a table of misses
    python bench/rejection.py --voices british    the same in voices that the model is not made for
    python bench/rejection.py --answers           how well a yes and a no are told apart, and from everything else
    python bench/rejection.py --limits            the tuning set at different limits of doubt (several minutes)

Sentences are said by espeak-ng. The tuning set has its own sentences; limits are chosen on it and never on
the held-out one. A sentence inside the grammar counts as right when the assistant would do exactly what was
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
from antiphon.engines.llm.assistant.intents import ANSWERS, INTENTS, SLOTS
from antiphon.engines.stt.pocketsphinx import PocketSphinx
from antiphon.engines.stt.pocketsphinx_sound import pitch_of, prepared
from antiphon.engines.stt.pocketsphinx_worker import OF_A_REQUEST, Doubt, Limits, Recogniser, doubt_about
from antiphon.session.consent import consent_in
from antiphon.tools.builtin import builtin_tools

RENDERER = Path(__file__).with_name("espeak_render.py")
LENGTH = struct.Struct("<I")
TOOLS = tuple(tool.spec for tool in builtin_tools(Path("unused.sqlite")))


class Voice(Struct, frozen=True):
    """A voice of espeak-ng, and how it speaks; "en" is British."""

    name: str
    words_per_minute: int = 160
    pitch: int = 50


TUNING_VOICES = (
    Voice("en-us"), Voice("en-us", 185, 55), Voice("en-us+f1", 150, 60), Voice("en-us+f2", 160, 55),
    Voice("en-us+f3", 165, 50), Voice("en-us+f4", 155, 55), Voice("en-us+f5", 180, 65), Voice("en-us+m1", 170),
    Voice("en-us+m1", 140, 35), Voice("en-us+m2", 155, 60), Voice("en-us+m3", 150, 45), Voice("en-us+m4", 145, 40),
    Voice("en-us+m5", 150, 45), Voice("en-us+m6", 160, 50), Voice("en-us+m7", 140, 35), Voice("en-us+m8", 150, 40),
    Voice("en-us+Alex"), Voice("en-us+Michael", 160, 45), Voice("en-us+max", 150), Voice("en-us+rob"),
    Voice("en-us+steph", 165, 55), Voice("en-us+Andy", 165, 45), Voice("en-us+john"), Voice("en-us+edward", 150, 45),
)  # fmt: skip
HELD_OUT_VOICES = (
    Voice("en-us", 150, 45), Voice("en-us", 170, 60), Voice("en-us+f1", 160, 50), Voice("en-us+f2", 170, 50),
    Voice("en-us+f3", 155, 45), Voice("en-us+f4", 165, 50), Voice("en-us+f5", 160, 50), Voice("en-us+m1", 160, 50),
    Voice("en-us+m2", 165, 50), Voice("en-us+m3", 160, 55), Voice("en-us+m4", 160, 50), Voice("en-us+m5", 160, 55),
    Voice("en-us+m6", 170, 45), Voice("en-us+m7", 160, 50), Voice("en-us+m8", 160, 50),
)  # fmt: skip
"""All of espeak-ng's numbered American voices, at other speeds and pitches than in the tuning set."""
ODD_VOICES = (
    Voice("en-us+Alicia", 155, 55), Voice("en-us+linda", 165, 60), Voice("en-us+anika", 160, 55),
    Voice("en-us+Annie", 160, 50), Voice("en-us+Gene", 160, 50), Voice("en-us+victor", 160, 50),
)  # fmt: skip
"""For information: named ones, several of which sound like nobody."""
BRITISH_VOICES = (Voice("en", 165), Voice("en+f4", 160, 60), Voice("en+m1", 170), Voice("en-gb-scotland", 160))
"""For information: the model is of American English."""

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

TUNING_OUTSIDE += (
    " | "
    + """
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
)


NEAR = """
what is the {n} of the {m} | what is your {a} {n} | what's in the {n} | what time does the {n} open
what day is the {n}
how many {n}s are in the {m} | how much was the {a} {n} | how much time did the {n} take | how long is the {n}
tell me about the {n} | set the {n} on the {m} | start the {n} | stop the {n} | cancel the {n} | add the {n} to the {m}
put the {n} on the {m} | take the {n} from the {m} | remove the {n} from the {m} | delete the {n} | read me the {a} {n}
clear the {n} | empty the {n} | say the {n} again | repeat the {n} | wake the {n} | wake me before the {n}
convert the {n} into a {m} | calculate the {n} | good {n} | hello {n} | thank the {n} | see the {n} later | help the {n}
i want to see the {n} tomorrow | the {a} {n} was near the {m} | a {n} | my {n} is {a} | it was the {a} {n} again
there are five {n}s on the {m} | my number is two seven nine | ten of the {n}s are {a} | the {n} costs six hundred
"""
"""Sentences that begin like the assistant's own: the tuning set has each several times, with other nouns."""
NOUNS = """weather dinner garden window telephone story kitchen school bridge station doctor letter question market
island summer paper village camera football mountain engine teacher blanket hospital computer ticket umbrella sandwich
holiday concert river basket museum airport birthday""".split()  # noqa: SIM905
ADJECTIVES = "old heavy beautiful difficult yellow quiet strange famous dirty expensive hungry nervous".split()  # noqa: SIM905

TUNING_OUTSIDE += (
    " | "
    + """
what is the way to the harbour | what is the secret | what is so funny | what's wrong with the printer | what's cooking
what time should we leave | what time did you get up | what day would suit you | what day were they married
what did the neighbours say | what did she buy | what can we do about the noise | what is your favourite colour
how much does the blue one cost | how much longer must we wait | how many people came to the party
how many eggs do you need | how long have you lived here | how are your parents | how are we getting home
tell me where it hurts | tell me your address | tell them the truth | calculate the risk
convert the attic into a bedroom
set the table please | set the alarm clock | set off at dawn | start the music | start over | start with the easy ones
stop it | stop the bus | stop the fight | cancel the flight | cancel my appointment | wake up | wake me when we arrive
add some pepper | add your name to the petition | put the kettle on | put it back on the shelf | put on your shoes
take a seat | take the second street on the left | take it off | remove the old wallpaper | remove your hat
delete that photograph | delete all my messages | read the letter | read between the lines | read my palm
clear the road | clear your throat | empty your pockets | empty the bucket | say something | say cheese
say goodbye to her
repeat the question | repeat it slowly | help is coming | help yourself | help me carry this suitcase
hello old friend | good heavens | good luck | good boy | thank goodness | thank your mother | thanks to the rain
see you in court | see if it works | goodbye cruel world | night after night | morning has broken
left or right | seven dwarfs | nine lives | ten to one | forty winks | two of a kind | five pounds of potatoes
a hundred reasons | three blind mice | eight days a week | the list of guests | the timer went off too early
my shopping bag | milk and honey | bread crumbs | a cup of tea | salt water | an apple a day | soap bubbles
we walked along the beach until sunset | nobody answered the door | the soup was much too salty
i forgot my password again | she plays chess with her grandfather | the train was late because of the snow
he painted the fence green | our cat had four kittens | they moved to another city | the lights went out at midnight
please close the door behind you | could you speak more slowly | where can i buy a stamp | who left the window open
why are you laughing | when is the next full moon | which of these is yours | is there a pharmacy near here
do you have a pencil | are you coming with us | was that thunder | have you seen my glasses
turn down the heating | call the plumber | order two pizzas | play it again | open the garage | lock the front door
send him a postcard | find a hotel in rome | show me the photos | look at the stars | listen to the birds
perhaps | absolutely | yesterday | crocodile | rhubarb | basketball | certainly not | of course | no way | excuse me
""".strip()
)


OUTSIDE = """
what is the matter with him | what is your shoe size | what is under the bed | what's for dessert | what's his excuse
what time did it happen | what time shall we meet | what day did you arrive | what year is it | what did you dream about
what can you see | what can possibly go wrong | what a lovely dress | what on earth happened | what if it rains
how much luggage do you have | how much sleep did you get | how many rooms are there | how many sisters do you have
how long will you stay | how are things at work | how did you know | how far is the beach | tell me a secret
tell me about yourself | tell him to wait outside | calculate your chances | convert your savings into gold
set a trap for the mouse | set the dog free | set the record straight | start a new chapter | start running
start the dishwasher | stop pulling my hair | stop here please | stop at the corner | cancel the newspaper
cancel all the meetings | wake my sister | wake up the baby | add a little more sugar | add water and stir
put your hands up | put some ice on it | put the bags in the trunk | take care of yourself | take an umbrella with you
take the lift to the top floor | remove the stain with vinegar | remove the batteries first
delete the second paragraph
read a book to the children | read it aloud | read the sign | clear skies tonight | clear away the dishes
empty the fridge | an empty room | say your prayers | say it in french | repeat the exercise | repeat as needed
help me find my keys | help the old lady across the road | hello from the other side | good riddance
good morning vietnam
thank your lucky stars | thanks for nothing | see you around | see what you have done | goodbye yellow brick road
one of these days | two wrongs make a right | three cheers for the winner | four seasons | a dozen roses
seventeen people were injured | he is eighty five years old | fifty shades of blue | nine tenths of the law
a quarter past six | half a million | the second floor | wait a minute | in an hour or so | any minute now
my list of wishes | the price list | cheese and crackers | chicken soup | a glass of orange juice | rice pudding
candles on the cake | coffee break | bananas are cheap this week | the butter is too hard | no more beer for me
the ship sails at midnight | our neighbours have a new puppy | i lost my wallet on the bus | she is allergic to cats
the exam was easier than expected | they are building a new stadium | he never listens to me | the well has run dry
it snowed all night long | grandmother baked a cherry pie | the elevator is out of order | we missed the last ferry
can i try this on | could you take our picture | do you believe in ghosts | did anyone call for me
where is the bathroom
when did you last see a dentist | who ate my porridge | why is the baby crying | whose coat is this
bring me the hammer | call an ambulance | fetch some firewood | follow the signs | forget about it | hurry up
lower the volume | mow the lawn | pass the salt | pay the bill | skip this song | switch off the oven | wash the car
definitely | nonsense | tomato | hippopotamus | saturday | holiday | never mind | so what | oh dear | right away
""".strip()


def phrases(block: str) -> list[str]:
    return [phrase.strip() for phrase in re.split(r"[|\n]", block) if phrase.strip()]


def near_misses(seed: int, each: int) -> list[str]:
    """Sentences made of `NEAR`, `each` of every pattern."""
    chance = random.Random(seed)
    return [
        pattern.format(n=chance.choice(NOUNS), m=chance.choice(NOUNS), a=chance.choice(ADJECTIVES))
        for pattern in phrases(NEAR) * each
    ]


# --- sentences inside the grammar ------------------------------------------------------------------------------------


def inside(seed: int, each: int) -> list[str]:
    """Different sentences, `each` of every intent that has so many."""
    chance = random.Random(seed)
    found: dict[str, None] = {}
    for intent in INTENTS:
        made = {_sentence(chance.choice(intent.patterns + intent.heard), chance) for _ in range(20 * each)}
        found.update(dict.fromkeys(sorted(made, key=lambda text: (chance.random(), text))[:each]))
    return list(found)


def _sentence(pattern: str, chance: random.Random) -> str:
    """One of the sentences that a pattern has."""
    pattern = re.sub(r"<number>", lambda _: _number(chance), pattern)
    pattern = re.sub(r"<whole>", lambda _: _whole(chance), pattern)
    pattern = re.sub(r"<few>", lambda _: _few(chance), pattern)
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
    return f"{chance.choice(ONES)} hundred" if chance.random() < 1 / 7 else _few(chance)


def _few(chance: random.Random) -> str:
    one, ten = chance.choice(ONES), chance.choice(TENS)
    return chance.choice((one, one, one, chance.choice(TEENS), ten, f"{ten} {one}"))


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


TUNING_SEEDS, HELD_OUT_SEED = (1, 2, 11, 12, 21, 22, 23, 31), 51


def tuning_cases() -> list[Case]:
    """What thresholds and settings are chosen on."""
    within = dict.fromkeys(text for seed in TUNING_SEEDS for text in inside(seed, 10))
    outside = phrases(TUNING_OUTSIDE) + near_misses(5, 5)
    return spoken([(text, True) for text in within] + [(text, False) for text in outside], TUNING_VOICES, 1)


def held_out_cases(voices: tuple[Voice, ...] = HELD_OUT_VOICES) -> list[Case]:
    """What is reported. Nothing is chosen by it: no outside sentence and no long inside one is in the tuning set."""
    known = {text for seed in TUNING_SEEDS for text in inside(seed, 10)}
    within = [text for text in inside(HELD_OUT_SEED, 9) if text not in known or len(text.split()) < 6]
    lines = [(text, True) for text in within] + [(text, False) for text in phrases(OUTSIDE)]
    return spoken(lines, voices, 2)


def spoken(lines: list[tuple[str, bool]], voices: tuple[Voice, ...], seed: int) -> list[Case]:
    """Every sentence in one of the voices, in an order that deals each voice some of everything, and noises."""
    random.Random(seed).shuffle(lines)
    turns = [(text, voice, is_inside) for (text, is_inside), voice in zip(lines, cycle(voices), strict=False)]
    sounds = said((text, voice) for text, voice, _ in turns)
    found = [
        Case(text, voice.name, is_inside, pcm) for (text, voice, is_inside), pcm in zip(turns, sounds, strict=True)
    ]
    return found + [Case("", "noise", False, pcm) for pcm in bursts(12, seed)]


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


def limits() -> None:
    """What share of the tuning set would be accepted at other limits. Decoders as in the worker, in this process."""
    recogniser = Recogniser()
    doubts: list[tuple[Case, Doubt | None, bool]] = []
    for case in tuning_cases():
        sound = prepared(case.pcm, pitch_of(case.pcm))
        words = recogniser.decode("requests", sound)
        doubt = doubt_about(words, recogniser.decode("phones", sound)) if words.text else None
        is_right = meant(words.text) == (meant(case.text) if case.is_inside else UNKNOWN)
        doubts.append((case, doubt, is_right))
    within = [(doubt, is_right) for case, doubt, is_right in doubts if case.is_inside]
    outside = [(doubt, is_right) for case, doubt, is_right in doubts if not case.is_inside]
    heard = sum(is_right for _, is_right in within) / len(within)
    print(f"{len(within)} inside, heard right {100 * heard:.1f} %; {len(outside)} outside")
    print(f"{'widest':>7} {'inside right':>13} {'outside accepted':>17}")
    for widest in range(14, 25):
        right = sum(is_right and _is_within(doubt, widest) for doubt, is_right in within) / len(within)
        accepted = sum(not is_right and _is_within(doubt, widest) for doubt, is_right in outside) / len(outside)
        print(f"{widest:7} {100 * right:11.1f} % {100 * accepted:15.1f} %")


def _is_within(doubt: Doubt | None, widest: float) -> bool:
    return doubt is not None and doubt.is_within(Limits(widest, OF_A_REQUEST.longest_stretch))


async def answers() -> None:
    """Every short answer in every held-out voice, and what else may be said when a yes is awaited."""
    lines = [(text, voice) for text in short_answers() for voice in HELD_OUT_VOICES]
    others = inside(HELD_OUT_SEED, 4) + phrases(OUTSIDE)
    lines += list(zip(others, cycle(HELD_OUT_VOICES), strict=False))
    taken: defaultdict[str, list[bool | None]] = defaultdict(list)
    engine = PocketSphinx()
    try:
        for (text, voice), pcm in zip(lines, said(lines), strict=True):
            async for event in engine.transcribe(pcm, SttRequest("en", awaits_consent=True)):
                assert isinstance(event, Transcript)
                wanted, found = consent_in(text, "en"), consent_in(event.text, "en")
                taken[KINDS_OF_ANSWER[wanted]].append(found)
                if found != wanted:
                    print(f"  {voice.name:10} {text!r} -> {event.text!r}")
    finally:
        await engine.close()
    print(f"{'said':6} {'as yes':>18} {'as no':>18} {'as neither':>18}")
    for kind, meanings in taken.items():
        shares = (_share([each is meaning for each in meanings]) for meaning in (True, False, None))
        print(f"{kind:6} " + " ".join(f"{share:>18}" for share in shares))


KINDS_OF_ANSWER = {True: "yes", False: "no", None: "else"}


def short_answers() -> list[str]:
    """All that the recogniser listens for."""
    chance = random.Random(1)
    return sorted({_sentence(pattern, chance) for pattern in ANSWERS for _ in range(20)})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limits", action="store_true")
    parser.add_argument("--answers", action="store_true")
    parser.add_argument("--voices", choices=("american", "british", "odd"), default="american")
    parser.add_argument("--gain-db", type=float, default=0.0)
    parser.add_argument("--noise-dbfs", type=float)
    parser.add_argument("--file", type=Path, action="append", default=[])
    options = parser.parse_args()
    if options.limits:
        limits()
        return
    if options.answers:
        asyncio.run(answers())
        return
    voices = {"american": HELD_OUT_VOICES, "british": BRITISH_VOICES, "odd": ODD_VOICES}[options.voices]
    found = [from_file(path) for path in options.file] or held_out_cases(voices)
    report(asyncio.run(all_measured(altered(found, options.gain_db, options.noise_dbfs))))


if __name__ == "__main__":
    main()
