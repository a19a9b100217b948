"""The whole configuration as one frozen tree, from a file, the environment and flags, in that order.

Reading a file is all the outside that it touches. It knows names, types and ranges, not what is done with them: what
cannot be is a `ConfigError` that names the key, says where it stands and what was probably meant. Keys are secrets and
are never shown. Whether a file or a server is there that a key names is for whoever uses it to find out.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from antiphon.engines.deadlines import PositiveSeconds
from antiphon.errors import ConfigError, did_you_mean

PREFIX = "ANTIPHON_"
FILE_NAME = "antiphon.toml"
EXAMPLE = "See antiphon.toml.example for every key, its type and its range."
SHOWN_CHARS = 60  # of a value that is wrong: enough to find it again
LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?")
TABLES = frozenset({"fallbacks", "extra", "voices", "servers", "ice_servers", "amplifier", "conduct"}) | {
    "named_keys",
    "for_keys",
}
"""What is written as JSON in an environment variable."""
LISTS = frozenset(
    {"keys", "vocabulary", "allowed_origins", "allowed_hosts", "modules", "entry_points", "offer", "roots", "fetch"}
)
"""What is written with commas in an environment variable."""
SECRET = frozenset(
    {"keys", "named_keys", "api_key", "token_secret", "credential", "authorization", "headers", "servers"}
    | {"fallbacks", "environment", "redis_url", "recordings_secret_key"}
)
LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}")
ICE_URL = re.compile(r"(stun|turns?):[^\s?]+(\?transport=(udp|tcp))?")
ICE_EXAMPLE = '"stun:stun.example.com:3478" or "turns:turn.example.com:5349?transport=tcp"'


Port = Annotated[int, Meta(ge=0, le=65_535)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
UpToADay = Annotated[float, Meta(gt=0, le=86_400)]
Word = Annotated[str, Meta(min_length=1)]


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

    host: Word = "127.0.0.1"
    port: Port = 8765
    """0 takes a free one."""
    keys: tuple[Word, ...] = ()
    """API keys. Without any, only this machine can connect."""
    named_keys: Mapping[str, Word] = {}
    """More of them, by names that the rest of the configuration knows them by."""
    token_secret: str | None = None
    """What client secrets are sealed with, beside the key that made them: at least 32 characters, the same for all
    processes that share a port. Without, they are sealed with the key alone."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may connect, such as "https://example.com"; ours always may. "*" is any."""
    allowed_hosts: tuple[str, ...] = ()
    """Names that this server is reached by, beside the loopback ones. "*" is any."""
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Processes that share the port. All limits are for all of them together."""
    max_sessions: Positive = 256
    max_lag_ms: Annotated[float, Meta(ge=0, le=10_000)] = 30.0
    """Lateness of the event loop, as a mean of the last second, from which on nobody more is let in. 0: never."""
    max_sessions_per_key: Annotated[int, Meta(ge=0)] = 0
    """At a time, of one API key and all client secrets that it made. 0: as many as there are places."""
    max_sessions_per_secret: Positive = 16
    """A client secret lies in a web page: whoever holds it is not to take all places."""
    max_minutes_per_key: Annotated[int, Meta(ge=0)] = 0
    """Of sessions, and of sound that is transcribed or spoken beside them, that one API key with all client secrets
    that it made may have in `minutes_window_h`; they come back evenly. 0: as many as it likes."""
    minutes_window_h: Annotated[float, Meta(gt=0, le=8784)] = 24.0
    max_message_bytes: Positive = 22_000_000
    """One append may hold 15 MiB of audio, which is 21 MB as base64."""
    max_bytes_per_minute: Positive = 120_000_000
    """What one key or client secret, or everybody without one, may send: 15 MiB appends included, some 30 live
    microphones."""
    max_upload_bytes: Positive = 100_000_000
    """Of a file to transcribe; it is held in memory. 25 hours of Opus, or an hour of WAV at 16 kHz."""
    max_upload_s: UpToADay = 14_400.0
    """Sound in one file to transcribe."""
    idle_timeout_s: UpToADay = 600.0
    """A connection that sends nothing for this long is closed."""
    session_limit_s: UpToADay = 3600.0
    open_metrics: bool = False
    """Whoever reaches the server may read /metrics without a key. There is no word in it, and how much is said."""
    log_format: Literal["text", "json"] = "text"
    """Of the log, on standard error: lines for people, or an object for each with its figures as figures."""
    drain_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    wyoming_port: Port | None = None
    """Also serve the recogniser and the voice as a Wyoming service, for Home Assistant. It asks for no key."""
    wyoming_host: Word = "127.0.0.1"
    """Where it listens: whoever reaches it may use it, so another machine has to be asked for."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False

    @property
    def all_keys(self) -> tuple[str, ...]:
        """With and without names."""
        return (*self.keys, *self.named_keys.values())


