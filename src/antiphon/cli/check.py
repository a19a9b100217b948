"""`antiphon check FILE`: hold a recorded connection, of any Realtime server, against the protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from antiphon.errors import ConfigError
from antiphon.testing.checker import RULES, Checker, Exchange, official_judge


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--call", is_flag=True, help="It is of the data channel of a WebRTC call, where the server plays.")
@click.option("--cut", is_flag=True, help="It ends in the middle: what is still open then is no fault.")
@click.option("--official", is_flag=True, help="Ask also the types of the installed `openai` package.")
def command(files: tuple[Path, ...], call: bool, cut: bool, official: bool) -> None:
    """Say which of the protocol's rules recorded connections break, and where.

    Each line of a file is one message, in the order in which the client saw them: {"direction": "sent" or "received",
    "message": {...}}, or the message alone if the server sent it. Ends with status 1 if a rule was broken.
    """
    judge = official_judge() if official else None
    if official and judge is None:
        raise ConfigError("the package `openai` is not installed", "pip install openai, or leave --official out.")
    is_broken = False
    for path in files:
        checker = Checker("webrtc" if call else "websocket", judge)
        count = 0
        for exchange in _exchanges(path):
            checker.feed(exchange)
            count += 1
        checker.finish(hung_up=cut)
        is_broken |= bool(checker.faults)
        click.echo(f"{path}: {count} messages, {len(checker.faults) or 'no'} faults")
        for fault in checker.faults:
            click.echo(f"  {'at the end' if fault.index >= count else f'line {fault.index + 1}'}: {fault.message}")
            click.echo(f"    {fault.rule}: {RULES[fault.rule]}")
    sys.exit(1 if is_broken else 0)


def _exchanges(path: Path) -> Iterator[Exchange]:
    """The messages of the file. Raises `ConfigError` at a line that is none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                document = msgspec.json.decode(line)
                is_bare = isinstance(document, dict) and "type" in document
                yield Exchange("received", document) if is_bare else msgspec.convert(document, Exchange)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise ConfigError(
                    f"line {number} of {path} is no message: {error}",
                    'Write one JSON object in each line: {"direction": "sent", "message": {...}}. '
                    "What --trace has written is for antiphon replay.",
                ) from None
