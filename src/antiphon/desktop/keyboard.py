"""What a person types while a conversation goes on: whole lines, from a terminal or from a pipe.

At a terminal each key is seen at once, so that the line can be shown below the conversation and Escape or an empty
Enter can stop an answer. It does not know what is done with the lines.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
from collections.abc import Callable
from typing import TextIO

from antiphon.errors import Bug

READ_BYTES = 4096


class Typed:
    """An editor of one line: bytes in, lines and wishes out."""

    def __init__(self) -> None:
        self.line = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence: str | None = None
        """What has come of an escape sequence, such as that of an arrow key."""

    def feed(self, data: bytes) -> list[str | None]:
        """Whole lines; None for each wish to stop what is being said: Escape, or Enter on an empty line."""
        found: list[str | None] = []
        for letter in self._decoder.decode(data):
            if self._is_in_sequence(letter):
                continue
            match letter:
                case "\r" | "\n":
                    found.append(self.line.strip() or None)
                    self.line = ""
                case "\x7f" | "\x08":
                    self.line = self.line[:-1]
                case "\x15":  # Ctrl-U
                    self.line = ""
                case "\x17":  # Ctrl-W
                    self.line = self.line.rstrip().rpartition(" ")[0]
                    self.line += " " if self.line else ""
                case "\x1b":
                    self._sequence = ""
                case _ if letter.isprintable():
                    self.line += letter
                case _:
                    pass
        if self._sequence == "":  # the key alone: a sequence comes in one read
            self._sequence = None
            found.append(None)
        return found

    def _is_in_sequence(self, letter: str) -> bool:
        if self._sequence is None:
            return False
        self._sequence += letter
        is_over = len(self._sequence) > 1 and "@" <= letter <= "~"
        if is_over or (len(self._sequence) == 1 and letter not in "[O"):
            self._sequence = None
        return True


class Keyboard:
    """Standard input, read on the event loop. Use as a context; the terminal is as it was afterwards."""

    def __init__(
        self, on_line: Callable[[str], None], on_stop: Callable[[], None], source: TextIO | None = None
    ) -> None:
        self.typed = Typed()
        self.is_over = asyncio.Event()
        """Set at the end of a pipe or on Ctrl-D."""
        self._on_line = on_line
        self._on_stop = on_stop
        self._source = source or sys.stdin
        self._before: object = None

    def __enter__(self) -> Keyboard:
        if self._source.isatty():
            import termios
            import tty

            self._before = termios.tcgetattr(self._source.fileno())
            tty.setcbreak(self._source.fileno())  # Ctrl-C still ends the program
        try:
            asyncio.get_running_loop().add_reader(self._source.fileno(), self._read)
        except OSError as error:  # a regular file cannot be waited for: it is read at once
            if self._before is not None:
                raise Bug(f"the terminal cannot be read: {error}", "Report this with your terminal's name.") from error
            asyncio.get_running_loop().call_soon(self._read_all)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._source.fileno())
        if self._before is not None:
            import termios

            termios.tcsetattr(self._source.fileno(), termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def _read(self) -> None:
        data = os.read(self._source.fileno(), READ_BYTES)
        if not data or data == b"\x04":
            asyncio.get_running_loop().remove_reader(self._source.fileno())
            self._take(b"\n" if self.typed.line else b"")
            self.is_over.set()
            return
        self._take(data)

    def _read_all(self) -> None:
        while data := os.read(self._source.fileno(), READ_BYTES):
            self._take(data)
        self._take(b"\n" if self.typed.line else b"")
        self.is_over.set()

    def _take(self, data: bytes) -> None:
        for line in self.typed.feed(data):
            if line is None:
                self._on_stop()
            else:
                self._on_line(line)