class SessionDefaults(Section, frozen=True):
    """What a session is before its client says otherwise."""

    model: str = "antiphon"
    instructions: str = (
        "You are a helpful voice assistant: what you write is spoken. Answer in one to three short sentences, without "
        "lists, symbols or links. Say what matters of a long result, and offer the rest. Before you do what cannot be "
        "undone, say what it is and ask. If something fails, say so plainly, and what can be done."
    )
    voice: str = "marin"
    greeting: str = ""
    """Said when a client connects, unasked."""
    say_errors: bool = True
    """Say so aloud when a spoken turn cannot be answered, besides the error that the client is told."""
    lead_ms: Annotated[int, Meta(ge=200, le=60_000)] = 500
    """How far audio is sent ahead of being played. Less than two messages of 100 ms would leave gaps."""
    max_turn_s: Annotated[float, Meta(ge=1, le=600)] = 60.0
    context_tokens: Positive = 28_672
    """What the model may be told at once; older items are left out then. The default suits a context of 32,768."""
    summarise: bool = False
    """Have the model sum up what it can no longer be told of, while nobody waits for it. It costs tokens."""
    resume_s: Annotated[float, Meta(ge=0, le=600)] = 30.0
    """How long a session whose connection broke waits for its client, if that asked for it with `resumable=1`."""
    retained_audio_bytes: NotNegative = 4_000_000
    """Of a session's items, kept to be retrieved: 83 s. The oldest is given up first."""
    time_zone: str = "UTC"
    """By its name in the IANA database, such as "Europe/Berlin"."""
    locale: str = "en-US"
    """Language, and country if it matters: "de", "en-GB", "zh-Hant-TW"."""


class Turns(Section, frozen=True):
    """When a turn ends, what interrupts an answer, and how much is prepared before it is certain."""

    prepare: Literal["auto", "always", "never"] = "auto"
    """Begin the answer while the person may yet go on. By itself where no engine bills what is written for nothing."""
    prepare_after_ms: Annotated[int, Meta(ge=60, le=2000)] = 160
    prepare_attempts: Annotated[int, Meta(ge=1, le=20)] = 4
    """In one turn."""
    prepare_most_wasted: NotNegative = 50_000
    """Tokens written for nothing in one session."""
    model: Path | None = None
    """An ONNX file of smart-turn v3, which tells from the sound whether a turn is over, where pauses are judged."""
    judge_pauses: bool = False
    """Judge server_vad's pauses by words and voice too; its silence is then the usual wait, not the only one."""
    barge_in: Literal["auto", "voice", "words"] = "auto"
    """What interrupts: any voice, or words meant for us. By itself words under semantic_vad, a voice otherwise."""
    filler_after_s: Annotated[float, Meta(ge=0, le=600)] = 2.5
    """While tools are at work: silence after which we say "One moment." Zero: never."""
    ignore_echo: bool = True
    """Our own words, coming back through the microphone, do not interrupt where words do."""


class Engine(Section, frozen=True):
    """Which engine plays a role."""

    engine: str = "auto"


