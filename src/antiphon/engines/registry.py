"""Which engine plays which role: by name, or the best that is present.

An engine is one file and one line here; what is heavy is imported when it is chosen. Nothing is ever downloaded.
Every choice has a reason, which is told at start and by `antiphon doctor`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from antiphon.config import Config, Engine, Model, Recogniser, Remote, Voice
from antiphon.engines.api import Listener, Llm, Stt, Tts, TurnModel, Vad
from antiphon.engines.pool import Pool, Share, usable_cores
from antiphon.engines.stt.agreement import Agreeing, WholeOnly
from antiphon.engines.stt.checked import checked
from antiphon.engines.stt.two_pass import TwoPass
from antiphon.errors import ConfigError, EngineError, UnknownName

log = logging.getLogger("antiphon.engines")

Role = Literal["vad", "stt", "llm", "tts"]


class Workshop:
    """What factories share while the engines of one process are made."""

    def __init__(self, models_folder: Path | None = None, processes: int = 1) -> None:
        """`models_folder` is where `antiphon models` keeps them: see `Store`. `processes` such as this one have the
        cores of the machine between them."""
        self.client: Any = None
        self.upstreams: list[Any] = []
        self.cores = max(1, usable_cores() // processes)
        self._models_folder = models_folder
        self._pool = Pool(self.cores)

    async def close(self) -> None:
        """Close the connections of what was made in it."""
        if self.client is not None:
            await self.client.aclose()

    def pool(self, wanted: int) -> Share:
        """The one pool of the process, for an engine for which so many threads are `wanted`; 0 leaves it to us."""
        return self._pool.share(self._threads(wanted))

    def reserve(self, wanted: int) -> int:
        """Threads for an engine that computes with them beside the pool, which has so many cores less."""
        threads = min(self._threads(wanted), self.cores)
        self._pool.reserve(threads)
        return threads

    def _threads(self, wanted: int) -> int:
        return wanted or (2 if self.cores >= 4 else 1)

    def model(self, named: str | None, otherwise: str, engine: str) -> tuple[Path, str | None]:
        """A local model's folder by its name or path, and the only language that it has. Raises `ConfigError`."""
        from antiphon.models.catalog import MODELS
        from antiphon.models.store import Store

        name = named or otherwise
        folder = Store(self._models_folder).find(name)
        known = MODELS.get(name)
        if known is not None and known.engine != engine:
            raise ConfigError(
                f"the model {name} is for the engine {known.engine!r}, not {engine!r}",
                f"Set engine = {known.engine!r}, or take another of: antiphon models list",
            )
        return folder, known.language if known else None

    def upstream(self, settings: Remote) -> Any:
        """The server that these settings name, over the one client of the process."""
        from antiphon.engines.deadlines import Deadlines
        from antiphon.engines.http import Upstream, open_client

        if self.client is None:
            self.client = open_client()
        deadlines = Deadlines(
            connect_s=settings.connect_timeout_s,
            first_byte_s=settings.first_byte_timeout_s,
            idle_s=settings.idle_timeout_s,
            total_s=settings.total_timeout_s,
        )
        made = Upstream(self.client, settings.base_url or "", settings.api_key, deadlines)
        self.upstreams.append(made)
        return made


Factory = Callable[[Any, Workshop], Any]
"""Makes an engine from its role's section of the configuration."""


class Choice(Struct, frozen=True):
    """One role's engine, and why it is this one."""

    role: Role
    name: str
    reason: str
    caveat: str = ""
    """What its user should know of its limits."""


