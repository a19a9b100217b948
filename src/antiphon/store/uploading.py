"""Recordings on their way to an S3-compatible store, and what is asked of the store afterwards.

The folder of recordings is the spool: a file lies there until the store has all of it. Of a long call parts are sent
while it goes on, one at a time; if the store fails, what was sent of it is given up and the file is sent whole later,
by this process or by the one after it. One thread does it all, and nobody waits for it. A file that is being written or
sent is locked, so that the processes of a machine can share a folder. What a recording holds is not known here.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore, S3Store

from antiphon.audio.units import Seconds
from antiphon.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from obstore import WritableFile

log = logging.getLogger("antiphon.store")

SUFFIX = ".ogg"
PART_BYTES = 5 << 20  # the least that S3 takes as a part: a quarter of an hour of speech
LOOK_S: Seconds = 5.0
FIRST_REST_S, LAST_REST_S = 5.0, 300.0  # after a failure, twice as long with each one in a row
PRUNE_EVERY_S: Seconds = 3600.0
CLOSE_S: Seconds = 5.0
READ_BYTES = 256 * 1024  # in one piece, for whoever listens to a recording
REQUEST_S, CONNECT_S = 60, 5
RETRIES = 2
LONGEST_WORDS = 200  # of an error
MOST_IN_A_ROW = 3  # files that fail one after the other: it is not they, it is the store


class Address(Struct, frozen=True):
    """Of a store. Without keys they are those of the machine: AWS's variables, or its role there."""

    url: str
    """"s3://bucket/prefix"."""
    endpoint: str | None = None
    """Of a store that is not AWS's: "https://minio.example.com:9000"."""
    region: str = "us-east-1"
    key_id: str | None = None
    secret_key: str | None = None


class Part(Struct):
    """What was sent of a recording that goes on."""

    writer: WritableFile | None
    """None if that failed: all of it is sent afterwards."""
    sent_bytes: int = 0


class Wait(Struct):
    """Of a file that failed."""

    failures: int = 0
    until: Seconds = 0.0
    """On the monotonic clock."""


def store_at(address: Address) -> ObjectStore:
    """Nothing is sent yet. Raises `ConfigError`."""
    url = urlsplit(address.url)
    if url.scheme != "s3" or not url.netloc:
        raise ConfigError("history.recordings_url is not the URL of a bucket", "Write it like s3://bucket/prefix")
    keys = {"access_key_id": address.key_id, "secret_access_key": address.secret_key} if address.key_id else {}
    try:
        return S3Store(
            url.netloc,
            prefix=url.path.strip("/") or None,
            region=address.region,
            **({"endpoint": address.endpoint} if address.endpoint else {}),  # type: ignore[arg-type]
            **keys,  # type: ignore[arg-type]
            client_options={
                "timeout": timedelta(seconds=REQUEST_S),
                "connect_timeout": timedelta(seconds=CONNECT_S),
                "allow_http": (address.endpoint or "").startswith("http://"),
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_S)},
        )
    except (BaseError, ValueError) as error:
        raise ConfigError(f"the store of recordings cannot be used: {_told(error)}", "See [history].") from None


