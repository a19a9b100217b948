"""Fetching a model from the hub: resumed where it broke off, checked byte for byte, and there whole or not at all.

Over HTTP as the Hugging Face hub speaks it, or from an owner's own folder, with the proxies of the environment
(HTTPS_PROXY) and another address of the hub by HF_ENDPOINT. It does not decide what is fetched, nor show anything: that
is the caller's.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct, field

from antiphon.errors import ConfigError, NotInstalled
from antiphon.models.catalog import Model
from antiphon.models.store import LIST, PARTIAL, Contents, Store

HUB = "https://huggingface.co"
BLOCK_BYTES = 1 << 20
TIMEOUT = httpx.Timeout(30.0)
ATTEMPTS = 4  # of one file, each going on where the last broke off
SPARE_BYTES = 100_000_000  # left free on the disk
PART = ".part"

Progress = Callable[[int], None]
"""Called with bytes that have come, or were there already."""


class Lfs(Struct):
    """A large file's content by its SHA-256."""

    sha256: str
    size: int


class Sibling(Struct):
    """One file of a repository."""

    rfilename: str
    size: int | None = None
    blob_id: str | None = field(default=None, name="blobId")
    """Git's SHA-1 of a small file."""
    lfs: Lfs | None = None
    crc32c: str | None = None
    """In base64, of a file that is not on the hub."""


class Repository(Struct):
    """What the hub says of a repository."""

    sha: str
    siblings: list[Sibling] = []


class Plan(Struct, frozen=True):
    """What is to be fetched."""

    name: str
    repository: str
    revision: str
    files: tuple[Sibling, ...]
    source: str = ""
    """Where they lie: the address of a folder, or its path on this machine."""

    @property
    def size_bytes(self) -> int:
        return sum(file.size or 0 for file in self.files)


class Hub:
    """A hub, over one client. Used as a context."""

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        """`token` opens repositories that want one; None takes HF_TOKEN."""
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        self._token = token or os.environ.get("HF_TOKEN")
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=True)

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def plan(self, name: str, model: Model) -> Plan:
        """Which files there are, with their sizes and checksums. Raises `ConfigError`."""
        if model.listed:
            _need_crc32c()
            files = tuple(Sibling(file.name, file.size_bytes, crc32c=file.crc32c) for file in model.listed)
            return Plan(name, model.repository, "", files, model.repository)
        address = f"{self.endpoint}/api/models/{model.repository}?blobs=true"
        try:
            answer = self._client.get(address, headers=self._pass(address))
        except httpx.HTTPError as error:
            raise self._unreachable(error, f"the hub at {self.endpoint}") from None
        _check_status(answer, model.repository)
        try:
            repository = msgspec.json.decode(answer.content, type=Repository)
        except msgspec.DecodeError as error:
            raise ConfigError(
                f"{self.endpoint} does not answer as a hub: {error}", "Check HF_ENDPOINT, or the proxy's login page."
            ) from None
        wanted = tuple(
            file
            for file in repository.siblings
            if any(fnmatch.fnmatch(file.rfilename, pattern) for pattern in model.files)
            and _is_inside(file.rfilename)
            and not file.rfilename.startswith(".git")
        )
        if not wanted:
            raise ConfigError(f"{model.repository} has none of the files of {name}", "Tell us: its owner changed it.")
        source = f"{self.endpoint}/{model.repository}/resolve/{repository.sha}"
        return Plan(name, model.repository, repository.sha, wanted, source)

    def pull(self, plan: Plan, store: Store, progress: Progress = lambda size: None) -> Path:
        """Fetch what is not there yet; the model's folder. May be interrupted and called again."""
        partial = store.folder / (plan.name + PARTIAL)
        _make_folder(partial)
        _check_space(store.folder, plan, partial)
        for file in plan.files:
            self._fetch(plan, file, partial / file.rfilename, progress)
        return _put_in_place(plan, store)

    def _fetch(self, plan: Plan, file: Sibling, path: Path, progress: Progress) -> None:
        if path.is_file() and _is_whole(path, file):
            progress(path.stat().st_size)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + PART)
        have = part.stat().st_size if part.is_file() else 0
        progress(have)
        failure: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                self._go_on(plan, file, part, progress)
                break
            except httpx.HTTPError as error:
                failure = error
            except OSError as error:
                raise ConfigError(
                    f"{part} cannot be written: {error.strerror}", "Make room, or set models.folder to another disk."
                ) from None
        else:
            if isinstance(failure, httpx.ConnectError) and not (part.is_file() and part.stat().st_size):
                raise self._unreachable(failure, plan.source) from None
            raise ConfigError(
                f"{file.rfilename} broke off {ATTEMPTS} times: {failure}",
                f"Call it again: it goes on where it stopped. antiphon models pull {plan.name}",
            ) from None
        if not _is_whole(part, file):
            part.unlink()
            raise ConfigError(
                f"{file.rfilename} is not what the hub says that it is: its checksum differs",
                f"It was deleted. Try again: antiphon models pull {plan.name}. A proxy may have changed it.",
            )
        part.replace(path)

    def _go_on(self, plan: Plan, file: Sibling, part: Path, progress: Progress) -> None:
        have = part.stat().st_size if part.is_file() else 0
        if file.size is not None and have == file.size and have:
            return
        address = f"{plan.source}/{quote(file.rfilename)}"
        headers = {"Accept-Encoding": "identity"} | self._pass(address)
        if have:
            headers["Range"] = f"bytes={have}-"
        with self._client.stream("GET", address, headers=headers) as answer:
            if answer.status_code == 416:  # there is no more: the checksum decides
                return
            _check_status(answer, plan.repository)
            goes_on = answer.status_code == 206
            if have and not goes_on:
                progress(-have)
            with part.open("ab" if goes_on else "wb") as out:
                for block in answer.iter_bytes():  # as it comes: what breaks off is kept to the last byte
                    out.write(block)
                    progress(len(block))

    def _pass(self, address: str) -> dict[str, str]:
        """The token, for the hub alone."""
        is_hub = self._token and address.startswith(f"{self.endpoint}/")
        return {"Authorization": f"Bearer {self._token}"} if is_hub else {}

    def _unreachable(self, error: Exception, what: str) -> ConfigError:
        return ConfigError(
            f"{what} cannot be reached: {error}",
            "Check the network; behind a proxy set HTTPS_PROXY, for a mirror HF_ENDPOINT. On a machine without a "
            "network, copy the model's folder from another one: antiphon models pull NAME --from FOLDER",
        )


