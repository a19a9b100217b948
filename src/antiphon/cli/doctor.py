"""`antiphon doctor`: what is installed, which engines would be used, and why."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.options import engine_options, load_config
from antiphon.errors import AntiphonError

if TYPE_CHECKING:
    from antiphon.config import Config

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
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **_: Any
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
        try:
            registry.FACTORIES[role][choice.name](settings, registry.Workshop(config.models.folder))
            state = "ok"
        except (AntiphonError, ImportError, OSError) as error:
            state, broken = f"BROKEN: {error}", True
        click.echo(f"  {role}: {choice.name} ({choice.reason}): {state}")
        if choice.caveat:
            click.echo(f"       {choice.caveat}")
    is_judged = _echo_turn_model(config)
    sys.exit(1 if missing or broken or not is_judged else 0)


def _echo_turn_model(config: Config) -> bool:
    """Say what tells from the sound that a turn is over. Whether it is as it should be."""
    from antiphon.engines import registry

    if config.turns.model is None:
        click.echo("  turns: words, voice and pauses; turns.model is not set")
        return True
    try:
        registry.turn_model(config)
    except (AntiphonError, ImportError, OSError) as error:
        click.echo(f"  turns: smart-turn (turns.model is set): BROKEN: {error}")
        return False
    click.echo("  turns: smart-turn (turns.model is set): ok")
    return True


def _echo_package(name: str) -> bool:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        click.echo(f"  {name}: MISSING -> pip install {name}")
        return False
    click.echo(f"  {name} {version}")
    return True
