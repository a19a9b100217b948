"""The way to the other side of a call: one encrypted path over UDP, for sound, reports and messages.

aiortc's parts are put together as their W3C counterparts (ORTC) are meant to be: ICE finds the path, DTLS encrypts it,
SCTP carries the data channel. Packets of sound are taken where they are decrypted and handed over as they are: aiortc's
own way from there on is what this package replaces. So this leans on a few of aiortc's inner names; they are all here,
and pyproject.toml holds its version. What the packets mean is not known here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

import pylibsrtp
from aioice.ice import StunProtocol
from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceServer,
    RTCIceTransport,
    RTCSctpCapabilities,
    RTCSctpTransport,
)
from OpenSSL import SSL

from antiphon.audio.units import Seconds
from antiphon.errors import TransportClosed
from antiphon.transport.webrtc.datagrams import Address, Datagrams, taken_over
from antiphon.transport.webrtc.offer import Offer, OurSide, write_answer
from antiphon.transport.webrtc.rtp import is_rtcp

log = logging.getLogger("antiphon.webrtc")

FINGERPRINT = "sha-256"
SRTP_FIRST, SRTP_LAST = 128, 191  # first bytes of encrypted sound and reports (RFC 7983)
# Of messages that leave before any is acknowledged: ten packets, as browsers have it. With aiortc's three the end of an
# answer waits for what acknowledges its beginning, and that for the round in which it is read.
FIRST_WINDOW_BYTES = 10 * 1200
GATHERING_LIMIT_S = 1.0  # for STUN and TURN servers to say where we are; who waits longer for a call hangs up
DISCARD_PORT = 9  # where nobody listens, by agreement
CLOSING_LIMIT_S = 2.0  # for goodbyes over a path that may be gone

TakeDatagram = Callable[[bytes, Address], None]


class Listener(Protocol):
    """What a peer tells. None of it may wait; what it raises ends the call."""

    def take_media(self, data: bytes, came: Seconds) -> None:
        """A packet of sound came, at this time on the loop's clock."""
        ...

    def take_report(self, data: bytes, came: Seconds) -> None:
        """A packet of reports came, likewise."""
        ...

    def take_channel(self, channel: RTCDataChannel) -> None:
        """The other side opened a data channel."""
        ...


