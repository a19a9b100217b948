"""How long an answer takes, stage by stage: one caller, one server, a real WebSocket between them.

    python bench/latency.py                20 turns, about two minutes

The caller speaks sentences of espeak-ng into the noise of a quiet room, in real time, in frames of 20 ms. The server
has a process and a core of its own. Its engines are scripted to take 50, 100 and 50 ms; what is over that is ours, and
is `added`: from the arrival of the message that completes the silence to the first audio, less those 200 ms. Moments
in the server are read off its trace, positions are samples of the caller's stream. Both processes have one clock. In
the server it has uvloop's grain of 1 ms; the caller's own measure at the end has not.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from msgspec import Struct

from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds
from antiphon.hearing.edges import WINDOW
from antiphon.hearing.windows import cutter_for
from antiphon.observe.timeline import Turn
from antiphon.session import inputs, trace
from antiphon.testing.caller import FRAME, Caller, Event
from common import (
    CALLER_CORE,
    LLM_MS,
    SCRIPTED_MS,
    STT_MS,
    TTS_MS,
    Server,
    Wish,
    arguments_of,
    machine,
    percentiles,
    pin,
    server,
    speech,
)

SENTENCES = (
    "what time is it",
    "what is twelve times seven",
    "please tell me about the weather in the mountains",
    "how do I get to the station",
    "could you read me the first message",
    "set an alarm for half past six",
    "who wrote that book",
    "is there any milk left",
    "turn the lights off in the kitchen",
    "good morning",
)
SILENCE_MS = 500  # the protocol's default
PER_MS = WIRE_RATE / 1000
REACH: Samples = cutter_for(WIRE_RATE, 512).reach


class Spoken(Struct, frozen=True):
    """One turn as the caller knows it."""

    end: Samples
    """Where in the stream the speech ended."""
    end_sent: Seconds
    """When a microphone would have had that sample: the sending of its frame, less what followed it in the frame."""
    answer_came: Seconds


class Pause(Struct, frozen=True):
    """The silence that ended a turn, as the detector told it."""

    at: Samples
    heard: Samples
    arrived: Seconds


def is_first_audio(event: Event) -> bool:
    return bool(event["type"] == "response.output_audio.delta")


def is_end(event: Event) -> bool:
    return bool(event["type"] == "response.done")


async def converse(url: str, sentences: list[Pcm16], turns: int) -> list[Spoken]:
    """Say them one after the other, each when the answer to the one before was heard."""
    spoken, chance = [], random.Random(1)
    async with Caller(url) as caller:
        await asyncio.sleep(1.0)
        for number in range(turns):
            # Speech must not end in step with frames and windows, or all turns would be the same one.
            lead_in = np.zeros(chance.randrange(2 * WINDOW), np.int16)
            sentence = np.concatenate((lead_in, sentences[number % len(sentences)]))
            began, since = len(caller.said) * FRAME, len(caller.events)
            last_sent = await caller.say(sentence)
            frames_end = began + -(-sentence.size // FRAME) * FRAME
            end = began + sentence.size
            came, _ = await caller.wait_for(is_first_audio, since=since)
            spoken.append(Spoken(end, last_sent - (frames_end - end) / WIRE_RATE, came))
            await caller.wait_for(is_end, since=since)
            await caller.until_quiet()
            await asyncio.sleep(0.3)
    return spoken


def pauses(folder: Path) -> dict[Seconds, Pause]:
    """By when the message came that completed each: the pauses in a trace, at every length that they had."""
    found: dict[Seconds, Pause] = {}
    voice_end: Samples = 0
    for path in folder.iterdir():
        with path.open("rb") as lines:
            for step in trace.read(lines):
                match step:
                    case trace.Step(input=inputs.VoicePaused(at=at)):
                        voice_end = at
                    case trace.Step(input=inputs.SilenceTick(heard=heard, arrived=arrived)):
                        found[arrived] = Pause(voice_end, heard, arrived)
                    case _:
                        pass
    return found


def stages(spoken: Spoken, turn: Turn, pause: Pause) -> dict[str, float]:
    """Length of each stage of one turn in ms. Up to the last but two, they follow each other without a gap."""
    assert turn.silence_complete is not None
    assert turn.committed is not None
    assert turn.transcript is not None
    assert turn.first_token is not None
    assert turn.first_clause is not None
    assert turn.first_audio is not None
    message_end = -(-(pause.heard + REACH) // FRAME) * FRAME
    message_sent = spoken.end_sent + (message_end - spoken.end) / WIRE_RATE
    return {
        "detector's tail: end of speech to end of the last voiced window": (pause.at - spoken.end) / PER_MS,
        f"silence asked for: {SILENCE_MS} ms": SILENCE_MS,
        "whole windows of 32 ms": (pause.heard - pause.at) / PER_MS - SILENCE_MS,
        "whole messages of 20 ms, and 1.5 ms of resampler": (message_end - pause.heard) / PER_MS,
        "way in: microphone to server": (pause.arrived - message_sent) * 1000,
        "hearing and end of turn": (turn.committed - turn.silence_complete) * 1000,
        f"recogniser, over its {STT_MS} ms": (turn.transcript - turn.committed) * 1000 - STT_MS,
        f"model to first token, over its {LLM_MS} ms": (turn.first_token - turn.transcript) * 1000 - LLM_MS,
        "first clause": (turn.first_clause - turn.first_token) * 1000,
        f"voice to first audio, over its {TTS_MS} ms": (turn.first_audio - turn.first_clause) * 1000 - TTS_MS,
        "way out: server to ear": (spoken.answer_came - turn.first_audio) * 1000,
        ADDED: (turn.first_audio - turn.silence_complete) * 1000 - SCRIPTED_MS,
        VOICE_TO_VOICE: (spoken.answer_came - spoken.end_sent) * 1000,
    }


ADDED = "ADDED by the server"
VOICE_TO_VOICE = "VOICE TO VOICE, by the caller"


async def measure(turns: int, folder: Path) -> list[dict[str, float]]:
    sentences = await speech(SENTENCES)
    one: Server
    async with server(Wish(trace=str(folder))) as one:
        spoken = await converse(one.url, sentences, turns)
        answered = (await one.report()).turns
    if len(answered) != len(spoken):
        raise SystemExit(f"{len(spoken)} sentences made {len(answered)} turns: no figure can be trusted")
    silences = pauses(folder)
    return [
        stages(said, turn, silences[turn.silence_complete or 0]) for said, turn in zip(spoken, answered, strict=True)
    ]


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    pin(CALLER_CORE)
    print(machine())
    with TemporaryDirectory(prefix="antiphon-latency-") as folder:
        found = asyncio.run(measure(options.turns, Path(folder)))
    print(f"{options.turns} turns, ms{'p50':>66}{'p95':>8}")
    for name in found[0]:
        print(f"{name:<68}{percentiles([turn[name] for turn in found])}")


if __name__ == "__main__":
    main()
