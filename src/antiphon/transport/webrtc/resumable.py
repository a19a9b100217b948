"""A call that may break and be taken up again over another path, with all that was said meanwhile.

A client comes back with a new offer. It is told the messages that it missed, and hears the rest of an answer from where
the old path was given up: sound that was on its way then is lost. Who may come back, and how a call is found, is not
known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiortc import RTCDataChannel
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.errors import PeerError
from antiphon.protocol.additions import SessionResumable
from antiphon.protocol.codec import encode
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.session import inputs
from antiphon.transport.missed import missed_after
from antiphon.transport.sent import Sent
from antiphon.transport.webrtc.call import Call, Chance, Manner
from antiphon.transport.webrtc.offer import Offer

log = logging.getLogger("antiphon.webrtc")

SILENT_S: Seconds = 7.0  # without any sign of life: a browser asks whether we are there every 2.5 to 6 s
LOOK_S: Seconds = 1.0


class Offered(Struct, eq=False):
    """A path to go on over."""

    offer: Offer
    after: str
    """Id of the last message that its client got, or ""."""
    answer: asyncio.Future[str | None]
    """The SDP that accepts it; None if there is nothing to go on with any more, or another came after it."""


class ResumableCall(Call):
    """A `Link` that outlives its paths. `serve` is its life; `resume` goes on with it over another path. Its client has
    offered a data channel."""

    def __init__(
        self,
        name: str,
        offer: Offer,
        projection: Projection,
        manner: Manner,
        chance: Chance,
        allow: Callable[[int], bool],
    ) -> None:
        super().__init__(name, offer, projection, manner, chance, allow)
        self.token = chance.token
        """What its client shows when it comes back."""
        self._within_s = manner.resume_s
        self._sent = Sent()
        self._is_done = False
        self._offers: asyncio.Queue[Offered | None] = asyncio.Queue(1)
        """Who wants to go on; None once there is no sense in waiting."""
        self._has_begun = False
        self._watching: asyncio.TimerHandle | None = None

    async def serve(self, drive: Drive) -> str:
        """As every call's, over one path after the other."""
        self._drive = drive
        try:
            await self._carry(drive)
            while (offered := await self._next(drive)) is not None:
                try:
                    is_taken = await self._take_over(drive, offered)
                finally:
                    _turn_down(offered)
                if is_taken:
                    await self._carry(drive)
            return self._reason_or_fate
        finally:
            self._is_done = True
            self._stop_watching()
            while not self._offers.empty():
                _turn_down(self._offers.get_nowait())
            await self._leave(drive)

    async def resume(self, offer: Offer, after: str) -> str | None:
        """Go on with whoever made this offer, and return the SDP that accepts it. `after` is the last message that they
        got, or "". None if there is nothing to go on with any more. Raises `PeerError` without a data channel."""
        if offer.channel is None:
            raise PeerError(
                "A call that goes on needs a data channel, for what was missed is told there.",
                "Offer one, as the call did when it began.",
                code="invalid_offer",
            )
        if self._is_done or self._reason is not None:
            return None
        offered = Offered(offer, after, self._loop.create_future())
        if self._offers.full():
            _turn_down(self._offers.get_nowait())
        self._offers.put_nowait(offered)
        self._is_over.set()  # the old path may be gone, and nobody here know of it yet
        return await offered.answer

    def close(self, reason: str) -> None:
        super().close(reason)
        if self._offers.empty():
            self._offers.put_nowait(None)

    # --- from one path to the next

    async def _next(self, drive: Drive) -> Offered | None:
        """Who takes the call up again; None if it is over."""
        if self._reason is not None or not self._has_begun or (self._peer.has_left and self._offers.empty()):
            return None
        drive.put(inputs.LineLost(self.name))
        self._stop_watching()
        self._speaker.pause()
        self._channel = None
        await self._peer.close()
        if self._offers.empty():
            log.info("call %s broke: it may come back for %.0f s", self.name, self._within_s)
        try:
            async with asyncio.timeout(self._within_s):
                return await self._offers.get()
        except TimeoutError:
            return None

    async def _take_over(self, drive: Drive, offered: Offered) -> bool:
        """Accept the offer; what its client did not get comes before what has gathered since."""
        if self._reason is not None:
            return False
        self._face(offered.offer)
        try:
            answer = await self._peer.answer()
        except OSError as error:  # the next offer may find a socket
            offered.answer.set_exception(error)
            return False
        missed = missed_after(offered.after, self._sent, len(self._outbox), drive, self._projection)
        self._outbox.extendleft(reversed(missed))
        self._outbox_bytes += sum(len(text.encode()) for text in missed)
        offered.answer.set_result(answer)
        return True

    def _greet(self, drive: Drive) -> None:
        self._watching = self._loop.call_later(LOOK_S, self._look)
        if self._has_begun:
            drive.put(inputs.LineRestored(self.name))
            return
        self._has_begun = True
        drive.attach(self)
        token = SessionResumable(event_id="", session_id=drive.session.id, token=self.token, within_s=self._within_s)
        for message in self._projection.own(token):
            self._tell(encode(message))

    def _give_up(self, reason: str) -> None:
        if self._has_begun:
            self._is_over.set()  # another offer may do better
        else:
            super()._give_up(reason)

    def _look(self) -> None:
        """Whether the other side is still there: ICE's own patience is half a minute."""
        if self._loop.time() - self._peer.last_heard > SILENT_S:
            self._is_over.set()
        else:
            self._watching = self._loop.call_later(LOOK_S, self._look)

    def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    def _pass(self, channel: RTCDataChannel, frame: str) -> None:
        super()._pass(channel, frame)
        self._sent.note(frame)


def _turn_down(offered: Offered | None) -> None:
    if offered is not None and not offered.answer.done():
        offered.answer.set_result(None)