class Peer:
    """The other side of one call."""

    def __init__(
        self,
        offer: Offer,
        ice_servers: Sequence[RTCIceServer],
        source: int,
        listener: Listener,
        is_gone: asyncio.Event,
    ) -> None:
        """`source` is the SSRC of what we will send. `is_gone` is set when the path is closed, by whomever."""
        self._is_gone = is_gone
        self._offer = offer
        self._source = source
        self._listener = listener
        self._gatherer = RTCIceGatherer(iceServers=list(ice_servers))
        self._gathering: asyncio.Task[None] | None = None
        self._ice = RTCIceTransport(self._gatherer)
        self._dtls = _Dtls(self._ice, listener, is_gone)
        # Whoever answers may choose. As the client we say hello as soon as there is a path.
        self._role = "server" if offer.dtls_role == "client" else "client"
        self._dtls._set_role(self._role)
        self._gatherer._connection.ice_controlling = offer.ice_lite
        self._sctp = RTCSctpTransport(self._dtls) if offer.channel is not None else None
        if self._sctp is not None:
            self._sctp._cwnd = FIRST_WINDOW_BYTES
            self._sctp.on("datachannel", self._open_channel)
        self._dtls.on("statechange", self._look)
        self._ice.on("statechange", self._look)

    async def answer(self) -> str:
        """Find out where we can be reached, and accept the offer."""
        self._gathering = asyncio.create_task(self._gather(), name="gathering candidates")
        await asyncio.shield(self._gathering)
        ours = self._gatherer.getLocalParameters()
        fingerprints = self._dtls.getLocalParameters().fingerprints
        return write_answer(
            self._offer,
            OurSide(
                ice_username=ours.usernameFragment or "",
                ice_password=ours.password or "",
                candidates=tuple(self._gatherer.getLocalCandidates()),
                fingerprint=next(one for one in fingerprints if one.algorithm == FINGERPRINT),
                dtls_role="server" if self._role == "server" else "client",
                source=self._source,
                sctp_port=self._sctp.port if self._sctp is not None else 0,
            ),
        )

    async def _gather(self) -> None:
        """Ask each STUN and TURN server where we are, and wait for none of them longer than the limit. It is not to be
        cancelled: whom aioice has begun to ask, it would go on asking, over sockets that are closed."""
        connection = self._gatherer._connection
        asked = connection.get_component_candidates
        # The limit is aioice's own, which gives up the servers and keeps our addresses; only its length is not.
        connection.get_component_candidates = partial(asked, timeout=GATHERING_LIMIT_S)  # type: ignore[method-assign, arg-type]
        await self._gatherer.gather()
        told = {candidate.type for candidate in connection.local_candidates}
        servers = ("STUN", connection.stun_server, "srflx"), ("TURN", connection.turn_server, "relay")
        silent = [f"the {name} server" for name, address, kind in servers if address and kind not in told]
        if silent:
            log.warning("%s did not answer within %.0f s", " and ".join(silent), GATHERING_LIMIT_S)

    async def connect(self) -> None:
        """Open the path. Waits for the other side as long as it takes; raises `TransportClosed` if it cannot be."""
        offer = self._offer
        for candidate in offer.candidates:
            await self._add(candidate)
        if self._is_relayed and (sender := _knocked_at(offer.sender)) is not None:
            await self._add(sender)
        for socket in self._gatherer._connection._protocols:
            self._dtls.overtake(socket)
        await self._ice.start(RTCIceParameters(offer.ice_username, offer.ice_password, offer.ice_lite))
        if self._ice.state != "completed":
            raise TransportClosed(
                "no path to the other side was found", "Configure webrtc.ice_servers with a TURN server."
            )
        await self._dtls.start(RTCDtlsParameters(list(offer.fingerprints)))
        if self._dtls.state != "connected":
            raise TransportClosed("the encryption could not be agreed on", "Send the offer's fingerprint unchanged.")
        if self._sctp is not None:
            await self._sctp.start(RTCSctpCapabilities(offer.largest_message), offer.sctp_port)

    async def _add(self, candidate: RTCIceCandidate) -> None:
        # A name under .local hides an address of the local network, from where the other side finds us by itself:
        # asking everybody there who that is would only take time.
        if candidate.ip.endswith(".local"):
            return
        try:
            await self._ice.addRemoteCandidate(candidate)
        except ValueError:
            log.debug("a candidate was left out: %s", candidate.type)

    @property
    def _is_relayed(self) -> bool:
        """Whether a TURN server has a place for us."""
        return any(candidate.type == "relay" for candidate in self._gatherer.getLocalCandidates())

    def send(self, data: bytes) -> None:
        """Send a packet of sound or of reports, at once. Nothing is sent, and nothing raised, if there is no path."""
        try:
            self._dtls.send(data)
        except ConnectionError:
            return

    def read_in_rounds(self) -> None:
        """From now on nothing wakes the process when it comes: `read` is asked for it. A path through a TURN server
        stays as it was."""
        self._dtls.take_over()

    def read(self, now: Seconds) -> list[Seconds]:
        """Take in what has come. Returns how long each datagram has lain in the socket."""
        return self._dtls.read(now)

    @property
    def last_heard(self) -> Seconds:
        """When anything came last, if only a sign of life, on the loop's clock; 0 before anything did."""
        return self._dtls.last_heard

    @property
    def has_left(self) -> bool:
        """The other side said goodbye: the path did not just break."""
        connection = self._dtls._ssl
        return connection is not None and bool(connection.get_shutdown() & SSL.RECEIVED_SHUTDOWN)

    async def close(self) -> None:
        """Say goodbye, and free the path. May be called again."""
        self._is_gone.set()
        if self._gathering is not None:
            await asyncio.wait([self._gathering])
        try:
            async with asyncio.timeout(CLOSING_LIMIT_S):
                if self._sctp is not None:
                    await self._sctp.stop()
                await self._dtls.stop()
        except (TimeoutError, ConnectionError):
            pass
        await self._ice.stop()
        await self._gatherer._connection.close()

    def _open_channel(self, channel: RTCDataChannel) -> None:
        self._listener.take_channel(channel)

    def _look(self) -> None:
        if self._dtls.state in ("closed", "failed") or self._ice.state in ("closed", "failed"):
            self._is_gone.set()


