"""How often people are cut short, and how long they wait: our judgement of pauses against fixed windows.

    python bench/endpointing.py                     the report's part: 500 conversations of 4 turns
    python bench/endpointing.py --part development  the part on which weights are chosen
    python bench/endpointing.py --tune              chooses them (minutes); prints them and changes nothing

A turn is cut if it would be committed before its last word has ended; its delay is from there to the commit. Every turn
is heard to its end whether it was cut before or not, so that no rule gets easier delays by cutting the hard turns. The
rules are the session's own `Turn` and `Endpoint`, told what the session would tell them, at the same moments. To
compare with a fixed window our three limits are scaled until the mean delay is the same. Intervals are of 95 %:
Wilson's for shares, for differences a bootstrap over conversations. People's speech is not in it: there is none here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from antiphon.audio.units import WIRE_RATE, Samples, samples_from_ms
from antiphon.hearing.edges import WINDOW, HearingEvent
from antiphon.hearing.words import WordReader
from antiphon.session.endpoint import EAGERNESS, Endpoint, Limits
from antiphon.session.inputs import Prosody, SilenceTick, VoiceBegan, VoiceDismissed, VoicePaused
from antiphon.session.settings import Speculating
from antiphon.session.turn import Turn, TurnState
from endpointing_set import Conversation, Heard, Part, conversations, heard, written

FIXED_MS = (300, 500, 800)
CONVERSATIONS = 500
FOREVER: Samples = 10**12
LONGEST_SILENCE: Samples = 60 * WIRE_RATE
SPECULATING = Speculating()
BOOTSTRAPS = 4000
Z = 1.96  # standard deviations that hold 95 %
SAME_MS = 0.5  # mean delays this close are the same


class Words(Struct, frozen=True):
    """What is known of the words in one pause."""

    at: Samples
    """When, on the stream's ruler."""
    over: float | None


class Told(Struct, frozen=True):
    """One turn as the session is told of it. Dictionaries are by where the voice paused."""

    end: Samples
    events: tuple[HearingEvent, ...]
    melodies: dict[Samples, Prosody]
    words: dict[Samples, Words]


class Witnesses(Struct, frozen=True):
    """Who is asked."""

    words: bool = True
    prosody: bool = True


class Outcomes(Struct, frozen=True):
    """[conversations, turns] each."""

    cut: NDArray[np.bool_]
    delay_ms: NDArray[np.float64]

    @property
    def mean_ms(self) -> float:
        return float(self.delay_ms.mean())


Wait = Callable[[Endpoint], Samples]
"""The silence that ends the turn, by what is known."""


# --- what the session is told ----------------------------------------------------------------------------------------


def told(conversation: Conversation, heard_turns: Sequence[Heard]) -> list[Told]:
    """The words arrive as the session asks for them: in each pause, once it is long enough, and not too often."""
    reader = WordReader()
    turns = []
    for number, turn in enumerate(heard_turns):
        pauses = [event.at for event in turn.events if isinstance(event, VoicePaused)]
        words: dict[Samples, Words] = {}
        for at, asked in _questions(turn.events)[: SPECULATING.attempts]:
            answer = written(conversation, number, turn, at)
            if answer.delay_ms is not None:
                over = reader.read(answer.text, "en").over
                words[at] = Words(asked + samples_from_ms(answer.delay_ms), over)
        turns.append(Told(turn.end, turn.events, dict(zip(pauses, turn.melodies, strict=True)), words))
    return turns


def _questions(events: Sequence[HearingEvent]) -> list[tuple[Samples, Samples]]:
    """Where the voice paused and when the words were asked for, of the pauses that were long enough."""
    found: list[tuple[Samples, Samples]] = []
    paused: Samples | None = None
    for event in events:
        match event:
            case VoicePaused(at=at):
                paused = at
            case VoiceBegan():
                paused = None
            case SilenceTick(heard=heard_to) if paused is not None:
                if heard_to - paused >= samples_from_ms(SPECULATING.after_ms):
                    found.append((paused, heard_to))
                    paused = None
            case _:
                pass
    return found


def with_silence(events: Sequence[HearingEvent]) -> Iterator[HearingEvent]:
    """The noise at the end goes on, and is told from a voice, for as long as anybody may want to wait."""
    yield from events
    last = events[-1].heard
    if _ends_voiced(events):
        last += WINDOW
        yield VoicePaused(last - WINDOW, last, 0.0)
    for heard_to in range(last + WINDOW, last + LONGEST_SILENCE, WINDOW):
        yield SilenceTick(heard_to, 0.0)


