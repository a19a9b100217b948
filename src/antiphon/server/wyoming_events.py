"""Wyoming's events as a stranger may send them: read within bounds of size, or refused in words.

The package's own reader believes whatever length a header names, and keeps it all. What an event means is not known
here, and how long one may take to arrive is for whoever reads.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from wyoming.event import Event

from antiphon.errors import PeerError

LONGEST_HEADER_BYTES = 64 * 1024  # a line; the description of a service with a hundred voices takes half of it
LONGEST_DATA_BYTES = 256 * 1024  # of JSON after it: a long text to speak
LONGEST_PAYLOAD_BYTES = 1 << 20  # 10 s of sound at 48 kHz: Home Assistant sends 30 ms at a time

Length = Annotated[int, Meta(ge=0)]


class _Header(Struct, frozen=True):
    type: str
    data: dict[str, Any] | None = None
    data_length: Length | None = None
    payload_length: Length | None = None


async def read_event(reader: asyncio.StreamReader, first: bytes) -> Event:
    """The event that begins with `first`. Raises `PeerError` for what is none, after which nobody knows where the next
    one would begin. The reader's own limit should be `LONGEST_HEADER_BYTES`."""
    try:
        line = first + await reader.readline()
    except ValueError:
        raise _refused("its first line is longer than 64 KiB") from None
    header = _decoded(line, _Header)
    data = header.data or {}
    more = await _rest(reader, header.data_length or 0, LONGEST_DATA_BYTES, "data")
    if more:
        data = {**data, **_decoded(more, dict[str, Any])}
    payload = await _rest(reader, header.payload_length or 0, LONGEST_PAYLOAD_BYTES, "payload")
    return Event(header.type, data, payload or None)


async def _rest(reader: asyncio.StreamReader, size: int, most: int, what: str) -> bytes:
    if size > most:
        raise _refused(f"its {what} is to be of {size} bytes, and may be of {most}")
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        raise _refused(f"the stream ends within its {what}") from None


def _decoded(text: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _refused(str(error)) from None


def _refused(why: str) -> PeerError:
    return PeerError(
        f"this is no event of Wyoming: {why}",
        "Send a line of JSON with its type, then as much as it says.",
        code="invalid_event",
    )
