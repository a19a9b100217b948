"""SDP: what a client offers, checked, and what we answer.

An offer is good if it has one audio section with Opus and everything on one transport (BUNDLE), as all browsers and
libraries have it; a section for data channels may come with it. All other sections are declined one by one. Sockets
are not known here: the answer is given its candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aiortc import RTCDtlsFingerprint, RTCIceCandidate
from aiortc.sdp import MediaDescription, SessionDescription, candidate_to_sdp
from msgspec import Struct

from antiphon.errors import PeerError

LONGEST_OFFER = 64 * 1024  # characters: a browser's with a dozen candidates has five thousand
LARGEST_MESSAGE = 256 * 1024  # bytes that we take at once on the data channel, which is what browsers can send
MOST_CANDIDATES = 32  # each makes us knock somewhere; a machine with many networks has a dozen
SECURE_PROFILES = ("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF")
OPUS_WISHES = "minptime=10;useinbandfec=1;stereo=0;maxplaybackrate=24000;sprop-maxcapturerate=24000"
"""How we like to be spoken to: one channel, copies of frames against loss, and no more than we listen to."""
REVERSED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, AssertionError, StopIteration, RuntimeError)
"""What aiortc's parser raises for what is not SDP."""


class Section(Struct, frozen=True):
    """One m= section, as far as it has to be answered."""

    kind: str
    profile: str
    formats: str
    mid: str


class Offer(Struct, frozen=True):
    """What the other side can do, and where it is."""

    sections: tuple[Section, ...]
    audio: int
    """Index of the section for sound."""
    channel: int | None
    """And of the one for data channels."""
    payload_type: int
    """Of Opus."""
    direction: str
    """Of sound, as they see it."""
    sctp_port: int
    largest_message: int
    """Bytes that they take at once; 0 is any number."""
    ice_username: str
    ice_password: str
    ice_lite: bool
    candidates: tuple[RTCIceCandidate, ...]
    fingerprints: tuple[RTCDtlsFingerprint, ...]
    dtls_role: str
    """"client", "server" or "auto"."""
    sender: str | None = None
    """Internet address that it came from, if that is known: their packets are likely to come from there as well."""

    @property
    def sends(self) -> bool:
        return self.direction in ("sendrecv", "sendonly")

    @property
    def listens(self) -> bool:
        return self.direction in ("sendrecv", "recvonly")


class OurSide(Struct, frozen=True):
    """What the answer says of us."""

    ice_username: str
    ice_password: str
    candidates: tuple[RTCIceCandidate, ...]
    fingerprint: RTCDtlsFingerprint
    dtls_role: Literal["client", "server"]
    source: int
    """SSRC of our sound."""
    sctp_port: int


def read_offer(text: str, sender: str | None = None) -> Offer:
    """The offer in an SDP document, which came from `sender`. Raises `PeerError` that says what is missing."""
    if len(text) > LONGEST_OFFER:
        raise _refused(f"The offer is longer than {LONGEST_OFFER} characters.", "Send the SDP of one call.")
    if not text.lstrip().startswith("v=0"):
        raise _refused(
            "The body is no SDP: it does not begin with 'v=0'.", "Send the 'sdp' of RTCPeerConnection.createOffer."
        )
    try:
        parsed = SessionDescription.parse(text)
        sections = tuple(_section(media) for media in parsed.media)
    except UNREADABLE:
        hint = "Send the 'sdp' of RTCPeerConnection.createOffer unchanged."
        raise _refused("The SDP cannot be read.", hint) from None
    audio = _audio_index(parsed)
    channel = next((n for n, media in enumerate(parsed.media) if _is_channel(media)), None)
    _check_bundled(parsed, [sections[n].mid for n in (audio, channel) if n is not None])
    media = parsed.media[audio]
    # With BUNDLE the transport is that of the first section in the group.
    carrier = _carrier(parsed)
    if not carrier.ice or not carrier.ice.usernameFragment or not carrier.ice.password:
        raise _refused("The offer has no ICE credentials (a=ice-ufrag, a=ice-pwd).", "Send it as the browser made it.")
    if not carrier.dtls or not carrier.dtls.fingerprints:
        raise _refused("The offer has no DTLS fingerprint: calls are encrypted.", "Send it as the browser made it.")
    data = parsed.media[channel] if channel is not None else None
    return Offer(
        sections=sections,
        audio=audio,
        channel=channel,
        payload_type=_payload_type(media),
        direction=media.direction or "sendrecv",
        sctp_port=(data.sctp_port or 5000) if data else 0,
        largest_message=data.sctpCapabilities.maxMessageSize if data and data.sctpCapabilities else 65_536,
        ice_username=carrier.ice.usernameFragment,
        ice_password=carrier.ice.password,
        ice_lite=carrier.ice.iceLite,
        candidates=tuple(carrier.ice_candidates[:MOST_CANDIDATES]),
        fingerprints=tuple(carrier.dtls.fingerprints),
        dtls_role=carrier.dtls.role,
        sender=sender,
    )


