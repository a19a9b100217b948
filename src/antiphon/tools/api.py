"""What a server-side tool is: a function that the server runs for the model.

A tool does not know sessions or wire messages. The moment, the place and the way to be heard later are handed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from antiphon.engines.api import ToolSpec


def _nobody(text: str) -> None:
    """Where reports go when nobody listens."""


def _always() -> bool:
    return True


class Desk(Protocol):
    """What a tool may do with the other calls of its session."""

    def read_more(self, token: str, start: int) -> str:
        """The next stretch of an output that was cut, from this character on, as JSON. Raises `ToolError`."""
        ...

    def tasks(self) -> Sequence[Mapping[str, Any]]:
        """The calls that go on beside the conversation: "task" is a number, "tool", "seconds", "progress"."""
        ...

    def cancel_task(self, number: int) -> bool:
        """End one of them. False if there is none of this number."""
        ...


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
    principal: str = ""
    """Who is served: the same for everything that comes with the same key, and empty where no keys are. Nothing that
    was found for one is shown to another."""
    folder: str = ""
    """Where the session works, for tools that know folders. What was found in one is not shown in another."""
    call_id: str = ""
    desk: Desk | None = None
    is_wanted: Callable[[], bool] = _always
    """Whether anybody still waits for the result. A function that is not async cannot be cancelled: one that may take
    long looks here now and then, and leaves."""
    progress: Callable[[str], None] = _nobody
    """Tell how far the work is, in a few words that can be said aloud. Safe to call from any thread."""


class Conduct(Struct, frozen=True):
    """How a tool is to be run."""

    reads_only: bool = False
    """Calls change nothing. They run beside one another, may be repeated, and their results may be kept."""
    resource: str = ""
    """What the tool reads or changes, such as "list" or, with an argument in braces, "file:{path}". Calls that change
    the same resource run one after another in the whole process, and nothing that was kept of it is used again. Empty:
    it may be anything; then calls that change things run one after another in each session."""
    destroys: bool = False
    """Calls lose what cannot be had again, send, buy or publish."""
    asks: bool | None = None
    """Whether the person has to allow each call; None is as the configured policy says."""
    deadline_s: float | None = None
    """How long a call may take; None is what the configuration says."""
    cache_s: float | None = None
    """How long a result may be used again for the same principal, folder and arguments; 0 never. Only if `reads_only`.
    None: as long as the configuration says for a function that is given no context, otherwise never."""
    outlives_response: bool = False
    """A call goes on when the person interrupts the answer it was made for; its result is told later."""
    background_after_s: float | None = None
    """A call that takes longer goes on beside the conversation, and its result is told when it is there; from then on
    others wait for it only at a `resource` that has a name. None: the answer waits for it."""
    output_bytes: int | None = None
    """The most that the model is given of a result; None is what the configuration says."""


class ServerTool(Protocol):
    """A function that runs here, for a model that asked for it.

    It may have an attribute `conduct`, a `Conduct`; without, it is one that changes things. It may have two async
    methods: `leave`, which is awaited with the id of a session that is over, and `close`, when the server ends. Tools
    of another framework are objects of this shape: `tools.amplifier` shows how.
    """

    spec: ToolSpec

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Do it, and return what the model should know, as JSON text. Raises `ToolError` with words for the model."""
        ...


class ToolError(Exception):
    """The tool could not do what was asked; the text is for the model, one plain sentence."""


class BadArguments(ToolError):
    """The model wrote arguments that the tool cannot take. It is told, and may try again."""


def conduct_of(tool: ServerTool) -> Conduct:
    conduct = getattr(tool, "conduct", None)
    return conduct if isinstance(conduct, Conduct) else Conduct()
