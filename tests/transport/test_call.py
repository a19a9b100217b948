"""A call whose other side takes no messages: it ends, and is no burden before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiortc import RTCDataChannel

from antiphon.protocol.outbound import Projection
from antiphon.server.calls import NOBODY
from antiphon.session import outputs
from antiphon.transport.webrtc.call import OUTBOX_BYTES, Call, Chance, Manner
from antiphon.transport.webrtc.offer import read_offer
from antiphon.transport.webrtc.opus import library

library()  # as a server does before it takes calls: it looks into files


class Channel:
    """A data channel that passes on so many bytes, and keeps the rest."""

    def __init__(self, room: int) -> None:
        self.readyState = "open"
        self.sent_bytes = 0
        self._room = room

    @property
    def bufferedAmount(self) -> int:  # noqa: N802 - it is the standard's
        return max(0, self.sent_bytes - self._room)

    def on(self, event: str, listener: Callable[..., Any]) -> None:
        """Nothing happens here."""

    def send(self, frame: str) -> None:
        self.sent_bytes += len(frame.encode())


def a_call(name: str) -> Call:
    return Call(name, read_offer(NOBODY), Projection(name, 0), Manner(), Chance(1, 1, 1), lambda size: True)


def test_whoever_takes_no_messages_is_hung_up_on_at_the_bound_and_alone() -> None:
    async def story() -> None:
        stalled, other = a_call("stalled"), a_call("other")
        stuck, free = Channel(0), Channel(1 << 40)
        stalled.take_channel(cast("RTCDataChannel", stuck))
        other.take_channel(cast("RTCDataChannel", free))
        notice = outputs.TranscriptionGrew("item_1", "x" * 10_000)
        while stalled._reason is None:
            stalled.show(notice, b"")
            other.show(notice, b"")
            assert stalled.waiting_bytes <= OUTBOX_BYTES + 11_000, "what waits is bounded"
        assert stalled._reason == "too_slow"
        assert stalled.waiting_bytes > OUTBOX_BYTES
        stalled.show(notice, b"")
        other.show(notice, b"")
        assert stuck.sent_bytes < free.sent_bytes, "a call that is over is told no more"
        assert (other._reason, other.waiting_bytes) == (None, 0)
        await stalled.discard()
        await other.discard()

    asyncio.run(story())


def test_messages_wait_within_the_bound_for_a_channel_that_is_not_open_yet() -> None:
    async def story() -> None:
        call = a_call("early")
        for _ in range(3):
            call.show(outputs.TranscriptionGrew("item_1", "words"), b"")
        waiting = call.waiting_bytes
        assert waiting > 0
        channel = Channel(1 << 40)
        call.take_channel(cast("RTCDataChannel", channel))
        assert (channel.sent_bytes, call.waiting_bytes) == (waiting, 0)
        await call.discard()

    asyncio.run(story())
