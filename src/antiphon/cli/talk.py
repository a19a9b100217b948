"""`antiphon talk`: a voice assistant in the terminal, against a server here or elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from antiphon.cli.options import engine_options, load_config
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from antiphon.desktop.card import Microphone, Request, Speaker
    from antiphon.desktop.sound import Sound
    from antiphon.desktop.talk import Server

D = TypeVar("D", bound="Microphone | Speaker")


@click.command("talk")
@engine_options
@click.option(
    "--server", "url", help="Of any Realtime server: ws://HOST:PORT/v1/realtime. Without it one is started here."
)
@click.option("--key", envvar="ANTIPHON_KEY", help="Its key. Better in the environment: ANTIPHON_KEY.")
@click.option("--remember-key", is_flag=True, help="Keep the key in the desktop's store of secrets, for this server.")
@click.option("--insecure", is_flag=True, help="Accept a certificate that the server made itself.")
@click.option("--microphone", help="Part of its name, or its number; antiphon doctor lists them.")
@click.option("--speaker", help="Likewise.")
@click.option("--no-microphone", is_flag=True, help="Type instead of speaking.")
@click.option("--no-speaker", is_flag=True, help="Read instead of hearing.")
@click.option(
    "--duplex",
    type=click.Choice(["half", "full", "cancel"]),
    default="half",
    show_default=True,
    help="half: the microphone is deaf while Antiphon speaks, and Escape interrupts. full: your voice interrupts; "
    "wear headphones. cancel: likewise without them: PulseAudio or PipeWire takes our echo out of the microphone.",
)
@click.option("--voice", help="By any vendor's name.")
@click.option("--instructions", help="What the model is told about itself.")
def command(
    config_path: Path | None, stt: str | None, llm: str | None, tts: str | None, verbose: bool, **flags: Any
) -> None:
    """Talk to Antiphon, or to any other Realtime server. Type a line to write instead of speaking; Escape interrupts;
    Ctrl-C ends it."""
    config = None
    if flags["url"] is not None:
        flags["key"] = _key(flags["url"], flags["key"], is_to_be_kept=flags["remember_key"])
    else:
        config = load_config(
            config_path, stt__engine=stt, llm__engine=llm, tts__engine=tts, server__port=0, server__drain_s=0.5
        )
    try:
        asyncio.run(_talk(config, flags))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo()


def _key(url: str, key: str | None, *, is_to_be_kept: bool) -> str | None:
    """Of another's server: as it was given, or as it was remembered."""
    from antiphon.desktop.secrets import remember, remembered

    if key is None:
        return remembered(url)
    if is_to_be_kept:
        remember(url, key)
    return key


async def _talk(config: Any, flags: dict[str, Any]) -> None:
    from antiphon.desktop.dialogue import Dialogue
    from antiphon.desktop.screen import Screen
    from antiphon.desktop.talk import Talk

    screen = Screen(sys.stdout)
    dialogue = Dialogue(with_voice=not flags["no_speaker"], instructions=flags["instructions"], voice=flags["voice"])
    _end_well_on_signals()
    async with AsyncExitStack() as stack:
        sound = _sound(flags, lambda text: screen.line("state", text), stack)
        server = await _server(config, flags, stack, screen)
        await Talk(server, dialogue, sound, screen).run(ends_with_input=flags["no_microphone"])


def _end_well_on_signals() -> None:
    """A terminal that is closed ends the program as Ctrl-C does: the sound server is left as it was."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # on Windows
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)


async def _server(config: Any, flags: dict[str, Any], stack: AsyncExitStack, screen: Any) -> Server:
    from antiphon.desktop.talk import Server

    if config is None:
        return Server(flags["url"], flags["key"], skips_certificate=flags["insecure"])
    from antiphon.server.run import running

    one = await stack.enter_async_context(running(config))
    await one.state.warmed.wait()
    for choice in one.state.engines.choices:
        if choice.caveat:
            screen.line("state", f"{choice.role}: {choice.name}. {choice.caveat}")
    key = config.server.all_keys[0] if config.server.all_keys else None
    return Server(one.url, key, is_ours=True, skips_certificate=True)


def _sound(flags: dict[str, Any], tell: Any, stack: AsyncExitStack) -> Sound:
    from antiphon.desktop.sound import Sound

    if flags["no_microphone"] and flags["no_speaker"]:
        return Sound(None, None, tell)
    from antiphon.desktop.card import Microphone, Request, Speaker, refresh

    request = Request(flags["microphone"], flags["speaker"])
    hears_us = not flags["no_microphone"] and not flags["no_speaker"]
    if flags["duplex"] == "cancel" and hears_us:
        from antiphon.desktop.echo import EchoCanceller

        canceller = EchoCanceller(request)
        stack.push_async_callback(asyncio.to_thread, canceller.unload)

        def forget() -> None:
            canceller.unload()
            refresh()

        return Sound(lambda: Microphone(canceller.loaded()), lambda: Speaker(canceller.loaded()), tell, refresh=forget)
    return Sound(
        None if flags["no_microphone"] else lambda: _or_by_text(Microphone, request),
        None if flags["no_speaker"] else lambda: _or_by_text(Speaker, request),
        tell,
        refresh=refresh,
        is_half_duplex=flags["duplex"] == "half",
    )


def _or_by_text(kind: type[D], request: Request) -> D:
    """Open the device; where it cannot be had, the other half of a conversation can."""
    try:
        return kind(request)
    except ConfigError as error:
        raise ConfigError(
            error.message, f"{error.hint} Without it: antiphon talk --no-{kind.__name__.lower()}"
        ) from None
