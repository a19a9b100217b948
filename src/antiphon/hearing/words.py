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
from antiphon.session.consent import consent_in
from antiphon.session.inputs import Reading

KNOWN = 64  # texts of one session that are told apart; a turn has a handful
SPOKEN = 400  # words of ours that may come back: an answer, and what is ready of the next
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

WHOLE = 0.9  # P(the sentence is whole) of one that ends with its mark
PLAIN = 0.7  # of one without any sign
UNMARKED = 0.5  # of one without a mark at its end, where marks are written
SHORT = 0.3  # of one or two words that are no answer by themselves
NUMBER = 0.5  # of one that ends in digits, while more of them may follow
LISTING = 0.4  # of one that ends in a list to which nothing has been added with "and"
DEPENDENT = 0.15  # of a clause that another has to follow
WANTING = 0.2  # of one whose verb has no object
HANGING = 0.06  # of one that ends with a word that wants another, or with a hesitation
SHORT_CLAUSE = 8  # words: a longer sentence that begins with "when" has its other clause
SHORT_ENTRY = 2  # words between the commas of a list


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
            consent=consent_in(text, language),
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
    ending = text.rstrip().rstrip("\"'”’»)")[-1:]
    is_marked = ending != "" and ending in "?!.。？！" and not text.rstrip().endswith("...")
    last, last_two = words[-1], " ".join(words[-2:])
    if last in phrases.hesitations or last_two in phrases.hesitations:
        return HANGING
    if ending == "?":
        return WHOLE
    if not is_marked and ending in "…,;:-–—.":
        return HANGING
    if len(words) <= 4 and " ".join(words) in phrases.whole:
        return WHOLE
    if last in phrases.hanging:
        return HANGING
    if last in phrases.wanting or last_two in phrases.wanting:
        return WANTING
    if _ends_in_digits(words, phrases):
        return NUMBER
    sentence = _last_sentence(text)
    if _is_dependent(words_of(sentence), phrases) and "," not in sentence:
        return DEPENDENT
    if _is_listing(sentence, phrases):
        return LISTING
    if is_marked:
        return WHOLE
    if len(words) < 3:
        return SHORT
    return UNMARKED if _has_marks(text) else PLAIN


def _ends_in_digits(words: list[str], phrases: Phrases) -> bool:
    """Two numbers in a row, or three digits: a single number ends many a sentence."""
    if words[-1].isdigit():
        return len(words[-1]) > 2 or (len(words) > 1 and words[-2].isdigit())
    return len(words) > 1 and words[-1] in phrases.numbers and words[-2] in phrases.numbers


def _last_sentence(text: str) -> str:
    return re.split(r"[.?!。？！]\s", text.strip())[-1]


def _is_dependent(sentence: list[str], phrases: Phrases) -> bool:
    """Whether it is a clause like "when I am there"."""
    is_opened = bool(sentence) and sentence[0] in phrases.openers
    asks = len(sentence) > 1 and sentence[1] in phrases.asking
    return is_opened and not asks and len(sentence) < SHORT_CLAUSE


def _is_listing(sentence: str, phrases: Phrases) -> bool:
    """Whether it ends in short entries, of which none is the last."""
    entries = [words_of(entry) for entry in sentence.split(",")]
    if len(entries) < 2 or not entries[-1]:
        return False
    return max(len(entries[-1]), len(entries[-2]) - 1) <= SHORT_ENTRY and entries[-1][0] not in phrases.hanging


def _has_marks(text: str) -> bool:
    """Whether whoever wrote it writes capitals and punctuation."""
    return text[:1].isupper() or any(mark in text for mark in ".,?!")
