"""What taking turns costs: how soon an answer comes after the person has stopped, and how soon it stops for them.

    python bench/turns.py                 both tables, about eight minutes
    python bench/turns.py --turns 40

**The wait.** Scripted engines take what the founding documents say: 100 ms to the transcript, 200 to the first token,
10 for each token, 150 to the first audio. Four ways to use them, all measured in this run:

- *sequential*: a second of silence, then the whole transcript, the whole answer and its whole sound, one after the
  other, as the documents describe what they found;
- *streamed*: their own improvement: half a second of silence, then each stage begins with the first of what the one
  before it gives, and the voice with the first sentence;
- Antiphon without and with answers that are prepared before their turn is over, over a real WebSocket.

The clock starts with the arrival of the message that completed the detector's last voiced window; how late that is
after the speech, and what whole windows and messages add, are rows of their own. The bound is what the engines'
delays and the silence allow: max(silence, start of preparation + recogniser + first token + first clause + voice).

**The interruption.** A caller speaks over a long answer. From the first sample of the voice, and from the message that
completed the first window over the threshold, to the moment from which no sound was sent; and from the interruption to
the end of the model's work.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from msgspec import Struct

from antiphon.audio.units import WIRE_RATE, Pcm16, Seconds
from antiphon.engines.api import LlmRequest, SttRequest, TextDelta, TtsRequest
from antiphon.engines.fake import FakeLlm, FakeStt, FakeTts
from antiphon.session import inputs, trace
from antiphon.session.clauses import ClauseSplitter
from antiphon.testing.caller import FRAME, Caller, Event
from common import CALLER_CORE, Server, Wish, arguments_of, machine, percentiles, pin, server, speech
from latency import converse, is_first_audio

STT_MS, STREAMED_STT_MS, LLM_MS, TOKEN_MS, TTS_MS = 100, 30, 200, 10, 150
SILENCE_MS, FOUND_SILENCE_MS, PREPARE_MS = 500, 1000, 160
ANSWER = "The next train to the coast leaves at nine. It takes two hours, and there is coffee on board."
STORY = "Once upon a time there was a fox who lived by the river and knew every stone of it. " * 12
SENTENCES = (
    "when does the next train leave",
    "what is twelve times seven",
    "how do I get to the station",
    "could you read me the first message",
    "who wrote that book",
)
LOUD = 0.02  # of an utterance's peak: where its voice begins
NEAR_S: Seconds = 0.2  # before its onset a voice may seem to be heard: frames are stamped when they are sent


# --- the ways that the founding documents know ------------------------------------------------------------------------


async def sequential(stt: FakeStt, llm: FakeLlm, tts: FakeTts) -> Seconds:
    """Each stage waits for the whole of the one before."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(FOUND_SILENCE_MS / 1000)
    async for _ in stt.transcribe(np.zeros(16_000, np.float32), SttRequest()):
        pass
    written = [event.text async for event in llm.write(LlmRequest(())) if isinstance(event, TextDelta)]
    async for _ in tts.speak("".join(written), TtsRequest("marin")):
        pass
    return loop.time() - began


async def streamed(stt: FakeStt, llm: FakeLlm, tts: FakeTts) -> Seconds:
    """Each stage starts with the first of what the one before it gives; the voice wants a whole sentence."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(SILENCE_MS / 1000)
    async for _ in stt.transcribe(np.zeros(16_000, np.float32), SttRequest()):
        pass
    sentence = ""
    async for event in llm.write(LlmRequest(())):
        if isinstance(event, TextDelta):
            sentence += event.text
            if sentence.rstrip().endswith((".", "!", "?")):
                break
    async for _ in tts.speak(sentence, TtsRequest("marin")):
        break
    return loop.time() - began


def clause_ms() -> float:
    """What the model takes from its first token to the end of the answer's first clause."""
    splitter = ClauseSplitter("en")
    words = ANSWER.split(" ")
    for number, word in enumerate(words):
        if list(splitter.feed(word + " ", number * TOKEN_MS / 1000)):
            return number * TOKEN_MS
    raise AssertionError("no clause in the answer")


# --- ours -------------------------------------------------------------------------------------------------------------


class Wait(Struct, frozen=True):
    """One turn of ours, in ms."""

    tail: float
    """End of speech to the end of the last voiced window."""
    waited: float
    """From the arrival of the message that completed that window to the first audio."""
    quantised: float
    """What whole windows and messages add to the bound."""
    over: float
    """What is left over the bound."""


