"""Reading, finding and searching files below folders that the operator named, and nothing outside of them.

Each part of a path is opened below the one before it and no link is followed, so neither ".." nor a link that is made
at the wrong moment leads out. Nothing here writes. Searching is for plain words: an expression that a model wrote could
hold up the whole process.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from antiphon.errors import ConfigError
from antiphon.tools.api import Conduct, ServerTool, ToolContext, ToolError
from antiphon.tools.function import FunctionTool

MOST_LINES = 500  # of one answer; the next begins where it ended
MOST_FOUND = 100  # names or lines of one answer; how many there are is told
LONGEST_LINE_BYTES = 1_000
LARGEST_FILE_BYTES = 50_000_000
MOST_SCANNED_BYTES = 200_000_000  # of one search
MOST_ENTRIES = 200_000
DEEPEST = 64  # folders below one another
PEEK_BYTES = 8_192  # that are looked at to tell text from anything else
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would be waited for

# Nothing is kept: reading again takes less than a millisecond, and the person may just have changed the file.
CONDUCT = Conduct(reads_only=True, resource="files", cache_s=0.0, deadline_s=20.0)


class Roots:
    """The folders, by the first word of every path that leads into them: their own last names."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Raises `ConfigError` for what is no folder, and for two of one name."""
        self._paths: dict[str, Path] = {}
        for path in paths:
            whole = path.expanduser().resolve()
            if not whole.is_dir():
                raise ConfigError(f"tools.roots: there is no folder {path}", "Make it, or correct the path.")
            if whole.name in self._paths or not whole.name:
                raise ConfigError(f"tools.roots: {path} has no name of its own", "Name folders that are called apart.")
            self._paths[whole.name] = whole

    @property
    def names(self) -> str:
        return ", ".join(f"{name}/" for name in self._paths)

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """A descriptor of the file or folder, closed with the block. Raises `ToolError`."""
        name, *parts = [part for part in path.split("/") if part not in ("", ".")] or [""]
        if name not in self._paths or path.startswith("/"):
            raise ToolError(f"there is no {_shown(path)} here; every path begins with one of: {self.names}.")
        if ".." in parts or "\0" in path:
            raise ToolError(f"{_shown(path)} cannot be read: paths go down only.")
        descriptor = os.open(self._paths[name], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                below = _open_below(descriptor, part, path)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def walk(self, context: ToolContext) -> Iterator[tuple[str, int, str]]:
        """Every regular file as its path, the descriptor of its folder, and its name in there. By name, folder by
        folder. Links and what cannot be opened are left out. Ends early when nobody waits any more."""
        seen = 0
        waiting = deque((name, 0) for name in sorted(self._paths))
        while waiting and context.is_wanted():
            folder, depth = waiting.popleft()
            try:
                with self.opened(folder) as descriptor, os.scandir(descriptor) as entries:
                    for entry in sorted(entries, key=lambda each: each.name):
                        seen += 1
                        if seen > MOST_ENTRIES:
                            return
                        if entry.is_dir(follow_symlinks=False) and depth < DEEPEST:
                            waiting.append((f"{folder}/{entry.name}", depth + 1))
                        elif entry.is_file(follow_symlinks=False):
                            yield f"{folder}/{entry.name}", descriptor, entry.name
            except (OSError, ToolError):
                continue


def _open_below(folder: int, name: str, path: str) -> int:
    try:
        return os.open(name, OPEN, dir_fd=folder)
    except OSError as error:
        # A link gives ELOOP, or ENOTDIR where a folder was wanted: it is not said which, nor where it leads.
        reason = "you may not read it" if isinstance(error, PermissionError) else "there is no such file"
        raise ToolError(f"{_shown(path)} cannot be read: {reason}.") from None


def _text_file(descriptor: int) -> BinaryIO | None:
    """The descriptor as a file, or None if it is not a text of a size to be read. Closing it does not close that."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE_BYTES:
        return None
    if b"\0" in os.pread(descriptor, PEEK_BYTES, 0):
        return None
    return os.fdopen(descriptor, "rb", closefd=False)


def _lines(file: BinaryIO) -> Iterator[str]:
    """Each line without its end, and no longer than is read."""
    while line := file.readline(LONGEST_LINE_BYTES):
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        cut = len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n")
        while cut and (rest := file.readline(LONGEST_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield f"{text} [...]" if cut else text


class Files:
    """What can be asked about the files below `roots`. Everything blocks, and stops early when nobody waits any
    more."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def read(self, context: ToolContext, path: str, start_line: int = 1, lines: int = 200) -> str:
        """Read a text file.

        Args:
            path: As find_files shows it.
            start_line: The first line that is wanted; the file's first is 1.
            lines: How many are wanted, at most 500.
        """
        first, count = max(1, start_line), max(1, min(lines, MOST_LINES))
        with self._roots.opened(path) as descriptor:
            file = _text_file(descriptor)
            if file is None:
                raise ToolError(f"{_shown(path)} is no text file, or too large.")
            with file:
                wanted: list[str] = []
                total = 0
                for total, line in enumerate(_lines(file), 1):
                    if first <= total < first + count:
                        wanted.append(line)
                    if not context.is_wanted():
                        raise ToolError("the reading was stopped.")
        more = {"next_start_line": first + count} if first + count <= total else {}
        return _json({"path": path, "start_line": first, "total_lines": total, "text": "\n".join(wanted), **more})

    def find(self, context: ToolContext, pattern: str = "**") -> str:
        """Find files by their paths.

        Args:
            pattern: Such as "notes/**/*.md": * is any name or a part of one, ** any folders.
        """
        matches = _matcher(pattern)
        found = [path for path, _, _ in self._roots.walk(context) if matches(path)]
        return _json({"total_files": len(found), "files": found[:MOST_FOUND]})

    def search(self, context: ToolContext, words: str, pattern: str = "**") -> str:
        """Find the lines of text files in which these words stand, in large or small letters.

        Args:
            words: As they stand in a line. It is not an expression.
            pattern: Of the paths to look at, as in find_files.
        """
        wanted, matches = words.casefold(), _matcher(pattern)
        if not wanted.strip():
            raise ToolError("words has to be a text to look for.")
        found: list[str] = []
        total, files, scanned = 0, 0, 0
        for path, folder, name in self._roots.walk(context):
            if not matches(path):
                continue
            files += 1
            for number, line, size in _searchable(folder, name):
                scanned += size
                if wanted in line.casefold():
                    total += 1
                    if len(found) < MOST_FOUND:
                        found.append(f"{path}:{number}: {line}")
                if scanned > MOST_SCANNED_BYTES or not context.is_wanted():
                    break
            if scanned > MOST_SCANNED_BYTES or not context.is_wanted():
                break
        whole = {} if scanned <= MOST_SCANNED_BYTES else {"stopped_early": True}
        return _json({"total_matches": total, "files_searched": files, "matches": found, **whole})


def _searchable(folder: int, name: str) -> Iterator[tuple[int, str, int]]:
    """The lines of a file, with their numbers and about how many bytes each is. None of what is no text."""
    try:
        descriptor = os.open(name, OPEN, dir_fd=folder)
    except OSError:
        return
    try:
        file = _text_file(descriptor)
        if file is not None:
            with file:
                for number, line in enumerate(_lines(file), 1):
                    yield number, line, len(line) + 1
    except OSError:
        return  # it was taken away, or its disk was
    finally:
        os.close(descriptor)


def _matcher(pattern: str) -> Callable[[str], bool]:
    """For paths below the roots. A pattern without a folder in it means any folder."""
    pattern = pattern.strip().removeprefix("./") or "**"
    if "/" not in pattern and pattern != "**":
        pattern = f"**/{pattern}"
    if len(pattern) > 200 or pattern.count("*") > 12:  # what it is made into takes longer with each
        raise ToolError("the pattern is too long.")
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    meaning = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    expression = re.compile("".join(meaning.get(piece) or re.escape(piece) for piece in pieces))
    return lambda path: expression.fullmatch(path) is not None


def file_tools(paths: Sequence[Path]) -> list[ServerTool]:
    """Raises `ConfigError`: see `Roots`."""
    roots = Roots(paths)
    files = Files(roots)
    asks: dict[str, Callable[..., str]] = {
        "read_file": files.read,
        "find_files": files.find,
        "search_files": files.search,
    }
    return [FunctionTool(ask, name, CONDUCT, f"There is: {roots.names}.") for name, ask in asks.items()]


def _shown(path: str) -> str:
    return path if len(path) <= 100 else f"{path[:100]}..."


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
