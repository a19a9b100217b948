"""Options that several verbs share, and the way from them to a configuration and a log."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

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


class Destination(click.Path):
    """A file that is written at the end, or "-" where that stands for standard output.

    Whether it can be written is asked before the work, which may take minutes and is lost otherwise.
    """

    name = "file"

    def __init__(self, *, may_be_folder: bool = False) -> None:
        super().__init__(dir_okay=may_be_folder, writable=True, allow_dash=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if str(path) == "-" or path.exists():
            return path
        if not path.parent.is_dir():
            self.fail(f"There is no folder {path.parent}: make it first.", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"Nothing may be written in the folder {path.parent}.", param, ctx)
        return path


def load_config(config_path: Path | None, **overrides: Any) -> Any:
    """The configuration; an override's double underscore stands for the dot."""
    from antiphon.config import load

    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return load(config_path, os.environ, named)


def set_up_log(*, verbose: bool, form: Literal["text", "json"] = "text") -> None:
    """Lines on standard error, for people or for programs. What people say is never in them. The form may be chosen
    later, by another call."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    logging.getLogger("antiphon").setLevel(level)
    if form == "json":
        from antiphon.observe.jsonlog import JsonLines

        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines({}))
