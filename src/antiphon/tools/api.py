"""What a server-side tool is: a function that the server runs for the model.

A tool does not know sessions or wire messages. The moment, the place and the way to be heard later are handed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from antiphon.engines.api import ToolSpec


class ToolContext(Struct, frozen=True):
    """What a tool may know about the call."""

    now: datetime
    """Wall time, with the zone that is configured for the session."""
    locale: str
    """Such as "en-US"."""
    session: str
    """Id of the conversation; timers belong to one."""
    announce: Callable[[str], None]
    """Say this aloud in the session as soon as nobody speaks. Safe to call from the event loop at any time; does
    nothing when the session is over."""


class ServerTool(Protocol):
    """A function that runs here, for a model that asked for it."""

    spec: ToolSpec

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Do it, and return what the model should know, as JSON text. Raises `ToolError` with words for the model."""
        ...


class ToolError(Exception):
    """The tool could not do what was asked; the text is for the model, one plain sentence."""
