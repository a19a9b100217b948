"""What was said, made into what would have been typed: punctuation, spacing, capitals, numbers, replacements.

Pure, and of English commands; other languages pass unchanged but for replacements. It knows neither recognisers nor
where the text goes. A recogniser that writes punctuation itself is no trouble: what it put around a spoken command goes
with the command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from antiphon.engines.llm.assistant.numbers import SCALES, TENS, VALUES, as_text, number_from

Glue = Literal["none", "left", "right", "both"]


class Mark(Struct, frozen=True):
    """What a spoken command writes, and on which sides it takes no space."""

    text: str
    glue: Glue = "left"
    ends_sentence: bool = False


MARKS: Mapping[str, Mark] = {
    "comma": Mark(","), "full stop": Mark(".", ends_sentence=True), "period": Mark(".", ends_sentence=True),
    "question mark": Mark("?", ends_sentence=True), "exclamation mark": Mark("!", ends_sentence=True),
    "exclamation point": Mark("!", ends_sentence=True), "colon": Mark(":"), "semicolon": Mark(";"),
    "ellipsis": Mark("…"), "dot dot dot": Mark("…"), "hyphen": Mark("-", "both"), "dash": Mark("–", "none"),
    "open quote": Mark("“", "right"), "close quote": Mark("”"), "open bracket": Mark("(", "right"),
    "close bracket": Mark(")"), "open parenthesis": Mark("(", "right"), "close parenthesis": Mark(")"),
    "percent sign": Mark("%"), "at sign": Mark("@", "both"), "hashtag": Mark("#", "right"),
    "new line": Mark("\n", "both", ends_sentence=True), "new paragraph": Mark("\n\n", "both", ends_sentence=True),
}  # fmt: skip
CODE_MARKS: Mapping[str, Mark] = {
    "dot": Mark(".", "both"), "underscore": Mark("_", "both"), "equals": Mark("=", "none"), "plus": Mark("+", "none"),
    "minus": Mark("-", "none"), "times": Mark("*", "none"), "slash": Mark("/", "both"), "pipe": Mark("|", "none"),
    "open paren": Mark("(", "both"), "close paren": Mark(")"), "open square": Mark("[", "both"),
    "close square": Mark("]"), "open brace": Mark("{", "none"), "close brace": Mark("}", "none"),
    "quote": Mark('"', "none"), "backslash": Mark("\\", "both"), "arrow": Mark("->", "none"),
    "full stop": Mark(".", "both"), "period": Mark(".", "both"), "tab": Mark("\t", "both"),
}  # fmt: skip
CASES = ("snake case", "camel case", "pascal case", "kebab case", "all caps", "one word")
FILLERS = ("um", "umm", "uh", "uhh", "uhm", "er", "erm", "hmm")
ARTICLES = frozenset(["a", "an", "the", "this", "that", "each", "every", "long", "short", "trial"])
SCRATCH, LITERAL, ENTER = "scratch that", "literal", "press enter"
EDGES = ".,;:!?…。，！？"
LONGEST_NUMBER = 16  # words that are looked at together: a minute of counting must not be tried at every length
SMALLEST_DIGITS = 10  # what is less is written as a word, as people do


class Writing(Struct, frozen=True):
    """How text is to be made right."""

    punctuation: bool = True
    """Spoken commands become what they name."""
    fillers: bool = True
    """Sounds of hesitation are left out."""
    numbers: bool = True
    """Ten and more in digits."""
    capitals: bool = True
    """Where a sentence begins."""
    code: bool = False
    """Symbols by name, "snake case" and its like, no capitals and no prose."""
    replacements: Mapping[str, str] = {}
    """Phrases that the recogniser gets wrong, or that are to be written otherwise; whole words, case ignored."""
    snippets: Mapping[str, str] = {}
    """Whole utterances that stand for a text."""


class Written(Struct, frozen=True):
    """What is to be typed."""

    text: str
    presses_enter: bool = False


class _Piece(Struct):
    """A word or a mark, and where it leaves no space."""

    text: str
    glue: Glue = "none"
    ends_sentence: bool = False
    is_word: bool = True
    is_guess: bool = False
    """Punctuation that the recogniser wrote by itself."""


RAW = Writing(punctuation=False, fillers=False, numbers=False, capitals=False)


def written(spoken: str, how: Writing, before: str | None = None) -> Written:
    """The text for this utterance. `before` is what stands left of the cursor, where that is known: "" for an empty
    field, None for nobody knows, in which case the text stands by itself.
    """
    words = spoken.split()
    snippet = _snippet(words, how.snippets)
    if snippet is not None:
        return Written(snippet)
    words, presses_enter = _without_enter(words) if how.punctuation else (words, False)
    pieces = _pieces(_replaced(words, how.replacements), how)
    capitals = how.capitals and not how.code
    text = _joined(pieces, capitals=capitals, begins=capitals and _begins_sentence(before))
    return Written(_led(text, before), presses_enter)


def bare(word: str) -> str:
    """A word as it is looked up: without case and what stands around it."""
    return word.strip(EDGES + "\"'“”").casefold()


# --- from words to pieces --------------------------------------------------------------------------------------------


def _snippet(words: Sequence[str], snippets: Mapping[str, str]) -> str | None:
    said = " ".join(map(bare, words))
    return next((text for phrase, text in snippets.items() if phrase.casefold() == said), None)


def _without_enter(words: list[str]) -> tuple[list[str], bool]:
    if [bare(word) for word in words[-2:]] == ENTER.split():
        return words[:-2], True
    return words, False


def _replaced(words: list[str], replacements: Mapping[str, str]) -> list[str]:
    """Longest phrases first; what the recogniser wrote after the phrase stays after its replacement."""
    table = {tuple(phrase.casefold().split()): text for phrase, text in replacements.items()}
    longest = max(map(len, table), default=0)
    made: list[str] = []
    at = 0
    while at < len(words):
        for size in range(min(longest, len(words) - at), 0, -1):
            text = table.get(tuple(map(bare, words[at : at + size])))
            if text is not None:
                made.append(text.replace(" ", "\x00") + _tail(words[at + size - 1]))
                at += size
                break
        else:
            made.append(words[at])
            at += 1
    return made


def _pieces(words: list[str], how: Writing) -> list[_Piece]:
    marks = {**MARKS, **CODE_MARKS} if how.code else MARKS
    pieces: list[_Piece] = []
    at = 0
    while at < len(words):
        size = _command(words, at, marks, pieces) if how.punctuation else 0
        if not size and how.code:
            size = _cased(words, at, pieces, marks)
        if not size and how.numbers:
            size = _number(words, at, pieces)
        if not size:
            if not (how.fillers and bare(words[at]) in FILLERS):
                _add_word(words[at], pieces)
            elif _tail(words[at]) in (".", "?", "!") and pieces:
                _add_tail(_tail(words[at]), pieces)
            size = 1
        at += size
    return pieces


def _command(words: list[str], at: int, marks: Mapping[str, Mark], pieces: list[_Piece]) -> int:
    """How many words from `at` on are a command, which has been carried out; 0 if they are none."""
    if bare(words[at]) == LITERAL and at + 1 < len(words):
        _add_word(words[at + 1], pieces)
        return 2
    for size in (3, 2, 1):
        said = " ".join(map(bare, words[at : at + size]))
        if len(words) - at < size:
            continue
        if said == SCRATCH:
            _scratch(pieces)
            return size
        mark = marks.get(said)
        if mark is not None and not (said in ("period", "dash") and _is_noun(words, at)):
            _drop_tail(pieces)
            pieces.append(_Piece(mark.text, mark.glue, mark.ends_sentence, is_word=False))
            return size
    return 0


def _is_noun(words: list[str], at: int) -> bool:
    """ "A period of time" is no full stop."""
    before = bare(words[at - 1]) if at else ""
    after = bare(words[at + 1]) if at + 1 < len(words) else ""
    return before in ARTICLES or after == "of"


def _scratch(pieces: list[_Piece]) -> None:
    """Take back the last sentence; after a whole one, that one."""
    while pieces and pieces[-1].ends_sentence:
        pieces.pop()
    while pieces and not pieces[-1].ends_sentence:
        pieces.pop()


def _cased(words: list[str], at: int, pieces: list[_Piece], marks: Mapping[str, Mark]) -> int:
    """An identifier: the words after "snake case" up to the next command."""
    case = " ".join(map(bare, words[at : at + 2]))
    if case not in CASES:
        return 0
    names: list[str] = []
    end = at + 2
    while end < len(words) and not _starts_command(words, end, marks):
        names.append(bare(words[end]))
        end += 1
    if names:
        pieces.append(_Piece(_identifier(case, names)))
    return end - at


def _starts_command(words: list[str], at: int, marks: Mapping[str, Mark]) -> bool:
    said = [" ".join(map(bare, words[at : at + size])) for size in (1, 2, 3)]
    return any(phrase in marks or phrase in CASES or phrase == SCRATCH for phrase in said)


def _identifier(case: str, names: list[str]) -> str:
    match case:
        case "snake case":
            return "_".join(names)
        case "kebab case":
            return "-".join(names)
        case "all caps":
            return "_".join(names).upper()
        case "one word":
            return "".join(names)
        case _:
            first = names[0].capitalize() if case == "pascal case" else names[0]
            return first + "".join(name.capitalize() for name in names[1:])


def _number(words: list[str], at: int, pieces: list[_Piece]) -> int:
    """How many words from `at` on are a number that is written in digits."""
    end = at
    last = min(len(words), at + LONGEST_NUMBER)
    while end < last and (bare(words[end]) in VALUES or bare(words[end]) in (*SCALES, "point", "and", "percent")):
        end += 1
        if _tail(words[end - 1]):
            break
    for stop in range(end, at, -1):
        said = [bare(word) for word in words[at:stop]]
        is_share = said[-1] == "percent" and len(said) > 1
        text = _digits(said[:-1] if is_share else said, even_small=is_share)
        if text is not None:
            pieces.append(_Piece(text + ("%" if is_share else "")))
            _add_tail(_tail(words[stop - 1]), pieces)
            return stop - at
    return 0


def _digits(said: list[str], *, even_small: bool) -> str | None:
    if said[0] not in VALUES or said[-1] in ("and", "point"):
        return None
    if len(said) in (2, 3) and 13 <= VALUES[said[0]] <= 20 and said[1] in TENS:  # "nineteen ninety nine"
        last = number_from(" ".join(said[1:]))
        return None if last is None else f"{VALUES[said[0]]}{last:.0f}"
    value = number_from(" ".join(said))
    if value is None or (value < SMALLEST_DIGITS and value == int(value) and not even_small):
        return None
    return as_text(value)


# --- from pieces to text ---------------------------------------------------------------------------------------------


def _tail(word: str) -> str:
    return word[len(word.rstrip(EDGES)) :]


def _add_word(word: str, pieces: list[_Piece]) -> None:
    tail = _tail(word)
    core = word[: len(word) - len(tail)] if tail else word
    if core:
        pieces.append(_Piece(core.replace("\x00", " ")))
    _add_tail(tail, pieces)


def _add_tail(tail: str, pieces: list[_Piece]) -> None:
    if tail:
        pieces.append(_Piece(tail, "left", tail[-1] in ".!?。！？…", is_word=False, is_guess=True))


def _drop_tail(pieces: list[_Piece]) -> None:
    """What the recogniser wrote before a spoken mark was its own idea of the same pause."""
    if pieces and pieces[-1].is_guess:
        pieces.pop()


def _joined(pieces: list[_Piece], *, capitals: bool, begins: bool) -> str:
    """One text; `begins` says whether its first word begins a sentence, `capitals` whether that shows."""
    text, is_glued = "", True
    for piece in pieces:
        word = piece.text
        if piece.is_word:
            if begins and word[:1].islower():
                word = word[0].upper() + word[1:]
            begins = False
        text += word if is_glued or piece.glue in ("left", "both") else " " + word
        is_glued = piece.glue in ("right", "both")
        begins = begins or (capitals and piece.ends_sentence)
    return text


def _begins_sentence(before: str | None) -> bool:
    if before is None or not before.strip():
        return True
    return bool(re.search(r"([.!?。！？…][\"”')]*\s*|\n\s*)$", before))


def _led(text: str, before: str | None) -> str:
    """With the space that it needs after what is there already."""
    if not before or not text or before[-1].isspace() or before[-1] in "([{“\"'/@#-_":
        return text
    if text[0] in EDGES + ")]}”\n%" or _is_cjk(text[0]) or _is_cjk(before[-1]):
        return text
    return " " + text


def _is_cjk(letter: str) -> bool:
    return "\u3040" <= letter <= "\u30ff" or "\u4e00" <= letter <= "\u9fff" or "\u3000" <= letter <= "\u303f"
