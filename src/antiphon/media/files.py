"""Whole files of sound, of any length and in any container that we know, read as pieces of a bounded size.

From a path or from bytes in memory; never all of the sound at once, for ten hours of it are two gigabytes. It does not
know what the sound is for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from antiphon.audio.units import HEARING_RATE, Pcm, Pcm16
from antiphon.errors import PeerError
from antiphon.media.containers import opened, unreadable
from antiphon.media.folding import Folding, joined

PIECE_S = 5.0  # of sound at once: some milliseconds of work
BROKEN_PACKETS = 200  # in a row: then the rest is not worth looking for


class SoundFile:
    """One file, open. Everything blocks, and is for one thread at a time."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        """Raises `PeerError` if there is no sound in it that we can read."""
        # FFmpeg gets an open file and no path: it may open nothing itself.
        self._own = source.open("rb") if isinstance(source, Path) else None
        self._size_bytes = os.fstat(self._own.fileno()).st_size if self._own else 0
        try:
            self._container, self._stream = opened(self._own or source)
        except BaseException:
            self._close_own()
            raise

    @property
    def duration_s(self) -> float | None:
        """As the file says, if it says so. What is read may be more or less."""
        duration = self._container.duration
        return duration / 1_000_000 if duration and duration > 0 else None

    def share(self, done_s: float) -> float | None:
        """How much of the file is done, in [0, 1], if the pieces so far were `done_s` of sound. Recorders say no
        duration: then it is the share of the bytes, which are read somewhat ahead. None where their number is not known
        either: in a pipe, or in memory."""
        if self.duration_s is not None:
            return min(1.0, done_s / self.duration_s)
        if self._own is None or not self._size_bytes:
            return None
        return min(1.0, self._own.tell() / self._size_bytes)

    def pieces(self) -> Iterator[Pcm16]:
        """The first track of sound at 16 kHz, mono, in pieces of about five seconds. A file that is damaged or cut
        short gives what can be read of it; one that gives nothing at all is a `PeerError`."""
        import av

        folding = Folding()
        waiting: list[Pcm] = []
        samples, total, broken = 0, 0, 0
        packets = self._container.demux(self._stream)
        while broken < BROKEN_PACKETS:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                for frame in packet.decode():
                    waiting += folding.push(frame)
                    samples += frame.samples * HEARING_RATE // (frame.sample_rate or HEARING_RATE)
                broken = 0
            except av.error.EOFError:
                break
            except av.error.FFmpegError as error:
                broken += 1
                failure = error
                packets = self._container.demux(self._stream)
            if samples >= PIECE_S * HEARING_RATE:
                yield joined(waiting)
                total, samples, waiting = total + samples, 0, []
        waiting += folding.flush()
        rest = joined(waiting)
        if rest.size:
            yield rest
        elif not total and broken:
            raise unreadable(failure)

    def close(self) -> None:
        self._container.close()
        self._close_own()

    def _close_own(self) -> None:
        if self._own is not None:
            self._own.close()


def check_length(duration_s: float | None, longest_s: float) -> None:
    """Refuse what says of itself that it is too long."""
    if duration_s is not None and duration_s > longest_s:
        raise PeerError(
            f"this is {duration_s:.0f} s of sound, and the server takes {longest_s:.0f} s",
            "Cut it, use `antiphon transcribe`, or raise server.max_upload_s.",
            code="request_too_large",
            param="file",
        )
