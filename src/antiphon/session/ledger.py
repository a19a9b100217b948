"""Which words of an answer belong to which samples of its audio, and how far each has got.

One append-only record per spoken item: text spans against sample spans. Everything that must know what the person
has heard reads it: the transcript of an interrupted answer, the model's memory of it, truncation, captions.
Positions count from the start of the item's audio. It does not know the clock that says how much was played; see
`playout`.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.audio.units import WIRE_RATE, Samples

LETTERS_PER_SECOND = 15  # English read aloud; only used for a clause whose audio is still being made


class Span:
    """One clause: its text and where its audio lies."""

    __slots__ = ("marks", "start", "stop", "text")

    def __init__(self, text: str, start: Samples) -> None:
        self.text = text
        self.start = start
        self.stop: Samples | None = None
        """None while its audio is being made."""
        self.marks: list[tuple[int, Samples]] = []
        """For words that the voice has marked: the letters before each, and where its sound begins."""


class Ledger:
    """The record of one spoken item."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.made: Samples = 0
        self.sent: Samples = 0
        self.complete = False
        """No more audio will be made."""
        self.limit: Samples | None = None
        """How far it was played, if a client has said so; else what was sent counts."""
        self._told = 0

    @property
    def available(self) -> Samples:
        """Audio that lies ready and has not been sent."""
        return self.made - self.sent

    @property
    def exhausted(self) -> bool:
        """Everything has been sent, words and sound."""
        return self.complete and self.sent == self.made and self._told == len(self.spans)

    @property
    def kept(self) -> Samples:
        """How much of it is part of the item."""
        return self.sent if self.limit is None else min(self.sent, self.limit)

    def begin_clause(self, text: str) -> None:
        self.end_clause()
        self.spans.append(Span(text, self.made))

    def mark(self, marks: Iterable[tuple[int, Samples]]) -> None:
        """When words of the clause begin: letters before each, and samples of the clause's audio."""
        if self.spans:
            span = self.spans[-1]
            span.marks += [(letters, span.start + samples) for letters, samples in marks]

    def add_audio(self, samples: Samples) -> None:
        self.made += samples

    def end_clause(self) -> None:
        if self.spans and self.spans[-1].stop is None:
            self.spans[-1].stop = self.made

    def finish(self) -> None:
        self.end_clause()
        self.complete = True

    def next_piece(self, most: Samples) -> tuple[Samples, bool]:
        """How much may be sent in one piece: up to `most`, and not beyond the clause that is being sent.

        The second value says whether waiting could make the piece longer no more: it is `most`, or ends its clause.
        """
        ends = (span.stop for span in self.spans if span.stop is not None and span.stop > self.sent)
        border = next(ends, None)
        limit = self.made if border is None else border
        piece = min(most, limit - self.sent)
        return piece, piece == most or border is not None or self.complete

    def words_due(self) -> str:
        """Text that goes out now: of every clause whose audio starts at or before the next sample to be sent, and, once
        nothing is left to send, of the silent ones at the end. Each is returned once, some only after its audio."""
        due = []
        while self._told < len(self.spans):
            span = self.spans[self._told]
            audible_next = span.start <= self.sent < self.made or span.start < self.sent
            silent = span.stop == span.start and span.start <= self.sent
            if not (audible_next or silent):
                break
            due.append(span.text)
            self._told += 1
        return "".join(due)

    def send(self, samples: Samples) -> tuple[Samples, Samples]:
        """Count the next stretch as sent, and return where it lies."""
        start = self.sent
        self.sent += samples
        return start, self.sent

    def text(self) -> str:
        """All the words."""
        return "".join(span.text for span in self.spans)

    def text_until(self, position: Samples) -> str:
        """The words that are spoken before `position`: whole clauses, and of the last one whole words, as the voice has
        marked them or else by proportion."""
        words = []
        for span in self.spans:
            if span.stop is not None and span.stop <= position:
                words.append(span.text)
                continue
            words.append(_marked(span, position) if span.marks else _proportional(span, self.made, position))
            break
        return "".join(words)


def _marked(span: Span, position: Samples) -> str:
    """The words whose successor has begun."""
    letters = max((letters for letters, start in span.marks if start <= position), default=0)
    return span.text[:letters].rstrip()


def _proportional(span: Span, made: Samples, position: Samples) -> str:
    return _whole_words(span.text, _share(span, made, position))


def _share(span: Span, made: Samples, position: Samples) -> float:
    """How much of the clause lies before `position`, in [0, 1]."""
    expected = len(span.text) * WIRE_RATE // LETTERS_PER_SECOND
    stop = span.stop if span.stop is not None else max(made, span.start + expected)
    if stop <= span.start:
        return 0.0
    return min(1.0, max(0.0, (position - span.start) / (stop - span.start)))


def _whole_words(text: str, share: float) -> str:
    """The beginning of `text` up to the last word that ends within `share` of its length."""
    limit = int(len(text) * share)
    if limit >= len(text):
        return text
    border = max(text.rfind(" ", 0, limit + 1), text.rfind("\n", 0, limit + 1))
    return text[:border] if border > 0 else ""
