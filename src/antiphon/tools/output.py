"""Cuts what tools return to what a model can read before the person wonders: head and tail, and how much there was.

Everything here is pure: what was given stays as it is. Text is cut between characters and counted in bytes of UTF-8.
In a value, texts and lists are cut where they are, so that what is left is still JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

HEAD_SHARE = 0.7  # of the room: what comes first mostly matters more, and errors stand at the end
FIRST_SHARE = 0.9  # of what seems to fit, that is tried: what stands around it takes room too
SMALLEST_TEXT_BYTES = 64
SMALLEST_LIST = 2
PIECE = 1 << 20  # characters that are counted at a time, so that no second copy of a gigabyte is made
LARGEST_PARSED_BYTES = 2_000_000  # above, JSON is cut as text: taking it apart would take 20 ms


class Cut(Struct, frozen=True):
    """A text that fits."""

    text: str
    total_bytes: int
    """Of the whole."""
    left_out_bytes: int = 0


def size_of(text: str) -> int:
    """Bytes of the text in UTF-8. A lone surrogate, which UTF-8 does not have, counts as three."""
    if text.isascii():
        return len(text)
    return sum(len(text[at : at + PIECE].encode("utf-8", "surrogatepass")) for at in range(0, len(text), PIECE))


def cut(text: str, limit_bytes: int, hint: str = "") -> Cut:
    """The text if it has at most so many bytes, or else its head and its tail around a line that says what is missing.

    `hint` goes into that line: how to read on. The line is not counted.
    """
    total = size_of(text)
    if total <= limit_bytes:
        return Cut(text, total)
    head = head_of(text, round(limit_bytes * HEAD_SHARE))
    tail = tail_of(text[len(head) :], limit_bytes - size_of(head))
    left_out = total - size_of(head) - size_of(tail)
    line = f"[{left_out:,} of {total:,} bytes are left out here{hint}]"
    return Cut(f"{head}\n{line}\n{tail}" if tail else f"{head}\n{line}", total, left_out)


def head_of(text: str, limit_bytes: int) -> str:
    """As many of the first characters as fit."""
    start = text[: max(0, limit_bytes)]
    if start.isascii():
        return start
    return start.encode("utf-8", "surrogatepass")[:limit_bytes].decode("utf-8", "ignore")


def tail_of(text: str, limit_bytes: int) -> str:
    """As many of the last characters as fit."""
    if limit_bytes <= 0:
        return ""
    end = text[-limit_bytes:]
    if end.isascii():
        return end
    return end.encode("utf-8", "surrogatepass")[-limit_bytes:].decode("utf-8", "ignore")


def fitted(text: str, limit_bytes: int, hint: str = "") -> Cut:
    """`cut`, but a JSON object or list stays one: the texts and lists inside are cut instead."""
    total = size_of(text)
    if total <= limit_bytes:
        return Cut(text, total)
    if text[:1] in ("{", "[") and total <= LARGEST_PARSED_BYTES:
        try:
            smaller = fitted_value(msgspec.json.decode(text), limit_bytes)
        except (msgspec.DecodeError, RecursionError):
            smaller = None
        if smaller is not None:
            note = {"left_out": f"{total - size_of(smaller):,} of {total:,} bytes{hint}"}
            return Cut(_with_note(smaller, note), total, total - size_of(smaller))
    return cut(text, limit_bytes, hint)


def _with_note(value: str, note: Mapping[str, str]) -> str:
    """The note stands beside what it is about: in the object, or as a list's last item."""
    written = msgspec.json.encode(note).decode()
    if value.startswith("{"):
        return value[:-1] + ("," if len(value) > 2 else "") + written[1:]
    return value[:-1] + ("," if len(value) > 2 else "") + written + "]"


def fitted_value(value: Any, limit_bytes: int) -> str | None:
    """The value as JSON of at most so many bytes, with its long texts and lists cut; None where that is not enough."""
    whole = len(msgspec.json.encode(value))
    if whole <= limit_bytes:
        return msgspec.json.encode(value).decode()
    # Mostly one list or text is what is too long, near the top: what of it fits is known before anything is built.
    text_bytes = round(limit_bytes * FIRST_SHARE)
    items = max(SMALLEST_LIST, round(_longest_list(value) * limit_bytes / whole * FIRST_SHARE))
    while True:
        written = msgspec.json.encode(_trimmed(value, text_bytes, items))
        if len(written) <= limit_bytes:
            return written.decode()
        if text_bytes <= SMALLEST_TEXT_BYTES and items <= SMALLEST_LIST:
            return None
        factor = min(0.7, limit_bytes / len(written) * FIRST_SHARE)
        text_bytes = max(SMALLEST_TEXT_BYTES, round(text_bytes * factor))
        items = max(SMALLEST_LIST, round(items * factor))


def _longest_list(value: Any) -> int:
    """Of the value itself and of what it holds directly; otherwise more than any text could hold items."""
    held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    lengths = [len(each) for each in (value, *held) if isinstance(each, list)]
    return max(lengths, default=LARGEST_PARSED_BYTES)


def _trimmed(value: Any, text_bytes: int, items: int) -> Any:
    match value:
        case str():
            return cut(value, text_bytes).text
        case list():
            if len(value) <= items:
                return [_trimmed(each, text_bytes, items) for each in value]
            head = max(1, round(items * HEAD_SHARE))
            tail = items - head
            left_out = len(value) - head - tail
            return [
                *(_trimmed(each, text_bytes, items) for each in value[:head]),
                f"[{left_out:,} of {len(value):,} items are left out here]",
                *(_trimmed(each, text_bytes, items) for each in (value[-tail:] if tail else ())),
            ]
        case dict():
            return {name: _trimmed(each, text_bytes, items) for name, each in value.items()}
        case _:
            return value
