"""Server-sent events out of bytes that arrive in any pieces.

It does no I/O and does not know what the events mean; `event`, `id` and `retry` are ignored, because none of
the services that we listen to puts anything there that is not in the data too.
"""

from __future__ import annotations

from antiphon.errors import EngineError

LONGEST_EVENT_BYTES = 1 << 20  # a whole answer in one event is some kilobytes; more is a server gone wrong


class EventStream:
    """Feed it bytes, get the data of the events that they completed, in order."""

    def __init__(self, longest_bytes: int = LONGEST_EVENT_BYTES) -> None:
        self._longest_bytes = longest_bytes
        self._rest = bytearray()
        self._after_return = False
        self._data: list[str] = []
        self._data_bytes = 0
        self._first_line = True

    def feed(self, piece: bytes) -> list[str]:
        """The data of every event that ends in `piece`. Linear in its length, however it is cut.

        Raises `EngineError` for an event that is too long or is not UTF-8.
        """
        if self._after_return and piece:
            # A line may end in CR LF, and the two may come in two pieces.
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._after_return = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

        events = []
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._rest += line
            event = self._line(bytes(self._rest))
            self._rest.clear()
            if event is not None:
                events.append(event)
        self._rest += rest
        self._refuse_if_too_long(len(self._rest))
        return events

    def finish(self) -> list[str]:
        """The event that the end of the stream completes, if the server left out the last empty line.

        The standard drops it; servers that forget the line are met in practice, and half an event would not
        parse.
        """
        events = [] if not self._rest else self.feed(b"\n")
        last = self._line(b"")
        return events if last is None else [*events, last]

    def _line(self, line: bytes) -> str | None:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise _malformed("an event that is not UTF-8") from error
        if self._first_line:
            self._first_line = False
            text = text.removeprefix("\ufeff")
        if not text:
            return self._dispatched()
        name, _, value = text.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
            self._data_bytes += len(line)
            self._refuse_if_too_long(self._data_bytes)
        return None

    def _dispatched(self) -> str | None:
        if not self._data:
            return None
        event = "\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        return event

    def _refuse_if_too_long(self, size_bytes: int) -> None:
        if size_bytes > self._longest_bytes:
            raise _malformed(f"an event of more than {self._longest_bytes} bytes")


def _malformed(what: str) -> EngineError:
    return EngineError(
        f"the server sent {what}",
        "Check that base_url leads to an OpenAI-compatible API, usually ending in /v1.",
        code="upstream_malformed",
    )