def plan_from(folder: Path, name: str) -> Plan:
    """What a folder on this machine has of a model, such as a stick from one that has a network: either that model's
    own folder, or one with it inside. Raises `ConfigError`."""
    source = Store(folder)
    contents = source.contents(name)
    place = folder / name
    if contents is None:
        source, place = Store(folder.parent), folder
        contents = source.contents(folder.name)
    if contents is None or not all(map(_is_inside, contents.files)):
        raise ConfigError(
            f"{folder} holds no whole model {name}",
            f"Pull it where there is a network, and copy its folder with {LIST}.",
        )
    if contents.files.keys() != contents.sha256.keys():
        raise ConfigError(
            f"{place / LIST} has no checksums, by which the model could be checked",
            "Remove and pull it again where it came from, with this version of Antiphon.",
        )
    files = tuple(Sibling(file, size, lfs=Lfs(contents.sha256[file], size)) for file, size in contents.files.items())
    return Plan(name, contents.repository, contents.revision, files, str(place))


def copy_from(plan: Plan, store: Store, progress: Progress = lambda size: None) -> Path:
    """Copy what `plan_from` has found, and check it: the model's folder. Raises `ConfigError`."""
    partial = store.folder / (plan.name + PARTIAL)
    _make_folder(partial)
    _check_space(store.folder, plan, partial)
    for file in plan.files:
        target = partial / file.rfilename
        try:
            _copy(Path(plan.source) / file.rfilename, target, progress)
        except OSError as error:
            raise ConfigError(
                f"{file.rfilename} cannot be copied to {target}: {error.strerror}",
                "Look whether the folder that it comes from can be read, and whether there is room on the disk.",
            ) from None
        if not _is_whole(target, file):
            target.unlink()
            raise ConfigError(
                f"{file.rfilename} in {plan.source} is not what was pulled: its checksum differs",
                "Copy the folder again from the machine that has a network, or pull it there again.",
            )
    return _put_in_place(plan, store)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as there, target.open("wb") as here:
        for block in iter(lambda: there.read(BLOCK_BYTES), b""):
            here.write(block)
            progress(len(block))


def _put_in_place(plan: Plan, store: Store) -> Path:
    """Write the list of a model whose files are all there, and give it its name; its folder."""
    partial, final = store.folder / (plan.name + PARTIAL), store.folder / plan.name
    sizes = {file.rfilename: (partial / file.rfilename).stat().st_size for file in plan.files}
    sums = {
        file.rfilename: file.lfs.sha256 if file.lfs else _digest(partial / file.rfilename, hashlib.sha256())
        for file in plan.files
    }
    contents = Contents(plan.repository, plan.revision, sizes, sums)
    (partial / LIST).write_bytes(msgspec.json.format(msgspec.json.encode(contents)))
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    return final


def _is_inside(file: str) -> bool:
    """Whether a path in somebody's list stays in the folder that it is meant for."""
    return ".." not in Path(file).parts and not Path(file).is_absolute()


def _check_status(answer: httpx.Response, repository: str) -> None:
    if answer.status_code in (401, 403):
        raise ConfigError(
            f"the hub does not give {repository} to everybody",
            "Accept its licence on its page, and set HF_TOKEN to a token of yours.",
        )
    if answer.status_code == 404:
        raise ConfigError(f"the hub has no {repository}, or not this file of it", "Update Antiphon, or name a folder.")
    if answer.status_code >= 400:
        raise ConfigError(f"the hub answered {answer.status_code} for {repository}", "Try again in some minutes.")


def _check_space(folder: Path, plan: Plan, partial: Path) -> None:
    there = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    needed, free = plan.size_bytes - there, shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise ConfigError(
            f"{plan.name} needs {needed / 1e6:,.0f} MB more, and {folder} has {free / 1e6:,.0f} MB free",
            "Make room, choose a smaller model, or set models.folder to another disk.",
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}", "Set models.folder to one of yours.") from None


def _is_whole(path: Path, file: Sibling) -> bool:
    """Whether the content is the one that the hub speaks of."""
    size = path.stat().st_size
    if file.lfs is not None:
        return size == file.lfs.size and _digest(path, hashlib.sha256()) == file.lfs.sha256
    if file.size is not None and size != file.size:
        return False
    if file.crc32c is not None:
        return _crc32c(path) == file.crc32c
    if file.blob_id is not None:
        return _digest(path, hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)) == file.blob_id
    return True


def _need_crc32c() -> None:
    try:
        import google_crc32c  # noqa: F401 - asked for before anything is fetched
    except ImportError:
        raise NotInstalled("google-crc32c", "moonshine") from None


def _crc32c(path: Path) -> str:
    import google_crc32c

    checksum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK_BYTES), b""):
            checksum.update(block)
    return b64encode(checksum.digest()).decode()


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()
