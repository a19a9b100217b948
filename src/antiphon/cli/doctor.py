"""`antiphon doctor`: what is installed, which engines would be used, and why."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import platform
import sys
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from antiphon.cli.options import engine_options, load_config
from antiphon.errors import AntiphonError, to_install

if TYPE_CHECKING:
    from antiphon.config import Config

PATIENCE_S = 0.5  # with each port of this machine
LONGEST_ANSWER = 1_000_000  # bytes


class Neighbour(NamedTuple):
    """A server that people run beside ours, and where it usually listens."""

    port: int
    name: str
    role: str

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


NEIGHBOURS = (
    Neighbour(11434, "Ollama", "llm"),
    Neighbour(8080, "llama.cpp or LocalAI", "llm"),
    Neighbour(1234, "LM Studio", "llm"),
    Neighbour(8000, "vLLM, or Speaches, which is for stt and tts", "llm"),
    Neighbour(8880, "Kokoro-FastAPI", "tts"),
)

PACKAGES = (
    "numpy",
    "onnxruntime",
    "uvicorn",
    "websockets",
    "uvloop",
    "msgspec",
    "pocketsphinx",
    "espeakng-loader",
)


@click.command("doctor")
@engine_options
@click.option("--listen", is_flag=True, help="Open the microphone for two seconds, and say what it brings.")
@click.option("--microphone", help="Which: a part of its name, or its number.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: Any
) -> None:
    """Show what Antiphon would use here. Ends with status 1 if something is missing."""
    from antiphon.engines import registry

    config = load_config(config_path, stt__engine=stt, llm__engine=llm, tts__engine=tts)
    click.echo(
        f"Antiphon {importlib.metadata.version('antiphon')}, Python {platform.python_version()} on {sys.platform}"
    )
    missing = [name for name in PACKAGES if not _echo_package(name)]
    click.echo("\nEngines")
    broken = False
    for role in ("vad", "stt", "llm", "tts"):
        settings = getattr(config, role)
        choice = registry.choose(role, settings)
        for number, (section, name) in enumerate([(settings, choice.name), *registry.fallbacks(role, settings)]):
            try:
                engine = registry.FACTORIES[role][name](section, registry.Workshop(config.models.folder))
                if name != "openai" and hasattr(engine, "warm"):
                    asyncio.run(_try_out(engine))
                state = "ok"
            except (AntiphonError, ImportError, OSError) as error:
                state, broken = f"BROKEN: {error}", True
            click.echo(f"  {role}: {name} ({'if it fails' if number else choice.reason}): {state}")
        if choice.caveat:
            click.echo(f"       {choice.caveat}")
    is_judged = _echo_turn_model(config)
    is_relayed = _echo_relay(config)
    _echo_voices(config)
    _echo_neighbours(NEIGHBOURS)
    _echo_desktop(flags["microphone"], listens=flags["listen"])
    sys.exit(1 if missing or broken or not (is_judged and is_relayed) else 0)


async def _try_out(engine: Any) -> None:
    """Load what an engine on this machine needs, and let it work once. Raises `EngineError`."""
    try:
        await engine.warm()
    finally:
        close = getattr(engine, "close", None)
        if close is not None:
            await close()


def _echo_voices(config: Config) -> None:
    from antiphon.engines import registry

    if registry.choose("tts", config.tts).name == "espeak":
        from antiphon.engines.tts.espeak import known_voices

        click.echo(f"\nVoices of espeak-ng\n  {', '.join(known_voices())}")


def _echo_neighbours(neighbours: Sequence[Neighbour]) -> None:
    """Look for servers on this machine that could do better, and say what to set. Nothing is used without being set."""
    found = [one for one in neighbours if _answers(one)]
    click.echo("\nServers on this machine")
    for one in found:
        click.echo(f'  port {one.port}: perhaps {one.name}. To use it: {one.role}.base_url = "{one.base_url}"')
    if not found:
        click.echo("  none on the ports that Ollama, llama.cpp, LM Studio, vLLM, Speaches and Kokoro-FastAPI use")


def _answers(neighbour: Neighbour) -> bool:
    """Whether something there lists models as OpenAI's API does."""
    try:
        # Never through a proxy: it is this machine that is asked about.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{neighbour.base_url}/models", timeout=PATIENCE_S) as answer:
            return isinstance(json.loads(answer.read(LONGEST_ANSWER)).get("data"), list)
    except (OSError, ValueError, AttributeError, HTTPException):
        return False


def _echo_turn_model(config: Config) -> bool:
    """Say what tells from the sound that a turn is over. Whether it is as it should be."""
    from antiphon.engines import registry

    if config.turns.model is None:
        click.echo("  turns: words, voice and pauses; turns.model is not set")
        return True
    try:
        asyncio.run(_try_out(registry.turn_model(config, registry.Workshop(config.models.folder))))
    except (AntiphonError, ImportError, OSError) as error:
        click.echo(f"  turns: smart-turn (turns.model is set): BROKEN: {error}")
        return False
    click.echo("  turns: smart-turn (turns.model is set): ok")
    return True


def _echo_desktop(microphone: str | None, *, listens: bool) -> None:
    """What of talking and dictating works here. None of it is needed by a server."""
    click.echo("\nDesktop")
    if find_spec("sounddevice") is None:
        click.echo(f"  for antiphon talk and antiphon dictate, {to_install('desktop')}")
        return
    from antiphon.desktop.survey import listened, surveyed

    findings = surveyed()
    if listens:
        from antiphon.desktop.card import Microphone, Request

        ears = Microphone(Request(microphone))
        try:
            findings.append(listened(ears))
        finally:
            ears.close()
    for finding in findings:
        click.echo(f"  {finding.what}: {finding.text}")
        if finding.advice:
            click.echo(f"       -> {finding.advice}")


def _echo_relay(config: Config) -> bool:
    """Say whether the server that is the voice lets us in, if it is another one. Whether it is as it should be."""
    if config.relay.url is None:
        return True
    from antiphon.runtime.upstream import open_upstream
    from antiphon.server.relay import address_from

    address = address_from(config.relay)
    assert address is not None

    async def greet() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        upstream = await open_upstream(address)
        took_s = loop.time() - began
        await upstream.gone()
        return took_s

    place = f"\nVoice\n  relay: {address.origin} (relay.url is set)"
    try:
        click.echo(f"{place}: ok, it greeted us after {1000 * asyncio.run(greet()):.0f} ms")
    except AntiphonError as error:
        click.echo(f"{place}: BROKEN: {error}")
        return False
    return True


def _echo_package(name: str) -> bool:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        click.echo(f"  {name}: MISSING -> pip install {name}")
        return False
    click.echo(f"  {name} {version}")
    return True