class Detector(Engine, frozen=True):
    """Tells speech from silence."""

    gate: bool = True
    """Do not ask the detector about sound that cannot be anything but the room it was half a second ago."""
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """P(speech) from which a window counts as voiced, where clients cannot say: under semantic_vad."""


class Remote(Engine, frozen=True):
    """Which engine plays a role, and where it is if it is elsewhere."""

    base_url: str | None = None
    """Of an OpenAI-compatible server, up to and including /v1."""
    api_key: Word | None = None
    api_key_env: Word | None = None
    """Name of an environment variable that holds the key. `load` reads it into `api_key`."""
    model: Word | None = None
    connect_timeout_s: PositiveSeconds = 5.0
    first_byte_timeout_s: PositiveSeconds = 20.0
    idle_timeout_s: PositiveSeconds = 20.0
    total_timeout_s: PositiveSeconds = 120.0


R = TypeVar("R", bound=Remote)


class Recogniser(Remote, frozen=True):
    """Turns speech into text. `model` is that of a server, or for a local engine a name of `antiphon models list` or a
    folder."""

    threads: NotNegative = 0
    """That a local engine computes with for one utterance; 0 is 2, or 1 on a machine with fewer than 4 cores. Moonshine
    computes with 1, or with all if more are said."""
    vocabulary: tuple[str, ...] = ()
    """Names and words that a local engine should expect."""
    partials: Word = "auto"
    """Who recognises words while they are spoken: "own", this engine; "off", nobody; or another engine of this machine,
    by its name: a fast one that streams, while this one has the last word. "auto" is "own", or "off" if this engine is
    a server on another network, which may want money for every look."""
    partials_model: Word | None = None
    """That other engine's model."""
    partials_in_talk: Literal["asked", "always", "never"] = "asked"
    """Who is told the words while they are spoken in a conversation, where they are for the screen alone: clients that
    asked for our own messages (`antiphon=1`), all that want to know what was said, or none."""
    word_times: bool = False
    """Have a local engine find out when each word was said, where that costs something."""
    beam_size: Annotated[int, Meta(ge=1, le=10)] = 1
    """Of Whisper's search. 5 is a little better, and slower."""

    stream: bool = False
    """Ask an OpenAI-compatible server for the words as they are recognised; some refuse what they do not know."""
    fallbacks: tuple[Recogniser, ...] = ()
    """Asked in turn when this one fails or is slow: each as this section, on its own."""
    logprobs: bool = False
    """Ask it how sure it is of each word, when a client wants to know; likewise."""


class Model(Remote, frozen=True):
    """Writes the answers."""

    count_tokens: bool = True
    """Ask an OpenAI-compatible server for the usage in its stream; some refuse the question."""
    max_tokens_field: Word = "max_tokens"
    """What the limit is called there. OpenAI's reasoning models want "max_completion_tokens"."""
    tokenizer: Path | None = None
    """The model's tokenizer.json, to count by when a conversation outgrows `session.context_tokens`. Without, tokens
    are estimated by length."""
    images: bool = True
    """Whether the model takes them. Nobody can ask it, so who knows that it does not says so."""
    fallbacks: tuple[Model, ...] = ()
    """Asked in turn when this one fails or is slow: each as this section, on its own."""
    extra: Mapping[str, Any] = {}
    """More fields for every request, such as {reasoning_effort = "none"}."""


class Voice(Remote, frozen=True):
    """Says them. `model` is that of a server, or for a local engine a name of `antiphon models list` or a folder."""

    threads: NotNegative = 0
    """That a local engine computes with for one clause; 0 is 2, or 1 on a machine with fewer than 4 cores."""
    fallback: Word | None = None
    """An engine that speaks when this one and all of `fallbacks` fail: its name alone."""
    fallbacks: tuple[Voice, ...] = ()
    """Asked in turn when this one fails or is slow: each as this section, on its own."""
    voice: Word | None = None
    """Of an OpenAI-compatible server, in place of whatever voice the client asks for."""
    voices: Mapping[str, Word] = {}
    """Its voice for one that a client asks for: {marin = "af_heart"}. Others are passed on."""
    rate_hz: Annotated[int, Meta(ge=8_000, le=48_000)] = 24_000
    """Samples per second of its raw PCM; nothing in that says so."""