def steps_of(folder: Path) -> list[trace.Step]:
    """The trace of the one session that was."""
    (path,) = folder.iterdir()
    with path.open("rb") as lines:
        return [step for step in trace.read(lines) if isinstance(step, trace.Step)]


def work_of(stt_ms: float) -> float:
    """What the engines take from when the words are asked for to the first audio, in ms."""
    return stt_ms + LLM_MS + clause_ms() + TTS_MS


def waits_of(steps: list[trace.Step], ends: list[Seconds], stt_ms: float, *, prepares: bool) -> list[Wait]:
    """One for each turn."""
    work_ms = work_of(stt_ms)
    found: list[Wait] = []
    voice_end = asked = complete = 0.0
    was_doubtful = False
    for step in steps:
        kinds = [output["type"] for output in step.outputs]
        match step.input:
            case inputs.VoicePaused(at=at, heard=heard, arrived=arrived):
                voice_end = arrived - (heard - at) / WIRE_RATE
                has_audio = was_doubtful = False
            case inputs.SilenceTick(arrived=arrived):
                if "audio_committed" in kinds:
                    complete = arrived
                    was_doubtful = prepares and "transcribe" in kinds
                if "transcribe" in kinds and not was_doubtful:
                    asked = arrived
            case _:
                pass
        if "audio_sent" in kinds and not has_audio:
            has_audio = True
            ideal_ms = max(SILENCE_MS, PREPARE_MS + work_ms) if prepares else SILENCE_MS + work_ms
            # After a doubt the words are recognised once more when the turn is over.
            earliest = max(complete + (stt_ms / 1000 if was_doubtful else 0), asked + work_ms / 1000)
            found.append(
                Wait(
                    tail=(voice_end - ends[len(found)]) * 1000,
                    waited=(step.at - voice_end) * 1000,
                    quantised=(earliest - voice_end) * 1000 - ideal_ms,
                    over=(step.at - earliest) * 1000,
                )
            )
    return found


async def measure_waits(turns: int, stt_ms: float, *, prepares: bool) -> tuple[list[Wait], int]:
    """The turns, and how many of their answers were prepared."""
    sentences = await speech(SENTENCES)
    with TemporaryDirectory(prefix="antiphon-turns-") as folder:
        wish = Wish(
            answer=ANSWER, stt_ms=stt_ms, llm_ms=LLM_MS, token_ms=TOKEN_MS, tts_ms=TTS_MS, trace=folder,
            prepare="always" if prepares else "never",
        )  # fmt: skip
        one: Server
        async with server(wish) as one:
            ends = [said.end_sent for said in await converse(one.url, sentences, turns)]
            prepared = sum(turn.was_prepared for turn in (await one.report()).turns)
        waits = waits_of(steps_of(Path(folder)), ends, stt_ms, prepares=prepares)
    if len(waits) != turns:
        raise SystemExit(f"{turns} sentences had {len(waits)} answers: no figure can be trusted")
    return waits, prepared


def show_wait(name: str, waited: list[float], bound: float) -> None:
    print(f"{name:<58}{percentiles(waited)}{bound:>9.0f}")


async def show_waits(turns: int) -> None:
    print(f"\n{'the wait, ms, of ' + str(turns) + ' turns each':<58}{'p50':>8}{'p95':>8}{'bound':>9}")
    for stt_ms, recogniser in ((STT_MS, "whole"), (STREAMED_STT_MS, "streaming")):
        engines = (
            FakeStt("hello", stt_ms / 1000), FakeLlm(ANSWER, LLM_MS / 1000, TOKEN_MS / 1000), FakeTts(TTS_MS / 1000)
        )  # fmt: skip
        prepared_bound = max(SILENCE_MS, PREPARE_MS + work_of(stt_ms))
        name = f"{recogniser} recogniser ({stt_ms} ms):"
        show_wait(f"{name} sequential", [1000 * await sequential(*engines) for _ in range(5)], prepared_bound)
        show_wait(f"{name} streamed", [1000 * await streamed(*engines) for _ in range(5)], prepared_bound)
        for prepares in (False, True):
            waits, prepared = await measure_waits(turns, stt_ms, prepares=prepares)
            ours = "Antiphon, prepared" if prepares else "Antiphon, not prepared"
            show_wait(f"{name} {ours}", [wait.waited for wait in waits], prepared_bound)
            show_wait("    of it: whole windows and messages", [wait.quantised for wait in waits], 0)
            show_wait("    of it: over what that leaves as the bound", [wait.over for wait in waits], 25)
            show_wait("    before it: the detector's tail", [wait.tail for wait in waits], 0)
            print(f"    {prepared} of {turns} answers were prepared and right")


