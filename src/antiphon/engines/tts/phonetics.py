"""What a voice is told to say, sound by sound, from clauses in the phonetic alphabet and as they were written.

The form is that of Piper's voices, which Kokoro's share: one list of code points for each sentence, the marks between
clauses among them, and letters with their accents apart. It does not know who spells, nor who speaks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

FOREIGN = re.compile(r"\([a-z-]+\)")  # "(en)" before words of another language, "(de)" behind them
MARK = re.compile(r"([.!?…,;:–—])[^\w.!?…,;:–—]*\w?\s*$")  # of a clause as it was written, and what may stand behind it
ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|etc|Hr|Fr|Nr|Mme|Mlle)\.\s*\w?\s*$")
SOUNDS_LIKE = {"…": ".", "–": ",", "—": ","}
ENDS = frozenset(".!?")


def sentences_from(clauses: Iterable[tuple[str, str]], longest: int) -> list[list[int]]:
    """Code points of each sentence, none longer than `longest`; a sentence that is gets cut between words."""
    sentences: list[str] = []
    sentence = ""
    for phonemes, written in clauses:
        mark = _mark_of(written)
        sentence += FOREIGN.sub("", phonemes).strip() + mark
        if mark in ENDS and sentence:
            sentences.append(sentence)
            sentence = ""
        else:
            sentence += " "
    sentences.append(sentence)
    whole = (unicodedata.normalize("NFD", sentence.strip()) for sentence in sentences)
    return [[ord(sound) for sound in part] for sentence in whole for part in _parts(sentence, longest)]


def _mark_of(written: str) -> str:
    found = MARK.search(written)
    if found is None or ABBREVIATION.search(written):
        return ""
    return SOUNDS_LIKE.get(found.group(1), found.group(1))


def _parts(sentence: str, longest: int) -> Iterable[str]:
    while len(sentence) > longest:
        gap = sentence.rfind(" ", 1, longest)
        end = gap if gap > 0 else longest
        yield sentence[:end]
        sentence = sentence[end:].lstrip()
    if sentence:
        yield sentence
