"""A recorder's stream, decoded while it arrives: bytes in, sound out, one decoder for as long as the stream lasts.

Every byte is read once, in this process and in memory; there is no file, no other process and no decoding again from
the start. It does not know where the bytes come from, nor what the sound is for.

FFmpeg's readers pull, so each stream has a thread that sleeps in `read`. It is handed bytes and hands back all the
sound in them before it is handed more, like a coroutine: nothing queues up, and a sender that is too fast waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np

from antiphon.audio.pcm import float_from_int16, int16_from_bytes, int16_from_float, mono_from_frames
from antiphon.audio.resample import Resampler
from antiphon.audio.units import HEARING_RATE, Pcm, Pcm16
from antiphon.errors import ConfigError, PeerError
from antiphon.media.containers import DEMUXERS, RECORDED, SNIFF_BYTES, Container, opened, sniffed, unreadable
from antiphon.media.folding import Folding, joined

BROKEN_PACKETS = 50  # in a row, a second of them: then it is not this codec, or no sound at all
HEADER_BYTES = 8192  # that a stream may have before its first sound: a recorder that is stopped at once sends no more
SILENCE: Pcm16 = np.zeros(0, np.int16)


class ContainerDecoder:
    """A container of any kind, in pieces cut anywhere. Called on one event loop, one call at a time."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._given = threading.Condition()
        self._waiting = bytearray()
        self._is_ended = False
        self._bytes = 0
        """That FFmpeg has read."""
        self._pieces: list[Pcm] = []
        self._made: list[Pcm16] = []
        self._failure: PeerError | None = None
        self._is_done = False
        self._loop = asyncio.get_running_loop()
        self._hungry: asyncio.Future[None] | None = None
        self._thread: threading.Thread | None = None

    async def feed(self, data: bytes) -> Pcm16:
        """All the sound that the stream holds so far and that was not given yet: int16, mono, 16 kHz.

        Raises `PeerError` when the stream cannot be read; then it is over. Bytes after its end are ignored.
        """
        return await self._hand_over(data, is_last=False)

    async def finish(self) -> Pcm16:
        """The rest of the sound. A stream cut short has one too."""
        return await self._hand_over(b"", is_last=True)

    @property
    def goes_on(self) -> bool:
        """Whether more may come of it: a recorder's stream that nothing has ended."""
        return self._container in RECORDED and not self._is_done

    def close(self) -> None:
        """End the thread, wherever it is. May be called again."""
        with self._given:
            self._is_ended = True
            self._waiting.clear()
            self._given.notify()

    async def _hand_over(self, data: bytes, *, is_last: bool) -> Pcm16:
        if self._is_done:
            return SILENCE
        hungry = self._hungry = self._loop.create_future()
        with self._given:
            self._waiting += data
            self._is_ended = self._is_ended or is_last
            self._given.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="container", daemon=True)
            self._thread.start()
        await hungry
        if self._failure is not None:
            raise self._failure
        made, self._made = self._made, []
        return made[0] if len(made) == 1 else np.concatenate(made or [SILENCE])

    # --- the thread

    def read(self, size: int) -> bytes:
        """What FFmpeg calls: what there is, as soon as there is something; nothing at the end, and ever after."""
        with self._given:
            if not self._waiting and not self._is_ended:
                self._report()
                while not self._waiting and not self._is_ended:
                    self._given.wait()
            data = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._bytes += len(data)
            return data

    def _run(self) -> None:
        try:
            self._decode()
        except PeerError as failure:
            self._failure = failure
        except Exception as failure:  # noqa: BLE001 - a border: whatever FFmpeg raises ends this stream alone
            self._failure = unreadable(failure)
        self._is_done = True
        self._report()

    def _decode(self) -> None:
        import av

        folding = Folding()
        container, stream = opened(self, self._container)
        broken, is_sound = 0, False
        failure: Exception = EOFError("no frame of it is whole")
        with container:
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        break
                    for frame in packet.decode():
                        self._pieces += folding.push(frame)
                        is_sound = True
                    broken = 0
                except av.error.FFmpegError as error:
                    if self._is_ended and not self._waiting:
                        break  # cut short: what there was is good
                    broken += 1
                    failure = error
                    if broken == BROKEN_PACKETS:
                        raise unreadable(error) from None
                    packets = container.demux(stream)
        if not is_sound and (broken or self._bytes > HEADER_BYTES):
            raise unreadable(failure)
        self._pieces += folding.flush()

    def _report(self) -> None:
        """Tell the loop that all it gave is used up, and what came of it."""
        if self._pieces:
            self._made.append(joined(self._pieces))
            self._pieces = []
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return  # the loop is gone, and with it whoever waited

    def _wake(self) -> None:
        # Only now is the answer complete; a report of an earlier hunger finds the future of the next one.
        if self._hungry is not None and not self._hungry.done() and (self._is_done or not self._waiting):
            self._hungry.set_result(None)