class EngineSet(Struct, frozen=True):
    """The engines of one process, shared by all its sessions."""

    vad: Vad
    stt: Stt
    llm: Llm
    tts: Tts
    choices: tuple[Choice, ...]
    client: Any = None
    """The HTTP client that the remote ones share, if there are any."""
    traffic: Mapping[Role, tuple[Any, ...]] = {}
    """How the requests of the remote ones go: an `engines.http.Traffic` for each server."""
    chains: Mapping[Role, tuple[Any, ...]] = {}
    """The `engines.failover.Link`s of roles that servers have, or that have others to fall back on."""
    costs_nothing: bool = True
    """None of them is on another network, where what is written for nothing may be billed."""
    turns: TurnModel | None = None
    """Tells from the sound whether a turn is over, if there is one."""
    partials: Literal["own", "off"] | TwoPass = "own"
    """Who recognises words while they are spoken: the recogniser itself, nobody, or it and another one."""

    @property
    def listener(self) -> Listener:
        """What listens to an utterance from its beginning, whether or not it says something before the end."""
        if isinstance(self.partials, TwoPass):
            return self.partials
        return listener_of(self.stt) if self.partials == "own" else WholeOnly(self.stt)

    async def warm(self) -> tuple[str, ...]:
        """Make the first answer as fast as the second. The roles that nothing but another model will bring up."""
        engines: dict[str, Any] = {"stt": self.stt, "llm": self.llm, "tts": self.tts}
        if self.turns is not None:
            engines["turns"] = self.turns
        if isinstance(self.partials, TwoPass):
            engines["partials"] = self.partials
        results = await asyncio.gather(*(engine.warm() for engine in engines.values()), return_exceptions=True)
        broken: list[str] = []
        for role, result in zip(engines, results, strict=True):
            if isinstance(result, Exception):
                # It may come up later; until then what needs it ends with this reason.
                log.warning("the %s engine is not ready: %s", role, result)
            if isinstance(result, EngineError) and result.code == "model_broken":
                broken.append(role)
        return tuple(broken)

    async def close(self) -> None:
        """Stop helpers and close connections."""
        for engine in (self.stt, self.llm, self.tts, self.turns, self.partials):  # "own" and "off" have no such method
            close = getattr(engine, "close", None)
            if close is not None:
                await close()
        if self.client is not None:
            await self.client.aclose()


def _silero(settings: Engine, workshop: Workshop) -> Any:
    from antiphon.engines.vad.silero import SileroVad

    return SileroVad()


def _energy(settings: Engine, workshop: Workshop) -> Any:
    from antiphon.engines.vad.energy import EnergyVad

    return EnergyVad()


def _pocketsphinx(settings: Engine, workshop: Workshop) -> Any:
    from antiphon.engines.stt.pocketsphinx import PocketSphinx

    workshop.reserve(1)
    return PocketSphinx()


def _assistant(settings: Engine, workshop: Workshop) -> Any:
    from antiphon.engines.llm.assistant import Assistant

    return Assistant()


def _espeak(settings: Engine, workshop: Workshop) -> Any:
    from antiphon.engines.tts.espeak import Espeak

    return Espeak()


def _fake(kind: str) -> Factory:
    def make(settings: Engine, workshop: Workshop) -> Any:
        from antiphon.engines import fake

        return getattr(fake, kind)()

    return make


def _openai_stt(settings: Recogniser, workshop: Workshop) -> Any:
    from antiphon.engines.stt.openai import OpenAiStt

    upstream = workshop.upstream(settings)
    return checked(OpenAiStt(upstream, settings.model, stream=settings.stream, logprobs=settings.logprobs))


def _openai_llm(settings: Model, workshop: Workshop) -> Any:
    from antiphon.engines.llm.openai import ChatOptions, OpenAiLlm

    options = ChatOptions(
        count_tokens=settings.count_tokens,
        max_tokens_field=settings.max_tokens_field,
        images=settings.images,
        extra=settings.extra,
    )
    return OpenAiLlm(workshop.upstream(settings), settings.model, options)


def _openai_tts(settings: Voice, workshop: Workshop) -> Any:
    from antiphon.engines.tts.openai import OpenAiTts, VoiceOptions

    options = VoiceOptions(model=settings.model, voice=settings.voice, voices=settings.voices, rate=settings.rate_hz)
    return OpenAiTts(workshop.upstream(settings), options)


def _whisper(settings: Recogniser, workshop: Workshop) -> Any:
    from antiphon.engines.stt.whisper import Whisper, WhisperOptions

    folder, language = workshop.model(settings.model, "whisper-small", "whisper")
    options = WhisperOptions(
        beam_size=settings.beam_size, vocabulary=settings.vocabulary, word_times=settings.word_times
    )
    made = Whisper(folder, workshop.pool(settings.threads), options)
    made.languages = frozenset({language}) if language else None
    return made


def _sherpa(settings: Recogniser, workshop: Workshop) -> Any:
    from antiphon.engines.stt.sherpa import Sherpa

    folder, language = workshop.model(settings.model, "zipformer-en", "sherpa")
    return checked(Sherpa(folder, workshop.reserve(settings.threads), language))


def _parakeet(settings: Recogniser, workshop: Workshop) -> Any:
    from antiphon.engines.stt.parakeet import V3_LANGUAGES, Parakeet

    folder, _ = workshop.model(settings.model, "parakeet-v3", "parakeet")
    languages = V3_LANGUAGES if (settings.model or "parakeet-v3") == "parakeet-v3" else None
    return checked(Parakeet(folder, workshop.pool(settings.threads), languages))


