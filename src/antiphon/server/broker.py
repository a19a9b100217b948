"""Calls whose sound goes straight to the server that is the voice: we connect the two, and join beside them.

The offer that a client posts to us is handed on, under a secret that this server makes for the one session and that no
client sees; the answer goes back. Then a connection beside the call is opened there, on which our tools are run
and what is said is kept. A call costs money there, so whoever asks for one has a place here before, and one that nobody
waits for any more is hung up. What a conversation is, `relay.session` knows.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.engines.http import UpstreamError, malformed, open_client, retry_after_s
from antiphon.errors import EngineError
from antiphon.observe.timeline import Turn
from antiphon.runtime.drive import Drive
from antiphon.runtime.upstream import Address, Counts, Upstream, open_upstream
from antiphon.runtime.upstream_failures import refused
from antiphon.server.calls import PREFIX
from antiphon.server.process import own_number
from antiphon.server.refusals import RETRY_AFTER_S, Refusal
from antiphon.server.sessions import Sessions
from antiphon.session.outputs import Notice

log = logging.getLogger("antiphon.calls")

SECRET_S = 60  # that a client secret is good for: it is used at once
PATIENCE_S: Seconds = 15.0  # until a call is taken: the other server gathers its addresses meanwhile
LATE_S: Seconds = 60.0  # in which a call that was given up may yet be answered, to be hung up
FAREWELL_S: Seconds = 5.0  # for all to be hung up before the process ends
LONGEST_ANSWER_BYTES = 200_000  # a hundred times what a client secret or an answer's SDP takes
BETTER_LATER = frozenset({"upstream_rate_limited", "upstream_failed", "upstream_unreachable", "upstream_timeout"})
"""Codes of what may be over when the client asks again."""


class Beside:
    """The source of a session's connections beside a call: none is warm, and none can be made before it is placed."""

    def __init__(self, address: Address, counts: Counts) -> None:
        self.counts = counts
        self._address = address
        self._call_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def join(self, call_id: str) -> None:
        """The call is there, under this id."""
        self._call_id.set_result(call_id)

    def take(self) -> Upstream | None:
        return None

    async def open(self) -> Upstream:
        """Raises `EngineError`."""
        call_id = await asyncio.shield(self._call_id)
        return await open_upstream(self._address, self._address.to(call_id=call_id))


class Placed(Struct, frozen=True):
    """A call that the other server has taken."""

    call_id: str
    answer: str
    """SDP."""


class Brokered:
    """One call, as a `Link` of its session: it shows nothing to anybody, and knows when the session is over."""

    def __init__(self, id: str, drive: Drive, owner: str) -> None:
        self.id = id
        self.drive = drive
        self.owner = owner
        self.name = f"beside {id}"
        self.reason = "lost"
        self.is_over = asyncio.Event()
        self.taken: asyncio.Future[Placed | None] = asyncio.get_running_loop().create_future()
        """What the other server has said to it; None if the session was over before."""

    def show(self, notice: Notice, audio: bytes) -> None:
        """Its client sees what the other server says."""

    def report(self, turn: Turn) -> None:
        """Likewise."""

    def close(self, reason: str) -> None:
        self.reason = reason
        self.is_over.set()
        if not self.taken.done():
            self.taken.set_result(None)


class _Made(Struct, frozen=True):
    """A client secret, as far as we read it."""

    value: str


class _Answered(Struct, frozen=True):
    """What the other server has said to a request that it did not refuse."""

    body: bytes
    location: str


