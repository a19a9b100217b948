"""What clients ask of responses: whether they may, in words.

It does not know how a response is begun or ended; `session` joins that.
"""

from __future__ import annotations

from antiphon.errors import PeerError
from antiphon.session.audible import Audible


class ResponseRequests:
    """All refusals are `PeerError`s."""

    def __init__(self, most: int) -> None:
        """So many responses may be made at a time."""
        self._most = most
        self._truncated: str | None = None
        """The response that a truncation ended, as long as no other has begun."""

    def check_active(self, active: Audible | None) -> None:
        """Whether another one may begin in the conversation."""
        if active is not None:
            raise PeerError(
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until the response is finished before creating a new one.",
                'Wait for response.done, send response.cancel, or create it with conversation "none".',
                code="conversation_already_has_active_response",
            )

    def check_count(self, count: int) -> None:
        """Whether there may be one more than so many."""
        if count >= self._most:
            raise PeerError(
                f"Too many responses at a time: {self._most} are in progress.",
                "Wait for a response.done, or cancel one by its id.",
                code="too_many_responses",
            )

    def note_truncated(self, response: Audible) -> None:
        """A truncation has ended it."""
        self._truncated = response.id

    def note_begun(self) -> None:
        """Another one of the conversation is there."""
        self._truncated = None

    def cancel_nothing(self, wanted: str | None) -> None:
        """What is to be cancelled is not there. That is no fault of clients that say both, in this order: truncate what
        they do not play, and cancel."""
        if self._truncated is not None and wanted in (None, self._truncated):
            self._truncated = None
            return
        raise PeerError(
            "Cancellation failed: no active response found",
            "The response may have ended already; nothing has to be done.",
            code="response_cancel_not_active",
        )
