"""`antiphon replay FILE`: run a recorded session through the core again, or read what happened in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from antiphon.engines.llm.tokens import token_counter
from antiphon.relay.session import make_session
from antiphon.session import trace

LONGEST = 160  # characters of one line: settings and contexts are longer, and are in the file


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--steps", is_flag=True, help="Show every step: what happened, and what followed from it.")
@click.option("--tokenizer", type=click.Path(path_type=Path), help="The tokenizer.json that the server counted by.")
def command(files: tuple[Path, ...], steps: bool, tokenizer: Path | None) -> None:
    """Run recorded sessions again, and show the first step at which one does something else.

    What a simulation has found in a session is shown with it. Ends with status 1 if any differs.
    """
    count_tokens = None if tokenizer is None else token_counter(tokenizer)
    differs = False
    for path in files:
        if steps:
            _read_out(path)
        with path.open("rb") as lines:
            count, difference = trace.replay(lines, count_tokens, make_session)
        for finding in _findings(path):
            click.echo(f"{path}: found: {finding}")
        if difference is None:
            click.echo(f"{path}: {count} steps, the same")
            continue
        differs = True
        click.echo(f"{path}: differs at line {difference.line}")
        step = difference.step
        click.echo(f"  at {step.at:.3f} s, after {type(step.input).__name__}:")
        _show("recorded", step.outputs)
        _show("replayed", difference.replayed)
    sys.exit(1 if differs else 0)


def _read_out(path: Path) -> None:
    with path.open("rb") as lines:
        for line in trace.read(lines):
            if isinstance(line, trace.Step):
                click.echo(f"{line.at:10.3f} s  {_short(msgspec.to_builtins(line.input))}")
                for output in line.outputs:
                    click.echo(f"{'':12}  -> {_short(output)}")


def _findings(path: Path) -> Iterator[str]:
    with path.open("rb") as lines:
        yield from [line.text for line in trace.read(lines) if isinstance(line, trace.Finding)]


def _short(event: dict[str, Any]) -> str:
    """Its kind, and what is set in it."""
    told = {key: value for key, value in event.items() if key != "type" and value not in (None, "", [], {})}
    text = f"{event['type']}  " + "  ".join(f"{key}={_word(value)}" for key, value in told.items())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _show(side: str, outputs: list[object]) -> None:
    for output in outputs or ["(nothing)"]:
        click.echo(f"    {side}: {json.dumps(output, ensure_ascii=False)}")
