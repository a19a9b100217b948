"""Says when a JSON object that comes in pieces is whole, so that a call can start before its model has ended.

It counts braces outside of texts and checks nothing else: what is whole here may still not be JSON.
"""

from __future__ import annotations

import re

MARKS = re.compile(r'[{}\[\]"\\]')


class WholeJson:
    """The pieces of one text, in order. Each is looked at once."""

    def __init__(self) -> None:
        self.is_whole = False
        """The first object has been closed. Nothing after that belongs to it."""
        self._depth = 0
        self._in_text = False
        self._skip = -1
        """Where the character stands that a backslash takes its meaning from; 0 is the first of the next piece."""

    def feed(self, piece: str) -> bool:
        """Returns `is_whole`."""
        if not piece:
            return self.is_whole
        for mark in MARKS.finditer(piece):
            if self.is_whole:
                break
            self._take(mark[0], mark.start())
        self._skip = 0 if self._skip == len(piece) else -1
        return self.is_whole

    def _take(self, mark: str, at: int) -> None:
        if at == self._skip:
            return
        if self._in_text:
            if mark == "\\":
                self._skip = at + 1
            elif mark == '"':
                self._in_text = False
        elif mark == '"':
            self._in_text = True
        elif mark in "{[":
            self._depth += 1
        elif mark in "}]":
            self._depth -= 1
            self.is_whole = self._depth == 0
