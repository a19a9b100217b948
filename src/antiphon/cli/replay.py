"""`antiphon replay FILE`: run a recorded session through the core again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from antiphon.session import trace


@click.command("replay")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(files: tuple[Path, ...]) -> None:
    """Run recorded sessions again, and show the first step at which one does something else.

    Ends with status 1 if any differs.
    """
    differs = False
    for path in files:
        with path.open("rb") as lines:
            steps, difference = trace.replay(lines)
        if difference is None:
            click.echo(f"{path}: {steps} steps, the same")
            continue
        differs = True
        click.echo(f"{path}: differs at line {difference.line}")
        step = difference.step
        click.echo(f"  at {step.at:.3f} s, after {type(step.input).__name__}:")
        _show("recorded", step.outputs)
        _show("replayed", difference.replayed)
    sys.exit(1 if differs else 0)


def _show(side: str, outputs: list[object]) -> None:
    for output in outputs or ["(nothing)"]:
        click.echo(f"    {side}: {json.dumps(output, ensure_ascii=False)}")
