"""Calls over WebRTC: reading `POST /v1/realtime/calls`, owning the calls of this process, finding one, hanging up.

What a call is, is `transport.webrtc`'s, and who may come in the door's. A call's id names the process that holds it:
in front of several, whoever shares the connections out can send everything about a call there.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from email import policy
from email.parser import BytesParser

from aiortc import RTCIceServer
from msgspec import Struct
from starlette.requests import Request

from antiphon.audio.units import Seconds
from antiphon.config import WebRtc
from antiphon.errors import PeerError
from antiphon.protocol.codec import decode_document
from antiphon.protocol.outbound import Projection
from antiphon.protocol.session_config import SessionPatch
from antiphon.runtime.drive import Drive
from antiphon.server.client_secrets import read_body
from antiphon.server.process import own_number
from antiphon.server.resuming import new_token
from antiphon.server.sessions import Sessions
from antiphon.transport.webrtc.arrivals import Tally
from antiphon.transport.webrtc.call import Call, Chance, Manner
from antiphon.transport.webrtc.offer import Offer, read_offer
from antiphon.transport.webrtc.opus import library
from antiphon.transport.webrtc.resumable import ResumableCall
from antiphon.transport.webrtc.rounds import Rounds

log = logging.getLogger("antiphon.calls")

PREFIX = "rtc_"
LEAD_MS = 300  # of an answer's sound that lies ready at the speaker, at most: no network is in between
DELTA_MS = (
    200  # of it that is handed over at once, when the last 100 are being played: each time is work as for two packets
)
DESCRIPTIONS = ("application/sdp", "text/plain", "")
"""What a body that is SDP may be called: several clients call it nothing."""
NOBODY = """v=0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=ice-ufrag:nobody
a=ice-pwd:nobody-nobody-nobody-no
a=fingerprint:sha-256 00:00
a=setup:actpass
a=mid:0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
a=mid:1
a=sctp-port:5000
"""


class CallRequest(Struct, frozen=True):
    """What a client posts."""

    sdp: str
    """The offer as it came."""
    offer: Offer
    session: SessionPatch | None = None
    """What the session is to be, if that came with it."""


class Ongoing(Struct, frozen=True):
    """A call and its session."""

    id: str
    call: Call
    drive: Drive
    owner: str
    """Name of the API key that it came with, or that its client secret was made with."""


class Caller(Struct, frozen=True):
    """Who calls."""

    name: str
    """The connection's."""
    owner: str
    """As `Ongoing.owner`."""
    allow: Callable[[int], bool]
    """Whether their budget has room for so many bytes."""
    may_return: bool = False
    """Their client asked to be let in again after the connection broke."""


class Calls:
    """The calls of this process. Everything is called on the event loop."""

    def __init__(self, section: WebRtc, sessions: Sessions, resume_s: Seconds) -> None:
        """Looks for the Opus library, so make it before anybody is connected. Raises `ConfigError`. A call that broke
        waits for its client for `resume_s`."""
        library()
        self.ongoing: dict[str, Ongoing] = {}
        self.past: Counter[str] = Counter()
        """How the packets of calls that are over have fared, by fate."""
        self._section = section
        self._resume_s = resume_s
        self._sessions = sessions
        self._rounds = Rounds()
        self._lives: dict[str, asyncio.Task[None]] = {}

    async def rehearse(self) -> None:
        """Answer an offer of nobody's: the first caller shall not wait for what is made and loaded once."""
        call = Call("rehearsal", read_offer(NOBODY), Projection("", 0), Manner(), _chance(), lambda size: True)
        await call.answer()
        await call.discard()

    def check_room(self, owner: str, elsewhere: int = 0) -> None:
        """Raise `PeerError` if too many calls of this owner are waiting for their other side already; so many of them
        `elsewhere`."""
        waiting = elsewhere + sum(
            1 for one in self.ongoing.values() if one.owner == owner and not one.call.is_connected
        )
        if waiting >= self._section.max_connecting:
            raise PeerError(
                f"{waiting} calls are being connected already.",
                "Set the answer to an offer as the remote description at once, or hang up.",
                code="too_many_calls",
            )

    async def begin(self, caller: Caller, offer: Offer, drive: Drive, projection: Projection) -> tuple[str, str]:
        """Answer an offer; the call lives until either side ends it, and its session with it. Returns the call's id and
        the answer's SDP."""
        manner = manner_from(self._section, self._resume_s, self._rounds)
        is_resumable = caller.may_return and offer.channel is not None and self._resume_s > 0
        make, chance = (ResumableCall, _chance(new_token())) if is_resumable else (Call, _chance())
        call = make(caller.name, offer, projection, manner, chance, caller.allow)
        one = Ongoing(f"{PREFIX}{own_number():x}_{secrets.token_hex(12)}", call, drive, caller.owner)
        self.ongoing[one.id] = one
        try:
            answer = await call.answer()
        except BaseException:
            del self.ongoing[one.id]
            await call.discard()
            raise
        life = asyncio.create_task(self._live(one), name=f"call {one.id}")
        self._lives[one.id] = life
        life.add_done_callback(lambda _: self._lives.pop(one.id, None))
        log.info("session %s: call %s begins", drive.session.id, one.id)
        return one.id, answer

    async def _live(self, one: Ongoing) -> None:
        reason = "lost"
        try:
            reason = await one.call.serve(one.drive)
        except Exception:  # the border of the call
            log.exception("call %s broke", one.id)
        finally:
            del self.ongoing[one.id]
            self.past.update(fates(one.call.tally))
            log.info("session %s: call %s is over: %s; %s", one.drive.session.id, one.id, reason, one.call.summary())
            await self._sessions.end(one.drive, reason)

    def find(self, call_id: str, owner: str) -> Ongoing | None:
        """The call with this id, if it is the owner's."""
        one = self.ongoing.get(call_id)
        return one if one is not None and one.owner == owner else None

    def resumable(self, token: str, owner: str) -> tuple[str, ResumableCall] | None:
        """The call that may be taken up again with this token, by its id, if it is the owner's."""
        for one in self.ongoing.values():
            if isinstance(one.call, ResumableCall) and one.call.token == token and one.owner == owner:
                return one.id, one.call
        return None

    def close_idle(self, longest_s: float) -> None:
        """Hang up where nothing has been heard for so long."""
        now = asyncio.get_running_loop().time()
        for one in self.ongoing.values():
            if now - one.call.last_heard > longest_s:
                one.call.close("idle")

    async def close(self) -> None:
        """Hang up everywhere, and wait until all paths are free."""
        for one in self.ongoing.values():
            one.call.close("drain")
        lives = list(self._lives.values())
        if lives:
            await asyncio.wait(lives)


