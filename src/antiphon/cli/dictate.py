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
@click.pass_context
def command(context: click.Context, /, config_path: Path | None, folder: Path, **flags: Any) -> None:
    """Dictate into any window. Bind a key of your desktop to: antiphon dictate toggle. Ctrl-C ends it."""
    context.obj = folder
    if context.invoked_subcommand is not None:
        return
    set_up_log(verbose=False)
    config = load_config(config_path, stt__engine=flags["stt"])
    try:
        asyncio.run(_dictate(config, folder, flags))
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


async def _dictate(config: Any, folder: Path, flags: dict[str, Any]) -> None:
    from antiphon.audio.units import HEARING_RATE
    from antiphon.desktop.card import Microphone, Request, refresh
    from antiphon.desktop.dictation.control import listening, socket_path
    from antiphon.desktop.dictation.dictation import Dictation, Show, Ways
    from antiphon.desktop.dictation.history import History
    from antiphon.desktop.dictation.injection import Injector, desktop
    from antiphon.desktop.dictation.preferences import load
    from antiphon.desktop.screen import Screen
    from antiphon.desktop.sound import Sound
    from antiphon.engines import registry
    from antiphon.engines.api import SttRequest
    from antiphon.hearing.hub import HearingHub

    preferences = load(flags["preferences"])
    store = await asyncio.to_thread(History, folder)
    engines = registry.make(config)
    screen = Screen(sys.stdout)
    for choice in engines.choices:
        if choice.role == "stt" and choice.caveat:
            screen.line("state", choice.caveat)
    if store.recovered:
        screen.line("state", f"{store.recovered} recordings of a run that was cut short are in the history")
    hub = HearingHub(engines.vad)
    request = Request(flags["microphone"])
    injector = Injector(await asyncio.to_thread(desktop))
    purpose = "conversation" if flags["assistant"] else "transcription"
    try:
        await engines.stt.warm()
        async with Sound(
            lambda: Microphone(request), None, partial(screen.line, "state"), refresh=refresh, rate_hz=HEARING_RATE
        ) as sound:
            ways = Ways(
                sound,
                hub,
                registry.listener_of(engines.stt),
                store,
                injector,
                engines.llm if flags["clean"] else None,
            )
            show = Show(partial(_preview, screen), partial(_told, screen), partial(screen.line, "error"))
            dictation = Dictation(ways, preferences, show, SttRequest(flags["language"], purpose=purpose))  # type: ignore[arg-type]
            try:
                async with listening(dictation.act, socket_path()):
                    screen.line("state", "ready: antiphon dictate toggle (bind a key of your desktop to it)")
                    await sound.tend()
            finally:
                await dictation.close()
    finally:
        await hub.close()
        await engines.close()
        await asyncio.to_thread(store.close)
        screen.close()


def _preview(screen: Any, stable: str, tail: str) -> None:
    screen.status(f"● {stable} {tail}".rstrip(), asyncio.get_running_loop().time())


def _told(screen: Any, report: Any) -> None:
    screen.status("", asyncio.get_running_loop().time(), is_urgent=True)
    screen.line("you", report.text or "(nothing was heard)")
    screen.line(
        "timeline",
        f"{report.seconds:.1f} s spoken · tail {report.tail_ms:.0f} ms · recognised {report.recognised_ms:.0f} · "
        f"cleaned {report.cleaned_ms:.0f} · {report.outcome} by {report.way} in {report.injected_ms:.0f}",
    )
    if report.note and report.outcome != "nothing":
        screen.line("state", report.note)