def _moonshine(settings: Recogniser, workshop: Workshop) -> Any:
    from antiphon.engines.stt.moonshine import Moonshine

    folder, _ = workshop.model(settings.model, "moonshine-small", "moonshine")
    return checked(Moonshine(folder, workshop.pool(1 if settings.threads <= 1 else workshop.cores)))


def _sherpa_tts(settings: Voice, workshop: Workshop) -> Any:
    from antiphon.engines.tts.sherpa import SherpaTts

    folder, _ = workshop.model(settings.model, "kokoro-en", "sherpa-tts")
    return SherpaTts(folder, workshop.pool(settings.threads), settings.voice, settings.voices)


FACTORIES: Mapping[Role, Mapping[str, Factory]] = {
    "vad": {"silero": _silero, "energy": _energy},
    "stt": {
        "pocketsphinx": _pocketsphinx,
        "openai": _openai_stt,
        "whisper": _whisper,
        "sherpa": _sherpa,
        "parakeet": _parakeet,
        "moonshine": _moonshine,
        "fake": _fake("FakeStt"),
    },
    "llm": {"assistant": _assistant, "openai": _openai_llm, "fake": _fake("FakeLlm")},
    "tts": {"espeak": _espeak, "openai": _openai_tts, "sherpa": _sherpa_tts, "fake": _fake("FakeTts")},
}

EMBEDDED: Mapping[Role, str] = {"vad": "silero", "stt": "pocketsphinx", "llm": "assistant", "tts": "espeak"}

BETTER: Mapping[Role, str] = {
    "vad": "",
    "stt": "PocketSphinx understands the offline assistant's sentences and little else, in English only. For real "
    "recognition set stt.engine to whisper or sherpa (antiphon models list), or stt.base_url to an OpenAI-compatible "
    "server.",
    "llm": "The offline assistant knows a small set of requests. Set llm.base_url and llm.model to any "
    "OpenAI-compatible server, such as Ollama at http://127.0.0.1:11434/v1.",
    "tts": "espeak-ng sounds like a robot. Set tts.base_url to an OpenAI-compatible server for a better voice.",
}


def choose(role: Role, settings: Engine) -> Choice:
    """The engine that this configuration means, and why. Raises `ConfigError` for a name that nobody has."""
    known = FACTORIES[role]
    if settings.engine != "auto":
        if settings.engine not in known:
            raise UnknownName(f"{role} engine", settings.engine, known)
        if settings.engine == "openai" and not _base_url(settings):
            raise ConfigError(f"{role}.engine is 'openai', but {role}.base_url is not set", "Set it, up to /v1.")
        return Choice(role, settings.engine, f"{role}.engine says so", _caveat(role, settings.engine))
    if _base_url(settings):
        return Choice(role, "openai", f"{role}.base_url is set")
    name = EMBEDDED[role]
    reason = "it is built in" if role == "vad" else f"built in; {role}.base_url is not set"
    return Choice(role, name, reason, _caveat(role, name))


def _made(role: Role, settings: Engine, choice: Choice, workshop: Workshop) -> Any:
    """The role's engine; a server, or one that has others to fall back on, as a chain that knows who fails."""
    first = FACTORIES[role][choice.name](settings, workshop)
    if isinstance(settings, Recogniser) and settings.vocabulary and choice.name != "whisper":
        log.warning(
            "stt.vocabulary is of no use: of the recognisers only whisper takes it, and this is %s", choice.name
        )
    others = fallbacks(role, settings)
    if not others and choice.name != "openai":
        return first
    from antiphon.engines import failover
    from antiphon.engines.stt.failover import FailoverStt

    links = [failover.Link(f"{role} 1 ({choice.name})", first, _patience(settings))]
    for number, (other, name) in enumerate(others, 2):
        engine = FACTORIES[role][name](other, workshop)
        links.append(failover.Link(f"{role} {number} ({name})", engine, _patience(other)))
    kinds: Mapping[str, Any] = {"stt": FailoverStt, "llm": failover.FailoverLlm, "tts": failover.FailoverTts}
    return kinds[role](links)