def _section(media: MediaDescription) -> Section:
    return Section(media.kind, media.profile, " ".join(map(str, media.fmt)), media.rtp.muxId or "")


def _audio_index(parsed: SessionDescription) -> int:
    found = [n for n, media in enumerate(parsed.media) if media.kind == "audio" and media.port]
    if not found:
        raise _refused("The offer has no audio section.", "Add an audio track or transceiver before createOffer.")
    media = parsed.media[found[0]]
    if media.profile not in SECURE_PROFILES:
        raise _refused(f"Sound in the profile {media.profile} is not encrypted.", f"Offer {SECURE_PROFILES[0]}.")
    return found[0]


def _payload_type(media: MediaDescription) -> int:
    for codec in media.rtp.codecs:
        if codec.mimeType.lower() == "audio/opus" and codec.clockRate == 48_000 and codec.payloadType is not None:
            return codec.payloadType
    offered = ", ".join(codec.mimeType.partition("/")[2][:20] for codec in media.rtp.codecs[:8]) or "none"
    raise _refused(f"The offer has no codec that is known here: {offered}.", "Offer opus/48000/2.", "unsupported_codec")


def _is_channel(media: MediaDescription) -> bool:
    return bool(media.kind == "application" and media.port and "webrtc-datachannel" in media.fmt)


def _check_bundled(parsed: SessionDescription, mids: list[str]) -> None:
    if len(mids) < 2:
        return
    bundled = {str(item) for group in parsed.group if group.semantic == "BUNDLE" for item in group.items}
    if not bundled.issuperset(mids):
        raise _refused(
            "Sound and data channel are offered on transports of their own.",
            'Create the RTCPeerConnection with bundlePolicy "max-bundle".',
        )


def _carrier(parsed: SessionDescription) -> MediaDescription:
    """The section whose transport all others use."""
    for group in parsed.group:
        if group.semantic == "BUNDLE" and group.items:
            first = next((media for media in parsed.media if media.rtp.muxId == group.items[0]), None)
            if first is not None and first.port:
                return first
    return parsed.media[_audio_index(parsed)]


def _refused(message: str, hint: str, code: str = "invalid_offer") -> PeerError:
    return PeerError(message, hint, code=code, param="sdp")


# --- the answer ------------------------------------------------------------------------------------------------------


def write_answer(offer: Offer, ours: OurSide) -> str:
    """The SDP that accepts the offer."""
    accepted = [n for n in (offer.audio, offer.channel) if n is not None]
    mids = " ".join(offer.sections[n].mid for n in sorted(accepted))
    lines = ["v=0", f"o=- {ours.source} 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines += [f"a=group:BUNDLE {mids}"] if offer.sections[offer.audio].mid else []
    lines += ["a=msid-semantic: WMS antiphon"]
    for number, section in enumerate(offer.sections):
        if number == offer.audio:
            lines += _audio(offer, section, ours)
        elif number == offer.channel:
            lines += _channel(section, ours)
        else:
            lines += [f"m={section.kind} 0 {section.profile} {section.formats}", "c=IN IP4 0.0.0.0", "a=inactive"]
            lines += _mid(section)
    return "\r\n".join(lines) + "\r\n"


def _audio(offer: Offer, section: Section, ours: OurSide) -> list[str]:
    kind = offer.payload_type
    lines = [
        *_transport(f"m=audio {{}} {section.profile} {kind}", section, ours),
        f"a={REVERSED[offer.direction]}",
        "a=rtcp-mux",
        f"a=rtpmap:{kind} opus/48000/2",
        f"a=fmtp:{kind} {OPUS_WISHES}",
    ]
    if offer.listens:
        lines += ["a=msid:antiphon voice", f"a=ssrc:{ours.source} cname:antiphon"]
    return lines


def _channel(section: Section, ours: OurSide) -> list[str]:
    return [
        *_transport(f"m=application {{}} {section.profile} {section.formats}", section, ours),
        f"a=sctp-port:{ours.sctp_port}",
        f"a=max-message-size:{LARGEST_MESSAGE}",
    ]


def _transport(line: str, section: Section, ours: OurSide) -> list[str]:
    """The beginning of a section that is accepted: where we are, and how we are known there."""
    first = ours.candidates[0] if ours.candidates else None
    family = "IP6" if first is not None and ":" in first.ip else "IP4"
    return [
        line.format(first.port if first is not None else 9),
        f"c=IN {family} {first.ip if first is not None else '0.0.0.0'}",
        *_mid(section),
        *(f"a=candidate:{candidate_to_sdp(candidate)}" for candidate in ours.candidates),
        "a=end-of-candidates",
        f"a=ice-ufrag:{ours.ice_username}",
        f"a=ice-pwd:{ours.ice_password}",
        f"a=fingerprint:{ours.fingerprint.algorithm} {ours.fingerprint.value}",
        f"a=setup:{'active' if ours.dtls_role == 'client' else 'passive'}",
    ]


def _mid(section: Section) -> Sequence[str]:
    return [f"a=mid:{section.mid}"] if section.mid else []
