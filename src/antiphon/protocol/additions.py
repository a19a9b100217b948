"""Our own messages, beside the protocol's: named `antiphon.*`, and sent only to a connection that asked for them.

Some official clients hang up on a message that they do not know, so `?antiphon=1` in the URL turns them on; the
number is the version of what stands here.
"""

from __future__ import annotations

from msgspec import Struct

VERSION = 1


class ToolStarted(Struct, frozen=True, tag_field="type", tag="antiphon.tool.started", kw_only=True):
    """The server runs one of its own tools for this response."""

    event_id: str
    response_id: str
    call_id: str
    name: str
    arguments: str


class ToolDone(Struct, frozen=True, tag_field="type", tag="antiphon.tool.done", kw_only=True):
    """It has answered."""

    event_id: str
    response_id: str
    call_id: str
    name: str
    output: str
    ok: bool


AdditionMessage = ToolStarted | ToolDone
