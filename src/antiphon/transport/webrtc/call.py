"""One call: its peer, its ear and its speaker, as a connection of a session.

It knows the data channel and the Realtime codec as a WebSocket's connection does, and nothing about turns or engines.
What comes in is acted on at once, on the event loop. Messages of ours wait until the channel is open, within a bound.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from aiortc import RTCDataChannel, RTCIceServer
from msgspec import Struct, field

from antiphon.audio.units import Pcm16, Samples, Seconds
from antiphon.errors import TransportClosed
from antiphon.observe.report import report as timeline_message
from antiphon.observe.timeline import Turn
from antiphon.protocol.codec import encode
from antiphon.protocol.inbound import Append, Goodbye
from antiphon.protocol.items import ErrorDetails
from antiphon.protocol.outbound import Projection
from antiphon.protocol.server import Error
from antiphon.runtime.drive import Drive
from antiphon.session import inputs, outputs
from antiphon.session.outputs import Notice
from antiphon.transport.requests import no_sound_here, refuse, take_text
from antiphon.transport.webrtc.arrivals import TICK_MS, Tally
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.offer import Offer
from antiphon.transport.webrtc.opus import OpusEncoder
from antiphon.transport.webrtc.peer import Peer
from antiphon.transport.webrtc.reports import INTERVAL, Reports
from antiphon.transport.webrtc.rounds import Rounds
from antiphon.transport.webrtc.rtp import RtpPacket, read_packet, write_packet
from antiphon.transport.webrtc.speaker import Speaker

log = logging.getLogger("antiphon.webrtc")

OUTBOX_BYTES = 4 * 1024 * 1024  # of messages: whoever is further behind is not listening
REST_BYTES = 8192  # of a message about an item, beside its sound
FAREWELL_S: Seconds = 1.0  # for the last messages, such as why the session ends, to be taken
FAREWELL_STEP_S: Seconds = 0.05
LOSS_STEP = 5  # percent: the encoder is told of changes that matter
MOST_LOSS = 30  # percent: beyond, copies cannot help


class Manner(Struct, frozen=True):
    """How this server makes calls."""

    ice_servers: tuple[RTCIceServer, ...] = ()
    connect_timeout_s: float = 15.0
    bitrate: int = 40_000
    complexity: int = 1
    expected_loss_percent: int = 5
    resume_s: float = 30.0
    """How long a client that wants to may stay away."""
    rounds: Rounds = field(default_factory=Rounds)
    """Of all its calls."""


class Chance(Struct, frozen=True):
    """Numbers that nobody should guess, made where chance is."""

    source: int
    """SSRC: 32 bits."""
    sequence: int
    """Of the first packet: 15 bits, for encryption must not see it wrap soon."""
    timestamp: int
    """Of the first packet: 32 bits."""
    token: str = ""
    """With which its client may come back; empty if it may not."""


class Call:
    """A `Link` of the session that `drive` runs. `answer`, then `serve`, which is its life."""

    def __init__(
        self,
        name: str,
        offer: Offer,
        projection: Projection,
        manner: Manner,
        chance: Chance,
        allow: Callable[[int], bool],
    ) -> None:
        """`allow` is asked with the size of every packet and message, in bytes, whether its sender's budget has room
        for it."""
        self._loop = asyncio.get_running_loop()
        self.name = name
        self._projection = projection
        self._manner = manner
        self._allow = allow
        self._encoder = OpusEncoder(manner.bitrate, manner.complexity, manner.expected_loss_percent)
        self._loss_percent = manner.expected_loss_percent
        self._speaker = Speaker(self._encoder, self._send, self._played)
        self._ear = Ear(self._hear)
        self._chance = chance
        self._reports = Reports(chance.source, self._ear.arrivals)
        self._drive: Drive | None = None
        self._is_connected = False
        self._outbox: deque[str] = deque()
        self._outbox_bytes = 0
        self._reason: str | None = None
        self._face(offer)

    def _face(self, offer: Offer) -> None:
        """Whoever made this offer is the other side from now on."""
        self.last_heard = self._loop.time()
        """When the last packet of sound or message came, on the loop's clock."""
        self._offer = offer
        self._is_over = asyncio.Event()
        self._peer = Peer(offer, self._manner.ice_servers, self._chance.source, self, self._is_over)
        self._sequence = self._chance.sequence
        self._channel: RTCDataChannel | None = None
        self._is_channel_open = asyncio.Event()
        self._report_due = 0.0

    # --- what the session's runtime calls

    def show(self, notice: Notice, audio: bytes) -> None:
        if self._reason is not None:
            return
        match notice:
            case outputs.AudioSent(response_id=response_id):
                self._speaker.push(response_id, audio)
            case outputs.ResponseEnded(response=response):
                self._speaker.finish(response.id)
            case outputs.PlaybackCleared(response_id=response_id):
                self._speaker.drop(response_id)
            case _:
                pass
        if self._offer.channel is not None:
            for message in self._projection.messages(notice, self._that_fits(notice, audio)):
                self._tell(encode(message))

    def _that_fits(self, notice: Notice, audio: bytes) -> bytes:
        """An item that somebody asks for is better told without its sound than not at all: four seconds of it are more
        than a browser takes in one message."""
        room = self._offer.largest_message - REST_BYTES
        if isinstance(notice, outputs.ItemRetrieved) and self._offer.largest_message and 4 * len(audio) // 3 > room:
            return b""
        return audio

    def close(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._is_over.set()

    def report(self, turn: Turn) -> None:
        if self._reason is None and self._offer.channel is not None:
            for message in self._projection.timeline(timeline_message(turn)):
                self._tell(encode(message))

    # --- its life

    @property
    def is_connected(self) -> bool:
        """Whether all of it has been opened: sound, and messages if they were offered."""
        return self._is_connected

    @property
    def waiting_bytes(self) -> int:
        """Of messages that the channel has not taken yet."""
        return self._outbox_bytes + (self._channel.bufferedAmount if self._channel is not None else 0)

    @property
    def tally(self) -> Tally:
        """How the packets of sound that came have fared so far."""
        return self._ear.arrivals.tally

    async def answer(self) -> str:
        """SDP that accepts the offer."""
        return await self._peer.answer()

    async def discard(self) -> None:
        """Free what `answer` has opened, if `serve` is not to follow."""
        await self._peer.close()
        self._ear.close()

    async def serve(self, drive: Drive) -> str:
        """Connect, and carry both ways until either side ends it. Returns why it ended. Cancelling hangs up."""
        self._drive = drive
        try:
            await self._carry(drive)
            return self._reason_or_fate
        finally:
            await self._leave(drive)

    @property
    def _reason_or_fate(self) -> str:
        """Why it is over: what was said here, or else what became of the path."""
        return self._reason or ("hung up" if self._peer.has_left else "lost")

    async def _carry(self, drive: Drive) -> None:
        """Connect to the other side, and go on until that is over."""
        opening = asyncio.create_task(self._open(drive), name=f"opening {self.name}")
        try:
            await self._is_over.wait()
            await self._farewell()
        finally:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            self._manner.rounds.leave(self)

    async def _leave(self, drive: Drive) -> None:
        self._ear.close()
        self._speaker.close()
        drive.detach(self)
        await self._peer.close()

    async def _open(self, drive: Drive) -> None:
        try:
            async with asyncio.timeout(self._manner.connect_timeout_s):
                await self._peer.connect()
                # From here on nothing that is said gets lost: messages wait for their channel.
                self._greet(drive)
                self._speaker.open()
                self._manner.rounds.join(self)
                if self._offer.channel is not None:
                    await self._is_channel_open.wait()
                self._peer.read_in_rounds()  # not before: until all is open, each of many packets waits for another
                self._is_connected = True
        except TimeoutError:
            self._give_up("not connected in time" if self.name not in drive.links else "no data channel was opened")
        except TransportClosed as error:
            self._give_up(error.message)

    def _greet(self, drive: Drive) -> None:
        """There is a way to the other side."""
        drive.attach(self)

    def _give_up(self, reason: str) -> None:
        """There is none."""
        self.close(reason)

    async def _farewell(self) -> None:
        """Let the last messages leave, if there is still somebody to take them."""
        channel = self._channel
        if self._reason is None or channel is None:
            return
        until = self._loop.time() + FAREWELL_S
        while channel.readyState == "open" and channel.bufferedAmount and self._loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(FAREWELL_STEP_S)
        await asyncio.sleep(FAREWELL_STEP_S)

    # --- what the peer tells

    def take_media(self, data: bytes, came: Seconds) -> None:
        packet = read_packet(data)
        if packet is None or packet.payload_type != self._offer.payload_type or self._reason is not None:
            return
        self.last_heard = came
        if not self._allow(len(data)):
            self.close("limit")
            return
        self._ear.take(packet, came, self._loop.time())

    def take_report(self, data: bytes, came: Seconds) -> None:
        self._reports.read(data, came, time.time() - (self._loop.time() - came))
        loss = self._reports.quality.loss
        if loss is None:
            return
        expected = max(self._manner.expected_loss_percent, min(MOST_LOSS, round(100 * loss)))
        if abs(expected - self._loss_percent) >= LOSS_STEP:
            self._loss_percent = expected
            self._encoder.expect_loss(expected)

    def take_channel(self, channel: RTCDataChannel) -> None:
        if self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._take_message)
        channel.on("close", lambda: self._channel_closed(channel))
        self._is_channel_open.set()
        while self._outbox:
            self._pass(channel, self._outbox.popleft())
        self._outbox_bytes = 0

    def _channel_closed(self, channel: RTCDataChannel) -> None:
        if channel is self._channel:
            self.close("closed by the client")

    def _take_message(self, message: str | bytes) -> None:
        try:
            self._take(message)
        except Exception:  # the border between aiortc's loop and our code: this call ends, and says where it broke
            log.exception("call %s broke", self.name)
            self.close("internal error")

    def _take(self, message: str | bytes) -> None:
        drive = self._drive
        if drive is None or self._reason is not None:
            return
        self.last_heard = self._loop.time()
        if not self._allow(len(message)):
            self.close("limit")
            return
        if isinstance(message, bytes):
            refuse(drive, self.name, no_sound_here(), None)
            return
        match take_text(drive, self.name, message):
            case Append(_, event_id):
                refuse(drive, self.name, no_sound_here(), event_id)
            case Goodbye():
                self.close("closed by the client")
            case None:
                return

    def summary(self) -> str:
        """How its sound went, for the log."""
        tally, quality = self._ear.arrivals.tally, self._reports.quality
        heard = tally.received - tally.late
        waited_ms = 1000 * tally.waited_s / heard if heard else 0.0
        trip = "" if quality.round_trip_s is None else f", round trip {1000 * quality.round_trip_s:.0f} ms"
        loss = "" if quality.loss is None else f", {100 * quality.loss:.0f} % of ours lost"
        return (
            f"{tally.received} packets came, {tally.lost} lost, {tally.recovered} recovered, {tally.late} late; "
            f"held {waited_ms:.1f} ms, {tally.silence_ticks // TICK_MS} ms of silence in gaps{trip}{loss}"
        )

    # --- both ways

    def _hear(self, pcm: Pcm16) -> None:
        if self._drive is not None and self._reason is None:
            self._drive.hear(pcm)

    def _played(self, response_id: str, samples: Samples) -> None:
        if self._drive is not None and self._reason is None:
            self._drive.put(inputs.Played(response_id, samples))

    def _send(self, payload: bytes, ticks: int, after_silence: bool) -> None:
        if not self._offer.listens:
            return
        chance = self._chance
        packet = RtpPacket(self._offer.payload_type, self._sequence, chance.timestamp + ticks, chance.source, payload)
        self._sequence += 1
        self._peer.send(write_packet(packet, after_silence=after_silence))
        self._reports.sent(packet.timestamp, len(payload), self._loop.time())

    def take_turn(self, now: Seconds) -> None:
        """See `rounds.Member`."""
        try:
            self._manner.rounds.lain(self._peer.read(now))
            self._ear.take_turn(now)
            self._speaker.take_turn(now)
            if now >= self._report_due:
                self._peer.send(self._reports.write(now, time.time()))
                self._report_due = now + INTERVAL
        except Exception:  # the border between the calls: this one ends, and says where it broke
            log.exception("call %s broke", self.name)
            self.close("internal error")

    def _tell(self, frame: str) -> None:
        """Send a message, now or when the channel is open."""
        size = len(frame.encode())
        if self._offer.largest_message and size > self._offer.largest_message:
            frame = self._too_large(size)
        if self._channel is not None and self._channel.readyState == "open":
            self._pass(self._channel, frame)
        else:
            self._outbox.append(frame)
            self._outbox_bytes += size
        if self.waiting_bytes > OUTBOX_BYTES and self._reason is None:
            log.warning("call %s reads too slowly: closed", self.name)
            self.close("too_slow")

    def _pass(self, channel: RTCDataChannel, frame: str) -> None:
        channel.send(frame)

    def _too_large(self, size: int) -> str:
        """What stands in for a message that the other side could not take."""
        details = ErrorDetails(
            type="server_error",
            code="message_too_large",
            message=f"A message of {size} bytes is more than this connection's data channel takes at once.",
        )
        return encode(Error(event_id=f"event_{self.name}_{self._sequence}_{size}", error=details))
