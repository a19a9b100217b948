"""What a client that comes back is told before anything else: that it is back, and all that it missed.

It does not know over what it comes back, nor how its messages are sent.
"""

from __future__ import annotations

import logging

from antiphon.audio.units import ms_from_samples
from antiphon.protocol.additions import SessionResumed
from antiphon.protocol.codec import encode
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.transport.sent import Sent

log = logging.getLogger("antiphon.transport")


def missed_after(event_id: str, sent: Sent, waiting: int, drive: Drive, projection: Projection) -> list[str]:
    """Messages to send, in order: `SessionResumed`, then what was sent after the message of that id, the last one that
    came. `waiting` is how many come behind them that were never sent."""
    texts, is_complete = sent.take_after(event_id)
    resumed = SessionResumed(
        event_id="",
        session_id=drive.session.id,
        missed=len(texts) + waiting,
        is_complete=is_complete,
        heard_ms=ms_from_samples(drive.position),
    )
    log.info("session %s: its client is back, and missed %d messages", drive.session.id, resumed.missed)
    return [*(encode(message) for message in projection.own(resumed)), *texts]
