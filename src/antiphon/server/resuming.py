"""Who may come back to which session after a connection broke, and where that session is.

A token names the process that holds the session, so that every worker of a port can hand its bearer on. It is good for
as long as the session lives, and only with the API key that the session was opened with, or a client secret of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from antiphon.server.process import own_number
from antiphon.server.refusals import Refusal
from antiphon.transport.resumable import ResumableLink

TOKEN = re.compile(r"resume_([0-9a-f]{1,16})_[\w-]{32}")
UNKNOWN = Refusal(
    404, "session_not_resumable", "There is no session to go on with: it is over, or was not yours. Open a new one."
)
IS_A_CALL = Refusal(
    409,
    "session_is_a_call",
    "This session is a call over WebRTC. Go on with it by POST /v1/realtime/calls?antiphon=1&resume=TOKEN&after=EVENT.",
)
IS_NO_CALL = Refusal(
    409,
    "session_is_no_call",
    "This session is one over a WebSocket. Go on with it at /v1/realtime?antiphon=1&resume=TOKEN&after=EVENT.",
)
LONGEST_ID = 100  # characters of a message's


class Resumable:
    """The connections of this process that may be taken up again. Everything is called on the event loop."""

    def __init__(self) -> None:
        self._links: dict[str, tuple[ResumableLink, str]] = {}

    def __len__(self) -> int:
        return len(self._links)

    @contextmanager
    def offered(self, link: ResumableLink, owner: str) -> Iterator[None]:
        """While the block runs, whoever comes with the link's token and as this owner may go on with it."""
        self._links[link.token] = link, owner
        try:
            yield
        finally:
            del self._links[link.token]

    def find(self, token: str, owner: str) -> ResumableLink | None:
        link, known = self._links.get(token, (None, ""))
        return link if known == owner else None


def new_token() -> str:
    return f"resume_{own_number():x}_{secrets.token_urlsafe(24)}"


def worker_of(token: str) -> int | None:
    """The process that holds the session of this token, by its number; None if it is no token."""
    found = TOKEN.fullmatch(token)
    return int(found[1], 16) if found else None