class IceServer(Section, frozen=True):
    """Tells where a machine can be reached from outside (STUN), or passes on what cannot get through (TURN)."""

    urls: Annotated[tuple[Word, ...], Meta(min_length=1)]
    """Such as "stun:stun.example.com:3478" or "turns:turn.example.com:5349?transport=tcp"."""
    username: str | None = None
    credential: str | None = None


class WebRtc(Section, frozen=True):
    """Calls."""

    ice_servers: tuple[IceServer, ...] = ()
    """Of the first of each kind ours is used. None is needed where clients can reach this machine's address."""
    connect_timeout_s: Annotated[float, Meta(gt=0, le=120)] = 15.0
    """A call whose other side is not there by then, with its data channel open, is over."""
    max_connecting: Positive = 32
    """Calls of one key that may wait for their other side at a time."""
    bitrate: Annotated[int, Meta(ge=6_000, le=256_000)] = 40_000
    """Of what we say, in bits per second of sound."""
    complexity: Annotated[int, Meta(ge=0, le=10)] = 1
    """How much is computed to make the best of the bitrate. 1 costs a third of what 5 does."""
    expected_loss_percent: Annotated[int, Meta(ge=0, le=30)] = 5
    """Loss that what we say is prepared for from the first packet on. What the other side reports is added."""


class Models(Section, frozen=True):
    folder: Path | None = None
    """Where `antiphon models pull` puts them; None is ~/.local/share/antiphon/models."""


class Trace(Section, frozen=True):
    folder: Path | None = None
    """Write each session's inputs and outputs into a file here."""
    redact: bool = False
    """Cross out every letter that a person or a model said."""
    otlp_url: Word | None = None
    """Where an OpenTelemetry collector takes spans over HTTP: one trace for each turn, without a word of it."""
    scores: bool = False
    """Also what the voice detector thought of every 32 ms."""


class History(Section, frozen=True):
    """Conversations, kept."""

    keep: bool = True
    """Write down what was said in each session, so that it can be read under /v1/sessions. Never sound."""
    path: Path | None = None
    """An SQLite file that the processes of one machine may share; None is `store.database.default_path`."""
    redis_url: Word | None = None
    """A Redis server instead, for the processes of several machines: "redis://:PASSWORD@host:6379/0"."""
    days: NotNegative = 30
    """That a session is kept after its end. 0: until somebody deletes it."""
    recordings: Path | None = None
    """A folder for the sound of each session: an Ogg file with the person on the left and the answers on the right."""
    recordings_url: Word | None = None
    """An S3-compatible store that they are sent to, "s3://bucket/prefix"; the folder is then only for what waits."""
    recordings_endpoint: Word | None = None
    """Where that store is, if it is not AWS's: "https://minio.example.com:9000"."""
    recordings_region: Word = "us-east-1"
    recordings_key_id: Word | None = None
    """Without, the machine's own keys are used: AWS's variables of the environment, or its role."""
    recordings_secret_key: Word | None = None
    survives_power_loss: bool = False
    """Wait for the disk with every batch. Without, the last moments are safe from a crash of this program, and not of
    the machine."""


class AmplifierModule(Section, frozen=True):
    """A tool module of Amplifier."""

    module: Word
    """Its id, such as "tool-filesystem"."""
    config: Mapping[str, Any] = {}


Approval = Literal["auto", "safe-only", "confirm-dangerous", "always-ask"]


class KeyTools(Section, frozen=True):
    """What the sessions of one key may use of the server's tools."""

    offer: tuple[Word, ...] = ("*",)
    """Names, or patterns of names, out of what `tools.offer` lets through."""
    servers: tuple[Word, ...] = ("*",)
    """Labels, or patterns of labels, of the operator's MCP servers."""
    approval: Approval | None = None
    """In place of `tools.approval`."""