class Uploads:
    """Sends until it is closed. `began` and `ended` may be called by one other thread; what asks the store blocks."""

    def __init__(self, store: ObjectStore, folder: Path, *, keep_s: Seconds = 0.0) -> None:
        """Whatever lies in the folder is sent. `keep_s` is how long the store keeps a recording; 0 is forever."""
        self._store = store
        self._folder = folder
        self._keep_s = keep_s
        self._parts: dict[str, Part] = {}
        self._waits: dict[str, Wait] = {}
        self._growing: set[str] = set()
        """What is being written by this process."""
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="uploads", daemon=True)
        self._thread.start()

    def began(self, name: str) -> None:
        with self._lock:
            self._growing.add(name)

    def ended(self, name: str) -> None:
        """The file is whole."""
        with self._lock:
            self._growing.discard(name)
        self._news.set()

    def close(self) -> None:
        """Stop; blocks, but not for long. What was not sent is sent when somebody uses the folder again."""
        self._stop.set()
        self._news.set()
        self._thread.join(CLOSE_S)

    # --- what is asked of the store

    def read(self, name: str) -> Iterator[bytes] | None:
        """The recording piece by piece; None if there is none. Raises `EngineError`."""
        try:
            found = obstore.get(self._store, f"{name}{SUFFIX}")
        except (NotFoundError, FileNotFoundError):
            return None
        except BaseError as error:
            raise _unavailable(error) from None
        return (bytes(piece) for piece in found.stream(READ_BYTES))

    def delete(self, name: str) -> None:
        """Wherever it is, also if there is none. Raises `EngineError`."""
        self._delete_here(self._folder / f"{name}{SUFFIX}")
        try:
            obstore.delete(self._store, f"{name}{SUFFIX}")
        except (NotFoundError, FileNotFoundError):
            return
        except BaseError as error:
            raise _unavailable(error) from None

    def _delete_here(self, path: Path) -> None:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return
        with file:
            if not locked(file) and path.exists():
                hint = "Try again in a moment."
                raise EngineError("The recording is on its way to its store.", hint, code="recording_unavailable")
            path.unlink(missing_ok=True)

    # --- in the thread

    def _run(self) -> None:
        next_prune = time.monotonic()
        while not self._stop.is_set():
            self._news.clear()
            try:
                self._send_all()
                if self._keep_s and time.monotonic() >= next_prune:
                    self._prune()
                    next_prune = time.monotonic() + PRUNE_EVERY_S
            except (BaseError, OSError) as error:
                self._rest(error)
                continue
            if self._failures:
                log.info("the store takes recordings again")
            self._failures = 0
            self._news.wait(LOOK_S)

    def _rest(self, error: Exception) -> None:
        rest_s = _rest_s(self._failures)
        self._failures += 1
        log.warning("recordings wait in %s, the next attempt is in %.0f s: %s", self._folder, rest_s, _told(error))
        self._stop.wait(rest_s)

    def _send_all(self) -> None:
        """One file that fails waits for its own next attempt, and holds up no other; if several in a row fail, the last
        one's error is raised."""
        paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        with self._lock:  # after the look: whatever was seen to grow is known to
            growing = set(self._growing)
        names = {path.stem for path in paths}
        self._waits = {name: wait for name, wait in self._waits.items() if name in names}
        failures_in_a_row = 0
        for path in paths:
            wait = self._waits.get(path.stem)
            if self._stop.is_set():
                return
            if wait is not None and time.monotonic() < wait.until:
                continue
            try:
                self._send_part(path) if path.stem in growing else self._send_rest(path)
            except (BaseError, OSError) as error:
                self._put_off(path, error)
                failures_in_a_row += 1
                if failures_in_a_row == MOST_IN_A_ROW:
                    raise
            else:
                self._waits.pop(path.stem, None)
                failures_in_a_row = 0

    def _put_off(self, path: Path, error: Exception) -> None:
        wait = self._waits.setdefault(path.stem, Wait())
        rest_s = _rest_s(wait.failures)
        wait.failures += 1
        wait.until = time.monotonic() + rest_s
        log.warning("a recording waits in %s, the next attempt is in %.0f s: %s", path, rest_s, _told(error))

    def _send_part(self, path: Path) -> None:
        """As much of a recording that goes on as makes whole parts."""
        size = path.stat().st_size // PART_BYTES * PART_BYTES
        part = self._parts.get(path.stem)
        if size and part is None:
            part = self._parts[path.stem] = Part(self._writer(path.name))
        if part is not None and part.writer is not None and size > part.sent_bytes:
            try:
                with path.open("rb") as file:
                    _copy(file, part, part.writer, size)
            except BaseError:
                part.writer = None
                raise

    def _writer(self, name: str) -> WritableFile:
        return obstore.open_writer(self._store, name, buffer_size=PART_BYTES, max_concurrency=1)

    def _send_rest(self, path: Path) -> None:
        """What is not there yet of a recording that is over; then the file is not needed any more."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return  # another process has sent it
        with file:
            if not locked(file):
                return  # another process writes or sends it
            part = self._parts.pop(path.stem, None)
            size = path.stat().st_size
            if part is None or part.writer is None:
                obstore.put(self._store, path.name, file, chunk_size=PART_BYTES, max_concurrency=1)
            else:
                _copy(file, part, part.writer, size)
                part.writer.close()
            path.unlink(missing_ok=True)
            log.info("a recording of %d bytes is in the store: %s", size, path.stem)

    def _prune(self) -> None:
        before = datetime.now(UTC) - timedelta(seconds=self._keep_s)
        for page in obstore.list(self._store):
            for one in page:
                if one["path"].endswith(SUFFIX) and one["last_modified"] < before:
                    obstore.delete(self._store, one["path"])


def locked(file: BinaryIO) -> bool:
    """Lock an open file of the folder until it is closed; False if somebody else has, or it is not in the folder any
    more."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file.fileno()).st_nlink > 0


def _copy(file: BinaryIO, part: Part, writer: WritableFile, up_to: int) -> None:
    file.seek(part.sent_bytes)
    while part.sent_bytes < up_to:
        piece = file.read(min(PART_BYTES, up_to - part.sent_bytes))
        writer.write(piece)
        part.sent_bytes += len(piece)


def _rest_s(failures: int) -> Seconds:
    """After so many before this one, in a row."""
    return float(min(LAST_REST_S, FIRST_REST_S * 2 ** min(failures, 16)))


def _told(error: Exception) -> str:
    """In a line: what a store answers may be long."""
    return " ".join(str(error).split())[:LONGEST_WORDS] or type(error).__name__


def _unavailable(error: Exception) -> EngineError:
    return EngineError(
        "The store in which recordings are kept does not answer.",
        f"Try again later. It said: {_told(error)}",
        code="recording_unavailable",
    )