def _knocked_at(sender: str | None) -> RTCIceCandidate | None:
    """A TURN server lets packets in only from addresses that we have sent to, and a browser tells none that leads
    out of its own network; but its offer has come from one. A knock at any port there is enough, and nobody answers."""
    try:
        address = ipaddress.ip_address(sender or "")
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return RTCIceCandidate(1, "sender", str(mapped or address), DISCARD_PORT, 1, "udp", "srflx")


class _Dtls(RTCDtlsTransport):
    """aiortc's, except that sound does not go through it: no queue, no task and no second parsing for each packet."""

    COMPONENT = 1  # ICE's number for the one path that there is

    def __init__(self, ice: RTCIceTransport, listener: Listener, is_gone: asyncio.Event) -> None:
        super().__init__(ice, [RTCCertificate.generateCertificate()])
        self._listener = listener
        self._is_gone = is_gone
        self._now = asyncio.get_running_loop().time
        self.last_heard: Seconds = 0.0
        self._datagrams: Datagrams | None = None
        self._take_stun: TakeDatagram | None = None
        """Of the socket that is read in rounds."""
        self._take_other = ice._connection.data_received

    def overtake(self, socket: StunProtocol) -> None:
        """Take sound and reports where the socket hands them over, before anybody tries to read them as STUN."""
        others = socket.datagram_received

        def received(data: bytes, address: Address) -> None:
            self.last_heard = self._now()
            if data and SRTP_FIRST <= data[0] <= SRTP_LAST:
                self._take(data, self.last_heard)
                return
            try:
                others(data, address)
            except struct.error:
                return  # from aioice, of STUN with a field that is too short: anybody may send that

        socket.datagram_received = received  # type: ignore[method-assign, assignment]

    def take_over(self) -> None:
        """Have the socket of the path read by `read`, if it is one of this machine's."""
        pair = self.transport._connection._nominated.get(self.COMPONENT)
        if pair is not None and (datagrams := taken_over(pair.protocol)) is not None:
            self._datagrams, self._take_stun = datagrams, pair.protocol.datagram_received

    def read(self, now: Seconds) -> list[Seconds]:
        """See `Peer.read`."""
        if self._datagrams is None or self._take_stun is None:
            return []
        came = self._datagrams.read(now)
        for data, address, lain in came:
            if data and SRTP_FIRST <= data[0] <= SRTP_LAST:
                self.last_heard = now - lain
                self._take(data, now - lain)
            else:
                self._take_stun(data, address)
        return [lain for _, _, lain in came]

    def _take(self, data: bytes, came: Seconds) -> None:
        """A packet of sound or of reports, encrypted."""
        session = self._rx_srtp
        if session is None:  # the handshake is not over on our side; aiortc's types do not know that
            self._take_other(data, self.COMPONENT)  # type: ignore[unreachable]
            return
        try:
            if is_rtcp(data):
                self._listener.take_report(session.unprotect_rtcp(data), came)
            else:
                self._listener.take_media(session.unprotect(data), came)
        except pylibsrtp.Error:
            return  # forged, damaged, or come twice
        except Exception:  # the border between the network and our code: this call ends, and says where it broke
            log.exception("a call broke")
            self._is_gone.set()

    async def _send_data(self, data: bytes) -> None:
        """Of SCTP, whose timers and tasks find out later than others that there is no path any more."""
        with suppress(ConnectionError):
            await super()._send_data(data)

    def send(self, data: bytes) -> None:
        """Encrypt a packet of sound or reports and send it at once. Raises ConnectionError if there is no path."""
        session, pair = self._tx_srtp, self.transport._connection._nominated.get(self.COMPONENT)
        if session is None or pair is None:
            raise ConnectionError("no path, or not encrypted yet")
        protected = session.protect_rtcp(data) if is_rtcp(data) else session.protect(data)
        pair.protocol.transport.sendto(protected, pair.remote_addr)
