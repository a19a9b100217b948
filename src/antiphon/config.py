"""The whole configuration as one frozen tree, from a file, the environment and flags, in that order.

Reading a file is all the outside that it touches. It knows names and types, not what is done with them: an unknown
key or a wrong type is a `ConfigError` that names it, says where it stands, and what was probably meant. Keys are
secrets and are never shown.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from antiphon.errors import ConfigError, did_you_mean

PREFIX = "ANTIPHON_"
FILE_NAME = "antiphon.toml"
SECRET = frozenset({"keys", "api_key"})


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """Its `repr` hides what is secret."""

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in SECRET and getattr(self, name) else repr(getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({', '.join(shown)})"


class Server(Section, frozen=True):
    """Where to listen, whom to let in, and how much of everything."""

    host: str = "127.0.0.1"
    port: int = 8765
    """0 takes a free one."""
    keys: tuple[str, ...] = ()
    """API keys. Without any, only this machine can connect."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may connect, such as "https://example.com"; ours always may. "*" is any."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that this server is reached by, beside the loopback ones. "*" is any."""
    max_sessions: int = 256
    max_message_bytes: int = 22_000_000
    """One append may hold 15 MiB of audio, which is 21 MB as base64."""
    max_bytes_per_minute: int = 120_000_000
    """What one key, or everybody without one, may send: 15 MiB appends included, some 30 live microphones."""
    idle_timeout_s: float = 600.0
    """A connection that sends nothing for this long is closed."""
    session_limit_s: float = 3600.0
    drain_s: float = 30.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False


class SessionDefaults(Section, frozen=True):
    """What a session is before its client says otherwise."""

    model: str = "antiphon"
    instructions: str = "You are a helpful voice assistant. Answer in one to three short spoken sentences."
    voice: str = "marin"
    lead_ms: int = 500
    """How far audio is sent ahead of being played."""
    max_turn_s: float = 60.0
    context_tokens: int = 28_672
    """What the model may be told at once; older items are left out then. The default suits a context of 32,768."""
    retained_audio_bytes: int = 4_000_000
    """Of a session's items, kept to be retrieved: 83 s. The oldest is given up first."""
    time_zone: str = "UTC"
    locale: str = "en-US"


class Engine(Section, frozen=True):
    """Which engine plays a role, and where it is if it is elsewhere."""

    engine: str = "auto"
    base_url: str | None = None
    """Of an OpenAI-compatible server, up to and including /v1."""
    api_key: str | None = None
    model: str | None = None
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 20.0
    idle_timeout_s: float = 20.0
    total_timeout_s: float = 120.0


class Trace(Section, frozen=True):
    folder: Path | None = None
    """Write each session's inputs and outputs into a file here."""
    redact: bool = False
    """Cross out every letter that a person or a model said."""


class Tools(Section, frozen=True):
    list_path: Path = Path("~/.local/share/antiphon/lists.sqlite3")
    """Where the offline assistant keeps lists."""


class Config(Section, frozen=True):
    server: Server = Server()
    session: SessionDefaults = SessionDefaults()
    vad: Engine = Engine()
    stt: Engine = Engine()
    llm: Engine = Engine()
    tts: Engine = Engine()
    trace: Trace = Trace()
    tools: Tools = Tools()


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration from all three places; the later ones win. Raises `ConfigError`.

    Without a path, antiphon.toml in the current folder is read if there is one. An environment variable is named
    ANTIPHON_SECTION__KEY, an override "section.key"; overrides that are None are left out.
    """
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    tree: dict[str, Any] = _read(path) if path is not None else {}
    _check_names(tree, Config, str(path), ())
    for name, text in environ.items():
        if name.startswith(PREFIX) and "__" in name:
            keys = tuple(name.removeprefix(PREFIX).lower().split("__"))
            _put(tree, keys, _parsed(text, keys), name)
    for name, value in (overrides or {}).items():
        if value is not None and value != ():
            _put(tree, tuple(name.split(".")), value, f"the flag for {name}")
    try:
        return msgspec.convert(tree, Config, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the configuration is wrong: {_without_value(str(error))}",
            "See antiphon.toml.example for every key and its type.",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "Check the path after --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", "See antiphon.toml.example for the form.") from None


def _check_names(tree: Mapping[str, Any], kind: type[Struct], place: str, way: tuple[str, ...]) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in tree.items():
        if name not in fields:
            full = ".".join((*way, name))
            raise ConfigError(f"{place}: there is no key {full!r}", did_you_mean(name, fields))
        inner = fields[name].type
        if isinstance(inner, type) and issubclass(inner, Struct):
            if not isinstance(value, Mapping):
                raise ConfigError(
                    f"{place}: {name!r} is a section, not a value", f"Write [{name}] on a line of its own."
                )
            _check_names(value, inner, place, (*way, name))


def _put(tree: dict[str, Any], keys: tuple[str, ...], value: Any, place: str) -> None:
    nested: dict[str, Any] = {keys[-1]: value}
    for key in reversed(keys[:-1]):
        nested = {key: nested}
    _check_names(nested, Config, place, ())
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = value


def _parsed(text: str, keys: tuple[str, ...]) -> Any:
    """A list is written with commas; numbers and booleans are converted with the tree."""
    if keys[-1] in ("keys", "allowed_origins", "allowed_hosts"):
        return [part.strip() for part in text.split(",") if part.strip()]
    return {"true": True, "false": False}.get(text.lower(), text)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    raise TypeError(f"Expected `{kind.__name__.lower()}`, got `{type(value).__name__}`")  # msgspec adds the key


def _without_value(message: str) -> str:
    """msgspec's message, with the path as people write it."""
    text, _, where = message.partition(" - at `$.")
    return f"{where.rstrip('`')}: {text}" if where else text
