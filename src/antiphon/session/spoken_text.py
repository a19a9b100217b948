"""What a voice should say for a text that was written to be read: without markup, emoji and addresses in full.

Plain text stays as it is. It does not know sentences or sound; clauses come one by one, and a code block that began
in one of them goes on in the next.
"""

from __future__ import annotations

import re
import unicodedata

_IMAGE_OR_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_URL = re.compile(r"(?:https?://|www\.)([^\s/?#)]+)[^\s)]*[^\s.,;:!?)]|(?:https?://|www\.)([^\s/?#)]+)")
_INLINE_CODE = re.compile(r"`+([^`\n]*)`*")
_STRONG = re.compile(r"(?<![\w*])(\*{1,3}|_{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?![\w*])", re.DOTALL)
_STRAY_STRONG = re.compile(r"(?<!\S)(?:\*{1,3}|__|~~)(?=\w)|(?<=[\w.,!?])(?:\*{1,3}|__|~~)(?=\W|$)")
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-*+•][ \t]+(?=\S))", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$|^[ \t]*\|?[ \t:|-]*-{2,}[ \t:|-]*\|?[ \t]*$", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|(.*)\|[ \t]*$", re.MULTILINE)
_REPEATED = re.compile(r"([!?,;])\1+")
_SPACES = re.compile(r"\s+")
_FENCE = "```"


class SpokenText:
    """The clauses of one answer, in order."""

    def __init__(self) -> None:
        self._in_code = False

    def feed(self, clause: str) -> str:
        """What to say for this clause; empty if there is nothing."""
        said = []
        for number, part in enumerate(clause.split(_FENCE)):
            if number:
                self._in_code = not self._in_code
            if not self._in_code:
                said.append(_plain(part))
        text = _SPACES.sub(" ", " ".join(said)).strip()
        return text if any(character.isalnum() for character in text) else ""


def spoken(text: str) -> str:
    """What to say for a whole text."""
    return SpokenText().feed(text)


def _plain(text: str) -> str:
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _URL.sub(lambda match: match.group(1) or match.group(2), text)
    text = _INLINE_CODE.sub(r"\1", text)
    text = _RULE.sub("", text)
    text = _ROW.sub(lambda match: ", ".join(cell.strip() for cell in match.group(1).split("|") if cell.strip()), text)
    text = _LINE_MARK.sub("", text)
    text = _STRAY_STRONG.sub("", _STRONG.sub(r"\2", text))
    text = "".join(character for character in text if _is_said(character))
    return _REPEATED.sub(r"\1", text)


def _is_said(character: str) -> bool:
    """Whether it is anything but an emoji, a joiner or a control character."""
    if character in "\n\t":
        return True
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return False
    if category == "So":
        return character in "°©®№℃℉"
    return not (category == "Sk" and ord(character) >= 0x1F3FB) and not 0xFE00 <= ord(character) <= 0xFE0F
