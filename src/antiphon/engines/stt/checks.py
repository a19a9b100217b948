"""Whether a recogniser can have heard what it says that it heard.

Whisper and its kin write fluent text for what is no speech at all: they repeat themselves, thank for watching, or put
thirty words into a second. Pure functions of the text, its length in time and what the recogniser thinks of it; they
do not know any engine.
"""

from __future__ import annotations

import re
import zlib

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.engines.stt.agreement import bare, pieces_of

MOST_LETTERS_PER_S = 30.0  # the fastest speakers say some 25
SLACK_LETTERS = 12  # a short word in a short sound is no crime
MOST_COMPRESSION = 2.4  # OpenAI's own limit for "it repeats itself"
SHORTEST_COMPRESSED = 100  # letters: below that the ratio says nothing
MOST_REPEATS = 4  # of one phrase in a row
LIKELY_SILENCE = 0.6  # P(no speech) from which on a low confidence is a no
LOW_LOGPROB = -1.0
PADDING_S: Seconds = 0.3  # of quiet, put around a sound that is listened to again

OUTROS = frozenset(
    bare(text)
    for text in (
        "thank you",
        "thanks for watching",
        "thank you for watching",
        "thank you very much",
        "please subscribe",
        "like and subscribe",
        "see you next time",
        "see you in the next video",
        "subtitles by the amara.org community",
        "untertitel im auftrag des zdf für funk",
        "untertitelung des zdf",
        "sous-titrage société radio-canada",
        "sous-titres réalisés par la communauté d'amara.org",
        "subtítulos realizados por la comunidad de amara.org",
        "ご視聴ありがとうございました",
        "字幕by索兰娅",
        "продолжение следует",
    )
)
"""What the subtitles that Whisper learnt from end with. People say some of it too: it only counts at the very end,
after something else, and where the sound is too short or the recogniser unsure."""


class Heard(Struct, frozen=True):
    """What a recogniser says, and what it thinks of it. None is what it does not know."""

    text: str
    seconds: Seconds
    """Of the sound."""
    mean_logprob: float | None = None
    no_speech: float | None = None


def doubt(heard: Heard) -> str | None:
    """Why this cannot have been said, or None."""
    text = heard.text.strip()
    if not text:
        return None
    no_speech, logprob = heard.no_speech or 0.0, heard.mean_logprob or 0.0
    if no_speech > LIKELY_SILENCE and logprob < LOW_LOGPROB:
        return "it took it for silence itself"
    if len(text) > MOST_LETTERS_PER_S * heard.seconds + SLACK_LETTERS:
        return "nobody speaks that fast"
    if repeats(text):
        return "it repeats itself"
    return None


def repeats(text: str) -> bool:
    """Whether a phrase comes again and again."""
    if len(text) >= SHORTEST_COMPRESSED:
        data = text.encode()
        if len(data) / len(zlib.compress(data)) > MOST_COMPRESSION:
            return True
    words = [bare(piece) for piece in pieces_of(text)]
    for length in (2, 3, 4, 5, 6):  # one word alone may be said often: "no no no no no"
        run = 1
        for start in range(length, len(words) - length + 1):
            run = run + 1 if words[start : start + length] == words[start - length : start] else 1
            if run > length * (MOST_REPEATS - 1):
                return True
    return False


def without_outro(heard: Heard) -> str:
    """The text, without a sentence at its end that was learnt from subtitles and is not likely to have been said."""
    sentences = re.split(r"(?<=[.!?。！？])\s*", heard.text.strip())
    if sentences and not sentences[-1]:
        sentences.pop()
    if not sentences or bare(sentences[-1]) not in OUTROS:
        return heard.text.strip()
    is_unsure = heard.no_speech is not None and heard.no_speech > LIKELY_SILENCE / 2
    is_unsure = is_unsure or (heard.mean_logprob is not None and heard.mean_logprob < LOW_LOGPROB / 2)
    too_fast = len(heard.text) > MOST_LETTERS_PER_S * heard.seconds / 1.5
    if not is_unsure and not too_fast:
        return heard.text.strip()
    return heard.text.strip()[: -len(sentences[-1])].strip()