# --- interruptions ----------------------------------------------------------------------------------------------------


class Interruption(Struct, frozen=True):
    """One, in ms."""

    onset_to_hold: float
    """From the first sample of the voice, as the microphone sent it, to the moment from which nothing was sent."""
    window_to_hold: float
    """From the message that completed the first window over the threshold."""
    to_left: float
    """From the confirmed interruption to the end of the model's work."""


async def interrupt(url: str, sentences: list[Pcm16], times: int, detection: Event) -> list[Seconds]:
    """Ask, and speak over the answer, again and again; returns when each voice over the answer began."""
    onsets, chance = [], random.Random(2)
    async with Caller(url) as caller:
        await caller.send(
            {
                "type": "session.update",
                "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}},
            }
        )
        await asyncio.sleep(1.0)
        await caller.say(sentences[0])
        for number in range(times):
            since = len(caller.events)
            await caller.wait_for(is_first_audio, since=since)
            await asyncio.sleep(1.0 + chance.random())
            sentence = sentences[number % len(sentences)]
            last_sent = await caller.say(sentence)
            onsets.append(last_sent - (-(-sentence.size // FRAME) - 1) * FRAME / WIRE_RATE)
        await caller.wait_for(is_first_audio, since=len(caller.events))
    return onsets


def interruptions_of(steps: list[trace.Step], onsets: list[Seconds], left: list[Seconds]) -> list[Interruption]:
    found: dict[Seconds, Interruption] = {}
    suspected: tuple[Seconds, Seconds] | None = None
    for step in steps:
        match step.input:
            case inputs.VoiceSuspected(arrived=arrived):
                suspected = suspected or (arrived, step.at)
            case inputs.VoiceBegan(arrived=arrived):
                suspected = suspected or (arrived, step.at)
            case inputs.VoiceDismissed():
                suspected = None
            case _:
                pass
        cut = [output for output in step.outputs if output["type"] == "response_ended"]
        if not cut or cut[0]["response"].get("reason") != "turn_detected" or suspected is None:
            suspected = None if any(output["type"] == "audio_committed" for output in step.outputs) else suspected
            continue
        arrived, held = suspected
        onset = max(moment for moment in onsets if moment <= held + NEAR_S)
        closed = min((moment for moment in left if moment >= step.at), default=float("nan"))
        # A sentence that was taken for two interrupts the answer to its own first half; only the first counts.
        one = Interruption((held - onset) * 1000, (held - arrived) * 1000, (closed - step.at) * 1000)
        found.setdefault(onset, one)
        suspected = None
    return list(found.values())


async def measure_interruptions(times: int, detection: Event) -> list[Interruption]:
    sentences = [trimmed(pcm) for pcm in await speech(SENTENCES)]
    with TemporaryDirectory(prefix="antiphon-turns-") as folder:
        wish = Wish(answer=STORY, stt_ms=STT_MS, llm_ms=LLM_MS, token_ms=50, tts_ms=TTS_MS, trace=folder)
        async with server(wish) as one:
            onsets = await interrupt(one.url, sentences, times, detection)
            left = (await one.report()).left
        found = interruptions_of(steps_of(Path(folder)), onsets, left)
    if len(found) != times:
        raise SystemExit(f"{times} voices made {len(found)} interruptions: no figure can be trusted")
    return found


def trimmed(pcm: Pcm16) -> Pcm16:
    """From where its voice begins."""
    loud = np.abs(pcm.astype(np.int32)) > LOUD * np.abs(pcm.astype(np.int32)).max()
    return pcm[np.flatnonzero(loud)[0] :]


async def show_interruptions(times: int) -> None:
    print(f"\n{'the interruption, ms, ' + str(times) + ' times each':<58}{'p50':>8}{'p95':>8}{'bound':>9}")
    for kind, detection in (
        ("any voice", {"type": "server_vad"}),
        ("words", {"type": "semantic_vad", "eagerness": "high"}),
    ):
        found = await measure_interruptions(times, detection)
        show_wait(f"{kind}: first sample to the hold", [one.onset_to_hold for one in found], 200)
        show_wait(f"{kind}: first voiced window's message to the hold", [one.window_to_hold for one in found], 60)
        show_wait(f"{kind}: interruption to the end of the model's work", [one.to_left for one in found], 50)


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    pin(CALLER_CORE)
    print(machine())
    asyncio.run(show_waits(options.turns))
    asyncio.run(show_interruptions(options.turns))


if __name__ == "__main__":
    main()
