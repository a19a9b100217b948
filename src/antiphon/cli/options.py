"""Options that several verbs share, and the way from them to a configuration and a log."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def engine_options(function: F) -> F:
    """--config, --stt, --llm, --tts, --verbose."""
    for option in reversed(
        (
            click.option("--config", "config_path", type=click.Path(path_type=Path), help="A TOML file."),
            click.option(
                "--stt", help="Recogniser: auto, pocketsphinx, openai, whisper, sherpa, parakeet, moonshine, fake."
            ),
            click.option("--llm", help="Model: auto, assistant, openai, fake."),
            click.option("--tts", help="Voice: auto, espeak, openai, sherpa, fake."),
            click.option("-v", "--verbose", is_flag=True, help="Say more of what happens."),
        )
    ):
        function = option(function)
    return function


def load_config(config_path: Path | None, **overrides: Any) -> Any:
    """The configuration; an override's double underscore stands for the dot."""
    from antiphon.config import load

    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(config_path, os.environ, named)


def set_up_log(*, verbose: bool) -> None:
    """Plain lines on standard error. What people say is never in them."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    logging.getLogger("antiphon").setLevel(level)