class Broker:
    """The brokered calls of this process. Everything is called on the event loop."""

    def __init__(self, sessions: Sessions) -> None:
        self.ongoing: dict[str, Brokered] = {}
        self._sessions = sessions
        self._http: httpx.AsyncClient | None = None
        self._lives: set[asyncio.Task[None]] = set()
        self._refusals: dict[str, tuple[Seconds, UpstreamError]] = {}
        """By origin: until when it wants to hear nothing, and in which words it said so."""

    def placing(self, owner: str) -> int:
        """How many calls of the owner's the other server has not taken yet."""
        return sum(1 for one in self.ongoing.values() if one.owner == owner and not one.taken.done())

    async def begin(
        self, address: Address, sdp: str, session: dict[str, Any], drive: Drive, owner: str
    ) -> tuple[str, Placed] | None:
        """Have the other server answer an offer with this session. The call lives until either side ends it, and its
        session with it. Returns our id of the call and what the other server said, or None if the session ended
        before. Raises `EngineError`. Then, and where this is cancelled, the session is the caller's to end; a call that
        is taken all the same is hung up."""
        one = Brokered(f"{PREFIX}{own_number():x}_{secrets.token_hex(12)}", drive, owner)
        self.ongoing[one.id] = one
        life = asyncio.create_task(self._live(one, address, sdp, session), name=f"call {one.id}")
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        drive.attach(one)
        try:
            async with asyncio.timeout(PATIENCE_S):
                placed = await one.taken
        except TimeoutError:
            one.close("upstream_timeout")
            raise _silent(address.origin) from None
        except BaseException:
            one.close("lost")
            raise
        return None if placed is None else (one.id, placed)

    async def _live(self, one: Brokered, address: Address, sdp: str, session: dict[str, Any]) -> None:
        """From the offer until it was hung up, also if nobody waits for it by the time it is taken."""
        placed: Placed | None = None
        try:
            secret = await self._secret(address, session)
            if one.is_over.is_set():
                return
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp"}
            placed = _taken(await self._post(address, "calls", headers, sdp.encode(), LATE_S), address.origin)
            if not one.taken.done():
                one.taken.set_result(placed)
            await one.is_over.wait()
        except EngineError as error:
            one.reason = error.code
            if not one.taken.done():
                one.taken.set_exception(error)
        finally:
            one.close(one.reason)
            del self.ongoing[one.id]
            one.drive.detach(one)
            await self._sessions.end(one.drive, one.reason)
        if placed is not None and one.reason != "upstream_lost":
            await self.hang_up(address, placed.call_id)

    async def _secret(self, address: Address, session: dict[str, Any]) -> str:
        """With which one call of this session may be made. Raises `EngineError`."""
        self._check_rest(address)
        wish = {"expires_after": {"anchor": "created_at", "seconds": SECRET_S}, "session": session}
        made = await self._post(address, "client_secrets", address.headers, content=msgspec.json.encode(wish))
        return _secret_in(made.body)

    def _check_rest(self, address: Address) -> None:
        """Raises `UpstreamError` as long as it wants to hear nothing."""
        until, said = self._refusals.get(address.origin, (0.0, None))
        left_s = until - asyncio.get_running_loop().time()
        if said is not None and left_s > 0:
            raise UpstreamError(said.message, said.hint, code=said.code, status=said.status, retry_after_s=left_s)

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
        """Hang up everywhere, and wait until that is done, or until it has been waited for long enough: a call that is
        taken after that has nobody in it, and ends by itself."""
        for one in list(self.ongoing.values()):
            one.close("drain")
        if self._lives:
            _, late = await asyncio.wait(self._lives, timeout=FAREWELL_S)
            for life in late:
                life.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    async def _post(
        self,
        address: Address,
        path: str,
        headers: Mapping[str, str],
        content: bytes = b"",
        patience_s: Seconds = PATIENCE_S,
    ) -> _Answered:
        """Raises `EngineError`."""
        if self._http is None:
            self._http = await asyncio.to_thread(open_client)
        headers = {"Content-Type": "application/json", **headers}
        url = address.over_http(path)
        try:
            async with (
                asyncio.timeout(patience_s),
                self._http.stream("POST", url, content=content, headers=headers, timeout=patience_s) as answer,
            ):
                if answer.status_code >= 300:
                    raise self._refused(answer, address.origin)
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > LONGEST_ANSWER_BYTES:
                        raise malformed(f"{address.origin} answers without end")
                return _Answered(bytes(body), answer.headers.get("location", ""))
        except (httpx.HTTPError, TimeoutError):
            raise _silent(address.origin) from None

    def _refused(self, answer: httpx.Response, origin: str) -> UpstreamError:
        """In our words; if it said when to come back, it is not asked before."""
        meant, wait_s = refused(answer.status_code, origin), retry_after_s(answer)
        refusal = UpstreamError(
            meant.message, meant.hint, code=meant.code, status=answer.status_code, retry_after_s=wait_s
        )
        if wait_s:
            self._refusals[origin] = (asyncio.get_running_loop().time() + wait_s, refusal)
        return refusal


def refusal_of_call(error: EngineError) -> Refusal:
    """What a client is told of a call that the other server did not take."""
    if error.code not in BETTER_LATER:
        return Refusal(502, error.code, error.told)
    wait_s = getattr(error, "retry_after_s", None) or RETRY_AFTER_S
    return Refusal(503, error.code, error.told, retry_after_s=math.ceil(wait_s))


def _secret_in(body: bytes) -> str:
    """The client secret that a server has made. Raises `EngineError`."""
    try:
        return msgspec.json.decode(body, type=_Made).value
    except (msgspec.DecodeError, UnicodeError):
        words = "the server that is the voice makes no client secrets"
        hint = "Set relay.calls = 'here', or check relay.url."
        raise EngineError(words, hint, code="upstream_malformed") from None


def _taken(answered: _Answered, origin: str) -> Placed:
    """The call that a server has taken. Raises `EngineError`."""
    call_id = urlsplit(answered.location).path.rpartition("/")[2]
    sdp = answered.body.decode(errors="replace")
    if not call_id or not sdp.startswith("v="):
        words = f"{origin} did not say which call it has taken, or not how to reach it"
        raise EngineError(words, "Does it take calls? If not, set relay.calls = 'here'.", code="upstream_malformed")
    return Placed(call_id, sdp)


def _silent(origin: str) -> EngineError:
    return EngineError(f"{origin} does not answer", "Is it up? Check relay.url.", code="upstream_unreachable")