def fallbacks(role: Role, settings: Engine) -> list[tuple[Engine, str]]:
    """Sections and names of the engines after the first. Raises `ConfigError` for names that nobody has."""
    found: list[tuple[Engine, str]] = [
        (other, choose(role, other).name) for other in getattr(settings, "fallbacks", ())
    ]
    if isinstance(settings, Voice) and settings.fallback is not None:
        # What is said of a server, and of its models and voices, is not said of another engine.
        last = Voice(engine=settings.fallback, threads=settings.threads)
        found.append((last, choose(role, last).name))
    return found


def _patience(settings: Engine) -> float:
    return settings.first_byte_timeout_s if isinstance(settings, Remote) else Remote().first_byte_timeout_s


def listener_of(stt: Stt) -> Listener:
    """The recogniser as one that listens while somebody speaks: by itself if it can, else by LocalAgreement."""
    return cast("Listener", stt) if hasattr(stt, "listen") else Agreeing(stt)


def _partials(stt: Stt, settings: Recogniser, workshop: Workshop, *, is_near: bool) -> Literal["own", "off"] | TwoPass:
    """Who recognises words while they are spoken, as the configuration wants it."""
    match settings.partials:
        case "own" | "off" as said:
            return said
        case "auto":
            return "own" if is_near else "off"
        case name if name not in FACTORIES["stt"]:
            raise UnknownName("stt engine", name, ("auto", "own", "off", *FACTORIES["stt"]))
        case name:
            other = Recogniser(engine=name, model=settings.partials_model, threads=settings.threads)
            return TwoPass(FACTORIES["stt"][choose("stt", other).name](other, workshop), stt)


def _addresses(choice: Choice, config: Config) -> list[str]:
    """Of the servers that a role's engines ask."""
    settings: Engine = getattr(config, choice.role)
    engines = [(settings, choice.name), *fallbacks(choice.role, settings)]
    return [_base_url(each) or "" for each, name in engines if name == "openai"]


def _base_url(settings: Engine) -> str | None:
    return settings.base_url if isinstance(settings, Remote) else None


def _caveat(role: Role, name: str) -> str:
    return BETTER[role] if name == EMBEDDED[role] else ""


def make_one(role: Role, config: Config, workshop: Workshop | None = None) -> Any:
    """The engine of one role alone, with those that it falls back on, for a process that needs no others. Who gives a
    workshop closes it. Raises `ConfigError`."""
    settings: Engine = getattr(config, role)
    return _made(role, settings, choose(role, settings), workshop or Workshop(config.models.folder))


def make(config: Config, elsewhere: Mapping[Role, Any] | None = None) -> EngineSet:
    """Make all four, and the turn model if there is one. Nothing is started or connected yet; `warm` does that.

    The roles in `elsewhere` have engines already, whose work other processes do.
    """
    choices: list[Choice] = []
    made: dict[str, Any] = {}
    workshop = Workshop(config.models.folder, config.server.workers)
    traffic: dict[Role, tuple[Any, ...]] = {}
    chains: dict[Role, tuple[Any, ...]] = {}
    for role in cast("tuple[Role, ...]", ("vad", "stt", "llm", "tts")):
        settings: Engine = getattr(config, role)
        choice = choose(role, settings)
        others = ", ".join(name for _, name in fallbacks(role, settings))
        told = f"{choice.reason}; if it fails: {others}" if others else choice.reason
        choices.append(msgspec.structs.replace(choice, reason=told))
        workshop.upstreams = []
        if elsewhere is not None and role in elsewhere:
            made[role] = elsewhere[role]
            continue
        made[role] = _made(role, settings, choice, workshop)
        traffic[role] = tuple(upstream.traffic for upstream in workshop.upstreams)
        chains[role] = getattr(made[role], "links", ())
    near = {choice.role: all(map(is_near, _addresses(choice, config))) for choice in choices}
    costs_nothing = all(near.values())
    made["turns"] = turn_model(config, workshop)
    made["partials"] = _partials(made["stt"], config.stt, workshop, is_near=near["stt"])
    return EngineSet(
        **made,
        choices=tuple(choices),
        client=workshop.client,
        traffic=traffic,
        chains=chains,
        costs_nothing=costs_nothing,
    )


def turn_model(config: Config, workshop: Workshop) -> TurnModel | None:
    """The one that the configuration names. Raises `ConfigError` if its file is missing or is another model."""
    if config.turns.model is None:
        return None
    from antiphon.engines.turn.smart_turn import SmartTurn

    workshop.reserve(1)
    return SmartTurn(config.turns.model)


def is_near(base_url: str) -> bool:
    """Whether an address is on this machine or on a private network, as far as its name tells."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".local", ".lan", ".internal")) or "." not in host