class Tools(Section, frozen=True):
    """What the server can do for the model by itself, and within which limits."""

    assistants: Literal["auto", "always", "never"] = "auto"
    """The offline assistant's own tools: time, arithmetic, timers, a list. "auto" is for itself alone."""
    list_path: Path = Path("~/.local/share/antiphon/lists.sqlite3")
    """Where the offline assistant keeps lists."""
    modules: tuple[Word, ...] = ()
    """Import paths of modules whose functions under `@tool` are tools."""
    entry_points: tuple[Word, ...] = ()
    """Names of installed packages' entry points in the group antiphon.tools; "*" is all of them."""
    roots: tuple[Path, ...] = ()
    """Folders whose files a model may read, find and search."""
    fetch: tuple[Word, ...] = ()
    """Hosts whose pages a model may read: "example.org", "*.example.org" for all below it, "*" for any."""
    amplifier: tuple[AmplifierModule, ...] = ()
    """Tool modules of Amplifier, which have to be installed beside amplifier-core."""
    conduct: Mapping[str, Mapping[str, Any]] = {}
    """By names, or patterns of names, how tools are run: what is said here wins over what a tool says itself."""
    offer: tuple[Word, ...] = ("*",)
    """Names, or patterns of names such as "list_*", of the tools that models are told of."""
    approval: Approval = "confirm-dangerous"
    """What the person has to allow: nothing; nothing, but only what changes nothing is offered; what destroys; all."""
    for_keys: Mapping[str, KeyTools] = {}
    """By the names in `server.named_keys`."""
    approval_s: UpToADay = 60.0
    deadline_s: UpToADay = 60.0
    parallel: Annotated[int, Meta(ge=1, le=256)] = 8
    output_bytes: Annotated[int, Meta(ge=500, le=10_000_000)] = 20_000
    cache_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    cache_entries: NotNegative = 1_000
    cache_bytes: NotNegative = 16_000_000


class OwnMcpServer(Section, frozen=True):
    """An MCP server whose tools all sessions have: an address, or a program that is started with ours."""

    url: Word | None = None
    command: tuple[Word, ...] = ()
    """A program and its arguments, spoken to over its standard input and output."""
    environment: Mapping[str, str] = {}
    """Variables for the program, beside PATH, HOME and the like."""
    folder: Path | None = None
    """Where the program works."""
    authorization: Word | None = None
    """A token that it is shown: "Bearer" is put before it."""
    authorization_env: Word | None = None
    """Name of an environment variable that holds the token. `load` reads it into `authorization`."""
    headers: Mapping[str, str] = {}
    allowed_tools: tuple[Word, ...] | None = None
    """Only these of its tools."""
    approval: Approval | None = None
    """In place of `tools.approval`. What reads and what destroys is as the server says."""


class Mcp(Section, frozen=True):
    """MCP servers: those of the operator, and which of those that clients name are asked."""

    servers: Mapping[str, OwnMcpServer] = {}
    """By a label that is used where two of their tools have the same name."""
    allowed_hosts: tuple[Word, ...] = ()
    """Of MCP servers that clients name: "example.com" or "127.0.0.1:8000", exactly. Without any, none is asked."""
    max_servers: Positive = 8
    """That a client names, at a time."""
    max_tools: Positive = 128
    """Of all the servers that a client names; and as many of all the operator's."""
    connect_timeout_s: PositiveSeconds = 5.0
    list_timeout_s: PositiveSeconds = 10.0
    call_timeout_s: PositiveSeconds = 60.0
    output_bytes: Annotated[int, Meta(ge=500, le=10_000_000)] = 20_000
    """Of a tool's result, that the model is told."""
    follow_up_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """A client is to ask for the answer once its tools have brought what they should; if it has not done so after this
    long, the server goes on by itself. 0: never."""