def fates(tally: Tally) -> dict[str, int]:
    """By the names that the metrics have."""
    return {"received": tally.received, "lost": tally.lost, "recovered": tally.recovered, "late": tally.late}


def worker_of(call_id: str) -> int | None:
    """Which process, by its number, holds or held the call; None if this is no call's id."""
    number, _, _ = call_id.removeprefix(PREFIX).partition("_")
    try:
        return int(number, 16) if call_id.startswith(PREFIX) else None
    except ValueError:
        return None


def manner_from(section: WebRtc, resume_s: Seconds, rounds: Rounds) -> Manner:
    servers = (RTCIceServer(list(one.urls), one.username, one.credential) for one in section.ice_servers)
    return Manner(
        ice_servers=tuple(servers),
        connect_timeout_s=section.connect_timeout_s,
        bitrate=section.bitrate,
        complexity=section.complexity,
        expected_loss_percent=section.expected_loss_percent,
        resume_s=resume_s,
        rounds=rounds,
    )


def _chance(token: str = "") -> Chance:
    return Chance(1 + secrets.randbits(31), secrets.randbits(15), secrets.randbits(32), token)


# --- the request -----------------------------------------------------------------------------------------------------


async def read_call(request: Request) -> CallRequest:
    """Either SDP alone, or a form with SDP and a session. Raises `PeerError`."""
    body = await read_body(request)
    stated = request.headers.get("content-type", "")
    kind = stated.partition(";")[0].strip().lower()
    sender = request.client.host if request.client is not None else None  # of a proxy that is trusted: whom it names
    if kind in DESCRIPTIONS:
        return CallRequest(_text(body), read_offer(_text(body), sender))
    if kind == "multipart/form-data":
        return _form(body, stated, sender)
    raise PeerError(
        f"A call does not begin with {kind[:80]!r}.",
        "Post the offer's SDP as application/sdp, or multipart/form-data with the parts 'sdp' and 'session'.",
        code="unsupported_content_type",
    )


def _form(body: bytes, stated: str, sender: str | None) -> CallRequest:
    # A form is a mail's body: Python reads mail.
    head = f"Content-Type: {stated}\r\n\r\n".encode("latin-1", "replace")
    mail = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    parts: dict[str, bytes] = {}
    for part in mail.iter_parts() if mail.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            parts[name] = payload
    if "sdp" not in parts:
        message = "The form has no part 'sdp'."
        raise PeerError(message, "Add the offer's SDP.", code="missing_required_parameter", param="sdp")
    session = decode_document(parts["session"], SessionPatch) if parts.get("session", b"").strip() else None
    sdp = _text(parts["sdp"])
    return CallRequest(sdp, read_offer(sdp, sender), session)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        message = "The SDP is no text in UTF-8."
        raise PeerError(message, "Send it as the browser made it.", code="invalid_offer") from None