class PcmDecoder:
    """Raw 16-bit little-endian samples at any rate and with any number of interleaved channels."""

    def __init__(self, rate_hz: int = HEARING_RATE, channels: int = 1) -> None:
        try:
            self._resampler = Resampler(rate_hz, HEARING_RATE)
        except ConfigError as error:
            raise PeerError(error.message, error.hint, code="invalid_value", param="rate") from None
        self._channels = channels
        self._rest = b""

    async def feed(self, data: bytes) -> Pcm16:
        """A frame of samples that is cut in two waits for its other half."""
        data = self._rest + data
        whole = len(data) - len(data) % (2 * self._channels)
        self._rest = data[whole:]
        pcm = int16_from_bytes(memoryview(data)[:whole])
        if self._channels == 1 and self._resampler.delay == 0:
            return pcm
        sound = float_from_int16(pcm)
        if self._channels > 1:
            sound = mono_from_frames(sound.reshape(-1, self._channels))
        return int16_from_float(self._resampler.push(sound))

    async def finish(self) -> Pcm16:
        self._rest = b""
        return int16_from_float(self._resampler.flush())

    def close(self) -> None:
        pass


class OpusDecoder:
    """Opus packets without a container, one in each message."""

    def __init__(self) -> None:
        from av.audio.codeccontext import AudioCodecContext
        from av.codec import CodecContext

        context = CodecContext.create("opus", "r")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = 48_000
        self._context = context
        self._folding = Folding()
        self._broken = 0
        self._is_opus = False

    async def feed(self, data: bytes) -> Pcm16:
        """The sound of one packet. 18 µs for 20 ms, so it is done at once. A packet that is none is left out; a second
        more of them than of others is a `PeerError`."""
        import av

        made: list[Pcm] = []
        try:
            for frame in self._context.decode(av.Packet(data)) if data else ():
                made += self._folding.push(frame)
                self._is_opus = True
            self._broken = max(0, self._broken - 1)
        except av.error.FFmpegError:
            self._broken += 1
            if self._broken == BROKEN_PACKETS:
                raise _no_opus() from None
        return joined(made)

    async def finish(self) -> Pcm16:
        """The rest. Raises `PeerError` if no packet at all could be read."""
        if self._broken and not self._is_opus:
            raise _no_opus()
        return joined(self._folding.flush())

    def close(self) -> None:
        pass


Decoder = ContainerDecoder | PcmDecoder | OpusDecoder