class Relay(Section, frozen=True):
    """Another Realtime server as the voice of conversations, in place of the engines."""

    url: Word | None = None
    """Of its Realtime endpoint, such as "wss://api.openai.com/v1/realtime". None: the engines here are the voice."""
    model: Word | None = None
    api_key: Word | None = None
    api_key_env: Word | None = None
    """Name of an environment variable that holds the key. `load` reads it into `api_key`."""
    transcription_model: Word = "gpt-4o-mini-transcribe"
    """What it is to write down with what people say, where their client names nothing."""
    calls: Literal["here", "there"] = "here"
    """Where WebRTC calls end: with us, or straight at that server, with us beside them."""
    warm: Annotated[int, Meta(ge=0, le=256)] = 2
    """Connections that are kept open for whoever comes next."""
    connect_timeout_s: PositiveSeconds = 10.0
    patience_s: PositiveSeconds = 20.0
    """For its next word, when it owes one. After that the connection counts as lost."""


class Config(Section, frozen=True):
    server: Server = Server()
    session: SessionDefaults = SessionDefaults()
    turns: Turns = Turns()
    vad: Detector = Detector()
    stt: Recogniser = Recogniser()
    llm: Model = Model()
    tts: Voice = Voice()
    models: Models = Models()
    webrtc: WebRtc = WebRtc()
    trace: Trace = Trace()
    history: History = History()
    tools: Tools = Tools()
    mcp: Mcp = Mcp()
    relay: Relay = Relay()


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration from all three places; the later ones win. Raises `ConfigError`.

    Without a path, antiphon.toml in the current folder is read if there is one. An environment variable is named
    ANTIPHON_SECTION__KEY, an override "section.key"; overrides that are None are left out.
    """
    if path is None and Path(FILE_NAME).is_file():
        path = Path(FILE_NAME)
    tree: dict[str, Any] = _read(path) if path is not None else {}
    places: dict[str, str] = {}
    _check_names(tree, Config, str(path), ())
    for name, text in environ.items():
        if name.startswith(PREFIX) and "__" in name:
            keys = tuple(name.removeprefix(PREFIX).lower().split("__"))
            _put(tree, keys, _parsed(text, keys, name), name)
            places[".".join(keys)] = name
    for name, value in (overrides or {}).items():
        if value is not None and value != ():
            _put(tree, tuple(name.split(".")), value, f"the flag for {name}")
            places[name] = f"the flag for {name}"
    try:
        config = msgspec.convert(tree, Config, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), tree, places, str(path or "the configuration")) from None
    _check(config)
    return _with_keys(config, environ)


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


def _parsed(text: str, keys: tuple[str, ...], variable: str) -> Any:
    """A list is written with commas, tables as JSON; numbers and booleans are converted with the tree."""
    if keys[-1] in TABLES:
        try:
            return json.loads(text)
        except ValueError:
            raise ConfigError(f"{variable} is not JSON", 'Write a table like this: {"marin": "af_heart"}') from None
    if keys[-1] in LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    return {"true": True, "false": False}.get(text.lower(), text)


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    raise TypeError(f"Expected `{kind.__name__.lower()}`, got `{type(value).__name__}`")  # msgspec adds the key


def _refusal(message: str, tree: Any, places: Mapping[str, str], file: str) -> ConfigError:
    """msgspec's words, with the place, the key as people write it, and the value unless it is secret."""
    text, _, where = message.partition(" - at `$.")
    key = re.sub(r"\[.*", "", where.rstrip("`"))
    keys = key.split(".")
    value = tree
    for part in keys:
        value = value.get(part) if isinstance(value, Mapping) else value
    shown = "" if SECRET & set(keys) else f" is {_shortened(repr(value))}"
    return ConfigError(f"{places.get(key, file)}: {key}{shown}: {text[:1].lower()}{text[1:]}", EXAMPLE)


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


# --- what types do not say --------------------------------------------------------------------------------------------


