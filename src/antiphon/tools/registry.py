"""The tools that a server has, by name, and where each came from.

It loads tools and knows which of them are offered to whom. It does not run them.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from antiphon.errors import ConfigError, did_you_mean
from antiphon.tools.api import Conduct, ServerTool, conduct_of
from antiphon.tools.function import NAME, tool_of

ENTRY_POINTS = "antiphon.tools"
"""Group of a package's entry points. Each names a module, a tool, or a function that was made one by `@tool`."""


class Registered(Struct, frozen=True):
    """A tool, and where it came from."""

    tool: ServerTool
    conduct: Conduct
    source: str
    """In words, such as "built in" or "the module my_tools"."""
    is_aid: bool = False
    """It helps with the others, and with MCP servers' tools: it is offered unless all others are withheld."""

    @property
    def name(self) -> str:
        return self.tool.spec.name


Policy = Literal["auto", "safe-only", "confirm-dangerous", "always-ask"]
"""What the person has to allow: nothing; nothing, but only what reads is offered; what destroys; everything."""


class Offer(Struct, frozen=True):
    """What somebody may use, of what a registry has."""

    names: tuple[str, ...] = ("*",)
    """Patterns, such as "list_*"; one has to match."""
    policy: Policy = "auto"


def asks(conduct: Conduct, policy: Policy) -> bool:
    """Whether a call has to be allowed."""
    if conduct.asks is not None:
        return conduct.asks
    return policy == "always-ask" or (policy == "confirm-dangerous" and conduct.destroys)


class Registry:
    """See the module. Iterates by name, so that a model is told of the same tools in the same bytes each time."""

    def __init__(
        self,
        tools: Iterable[object] = (),
        offer: Offer | None = None,
        conduct: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """`offer` is for everybody. `conduct` holds fields of `Conduct` by patterns of names, which win over what the
        tools say. Raises `ConfigError`."""
        self._tools: dict[str, Registered] = {}
        self._offer = offer or Offer()
        self._conduct = {pattern: _checked(pattern, fields) for pattern, fields in (conduct or {}).items()}
        for tool in tools:
            self.add(tool, "code")

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[Registered]:
        return iter(sorted(self._tools.values(), key=lambda each: each.name))

    def get(self, name: str) -> Registered | None:
        return self._tools.get(name)

    def add(self, thing: object, source: str, *, is_aid: bool = False) -> None:
        """Take in a tool, or a function that was made one by `@tool`. Raises `ConfigError` for anything else, and for a
        name that is taken. For aids see `Registered`."""
        tool = tool_of(thing)
        if tool is None:
            raise ConfigError(
                f"{source}: {getattr(thing, '__name__', type(thing).__name__)} is no tool",
                "Put @tool above a typed function, or give it a `spec` and an async method `call`.",
            )
        name = tool.spec.name
        if not NAME.fullmatch(name):
            raise ConfigError(f"{source}: {name!r} is no name for a tool", "Use up to 64 letters, digits, '_' and '-'.")
        known = self._tools.get(name)
        if known is not None and known.tool is not tool:
            raise ConfigError(
                f"two tools are called {name!r}: one from {known.source}, one from {source}",
                'Rename one with @tool(name="..."), or leave one out.',
            )
        self._tools[name] = Registered(tool, self._conduct_of(tool), source, is_aid)

    def _conduct_of(self, tool: ServerTool) -> Conduct:
        conduct = conduct_of(tool)
        for pattern, fields in self._conduct.items():
            if fnmatch.fnmatchcase(tool.spec.name, pattern):
                conduct = msgspec.structs.replace(conduct, **fields)
        return conduct

    def add_module(self, name: str) -> None:
        """Take in every tool of a module, by its import path. Raises `ConfigError`."""
        self._add_from(_imported(name), f"the module {name}")

    def add_entry_points(self, wanted: Iterable[str]) -> None:
        """Take in the tools of installed packages by the names of their entry points; "*" is all. Raises
        `ConfigError`."""
        points = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
        for name in wanted:
            if name != "*" and name not in points:
                raise ConfigError(f"tools.entry_points: nobody has {name!r}", did_you_mean(name, points))
        for name in sorted(points):
            if name in wanted or "*" in wanted:
                self._add_from(_loaded(points[name]), f"the entry point {name}")

    def _add_from(self, thing: object, source: str) -> None:
        if not isinstance(thing, ModuleType):
            self.add(thing, source)
            return
        found = [each for name, each in sorted(vars(thing).items()) if not name.startswith("_") and tool_of(each)]
        if not found:
            raise ConfigError(f"{source} has no tools", "Put @tool above its functions.")
        for each in found:
            self.add(each, source)

    @property
    def leaving(self) -> tuple[Registered, ...]:
        """Those that want to know when a session is over."""
        return tuple(each for each in self._tools.values() if hasattr(each.tool, "leave"))

    def asks_before(self, narrower: Offer | None = None) -> tuple[str, ...]:
        """Names of the offered tools whose calls the person has to allow."""
        policy = (narrower or self._offer).policy
        return tuple(each.name for each in self.offered(narrower) if asks(each.conduct, policy))

    def offers(self, name: str, narrower: Offer | None = None) -> bool:
        """Whether models are told of this tool: it has to be offered to everybody, and by the narrower offer too."""
        known = self._tools.get(name)
        policy = (narrower or self._offer).policy
        if known is not None and known.is_aid:
            others = [each.name for each in self if not each.is_aid]
            return not others or any(self.offers(name, narrower) for name in others)
        if known is None or (policy == "safe-only" and not known.conduct.reads_only):
            return False
        return matches(name, self._offer.names) and (narrower is None or matches(name, narrower.names))

    def offered(self, narrower: Offer | None = None) -> tuple[Registered, ...]:
        """What models are told of, by name."""
        return tuple(each for each in self if self.offers(each.name, narrower))

    async def close(self) -> None:
        """End what the tools keep running. One that cannot end keeps no other from it."""
        failures = []
        for registered in self:
            close = getattr(registered.tool, "close", None)
            if close is None:
                continue
            try:
                await close()
            except Exception as error:  # noqa: BLE001 - raised together below
                failures.append(error)
        if failures:
            raise ExceptionGroup("tools could not be closed", failures)


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _checked(pattern: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with the types of `Conduct`. Raises `ConfigError`."""
    for name in fields:
        if name not in Conduct.__struct_fields__:
            raise ConfigError(
                f"tools.conduct.{pattern}: there is no key {name!r}", did_you_mean(name, Conduct.__struct_fields__)
            )
    try:
        made = msgspec.convert(fields, Conduct)
    except msgspec.ValidationError as error:
        raise ConfigError(f"tools.conduct.{pattern}: {error}", "See antiphon.toml.example.") from None
    return {name: getattr(made, name) for name in fields}


def _imported(name: str) -> ModuleType:
    # The folder in which the server was started comes last: nothing in it takes the place of what is installed.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tools.modules: there is no module {error.name!r}",
            "Start where it lies, or install it into this environment.",
        ) from None
    except Exception as error:  # the operator's code: whatever it raises, the start fails with its name
        raise ConfigError(
            f"tools.modules: {name} fails when it is imported: {type(error).__name__}: {error}",
            f"Try: python -c 'import {name}'",
        ) from error


def _loaded(point: importlib.metadata.EntryPoint) -> object:
    try:
        return point.load()
    except ConfigError:
        raise
    except Exception as error:  # as above
        raise ConfigError(
            f"tools.entry_points: {point.name} cannot be loaded: {type(error).__name__}: {error}",
            "Leave it out, or ask the package's author.",
        ) from error