class LiveDecoder:
    """Whatever a client sends: raw samples, Opus packets, or containers, told by their first bytes. A recorder that
    was started anew, in another codec even, is a new container in the same stream. Where there was a container once,
    what is none is refused, and never taken for samples: it would be noise."""

    def __init__(self, kind: str | None = None, rate_hz: int = HEARING_RATE, channels: int = 1) -> None:
        """`kind` is a container's name, "pcm16", "opus" for bare packets, or None to look. `rate_hz` and `channels`
        are those of raw samples."""
        self._make_raw: Callable[[], Decoder] = lambda: PcmDecoder(rate_hz, channels)
        if kind == "opus":
            self._make_raw = OpusDecoder
        self._kind = "adts" if kind == "aac" else kind
        self._decoder: Decoder | None = self._make_raw() if kind in ("pcm16", "opus") else None
        self._start = b""
        self._has_begun = False
        self._has_met_containers = False
        self._is_between = False
        """Whether what came so far was all for now: any container may begin."""

    async def feed(self, data: bytes) -> Pcm16:
        """See `ContainerDecoder.feed`. After a `PeerError` another stream may begin."""
        try:
            return await self._feed(data)
        except PeerError:
            self.close()
            raise

    async def pause(self) -> Pcm16:
        """The sound that is left of what came so far. A recorder that goes on is read on from there; after anything
        else, a new stream begins."""
        self._is_between = True
        if isinstance(self._decoder, ContainerDecoder) and self._decoder.goes_on:
            return SILENCE  # it has given all that it has
        return await self.finish()

    async def _feed(self, data: bytes) -> Pcm16:
        if self._kind in ("pcm16", "opus"):
            assert self._decoder is not None
            if not self._has_begun and len(data) >= SNIFF_BYTES:
                self._has_begun = True
                self._refuse_container(data)
            return await self._decoder.feed(data)
        if self._decoder is None:
            data, self._start = self._start + data, b""
            if len(data) < SNIFF_BYTES:
                self._start = data
                return SILENCE
            self._decoder = self._chosen(data)
        elif isinstance(self._decoder, ContainerDecoder) and self._begins_anew(data):
            rest = await self.finish()
            return np.concatenate((rest, await self._feed(data)))
        self._is_between = False
        return await self._decoder.feed(data)

    async def finish(self) -> Pcm16:
        """The rest; what comes after it is a new stream."""
        decoder, self._decoder, start, self._start = self._decoder, None, self._start, b""
        if self._kind in ("pcm16", "opus"):
            self._decoder, self._has_begun = self._make_raw(), False
        if decoder is None:
            return SILENCE if not start else await self._make_raw().feed(start)
        try:
            return await decoder.finish()
        finally:
            decoder.close()

    def close(self) -> None:
        """Give up what is being read. May be called again."""
        decoder, self._decoder, self._start = self._decoder, None, b""
        if decoder is not None:
            decoder.close()
        if self._kind in ("pcm16", "opus"):
            self._decoder, self._has_begun = self._make_raw(), False

    def _refuse_container(self, data: bytes) -> None:
        """What should be bare and is a recorder's would be heard as noise. A WAV's samples are what they should be."""
        found = sniffed(data)
        if found is not None and (found != "wav" or self._kind == "opus"):
            raise PeerError(
                f"this stream is {found}, and the URL says format={self._kind}",
                "Leave 'format' out of the URL: what it is shows by its first bytes.",
                code="invalid_audio",
            )

    def _chosen(self, data: bytes) -> Decoder:
        found = sniffed(data)
        if found is None and self._kind in DEMUXERS and self._kind not in RECORDED:
            found = self._kind  # a file's reader finds its own way
        if found is not None:
            self._has_met_containers = True
            return ContainerDecoder(found)
        if self._kind is not None or self._has_met_containers:
            raise PeerError(
                f"this is not the beginning of a {self._kind or 'recorded'} stream",
                "Send a recorder's chunks from its first one on; after a break, start a new one.",
                code="invalid_audio",
            )
        return self._make_raw()

    def _begins_anew(self, data: bytes) -> bool:
        """Whether a message is the first of another container. Ogg pages all begin alike; the first one says so."""
        if data.startswith(b"OggS"):
            return len(data) > 5 and bool(data[5] & 2)
        try:
            found = sniffed(data) if len(data) >= SNIFF_BYTES else None
        except PeerError:
            return False
        return found in ("webm", "mp4") or (self._is_between and found is not None)


def _no_opus() -> PeerError:
    return PeerError(
        "these are no Opus packets",
        "With format=opus each message is one packet, as the encoder made it. For a recorder's stream leave it out.",
        code="invalid_audio",
    )
