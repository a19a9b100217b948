"""Where the frames of a WebSocket begin and end in the packets that bring them.

So that a small message that came whole can be acted on as it is, at a third of the cost of the general parser, which
sees all others. It does not know what a frame is for, nor whether it is allowed: that is the parser's business.
"""

from __future__ import annotations

TEXT, BINARY = 0x81, 0x82  # first byte of a frame that is a message of its own, without extensions
MASKED = 0x80
LONGER, LONGEST = 126, 127  # lengths that say: it follows, in 2 bytes, in 8 bytes
MASK_BYTES = 4


def frame_at(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the payload of the frame at `at` begins, and where the next frame will; None if the packet ends before its
    header does."""
    if len(data) < at + 2:
        return None
    second = data[at + 1]
    length, start = second & 0x7F, at + 2
    if length == LONGER:
        start += 2
        length = int.from_bytes(data[at + 2 : start])
    elif length == LONGEST:
        start += 8
        length = int.from_bytes(data[at + 2 : start])
    if second & MASKED:
        start += MASK_BYTES
    if len(data) < start:
        return None
    return start, start + length


def frame_header(size: int) -> bytes:
    """What stands before a whole text message with a payload of this size, from a server."""
    if size < LONGER:
        return bytes((TEXT, size))
    if size < 1 << 16:
        return bytes((TEXT, LONGER)) + size.to_bytes(2)
    return bytes((TEXT, LONGEST)) + size.to_bytes(8)
