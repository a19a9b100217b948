"""Sound of whole sessions, for operators who keep it: an Ogg file for each, Opus in two channels, written as it comes.

One thread encodes and writes for all. A session hands over a second at a time and waits for nobody; if the disk or the
processor does not keep up, seconds become silence, and are counted. What was written is a file that plays, also after
this process was killed. Which sounds there are, and when, is told by whoever runs the session.
"""

from __future__ import annotations

import fcntl
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from msgspec import Struct

from antiphon.audio.sides import PIECE, Sides, Stereo
from antiphon.audio.units import WIRE_RATE, Pcm16, Samples, Seconds
from antiphon.errors import ConfigError
from antiphon.media.encode import ARCHIVE, Encoder
from antiphon.session import outputs
from antiphon.session.inputs import Input
from antiphon.session.outputs import Output
from antiphon.store.changes import DAY_S

log = logging.getLogger("antiphon.store")

SUFFIX = ".ogg"
EVERY_S = 1.0  # how often a session hands over
MOST_WAITING_BYTES = 64 << 20  # of all sessions: eleven minutes of sound
CLOSE_S = 5.0
PRUNE_EVERY_S = 3600.0


class Part(Struct, frozen=True):
    """More of a recording: sound, so much silence, or None for its end."""

    name: str
    sound: Stereo | Samples | None


class Tape(Struct):
    """A file that is being written."""

    file: BinaryIO
    encoder: Encoder


class Away(Protocol):
    """Where recordings go that do not stay on this machine; see `store.uploading`."""

    def began(self, name: str) -> None: ...

    def ended(self, name: str) -> None:
        """Its file is whole."""
        ...

    def read(self, name: str) -> Iterator[bytes] | None:
        """Piece by piece; None if it is not there. Blocks. Raises `EngineError`."""
        ...

    def delete(self, name: str) -> None:
        """Here and there. Blocks. Raises `EngineError`."""
        ...

    def close(self) -> None: ...


class Recorder:
    """Writes until it is closed. All but the thread's own part belongs to the event loop."""

    def __init__(self, folder: Path, *, keep_days: int = 0, uploads: Callable[[Path], Away] | None = None) -> None:
        """Makes the folder, so it blocks. `keep_days` 0 is forever; `uploads` makes what sends the folder's files away.
        Raises `ConfigError`."""
        self.folder = folder
        self.lost: Counter[str] = Counter()
        """Samples that became silence, by session."""
        self._keep_s = keep_days * DAY_S
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_usable = os.access(folder, os.W_OK | os.X_OK)
        except OSError:
            is_usable = False
        if not is_usable:
            raise ConfigError(
                f"sound cannot be recorded in {folder}",
                "Set history.recordings to a folder that can be made or written.",
            )
        self.away = uploads(folder) if uploads is not None else None
        self._queue: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._put_bytes = self._done_bytes = 0
        """Each is counted by one side only."""
        self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Sound that is not in its file yet."""
        return self._put_bytes - self._done_bytes

    def begin(self, session_id: str, now: Seconds) -> Recording:
        """A recording of a session that begins now, on the loop's clock."""
        return Recording(self, session_id, now)

    def path(self, session_id: str) -> Path:
        """Where a session's sound is, if it was recorded and is still on this machine."""
        return self.folder / f"{session_id}{SUFFIX}"

    def delete(self, session_id: str) -> None:
        """Wherever it is. Blocks. Raises `EngineError`."""
        if self.away is not None:
            self.away.delete(session_id)
        else:
            self.path(session_id).unlink(missing_ok=True)

    def put(self, part: Part) -> None:
        """Have it written. Never waits and never fails."""
        size = _size(part)
        if size and self.waiting_bytes + size > MOST_WAITING_BYTES:
            assert isinstance(part.sound, np.ndarray)
            self.lost[part.name] += part.sound.shape[0]
            part, size = Part(part.name, part.sound.shape[0]), 0
        self._put_bytes += size
        self._queue.put(part)

    def close(self) -> None:
        """Write what waits, and end; blocks, but not for long."""
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("recordings could not be written to %s in time", self.folder)
        if self.away is not None:
            self.away.close()

    # --- in the thread

    def _run(self) -> None:
        tapes: dict[str, Tape] = {}
        broken: set[str] = set()
        next_prune = time.monotonic()
        while True:
            if self._keep_s and time.monotonic() >= next_prune:
                self._prune()
                next_prune = time.monotonic() + PRUNE_EVERY_S
            try:
                part = self._queue.get(timeout=PRUNE_EVERY_S)
            except queue.Empty:
                continue
            if part is None:
                break
            if part.name not in broken:
                try:
                    self._write(tapes, part)
                except Exception as error:  # the border of one recording: the disk is full, or the encoder broke
                    log.exception("the recording of %s ends here: %s", part.name, error)
                    broken.add(part.name)
            if part.sound is None:
                broken.discard(part.name)
                if self.away is not None:
                    self.away.ended(part.name)
                lost = self.lost.pop(part.name, 0)
                if lost:
                    log.warning("%.0f s of the recording of %s are silence", lost / WIRE_RATE, part.name)
            self._done_bytes += _size(part)
        for tape in tapes.values():
            _end(tape)

    def _write(self, tapes: dict[str, Tape], part: Part) -> None:
        tape = tapes.get(part.name)
        if tape is None:
            if self.away is not None:
                self.away.began(part.name)
            tape = tapes[part.name] = Tape(_opened(self.path(part.name)), Encoder(ARCHIVE, channels=2))
        match part.sound:
            case None:
                _end(tapes.pop(part.name))
            case int(silence):
                for start in range(0, silence, PIECE):
                    tape.file.write(tape.encoder.push(np.zeros((min(PIECE, silence - start), 2), np.int16)))
            case sound:
                tape.file.write(tape.encoder.push(sound))

    def _prune(self) -> None:
        before = time.time() - self._keep_s
        for path in self.folder.glob(f"*{SUFFIX}"):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
            except OSError as error:
                log.warning("an old recording could not be deleted: %s", error)


