"""Every error that Antiphon raises on purpose, on one screen.

The tree answers two questions: who must act, and how far does the error reach? Nothing here knows the wire:
`protocol` turns a `PeerError` into an `error` message, `cli` turns a `ConfigError` into two lines and status 2.

| class             | who acts           | reach                                  |
|-------------------|--------------------|----------------------------------------|
| `ConfigError`     | the operator       | the process does not start             |
| `PeerError`       | the client's author| one message; the session lives         |
| `EngineError`     | operator, upstream | one response or transcript             |
| `TransportClosed` | nobody             | one connection                         |
| `Bug`             | us                 | one session                            |
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AntiphonError(Exception):
    """Something went wrong that we foresaw. `hint` is the next thing to try, and is never empty."""

    def __init__(self, message: str, hint: str) -> None:
        if not hint.strip():
            raise TypeError(f"{type(self).__name__} needs a hint: what should the reader try next?")
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.hint}"

    @property
    def told(self) -> str:
        """The message and the hint as sentences of one line, for who has one field for both."""
        return f"{self.message}{'' if self.message.endswith(('.', '!', '?')) else '.'} {self.hint}"


class ConfigError(AntiphonError):
    """The operator asked for something that cannot be: a typo, a port in use, an engine that is not there."""


class UnknownName(ConfigError):
    """A name that nobody here has, with the nearest one that somebody has."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.known = sorted(known)
        super().__init__(f"no {kind} is called {name!r}", did_you_mean(name, self.known))


class NotInstalled(ConfigError):
    """What the operator asked for needs a library that only one of our extras brings."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed", f"{to_install(extra)}.")


class PeerError(AntiphonError):
    """A client sent something that we cannot act on. Nothing of it was applied, and its session goes on."""

    def __init__(self, message: str, hint: str, *, code: str | None, param: str | None = None) -> None:
        super().__init__(message, hint)
        self.code = code
        """The protocol's error code, for programs: "invalid_value", "item_create_duplicate_item_id"."""
        self.param = param
        """Path of the offending field, such as "session.audio.input.format.rate"."""


class EngineError(AntiphonError):
    """A recogniser, model or voice failed. Its response or transcript ends `failed`; the next one works."""

    def __init__(self, message: str, hint: str, *, code: str = "engine_failed") -> None:
        super().__init__(message, hint)
        self.code = code


class TransportClosed(AntiphonError):
    """The connection is gone, closed by them or by us."""


class Bug(AntiphonError):
    """An impossible transition: we are wrong, not the peer."""


def to_install(extra: str) -> str:
    """How. Never by our name alone: on a package index it may be somebody else's."""
    return f"In the folder of Antiphon's sources: pip install '.[{extra}]'"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, if one is near, and all the others."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    start = f"Did you mean {near[0]!r}? " if near else ""
    return f"{start}Known: {', '.join(names) or 'none'}."
