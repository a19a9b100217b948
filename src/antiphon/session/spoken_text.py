"""What a voice should say for a text that was written to be read: without markup, emoji and addresses in full.

Plain text stays as it is, also where it looks like markup: "2 * 3 * 4", "5 > 3", "snake_case", "C#". It does not know
sentences, languages or sound. Clauses come one by one, and may end in the middle of a **span or a ``` block: what is
open goes on in the next one.

Said of code is what stands `in a line`, never a block; of a link its text, of an image its description, of an address
its host; of a table its cells. A heading, an item and a row end like a sentence, so that the voice pauses.
"""

from __future__ import annotations

import html
import re
import unicodedata

_FENCE = re.compile(r"`{3,}")
_INLINE_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)")
_ESCAPED = re.compile(r"\\([*_#`\[\]~|>])")
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,4});")
_TAG = re.compile(
    r"</?(?:a|b|blockquote|br|code|details|div|em|h[1-6]|hr|i|img|kbd|li|mark|ol|p|pre|s|small|span|strong|sub|summary|"
    r"sup|table|tbody|td|th|thead|tr|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)

_LINK = re.compile(
    r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+[\"'][^\"']*[\"'])?\)|\[[^\[\]]*\])"
)
_LINK_TAIL = re.compile(r"\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_FOOTNOTE = re.compile(r"\[\^[^\]\s]{0,40}\]:?")
_URL = re.compile(r"<?\b(?:https?://|www\.)[^\s<>\"'`]+>?", re.IGNORECASE)
_BARE_PATH = re.compile(r"(?<![\w./@-])(?:[a-z0-9-]+\.)+[a-z]{2,}/[^\s<>\"'`]*", re.IGNORECASE)
_AFTER_URL = re.compile(r"[.,;:!?)\]}*_~>|]*$")

_RULE = re.compile(r"(?:[-*_=][ \t]*){3,}|\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t:|-]*)?")
_PREFIX = re.compile(r"^(?:[ \t]*+(?:>|[-*+•‣◦](?=[ \t])|#{1,6}(?=[ \t])))+[ \t]*(?:\[[ xX]\][ \t]+)?")
_HEADING_END = re.compile(r"[ \t]#+$")

_SPAN = re.compile(r"(?<![\w*_~\\])(\*{1,3}|_{1,3}|~~)(?=[^\s*_~])(.{1,400}?)(?<=[^\s*_~])\1(?![\w*_~])")
_OPENING = re.compile(r"(?<![^\s(\[{\"'“‘«—–-])(\*{1,3}|_{1,3}|~~)(?=[^\s*_~\d])(?!\W*$)")
_CLOSING = re.compile(r"(?:(?<=[^\s*_~])|^)(\*{1,3}|_{1,3}|~~)(?!\w)")

_KEPT_SYMBOLS = frozenset("°©®™№℃℉℗")
_JOINERS = "\u200c\u200d"
"""Not seen, but part of words in Persian and Indic scripts."""
_GONE = "\x00"
"""Stands where an emoji was, until the spaces around it are settled."""
_GONE_RUN = re.compile(rf"[ \t]*+{_GONE}[{_GONE} \t]*+([.!?,;:…。！？，]?)")
_SAME_MARKS = re.compile(r"([!?¡¿,;])\1+")
_MARKS_IN_TURN = re.compile(r"(?:\?!|!\?)[?!]+")
_MANY_DOTS = re.compile(r"\.{4,}|…[.…]+")
_DRAWN_LINE = re.compile(r"(?<!\w)[_=~*#-]{3,}(?!\w)")
_LEFTOVERS = re.compile(r"^(?:[.!?…,;:)\]}»”’]+(?=\s|$)|[」』）】》，。！？、；：])+\s*")
"""Marks that belong to the clause before this one, which had already gone out."""
_SPACES = re.compile(r"\s+")
_ENDED = tuple(".!?…:;,。！？：；，、।؟")


class SpokenText:
    """The clauses of one answer, in order."""

    def __init__(self) -> None:
        self._in_code = False
        self._at_line_start = True
        self._open: list[str] = []
        """Marks of emphasis whose other end has not come yet."""

    def feed(self, clause: str) -> str:
        """What to say for this clause, on one line; empty if there is nothing."""
        said: list[str] = []
        place = 0
        for fence in _FENCE.finditer(clause):
            said += self._text(clause[place : fence.start()])
            self._in_code = not self._in_code
            self._at_line_start = False
            place = fence.end()
        said += self._text(clause[place:])
        text = _SPACES.sub(" ", " ".join(said)).strip()
        text = _LEFTOVERS.sub("", text)
        return text if any(map(str.isalnum, text)) else ""

    def _text(self, text: str) -> list[str]:
        """The lines of a stretch between fences."""
        if not text:
            return []
        if self._in_code:
            return []
        said = []
        for line in text.split("\n"):
            said.append(self._line(line))
            self._at_line_start = True
        self._at_line_start = text.endswith("\n") or (self._at_line_start and not text.strip() and "\n" in text)
        return said

    def _line(self, line: str) -> str:
        is_block = False
        if self._at_line_start:
            if _RULE.fullmatch(line.strip()):
                return ""
            bare = _PREFIX.sub("", line)
            is_block = bare != line and not line.lstrip().startswith(">")
            line = _HEADING_END.sub("", bare.rstrip())
        if line.strip().startswith("|") or line.rstrip().endswith("|"):
            line = ", ".join(cell.strip() for cell in line.split("|") if cell.strip())
            is_block = True
        line = self._without_markup(line)
        if is_block and line.strip() and not line.rstrip().endswith(_ENDED):
            line = line.rstrip() + "."
        return line

    def _without_markup(self, line: str) -> str:
        parts = _INLINE_CODE.split(line)  # text, ticks, code, text, ticks, code, ..., text
        said = [self._without_spans(part) if number % 3 == 0 else part for number, part in enumerate(parts)]
        return _tamed("".join(part for number, part in enumerate(said) if number % 3 != 1))

    def _without_spans(self, text: str) -> str:
        text = _LINK.sub(r"\1", text)
        text = _FOOTNOTE.sub("", _LINK_TAIL.sub("", text))
        text = _BARE_PATH.sub(_host, _URL.sub(_host, text))
        text = _TAG.sub(" ", _ENTITY.sub(lambda found: html.unescape(found.group()), text))
        while (bare := _SPAN.sub(r"\2", text)) != text:
            text = bare
        text = _CLOSING.sub(self._close, text)
        text = _OPENING.sub(self._begin, text)
        return _ESCAPED.sub(r"\1", text).replace("`", "")

    def _begin(self, found: re.Match[str]) -> str:
        self._open.append(found.group(1))
        return ""

    def _close(self, found: re.Match[str]) -> str:
        if found.group(1) not in self._open:
            return found.group()
        self._open.remove(found.group(1))
        return ""


def spoken(text: str) -> str:
    """What to say for a whole text, on one line; empty if there is nothing."""
    return SpokenText().feed(text)


def _host(found: re.Match[str]) -> str:
    address = found.group().strip("<>")
    after = _AFTER_URL.search(address)
    end = after.start() if after else len(address)
    host = re.split(r"[/?#]", address[:end].partition("://")[2] or address[:end], maxsplit=1)[0]
    host = host.rpartition("@")[2].partition(":")[0]
    return host.removeprefix("www.").removeprefix("WWW.") + address[end:].strip("<>")


def _tamed(text: str) -> str:
    """Without what cannot be said: pictures, marks in heaps, characters that are not seen."""
    if not text.isascii():
        text = "".join(_said(text, place) for place in range(len(text)))
        text = _GONE_RUN.sub(lambda found: found.group(1) or " ", text)
    elif not text.isprintable():
        text = "".join(letter if letter.isprintable() else " " * letter.isspace() for letter in text)
    text = _MANY_DOTS.sub("...", _MARKS_IN_TURN.sub(lambda found: found.group()[:2], _SAME_MARKS.sub(r"\1", text)))
    return _DRAWN_LINE.sub(" ", text)


def _said(text: str, place: int) -> str:
    """This character, or what stands for it."""
    character = text[place]
    if character.isascii() and character.isprintable():
        return character
    if character in _JOINERS:
        is_in_word = place and ord(text[place - 1]) >= 0x600 and unicodedata.category(text[place - 1])[0] in "LM"
        return character if is_in_word else ""
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category == "So":
        return character if character in _KEPT_SYMBOLS else _GONE
    if category in ("Cn", "Co") or 0x1F3FB <= ord(character) <= 0x1F3FF:
        return _GONE
    is_unseen = category in ("Cc", "Cf", "Cs") or category == "Me" or 0xFE00 <= ord(character) <= 0xFE0F
    return "" if is_unseen else character