class Recording:
    """One session's, on the event loop. It is a `runtime.drive.Tap`, and `record` takes the session's steps."""

    def __init__(self, recorder: Recorder, name: str, began: Seconds) -> None:
        self._recorder = recorder
        self._name = name
        self._began = began
        self._sides = Sides()
        self._next = began + EVERY_S

    def heard(self, pcm: Pcm16, now: Seconds) -> None:
        self._sides.heard(pcm, self._at(now))
        if now >= self._next:
            self._hand_over(now)

    def said(self, pcm: Pcm16, now: Seconds) -> None:
        self._sides.said(pcm, self._at(now))
        if now >= self._next:
            self._hand_over(now)

    def record(self, now: Seconds, item: Input, out: list[Output]) -> None:
        """Take in one step of the session: an answer that is interrupted is not played on."""
        for output in out:
            if isinstance(output, outputs.SpeechStarted) or (
                isinstance(output, outputs.ResponseEnded) and output.response.status == "cancelled"
            ):
                self._sides.hush(self._at(now))

    def close(self, now: Seconds) -> None:
        """The session is over."""
        for sound in self._sides.finish(self._at(now)):
            self._recorder.put(Part(self._name, sound))
        self._recorder.put(Part(self._name, None))

    def _hand_over(self, now: Seconds) -> None:
        self._next = now + EVERY_S
        for sound in self._sides.take(self._at(now)):
            self._recorder.put(Part(self._name, sound))

    def _at(self, now: Seconds) -> Samples:
        return round((now - self._began) * WIRE_RATE)


def _size(part: Part) -> int:
    return part.sound.nbytes if isinstance(part.sound, np.ndarray) else 0


def _opened(path: Path) -> BinaryIO:
    """A new file that only its owner can read; unbuffered, for the system is to have what a killed process leaves.
    Locked before anybody sees it and until it is closed, so that nobody sends it away meanwhile."""
    unseen = path.with_suffix(".new")
    unseen.touch(mode=0o600)
    file = unseen.open("wb", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(path)
    except OSError:
        file.close()
        raise
    return file


def _end(tape: Tape) -> None:
    try:
        tape.file.write(tape.encoder.finish())
    finally:
        tape.file.close()
