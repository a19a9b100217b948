"""What a terminal shows of a conversation: lines that stay, and one below them that changes.

It behaves where there is no terminal (plain lines, nothing redrawn), where colour is not wanted (NO_COLOR), and when
the window changes its size. It knows neither sound nor messages.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable, Mapping
from typing import TextIO

from antiphon.audio.units import Seconds

COLOURS: Mapping[str, str] = {
    "you": "36", "antiphon": "32", "tool": "33", "error": "31", "timeline": "90", "state": "35",
}  # fmt: skip
LABEL = 10  # columns of who says it
BAR = "▁▂▃▄▅▆▇█"
QUIET_DBFS, LOUD_DBFS = -60.0, -6.0
REDRAW_S: Seconds = 0.05  # nobody reads faster, and a slow line (ssh) must not be flooded


class Screen:
    """Writes to one stream. All methods are for one thread."""

    def __init__(self, out: TextIO, *, columns: Callable[[], int] | None = None) -> None:
        """`columns` tells the width; by default that of the terminal, asked for anew at each redraw."""
        self._out = out
        self._is_terminal = out.isatty() and os.environ.get("TERM") != "dumb"
        self._is_coloured = self._is_terminal and not os.environ.get("NO_COLOR")
        self._columns = columns or (lambda: shutil.get_terminal_size().columns)
        self._status = ""
        self._drawn_at: Seconds = float("-inf")

    def line(self, kind: str, text: str) -> None:
        """Something that stays, above the line that changes. Control characters in it do nothing."""
        label = f"{kind:<{LABEL}}" if kind in ("you", "antiphon", "tool") else " " * LABEL
        text = label + printable(text)
        if self._is_coloured and kind in COLOURS:
            text = f"\x1b[{COLOURS[kind]}m{text}\x1b[0m"
        self._write(f"\r\x1b[K{text}\n{self._fitted()}" if self._is_terminal else f"{text}\n")

    def status(self, text: str, now: Seconds, *, is_urgent: bool = False) -> None:
        """What the changing line says; drawn at most every 50 ms unless it is urgent. Nothing without a terminal."""
        if not self._is_terminal or (text == self._status and not is_urgent):
            return
        if not is_urgent and now - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = now
        self._status = text
        self._write(f"\r\x1b[K{self._fitted()}")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._is_terminal:
            self._status = ""
            self._write("\r\x1b[K")

    def _fitted(self) -> str:
        """The status in one row: a row that wraps could not be redrawn. Its end is what is newest."""
        return last_columns(printable(self._status), max(1, self._columns() - 1))

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except UnicodeEncodeError:
            self._out.write(text.encode("ascii", "replace").decode())
            self._out.flush()


def meter(dbfs: float, width: int = 8) -> str:
    """A level as a bar."""
    share = (dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS)
    filled = max(0.0, min(1.0, share)) * width
    whole = int(filled)
    part = BAR[int((filled - whole) * len(BAR))] if whole < width and filled > whole else ""
    return ("█" * whole + part).ljust(width)


def printable(text: str) -> str:
    """Without what would move the cursor or colour the screen: the text is a stranger's."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def width_of(letter: str) -> int:
    """Columns that a character takes."""
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def last_columns(text: str, columns: int) -> str:
    """The end of the text that fits, with a mark where it was cut."""
    if sum(map(width_of, text)) <= columns:
        return text
    kept: list[str] = []
    room = columns - 1
    for letter in reversed(text):
        room -= width_of(letter)
        if room < 0:
            break
        kept.append(letter)
    return "…" + "".join(reversed(kept))
