"""The last messages that were sent over a connection, for whoever comes back and has not got all of them.

Nobody knows how much of what was sent got through. What a message says is not known here, but for the id near its
beginning.
"""

from __future__ import annotations

from collections import deque

KEPT_BYTES = 512 * 1024  # 8 s of sound as base64, and a socket rarely holds more than that unread
NAMED_WITHIN = 200  # characters of a message in which its id stands


class Sent:
    """Of one connection, over all its sockets."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()
        self._bytes = 0
        self._has_forgotten = False

    def note(self, text: str) -> None:
        """This goes out now."""
        self._texts.append(text)
        self._bytes += len(text)
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._texts.popleft())
            self._has_forgotten = True

    def take_after(self, event_id: str) -> tuple[list[str], bool]:
        """What was sent after the message of that id, or all if it is "", and whether that is all of it. It is to be
        sent again, and so noted again as it goes: nothing is kept here."""
        sent = list(self._texts)
        self._texts.clear()
        self._bytes = 0
        wanted = f'"event_id":"{event_id}"'
        for place in range(len(sent) - 1, -1, -1):
            if wanted in sent[place][:NAMED_WITHIN]:
                return sent[place + 1 :], True
        return sent, not event_id and not self._has_forgotten
