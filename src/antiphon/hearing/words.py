"""What the words of an utterance say about the turn: is the sentence whole, is it a mere "mm-hm", is it our own voice.

It reads text and gives figures, so that the session judges by figures alone. What it looks for is data for each
language, in `hearing.phrases`; of a language without data it says nothing. It knows no sound and no time.
"""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict, deque
from itertools import pairwise

from antiphon.hearing.phrases import PHRASES, Phrases
from antiphon.session.inputs import Reading

KNOWN = 64  # texts of one session that are told apart; a turn has a handful
SPOKEN = 400  # words of ours that may come back: an answer, and what is ready of the next
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

WHOLE = 0.9  # P(the sentence is whole) of one that ends with its mark
PLAIN = 0.7  # of one without any sign
SHORT = 0.55  # of one or two words that are no answer by themselves
NUMBER = 0.35  # of one that ends in a number, while more digits may follow
HANGING = 0.06  # of one that ends with a word that wants another, or with a hesitation


class WordReader:
    """Reads for one session: it remembers what was heard and what we said."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, ...], int] = OrderedDict()
        self._numbers = 0
        self._spoken: deque[str] = deque(maxlen=SPOKEN)

    def spoke(self, text: str) -> None:
        """We say this."""
        self._spoken += words_of(text)

    def read(self, text: str, language: str | None) -> Reading:
        """The figures of this text, in the language with this ISO-639-1 code; None if nobody knows it."""
        words = words_of(text)
        phrases = PHRASES.get((language or "").partition("-")[0])
        if not words:
            return Reading()
        return Reading(
            words=self._number(words),
            over=None if phrases is None else completeness(text, words, phrases),
            is_backchannel=phrases is not None and is_backchannel(words, phrases),
            echoed=0.0 if phrases is not None and phrases.commands & set(words) else self._echoed(words),
        )

    def _number(self, words: list[str]) -> int:
        key = tuple(words)
        number = self._known.get(key)
        if number is None:
            self._numbers += 1
            number = self._known[key] = self._numbers
            if len(self._known) > KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return number

    def _echoed(self, words: list[str]) -> float:
        """Share of the words that stand in what we said, in runs of at least two; a single word counts by itself."""
        spoken = list(self._spoken)
        if len(words) == 1:
            return float(words[0] in spoken)
        pairs = set(pairwise(spoken))
        found = [pair in pairs for pair in pairwise(words)]
        return sum(before or after for before, after in zip([False, *found], [*found, False], strict=True)) / len(words)


def words_of(text: str) -> list[str]:
    """Its words, without case, punctuation and the many ways to write an apostrophe."""
    return [word.replace("’", "'") for word in WORD.findall(unicodedata.normalize("NFKC", text).casefold())]


def is_backchannel(words: list[str], phrases: Phrases) -> bool:
    """Whether it is nothing but words that show that somebody listens."""
    return " ".join(words) in phrases.backchannels or all(word in phrases.backchannels for word in words)


def completeness(text: str, words: list[str], phrases: Phrases) -> float:
    """P(the sentence is whole) by its end."""
    last = words[-1]
    ending = text.rstrip().rstrip("\"'”’»)")[-1:]
    if ending in "…,;:-–—" or text.rstrip().endswith("..."):
        return HANGING
    if last in phrases.hanging or last in phrases.hesitations:
        return HANGING
    if ending in "?!。？！" and ending:
        return WHOLE
    if len(words) <= 4 and " ".join(words) in phrases.whole:
        return WHOLE
    if last[0].isdigit() or last in phrases.numbers:
        return WHOLE if ending == "." and len(words) > 3 else NUMBER
    if ending == ".":
        return WHOLE
    return SHORT if len(words) < 3 else PLAIN
