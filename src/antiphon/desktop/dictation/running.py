"""The whole program of dictation: engines, microphone, keys and window, put together and kept until it is ended.

It does not know the command line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Literal

from msgspec import Struct

from antiphon.audio.units import HEARING_RATE
from antiphon.config import Config
from antiphon.desktop.card import Microphone, Request, refresh
from antiphon.desktop.dictation.control import listening, socket_path
from antiphon.desktop.dictation.cues import play
from antiphon.desktop.dictation.dictation import Dictation, State
from antiphon.desktop.dictation.history import History
from antiphon.desktop.dictation.hotkeys.chord import Shortcut
from antiphon.desktop.dictation.hotkeys.watching import Way, usual, watch
from antiphon.desktop.dictation.injection import Injector, desktop
from antiphon.desktop.dictation.passage import Report, Show, Ways
from antiphon.desktop.dictation.preferences import Preferences, load
from antiphon.desktop.dictation.steering import Steering
from antiphon.desktop.dictation.surroundings import Surroundings
from antiphon.desktop.overlay import Overlay, opened
from antiphon.desktop.screen import Screen
from antiphon.desktop.sound import Sound
from antiphon.engines import registry
from antiphon.engines.api import SttRequest
from antiphon.errors import ConfigError
from antiphon.hearing.hub import HearingHub

BLOCK_MS = 40  # of the microphone's sound: each costs as much as the next, and nobody waits for a single one
LATENCY_MS = 80  # of the card's own buffer: what is said before the release and is still in it is in the tail

LISTENING = "●"  # in the overlay, while there are no words yet

Hotkeys = Literal["auto", "x11", "portal", "evdev", "none"]


class Options(Struct, frozen=True):
    """What the person said when they started it."""

    folder: Path
    """Of the history."""
    preferences: Path
    microphone: str | None = None
    language: str | None = None
    cleans: bool = False
    """The configured model puts texts right."""
    asks_assistant: bool = False
    """The offline assistant's requests are expected, and nothing else."""
    hotkeys: Hotkeys = "auto"
    overlay: bool = False
    """The preview is shown in a window as well, whatever the preferences say."""


async def dictate(config: Config, options: Options) -> None:
    """Until it is cancelled. Raises `ConfigError` for what cannot work."""
    screen = Screen(sys.stdout)
    preferences = load(options.preferences)
    shortcuts = preferences.keys.shortcuts()
    kind = (await asyncio.to_thread(desktop)).kind
    way: Way | Literal["none"] | None = usual(kind) if options.hotkeys == "auto" else options.hotkeys
    async with AsyncExitStack() as stack:
        stack.callback(screen.close)
        ways = await _ways(config, options, preferences, screen, stack)
        request = SttRequest(options.language, purpose="conversation" if options.asks_assistant else "transcription")
        wants_overlay = options.overlay or preferences.overlay
        overlay = await stack.enter_async_context(opened()) if wants_overlay else None
        show = Show(partial(_preview, screen, overlay), partial(_report, screen), partial(screen.line, "error"))
        dictation = Dictation(ways, show, request)
        stack.push_async_callback(dictation.close)
        steering = Steering(dictation, preferences.keys.mode, asyncio.get_running_loop().time)
        surroundings = Surroundings(play if preferences.sounds else None, pauses_players=preferences.pause_players)
        dictation.on_state = partial(_tell_state, surroundings, overlay)
        await stack.enter_async_context(listening(dictation.act, socket_path()))
        screen.line("state", "ready: antiphon dictate toggle (bind a key of your desktop to it)")
        async with asyncio.TaskGroup() as group:
            group.create_task(ways.sound.tend())
            group.create_task(surroundings.run())
            if way is not None and way != "none" and shortcuts:
                group.create_task(_watch(way, shortcuts, steering, screen, is_optional=options.hotkeys == "auto"))


async def _ways(
    config: Config, options: Options, preferences: Preferences, screen: Screen, stack: AsyncExitStack
) -> Ways:
    history = await asyncio.to_thread(History, options.folder)
    stack.push_async_callback(asyncio.to_thread, history.close)
    if history.recovered:
        screen.line("state", f"{history.recovered} recordings of a run that was cut short are in the history")
    engines = registry.make(config)
    stack.push_async_callback(engines.close)
    for choice in engines.choices:
        if choice.role == "stt" and choice.caveat:
            screen.line("state", choice.caveat)
    hub = HearingHub(engines.vad)
    stack.push_async_callback(hub.close)
    await engines.stt.warm()
    request = Request(options.microphone, latency_ms=LATENCY_MS, block_ms=BLOCK_MS)
    sound = Sound(
        lambda: Microphone(request), None, partial(screen.line, "state"), refresh=refresh, rate_hz=HEARING_RATE
    )
    await stack.enter_async_context(sound)
    place = await asyncio.to_thread(desktop)
    llm = engines.llm if options.cleans else None
    return Ways(sound, hub, registry.listener_of(engines.stt), history, Injector(place), preferences, llm)


async def _watch(
    way: Way, shortcuts: Sequence[Shortcut], steering: Steering, screen: Screen, *, is_optional: bool
) -> None:
    try:
        await watch(way, shortcuts, steering.take, lambda keys: screen.line("state", f"hotkeys: {keys}"))
    except ConfigError as error:
        if not is_optional:
            raise
        screen.line("state", f"no hotkeys: {error}")


def _preview(screen: Screen, overlay: Overlay | None, stable: str, tail: str) -> None:
    screen.status(f"● {stable} {tail}".rstrip(), asyncio.get_running_loop().time())
    if overlay is not None:
        overlay.show(stable, tail)


def _tell_state(surroundings: Surroundings, overlay: Overlay | None, state: State) -> None:
    surroundings.take(state)
    if overlay is not None and state != "working":  # the words stay until they are typed
        overlay.show("", LISTENING if state == "recording" else "")


def _report(screen: Screen, report: Report) -> None:
    took, done = report.took, report.done
    screen.status("", asyncio.get_running_loop().time(), is_urgent=True)
    screen.line("you", report.text or "(nothing was heard)")
    screen.line(
        "timeline",
        f"{took.seconds:.1f} s spoken · tail {took.tail_ms:.0f} ms · recognised {took.recognised_ms:.0f} · "
        f"cleaned {took.cleaned_ms:.0f} · {done.outcome} by {done.way} in {took.injected_ms:.0f}",
    )
    if done.note:
        screen.line("state", done.note)
