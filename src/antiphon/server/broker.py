"""Calls whose sound goes straight to the server that is the voice: we connect the two, and join beside them.

The offer that a client posts to us is handed on, under a secret that this server makes for the one session and that no
client sees; the answer goes back. Then a connection beside the call is opened there, on which our tools are run
and what is said is kept. What a conversation is, `relay.session` knows.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.engines.http import open_client
from antiphon.errors import EngineError
from antiphon.observe.timeline import Turn
from antiphon.runtime.drive import Drive
from antiphon.runtime.upstream import Address, Counts, Upstream, open_upstream
from antiphon.runtime.upstream_failures import refused
from antiphon.server.calls import PREFIX
from antiphon.server.process import own_number
from antiphon.server.sessions import Sessions
from antiphon.session.outputs import Notice

log = logging.getLogger("antiphon.calls")

SECRET_S = 60  # that a client secret is good for: it is used at once
PATIENCE_S: Seconds = 15.0  # with each request: the other server gathers its addresses meanwhile
LONGEST_ANSWER = 200_000  # characters of SDP


class Beside:
    """The source of a session's connections beside a call: none is warm."""

    def __init__(self, address: Address, call_id: str, counts: Counts) -> None:
        self.counts = counts
        self._address = address
        self._url = address.to(call_id=call_id)

    def take(self) -> Upstream | None:
        return None

    async def open(self) -> Upstream:
        """Raises `EngineError`."""
        return await open_upstream(self._address, self._url)


class Brokered:
    """One call, as a `Link` of its session: it shows nothing to anybody, and knows when the session is over."""

    def __init__(self, id: str, there: str, drive: Drive, owner: str) -> None:
        self.id = id
        self.there = there
        """Its id at the other server."""
        self.drive = drive
        self.owner = owner
        self.name = f"beside {id}"
        self.reason = "lost"
        self.is_over = asyncio.Event()

    def show(self, notice: Notice, audio: bytes) -> None:
        """Its client sees what the other server says."""

    def report(self, turn: Turn) -> None:
        """Likewise."""

    def close(self, reason: str) -> None:
        self.reason = reason
        self.is_over.set()


class Placed(Struct, frozen=True):
    """A call that the other server has taken."""

    call_id: str
    answer: str
    """SDP."""


class _Made(Struct, frozen=True):
    """A client secret, as far as we read it."""

    value: str


class Broker:
    """The brokered calls of this process. Everything is called on the event loop."""

    def __init__(self, sessions: Sessions) -> None:
        self.ongoing: dict[str, Brokered] = {}
        self._sessions = sessions
        self._http: httpx.AsyncClient | None = None
        self._lives: set[asyncio.Task[None]] = set()

    async def place(self, address: Address, sdp: str, session: dict[str, Any]) -> Placed:
        """Have the other server answer an offer with this session. Raises `EngineError`."""
        wish = {"expires_after": {"anchor": "created_at", "seconds": SECRET_S}, "session": session}
        made = await self._post(address, "client_secrets", address.headers, content=msgspec.json.encode(wish))
        secret = _secret_in(made.content)
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp"}
        answered = await self._post(address, "calls", headers, content=sdp.encode())
        call_id = urlsplit(answered.headers.get("location", "")).path.rpartition("/")[2]
        if not call_id or len(answered.text) > LONGEST_ANSWER:
            words = f"{address.origin} did not say which call it has taken"
            raise EngineError(words, "Does it take calls?", code="upstream_malformed")
        return Placed(call_id, answered.text)

    def keep(self, address: Address, placed: Placed, drive: Drive, owner: str) -> str:
        """The session beside it lives as long as the call does. Returns our id of the call."""
        one = Brokered(f"{PREFIX}{own_number():x}_{secrets.token_hex(12)}", placed.call_id, drive, owner)
        self.ongoing[one.id] = one
        life = asyncio.create_task(self._live(one, address), name=f"call {one.id}")
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        drive.attach(one)
        return one.id

    async def _live(self, one: Brokered, address: Address) -> None:
        try:
            await one.is_over.wait()
        finally:
            del self.ongoing[one.id]
            one.drive.detach(one)
            await self._sessions.end(one.drive, one.reason)
            if one.reason != "upstream_lost":
                await self.hang_up(address, one.there)

    async def hang_up(self, address: Address, call_id: str) -> None:
        """At the other server. A call that is over already is no failure."""
        try:
            await self._post(address, f"calls/{quote(call_id, safe='')}/hangup", address.headers)
        except EngineError as error:
            log.info("a call could not be hung up: %s", error.message)

    def find(self, call_id: str, owner: str) -> Brokered | None:
        """The call with this id, if it is the owner's."""
        one = self.ongoing.get(call_id)
        return one if one is not None and one.owner == owner else None

    async def close(self) -> None:
        """Hang up everywhere, and wait until that is done."""
        for one in list(self.ongoing.values()):
            one.close("drain")
        await asyncio.gather(*self._lives, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    async def _post(self, address: Address, path: str, headers: Any, content: bytes = b"") -> httpx.Response:
        if self._http is None:
            self._http = await asyncio.to_thread(open_client)
        try:
            async with asyncio.timeout(PATIENCE_S):
                headers = {"Content-Type": "application/json", **headers}
                answer = await self._http.post(
                    address.over_http(path), content=content, headers=headers, timeout=PATIENCE_S
                )
        except (httpx.HTTPError, TimeoutError):
            words = f"{address.origin} does not answer"
            raise EngineError(words, "Is it up? Check relay.url.", code="upstream_unreachable") from None
        if answer.status_code >= 300:
            raise refused(answer.status_code, address.origin)
        return answer


def _secret_in(body: bytes) -> str:
    """The client secret that a server has made. Raises `EngineError`."""
    try:
        return msgspec.json.decode(body, type=_Made).value
    except (msgspec.DecodeError, UnicodeError):
        words = "the server that is the voice makes no client secrets"
        hint = "Set relay.calls = 'here', or check relay.url."
        raise EngineError(words, hint, code="upstream_malformed") from None