def _ends_voiced(events: Sequence[HearingEvent]) -> bool:
    edges = [event for event in events if isinstance(event, VoiceBegan | VoicePaused)]
    return isinstance(edges[-1], VoiceBegan)


# --- judging it ------------------------------------------------------------------------------------------------------


def judged(told_turns: Sequence[Sequence[Told]], wait: Wait, witnesses: Witnesses) -> Outcomes:
    """Every turn by this rule. Each conversation has an `Endpoint` of its own, which learns the person's pauses."""
    cut = np.zeros((len(told_turns), len(told_turns[0])), bool)
    delay_ms = np.zeros(cut.shape)
    for row, turns in enumerate(told_turns):
        endpoint = Endpoint()
        for column, turn in enumerate(turns):
            first, last = commits(turn, endpoint, wait, witnesses)
            cut[row, column] = first < turn.end
            delay_ms[row, column] = (last - turn.end) * 1000 / WIRE_RATE
    return Outcomes(cut, delay_ms)


def commits(told_turn: Told, endpoint: Endpoint, wait: Wait, witnesses: Witnesses) -> tuple[Samples, Samples]:
    """When the turn would be committed first, and when after its last word; often the same."""
    turn, first = Turn(), FOREVER
    paused: Samples = -1
    words: Words | None = None
    is_cut = False
    for event in with_silence(told_turn.events):
        if not turn.is_open:
            if isinstance(event, VoiceBegan):
                turn.begin(event, "item", 0, 0)
            continue
        if isinstance(event, VoiceDismissed):
            continue
        pause = turn.silence()
        turn.hear(event)
        match event:
            case VoiceBegan():
                if not is_cut:  # a pause that ended the turn is not known to have been one
                    endpoint.went_on(pause)
                words, is_cut = None, False
                continue
            case VoicePaused(at=at):
                endpoint.begin()
                paused, words = at, told_turn.words.get(at) if witnesses.words else None
            case SilenceTick() if words is not None and words.at <= event.heard:
                endpoint.hear_words(words.over)
                words = None
            case SilenceTick():
                pass
            case _:
                continue
        if turn.state is TurnState.PAUSED and turn.is_over(wait(endpoint), FOREVER):
            first, is_cut = min(first, event.heard), True
            if event.heard >= told_turn.end:
                return first, event.heard
        if isinstance(event, VoicePaused) and witnesses.prosody and paused in told_turn.melodies:
            endpoint.hear_prosody(told_turn.melodies[paused])
    raise SystemExit(f"a turn was not over after {LONGEST_SILENCE / WIRE_RATE:.0f} s of silence: widen LONGEST_SILENCE")


def fixed(silence_ms: float) -> Wait:
    return lambda _: samples_from_ms(silence_ms)


def ours(scale: float, limits: Limits = EAGERNESS["medium"]) -> Wait:
    floor_ms, usual_ms, ceiling_ms = (round(scale * ms) for ms in msgspec.structs.astuple(limits))
    scaled = Limits(floor_ms, usual_ms, ceiling_ms)
    return lambda endpoint: endpoint.wait(scaled)


def at_mean_delay(told_turns: Sequence[Sequence[Told]], mean_ms: float, witnesses: Witnesses) -> tuple[float, Outcomes]:
    """The scale of our limits with which nobody waits longer in the mean than this, and what comes of it."""
    low, high = 0.005, 8.0
    best = judged(told_turns, ours(low), witnesses)
    for _ in range(14):
        middle = math.sqrt(low * high)
        outcomes = judged(told_turns, ours(middle), witnesses)
        if outcomes.mean_ms > mean_ms:
            high = middle
        else:
            low, best = middle, outcomes
            if mean_ms - outcomes.mean_ms < SAME_MS:
                break
    return low, best


# --- what it means ---------------------------------------------------------------------------------------------------


def wilson(cut: NDArray[np.bool_]) -> tuple[float, float]:
    """Between which shares the true one lies."""
    share, count = float(cut.mean()), cut.size
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z * math.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2)) / (1 + Z**2 / count)
    return middle - half, middle + half


