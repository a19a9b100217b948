"""What cutting costs and brings: when the first clause goes out, where cuts fall, how long the voice is left waiting.

Run it: `python bench/clauses.py`. The model is simulated (a delta of four letters at a time, after a first-token time
that is not counted), and so is the voice (fifteen letters a second, at once); only the last part measures time. The
rivals: the whole answer at once; the first . ? ! or new line, as a naive splitter has it; whole sentences, by the same
rules as ours. The limit is a splitter that sends the first two words when they are there, and never cuts wrongly.
"""

from __future__ import annotations

import re
import statistics
import time

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.session import clauses
from antiphon.session.clauses import LETTERS_PER_S, ClauseSplitter

DELTA = 4  # letters: an English token
RATES = (10, 30, 80)  # deltas a second: a model on a small machine, on a good one, in a data centre

ANSWERS = """
Yes. |The museum is open until 5 p.m. today. |Tickets cost $3.50 for adults, and children go free.

Sure! |I can move your appointment with Dr. Smith to Friday at 10:30. |Would that suit you?

The quickest way is to take the number 12 bus from Main St. to the central station and change there for the airport
line, which leaves every ten minutes. |It takes about forty minutes in all.

Photosynthesis is how plants turn light into sugar. |They take in water through their roots and carbon dioxide through
their leaves, and give off oxygen. |Without it there would be no food, e.g. no bread.

You have three things on your list: |1. Buy milk. |2. Call J. K. Jones at 5:30. |3. Pay Acme Inc. its 1,000 dollars.

Version 2.1.0 is out. |See https://example.com/notes?v=2.1.0 for the changes, or write to help@example.com. |It fixes
the bug in config.toml that you saw.

I am sorry, but I could not find any flights from there on that day. |The next one leaves on Sunday. |Shall I book it?

Well... |I would say that depends on what you mean by warm. |It will be eighteen degrees and sunny in the morning with
some clouds coming in from the west later on and perhaps a little rain at night. |Take a coat!

Okay, let me think. |The saying "Never again!" comes from that time. |Mr. Brown and Mrs. Green both used it.

To make pancakes you need flour, eggs, milk and a pinch of salt. |Mix them well and let the batter rest for half an
hour while you heat the pan. |Then fry them one by one, until they are golden on both sides.
"""
"""What a voice assistant says, a paragraph each, with a stroke between its sentences."""


def answers() -> list[list[str]]:
    """Each answer's sentences; the items of the list are lines of their own."""
    paragraphs = [" ".join(paragraph.split("\n")) for paragraph in ANSWERS.strip().split("\n\n")]
    return [re.sub(r" \|(?=\d\. )", "\n|", paragraph).split("|") for paragraph in paragraphs]


class Heard(Struct, frozen=True):
    """One answer through one splitter and the simulated voice."""

    first: Seconds
    silent: Seconds
    """In the middle of the answer, while the voice waited for the next clause."""
    clauses: int
    wrong: int
    """Cuts within a sentence that are not behind a comma or the like."""
    broken: int
    """Cuts within a word, a number or an address."""


class Rival:
    """A splitter that waits for the whole text."""

    def __init__(self) -> None:
        self.held = ""

    deadline: Seconds | None = None

    def feed(self, text: str, now: Seconds) -> list[str]:
        self.held += text
        return []

    def handle_timeout(self, now: Seconds) -> list[str]:
        return []

    def finish(self) -> list[str]:
        rest, self.held = self.held, ""
        return [rest] if rest else []


class FirstMark(Rival):
    """Cuts behind every . ? ! and new line."""

    def feed(self, text: str, now: Seconds) -> list[str]:
        self.held += text
        parts = re.split(r"(?<=[.?!\n])", self.held)
        self.held = parts.pop()
        return parts


class TwoWords(Rival):
    """The limit: knows the sentences, and sends the first two words alone."""

    def __init__(self, answer: list[str]) -> None:
        super().__init__()
        first = re.match(r"\S+\s+(?:\S+\s+)?", answer[0])
        assert first is not None, "an answer has words"
        self.borders = [first.group(), answer[0][first.end() :], *answer[1:]]

    def feed(self, text: str, now: Seconds) -> list[str]:
        self.held += text
        out = []
        while self.borders and len(self.held) >= len(self.borders[0]):
            part = self.borders.pop(0)
            self.held = self.held[len(part) :]
            if part:
                out.append(part)
        return out