def _check(config: Config) -> None:
    """Refuse what each key allows and all of them together do not."""
    for section in Config.__struct_fields__:
        _check_numbers(section, getattr(config, section))
    _check_session(config.session)
    server = config.server
    if server.tls_self_signed and server.tls_cert is not None:
        raise ConfigError("server.tls_self_signed would make a certificate, and there is one", "Give one of the two.")
    for origin in server.allowed_origins:
        if origin != "*" and not origin.startswith(("http://", "https://")):
            raise ConfigError(
                f"server.allowed_origins: {origin!r} is no origin", 'Write "https://example.com", or "*".'
            )
    for role in ("stt", "llm", "tts"):
        remote: Recogniser | Model | Voice = getattr(config, role)
        _check_remote(role, remote)
        others: tuple[Recogniser | Model | Voice, ...] = remote.fallbacks
        for number, other in enumerate(others):
            place = f"{role}.fallbacks[{number}]"
            _check_numbers(place, other)
            _check_remote(place, other)
            if other.fallbacks:
                raise ConfigError(f"{place} has fallbacks of its own", f"Write them one after the other in {role}.")
    _check_named_keys(server, config.tools)
    for url in (url for one in config.webrtc.ice_servers for url in one.urls):
        if not ICE_URL.fullmatch(url):
            raise ConfigError(f"webrtc.ice_servers: {url!r} is no STUN or TURN server", f"Write it like {ICE_EXAMPLE}.")
    _check_mcp(config.mcp)
    _check_relay(config.relay)


def _check_relay(relay: Relay) -> None:
    if relay.url is None:
        stray = next((name for name in ("model", "api_key", "api_key_env") if getattr(relay, name) is not None), None)
        if stray is not None:
            raise ConfigError(
                f"relay.{stray} is set, but relay.url is not",
                "Set it to the server's Realtime endpoint, such as wss://api.openai.com/v1/realtime, or take the other "
                "away.",
            )
        return
    try:
        address = urlsplit(relay.url)
        is_socket = address.scheme in ("ws", "wss") and bool(address.hostname) and address.port != 0
    except ValueError:
        is_socket = False
    if not is_socket:
        raise ConfigError(
            "relay.url is not the address of a Realtime endpoint", "Write it like wss://api.openai.com/v1/realtime"
        )
    if address.username or address.password or address.query or address.fragment:
        raise ConfigError(
            "relay.url holds more than an address",
            "Put the key into relay.api_key_env, and the model into relay.model.",
        )


def _check_named_keys(server: Server, tools: Tools) -> None:
    for name in server.named_keys:
        if not LABEL.fullmatch(name):
            raise ConfigError(f"server.named_keys: {name[:SHOWN_CHARS]!r} is no name", "Use letters, digits, '_', '-'.")
    if len(set(server.all_keys)) < len(server.all_keys):
        raise ConfigError("server.keys and server.named_keys have a key twice", "Give everybody a key of their own.")
    for name in tools.for_keys:
        if name not in server.named_keys:
            raise ConfigError(
                f"tools.for_keys: no key is called {name!r} in server.named_keys",
                did_you_mean(name, server.named_keys),
            )


def _check_mcp(mcp: Mcp) -> None:
    for label, server in mcp.servers.items():
        key = f"mcp.servers.{label}"
        if not LABEL.fullmatch(label):
            raise ConfigError(f"mcp.servers: {label[:SHOWN_CHARS]!r} is no label", "Use letters, digits, '_' and '-'.")
        if bool(server.command) == (server.url is not None):
            raise ConfigError(f"{key} needs a url or a command, one of the two", EXAMPLE)
        if server.url is not None and not _is_http_address(server.url):
            raise ConfigError(f"{key}.url is not the address of an MCP server", "Write it like https://host/mcp")
        for name, value in server.headers.items():
            if not (name + value).isascii() or not (name + value).isprintable():
                raise ConfigError(f"{key}.headers: {name!r} cannot be sent", "Check its name and its value.")
    for host in mcp.allowed_hosts:
        if "/" in host or "*" in host or "@" in host:
            raise ConfigError(
                f"mcp.allowed_hosts: {host!r} is no host", 'Write "example.com" or "127.0.0.1:8000", one for each.'
            )


def _is_http_address(url: str) -> bool:
    try:
        address = urlsplit(url)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except ValueError:
        return False