def difference(one: Outcomes, other: Outcomes) -> tuple[float, float]:
    """Between which values the difference of their shares of cut turns lies, drawn over whole conversations."""
    per_conversation = one.cut.mean(axis=1) - other.cut.mean(axis=1)
    rows = np.random.default_rng(7).integers(per_conversation.size, size=(BOOTSTRAPS, per_conversation.size))
    low, high = np.percentile(per_conversation[rows].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


class Line(Struct, frozen=True):
    """One comparison at one mean delay."""

    fixed_ms: int
    mean_ms: float
    """Of both: ours is at most this."""
    who: str
    scale: float
    """Of our limits."""
    cut: float
    cut_between: tuple[float, float]
    fixed_cut: float
    fixed_between: tuple[float, float]
    difference: float
    difference_between: tuple[float, float]


ASKED = {
    "words and prosody": Witnesses(),
    "words alone": Witnesses(prosody=False),
    "prosody alone": Witnesses(words=False),
    "the habit alone": Witnesses(words=False, prosody=False),
}


def compared(told_turns: Sequence[Sequence[Told]], fixed_ms: Sequence[int] = FIXED_MS) -> list[Line]:
    """Each of ours beside each fixed window, at the window's own mean delay."""
    lines = []
    for silence_ms in fixed_ms:
        theirs = judged(told_turns, fixed(silence_ms), Witnesses())
        for who, witnesses in ASKED.items():
            scale, outcomes = at_mean_delay(told_turns, theirs.mean_ms, witnesses)
            lines.append(
                Line(
                    silence_ms, theirs.mean_ms, who, scale,
                    float(outcomes.cut.mean()), wilson(outcomes.cut),
                    float(theirs.cut.mean()), wilson(theirs.cut),
                    float(outcomes.cut.mean() - theirs.cut.mean()), difference(outcomes, theirs),
                )
            )  # fmt: skip
    return lines


def _percent(share: float, between: tuple[float, float]) -> str:
    return f"{100 * share:5.1f} % ({100 * between[0]:.1f} to {100 * between[1]:.1f})"


def show(lines: Sequence[Line]) -> None:
    print(
        f"{'mean delay':>10}  {'who is asked':20} {'ours cuts':>24}  {'the fixed window cuts':>24}  {'difference':>26}"
    )
    for line in lines:
        print(
            f"{line.mean_ms:7.0f} ms  {line.who:20} {_percent(line.cut, line.cut_between):>24}"
            f"  {line.fixed_ms} ms:{_percent(line.fixed_cut, line.fixed_between):>24}"
            f"  {_percent(line.difference, line.difference_between):>26}   x{line.scale:.2f}"
        )


def show_as_shipped(told_turns: Sequence[Sequence[Told]]) -> None:
    """Ours with the limits that each eagerness has, and fixed windows beside them."""
    rules = {f"semantic_vad, {name}": ours(1.0, EAGERNESS[name]) for name in ("high", "medium", "low")}
    rules |= {f"fixed, {ms} ms": fixed(ms) for ms in FIXED_MS}
    print(f"\n{'':24}{'cuts':>8}{'mean':>9}{'p50':>8}{'p95':>8}  delay in ms")
    for name, wait in rules.items():
        outcomes = judged(told_turns, wait, Witnesses())
        middle, late = np.percentile(outcomes.delay_ms, (50, 95))
        print(f"{name:24}{100 * outcomes.cut.mean():6.1f} %{outcomes.mean_ms:9.0f}{middle:8.0f}{late:8.0f}")


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon-bench"


def prepared(part: Part, count: int, cache: Path | None) -> list[list[Told]]:
    """So many conversations of a part, as a session is told of them."""
    found = conversations(part, count)
    return [told(each, turns) for each, turns in zip(found, heard(found, cache), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("development", "report"), default="report")
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS, help="of four turns each")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where what was heard is kept")
    parser.add_argument("--json", action="store_true", help="the comparison as one line of JSON")
    parser.add_argument("--tune", action="store_true", help="choose weights on the development part")
    wish = parser.parse_args()
    if wish.tune:
        from endpointing_tuning import tune

        tune(prepared("development", wish.conversations, wish.cache))
        return
    turns = prepared(wish.part, wish.conversations, wish.cache)
    lines = compared(turns)
    if wish.json:
        json.dump(msgspec.to_builtins(lines), sys.stdout)
        return
    from common import machine  # with the whole server behind it

    print(f"{machine()}\n{sum(map(len, turns))} turns of the {wish.part} part\n")
    show(lines)
    show_as_shipped(turns)


if __name__ == "__main__":
    main()
