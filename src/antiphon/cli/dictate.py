"""`antiphon dictate`: speak, and have it typed into whatever window has the focus."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from antiphon.cli.options import load_config, set_up_log

DATA = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "antiphon" / "dictation"
PREFERENCES = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "antiphon" / "dictate.toml"


@click.group("dictate", invoke_without_command=True)
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="A TOML file.")
@click.option("--stt", help="Recogniser: auto, pocketsphinx, whisper, sherpa, openai.")
@click.option("--language", help="Code such as en or de; by itself otherwise, where the recogniser can.")
@click.option("--microphone", help="Part of its name, or its number; antiphon doctor lists them.")
@click.option("--clean", is_flag=True, help="Have the configured model put the text right.")
@click.option("--preferences", type=click.Path(path_type=Path), default=PREFERENCES, help="Replacements, profiles.")
@click.option("--history", "folder", type=click.Path(path_type=Path), default=DATA, help="Where recordings are kept.")
@click.option("--assistant", is_flag=True, help="Expect the offline assistant's requests, and nothing else.")
@click.option(
    "--hotkeys",
    type=click.Choice(["auto", "x11", "portal", "evdev", "none"]),
    default="auto",
    show_default=True,
    help="Who is asked to watch the keys. evdev works everywhere, and takes the right to read all that is typed.",
)
@click.option("--overlay", is_flag=True, help="Show what is heard in a small window, which never takes the focus.")
@click.pass_context
def command(context: click.Context, /, config_path: Path | None, folder: Path, **flags: Any) -> None:
    """Dictate into any window: hold ctrl+alt+space, or bind a key of your desktop to: antiphon dictate toggle.
    Ctrl-C ends it."""
    context.obj = folder
    if context.invoked_subcommand is not None:
        return
    set_up_log(verbose=False)
    config = load_config(config_path, stt__engine=flags["stt"])
    from antiphon.desktop.dictation.running import Options, dictate

    options = Options(
        folder,
        flags["preferences"],
        microphone=flags["microphone"],
        language=flags["language"],
        cleans=flags["clean"],
        asks_assistant=flags["assistant"],
        hotkeys=flags["hotkeys"],
        overlay=flags["overlay"],
    )
    try:
        asyncio.run(dictate(config, options))
    except KeyboardInterrupt:
        click.echo()


def _steer(name: str) -> None:
    from antiphon.desktop.dictation.control import ask, socket_path

    answer = ask(name, socket_path())
    click.echo(answer)
    sys.exit(1 if answer.startswith("error") else 0)


for _name, _help in (
    ("start", "Begin a recording."),
    ("stop", "End it, and have its text typed."),
    ("toggle", "Begin or end it."),
    ("cancel", "End it without a text; its sound stays in the history."),
    ("status", "idle, recording or working."),
    ("paste-last", "Type the last text once more."),
):
    command.command(_name, help=_help)(partial(_steer, _name))


@command.command("history")
@click.argument("words", nargs=-1)
@click.option("-n", "limit", default=20, show_default=True)
@click.pass_obj
def history(folder: Path, words: tuple[str, ...], limit: int) -> None:
    """List what was dictated, the newest first; with WORDS, what has them all."""
    from antiphon.desktop.dictation.history import History

    store = History(folder)
    for entry in store.find(" ".join(words), limit=limit):
        click.echo(f"{entry.id:>5}  {entry.began_at[:19]}  {entry.seconds:6.1f} s  {entry.outcome:<10} {entry.text}")
    store.close()


@command.command("again")
@click.argument("entry_id", type=int)
@click.option("--config", "config_path", type=click.Path(path_type=Path))
@click.option("--stt", help="Another recogniser.")
@click.pass_obj
def again(folder: Path, entry_id: int, config_path: Path | None, stt: str | None) -> None:
    """Recognise a dictation once more, with another recogniser perhaps; prints the text and keeps it."""
    from antiphon.desktop.dictation.history import History

    store = History(folder)
    entry = store.entry(entry_id)
    config = load_config(config_path, stt__engine=stt)
    raw = asyncio.run(_whole(config, folder / entry.sound))
    from antiphon.desktop.dictation.text import Writing, written

    text = written(raw, Writing()).text
    store.note(entry_id, raw=raw, text=text, model=config.stt.engine)
    store.close()
    click.echo(text)


async def _whole(config: Any, path: Path) -> str:
    from antiphon.engines import registry
    from antiphon.engines.api import SttRequest
    from antiphon.hearing.hub import HearingHub
    from antiphon.runtime.live import Final
    from antiphon.runtime.whole import Ears, transcribe_file

    engines = registry.make(config)
    hub = HearingHub(engines.vad)
    try:
        events = transcribe_file(path, Ears(hub, engines.stt), SttRequest(purpose="transcription"))
        return " ".join([event.text async for event in events if isinstance(event, Final)])
    finally:
        await hub.close()
        await engines.close()