class Sentences(Rival):
    """Our rules without any hurry: the voice is taken to be always busy."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = ClauseSplitter()
        self.inner._dry = 1e9

    def feed(self, text: str, now: Seconds) -> list[str]:
        return self.inner.feed(text, now)

    def finish(self) -> list[str]:
        return self.inner.finish()


def hear(splitter: Rival | ClauseSplitter, answer: list[str], rate: int) -> Heard:
    text = "".join(answer)
    out: list[tuple[Seconds, str]] = []
    now = 0.0
    for place in range(0, len(text), DELTA):
        due = (place // DELTA) / rate
        while splitter.deadline is not None and splitter.deadline < due:
            now = splitter.deadline
            out += [(now, clause) for clause in splitter.handle_timeout(now)]
        now = due
        out += [(now, clause) for clause in splitter.feed(text[place : place + DELTA], now)]
    out += [(now, clause) for clause in splitter.finish()]
    return judged(out, answer)


def judged(out: list[tuple[Seconds, str]], answer: list[str]) -> Heard:
    text = "".join(answer)
    assert "".join(clause for _, clause in out) == text, "clauses join to the text"
    ends, place = set(), 0
    for sentence in answer:
        place += len(sentence)
        ends |= {place, len(text[:place].rstrip())}
    silent, busy_until, place, wrong, broken = 0.0, out[0][0], 0, 0, 0
    for at, clause in out:
        silent += max(0.0, at - busy_until)
        busy_until = max(at, busy_until) + len(clause) / LETTERS_PER_S
        place += len(clause)
        if place == len(text) or place in ends:
            continue
        before, after = text[:place].rstrip()[-1], text[place]
        if not (text[place - 1].isspace() or after.isspace()):
            broken += 1
        elif before not in ",;:—…" and not text[:place].rstrip().endswith("..."):
            wrong += 1
    return Heard(out[0][0], silent, len(out), wrong, broken)


def row(name: str, heard: list[Heard]) -> str:
    first = sorted(one.first for one in heard)
    return (
        f"{name:<22}{1000 * statistics.median(first):>9.0f}{1000 * first[-1]:>9.0f}"
        f"{1000 * statistics.fmean(one.silent for one in heard):>11.0f}{sum(one.clauses for one in heard):>9}"
        f"{sum(one.wrong for one in heard):>8}{sum(one.broken for one in heard):>8}"
    )


def compare(rate: int) -> None:
    print(f"\n{rate} deltas of {DELTA} letters a second")
    print(f"{'':<22}{'first ms':>9}{'worst':>9}{'silent ms':>11}{'clauses':>9}{'inside':>8}{'broken':>8}")
    print(row("whole answer", [hear(Rival(), answer, rate) for answer in answers()]))
    print(row("first mark", [hear(FirstMark(), answer, rate) for answer in answers()]))
    print(row("whole sentences", [hear(Sentences(), answer, rate) for answer in answers()]))
    for letters in (40, 64, 120):
        clauses.LONGEST_HURRIED = letters
        name = f"ours, {letters} letters"
        print(row(name, [hear(ClauseSplitter(), answer, rate) for answer in answers()]))
    clauses.LONGEST_HURRIED = 64
    print(row("limit", [hear(TwoWords(answer), answer, rate) for answer in answers()]))


def cost_us(size: int) -> tuple[float, float]:
    """Microseconds for a delta of this size, and for a letter."""
    text = "".join("".join(answer) for answer in answers()) * 5
    times = []
    for _ in range(15):
        splitter = ClauseSplitter()
        start = time.perf_counter()
        for place in range(0, len(text), size):
            splitter.feed(text[place : place + size], place / 100)
        splitter.finish()
        times.append(time.perf_counter() - start)
    spent_us = 1e6 * statistics.median(times)
    return spent_us / (len(text) / size), spent_us / len(text)


def main() -> None:
    for rate in RATES:
        compare(rate)
    print("\ncost, µs            a delta   a letter")
    for size in (1, 4, 40, 10_000):
        delta, letter = cost_us(size)
        print(f"{size:>6} letters {delta:>13.1f}{letter:>11.2f}")


if __name__ == "__main__":
    main()
