"""The command line: verbs, one file each.

Nothing heavy is imported here: `antiphon --help` answers at once, and each verb loads what it needs when it is called.
"""

from __future__ import annotations

import importlib
import sys

import click

from antiphon.errors import AntiphonError, did_you_mean

VERBS = {
    "serve": "Run the server: the Realtime protocol on one port.",
    "demo": "Hear a whole conversation: no key, no microphone, no network.",
    "talk": "Talk to Antiphon, or to any Realtime server, in the terminal.",
    "dictate": "Speak, and have it typed into any window.",
    "say": "Speak a text, to a file or a player.",
    "transcribe": "Write down what is said in sound files.",
    "bench": "Call a Realtime server many times at once, and see how it holds.",
    "check": "Hold recorded connections against the protocol's rules.",
    "models": "List, fetch and remove local models.",
    "replay": "Run a recorded session again and show the first difference.",
    "doctor": "What is installed, which engines would be used, and why.",
}


class Verbs(click.Group):
    """Finds each verb's command in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            ctx.fail(f"There is no verb {name!r}. {did_you_mean(name, VERBS)}")
        command: click.Command = importlib.import_module(f"antiphon.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="antiphon", message="%(version)s")
def antiphon() -> None:
    """A self-hosted real-time voice server. A person speaks, Antiphon answers aloud."""


def main() -> None:
    """The entry point. An error that we foresaw is two lines and status 2."""
    try:
        antiphon()
    except AntiphonError as error:
        click.echo(f"antiphon: {error}", err=True)
        sys.exit(2)
