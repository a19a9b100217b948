"""Transcripts as the files that players and programs read: text, SRT, WebVTT.

Pure functions of segments. A subtitle is at most two lines and seven seconds; a longer segment is divided, by the times
of its words where the recogniser knew them, else in proportion to its letters.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from msgspec import Struct

from antiphon.engines.api import Word

LINE_CHARS = 42  # as television does it
LINES = 2
LONGEST_S = 7.0


class Segment(Struct, frozen=True):
    """A stretch of speech. Times are seconds from the beginning of the file."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()


def srt(segments: Sequence[Segment]) -> str:
    """SubRip, numbered from 1."""
    titles = [title for segment in segments for title in titles_of(segment)]
    return "".join(
        f"{number}\n{_time(title.start_s, ',')} --> {_time(title.end_s, ',')}\n{_lines(title.text)}\n\n"
        for number, title in enumerate(titles, 1)
    )


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT."""
    titles = [title for segment in segments for title in titles_of(segment)]
    cues = (
        f"{_time(title.start_s, '.')} --> {_time(title.end_s, '.')}\n{_escaped(_lines(title.text))}\n\n"
        for title in titles
    )
    return "WEBVTT\n\n" + "".join(cues)


def plain(segments: Sequence[Segment]) -> str:
    """The words alone."""
    return " ".join(segment.text for segment in segments if segment.text)


def titles_of(segment: Segment) -> Iterator[Segment]:
    """The subtitles that a segment makes, in order."""
    words = segment.words or tuple(_spread(segment))
    first = 0
    for place, word in enumerate(words):
        text = _text(words[first : place + 1])
        is_full = len(text) > LINE_CHARS * LINES or word.end_s - words[first].start_s > LONGEST_S
        if is_full and place > first:
            yield _title(words[first:place])
            first = place
    if words[first:]:
        yield _title(words[first:])


def _spread(segment: Segment) -> Iterator[Word]:
    """Words that lie as if each letter took the same time."""
    words = segment.text.split()
    letters = sum(len(word) + 1 for word in words)
    at = segment.start_s
    for word in words:
        end = at + (segment.end_s - segment.start_s) * (len(word) + 1) / letters
        yield Word(word, at, end)
        at = end


def _title(words: Sequence[Word]) -> Segment:
    return Segment(_text(words), words[0].start_s, words[-1].end_s)


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text.strip() for word in words)


def _lines(text: str) -> str:
    """In lines of about the same length. An empty line would end the subtitle."""
    text = " ".join(text.split())
    if len(text) <= LINE_CHARS:
        return text
    return "\n".join(textwrap.wrap(text, max(LINE_CHARS, -(-len(text) // LINES) + 8)))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, point: str) -> str:
    ms = max(0, round(seconds * 1000))
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