def _check_numbers(section: str, values: Section) -> None:
    for name in values.__struct_fields__:
        value = getattr(values, name)
        if isinstance(value, float) and not math.isfinite(value):  # every comparison with NaN holds
            raise ConfigError(f"{section}.{name} is {value}", "Give a number.")


def _check_session(session: SessionDefaults) -> None:
    try:
        zoneinfo.ZoneInfo(session.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(session.time_zone, zoneinfo.available_timezones(), n=1)
        raise ConfigError(
            f"session.time_zone: there is no time zone {session.time_zone!r}",
            f"Did you mean {near[0]!r}?" if near else 'Write its IANA name, such as "Europe/Berlin".',
        ) from None
    if not LOCALE.fullmatch(session.locale):
        raise ConfigError(f"session.locale: {session.locale!r} is no locale", 'Write it like "en-US", "de" or "pt-BR".')


def _check_remote(role: str, remote: Remote) -> None:
    if remote.base_url is None:
        stray = [name for name in ("model", "api_key", "api_key_env") if getattr(remote, name) is not None]
        if stray and remote.engine in ("auto", "openai"):
            raise ConfigError(
                f"{role}.{stray[0]} is set, but {role}.base_url is not",
                "Set it to the server's address, such as http://127.0.0.1:11434/v1, or take the other away.",
            )
        return
    if not _is_http_address(remote.base_url):
        raise ConfigError(
            f"{role}.base_url is not the address of an HTTP API", "Write it like http://127.0.0.1:8080/v1"
        )
    address = urlsplit(remote.base_url)
    if address.username or address.password or address.query:
        raise ConfigError(f"{role}.base_url holds more than an address", f"Put the key into {role}.api_key_env.")
    for name in ("connect_timeout_s", "first_byte_timeout_s", "idle_timeout_s"):
        if getattr(remote, name) > remote.total_timeout_s:
            raise ConfigError(f"{role}.{name} is longer than {role}.total_timeout_s", "It would never be reached.")


def _with_keys(config: Config, environ: Mapping[str, str]) -> Config:
    """The keys that are in variables of their own, put where they belong."""
    for role in ("stt", "llm", "tts"):
        remote: Recogniser | Model | Voice = getattr(config, role)
        listed: tuple[Remote, ...] = remote.fallbacks
        others = tuple(_with_key(other, f"{role}.fallbacks[{number}]", environ) for number, other in enumerate(listed))
        made = msgspec.structs.replace(_with_key(remote, role, environ), fallbacks=others)
        config = msgspec.structs.replace(config, **{role: made})
    servers = {}
    for label, server in config.mcp.servers.items():
        place = f"mcp.servers.{label}.authorization"
        token = _key_of(place, server.authorization, server.authorization_env, environ)
        servers[label] = msgspec.structs.replace(server, authorization=token)
    relay = config.relay
    key = _key_of("relay.api_key", relay.api_key, relay.api_key_env, environ)
    return msgspec.structs.replace(
        config,
        mcp=msgspec.structs.replace(config.mcp, servers=servers),
        relay=msgspec.structs.replace(relay, api_key=key),
    )


def _with_key(remote: R, place: str, environ: Mapping[str, str]) -> R:
    key = _key_of(f"{place}.api_key", remote.api_key, remote.api_key_env, environ)
    return msgspec.structs.replace(remote, api_key=key)


def _key_of(place: str, key: str | None, variable: str | None, environ: Mapping[str, str]) -> str | None:
    """The key that stands in its place, or in the variable that is named instead."""
    if variable is None:
        return key
    if key is not None:
        raise ConfigError(f"{place} and {place}_env are both set", "Keep one of them.")
    key = environ.get(variable, "").strip()
    if not key:
        # In small letters it may be the key itself, written into the wrong place.
        name = variable if variable.isupper() else "which it names"
        raise ConfigError(
            f"{place}_env: the environment variable {name} is not set",
            f"Export it before the start. The key itself belongs into {place.rpartition('.')[2]}.",
        )
    return key
