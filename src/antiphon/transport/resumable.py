"""A connection that may break and be taken up again over another socket, with all that was said meanwhile.

Whoever comes back says which message came last, and hears the rest. Who may come back, and how a session is found, is
not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from antiphon.audio.formats import SoundReader
from antiphon.audio.units import Seconds
from antiphon.protocol.additions import SessionResumable
from antiphon.protocol.outbound import Projection
from antiphon.runtime.drive import Drive
from antiphon.session import inputs
from antiphon.transport.missed import missed_after
from antiphon.transport.sent import Sent
from antiphon.transport.websocket import WebSocketLink, short_way_of

log = logging.getLogger("antiphon.transport")

GOODBYES = frozenset({1000, 1001, 1005})  # codes with which a client means to leave: 1001 is a page that is left
MOVED = "The session goes on over another connection."
MOVED_S = 0.2  # for saying so: mostly nobody is there any more


class Visit(Struct, eq=False):
    """A socket to go on over."""

    socket: WebSocket
    after: str
    """Id of the last message that its client got, or ""."""
    over: asyncio.Future[None]
    """Done once it is not served any more."""


class ResumableLink(WebSocketLink):
    """A `Link` that outlives its sockets. `serve` is its life; `resume` goes on with it over another socket."""

    def __init__(
        self, name: str, socket: WebSocket, projection: Projection, allow: Callable[[int], bool], token: str,
        within_s: Seconds,
    ) -> None:  # fmt: skip
        """`token` is what its client shows when it comes back, within so many seconds."""
        super().__init__(name, socket, projection, allow)
        self.token = token
        self._within_s = within_s
        self._sent = Sent()
        self._is_over = False
        self._visits: asyncio.Queue[Visit | None] = asyncio.Queue(1)
        """Who wants to go on; None once there is no sense in waiting."""

    async def serve(self, drive: Drive) -> str:
        """As every link's, over one socket after the other."""
        drive.attach(self)
        token = SessionResumable(event_id="", session_id=drive.session.id, token=self.token, within_s=self._within_s)
        self._post(self._projection.own(token))
        try:
            visit = await self._serve_one(drive)
            while visit is not None:
                self._take_over(drive, visit)
                drive.put(inputs.LineRestored(self.name))
                try:
                    following = await self._serve_one(drive)
                finally:
                    _let_go(visit)
                visit = following
        finally:
            drive.detach(self)
            self._is_over = True
            while not self._visits.empty():
                _let_go(self._visits.get_nowait())
        return self._reason or "lost"

    async def _serve_one(self, drive: Drive) -> Visit | None:
        """Carry frames over the socket that there is, and return the next one; None if there will be none."""
        code = await self._carry(drive)
        if self._reason is None and code in GOODBYES:
            self._reason = "closed by the client"
        if self._reason is not None:
            return None
        drive.put(inputs.LineLost(self.name))
        if self._visits.empty():
            log.info("connection %s broke: it may come back for %.0f s", self.name, self._within_s)
        else:
            await _say_moved(self._socket)
        try:
            async with asyncio.timeout(self._within_s):
                return await self._visits.get()
        except TimeoutError:
            return None

    async def resume(self, socket: WebSocket, after: str) -> bool:
        """Go on over this socket, which is accepted, until it is over. `after` is the last message that its client got,
        or "". Returns False if there is nothing to go on with any more."""
        if self._is_over:
            return False
        visit = Visit(socket, after, asyncio.get_running_loop().create_future())
        if self._visits.full():
            _let_go(self._visits.get_nowait())
        self._visits.put_nowait(visit)
        if self._hearing is not None:
            self._hearing.cancel()  # the old connection may be gone, and nobody here know of it yet
        await visit.over
        return True

    def close(self, reason: str) -> None:
        super().close(reason)
        if self._visits.empty():
            self._visits.put_nowait(None)

    def _some(self) -> list[str]:
        texts = super()._some()
        for text in texts:
            self._sent.note(text)
        return texts

    def _take_over(self, drive: Drive, visit: Visit) -> None:
        """What the client did not get comes before what has gathered since."""
        self._socket, self._short_way = visit.socket, short_way_of(visit.socket)
        self._reader = SoundReader(self._reader.kind)  # half a sample is lost with its other half
        self.last_heard = self._loop.time()
        missed = missed_after(visit.after, self._sent, len(self._outbox), drive, self._projection)
        self._outbox.extendleft(reversed(missed))
        self._outbox_bytes += sum(map(len, missed))


def _let_go(visit: Visit | None) -> None:
    if visit is not None and not visit.over.done():
        visit.over.set_result(None)


async def _say_moved(socket: WebSocket) -> None:
    try:
        async with asyncio.timeout(MOVED_S):
            await socket.close(1000, MOVED)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        pass  # nobody is there, as was to be expected
