"""Hotkeys by the desktop's portal, which asks the person and may give them other keys than we propose: Wayland's way.

It does not know what the shortcuts are for, nor which keys they came to be on, but for the words the desktop uses.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from antiphon.audio.units import Seconds
from antiphon.desktop.bus import Bus, Place, opened
from antiphon.desktop.dictation.hotkeys.chord import Shortcut, Stroke
from antiphon.errors import ConfigError

Tell = Callable[[Stroke], None]

PORTAL = Place("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop")
SHORTCUTS = "org.freedesktop.portal.GlobalShortcuts"
REQUEST = "org.freedesktop.portal.Request"
CONSENT_S: Seconds = 120.0  # a person reads a dialog
GRANTED = 0


async def watch(shortcuts: Sequence[Shortcut], tell: Tell, told: Callable[[str], None]) -> None:
    """Tell of each stroke until cancelled; `told` gets what the desktop says of the keys, in words.

    Raises `ConfigError` if there is no portal, it has no shortcuts, or the person does not want them.
    """
    async with opened() as bus, bus.signals(SHORTCUTS) as strokes:
        session = await _session(bus)
        told(await _bound(bus, session, shortcuts))
        names = {shortcut.name for shortcut in shortcuts}
        while True:
            signal = await strokes.get()
            if signal.member not in ("Activated", "Deactivated"):
                continue
            path, name, *_ = signal.body
            if path == session and name in names:
                tell(Stroke(name, is_down=signal.member == "Activated"))


async def version() -> int:
    """Of the portal's shortcuts; 0 if there are none here."""
    try:
        async with opened() as bus:
            body = await bus.call(PORTAL, "org.freedesktop.DBus.Properties", "Get", ("ss", (SHORTCUTS, "version")))
    except ConfigError:
        return 0
    _, number = body[0]
    return int(number)


async def _session(bus: Bus) -> str:
    wish = {"session_handle_token": ("s", f"antiphon_{secrets.token_hex(4)}")}
    results = await _asked(bus, "CreateSession", "a{sv}", (), wish)
    return str(results["session_handle"][1])


async def _bound(bus: Bus, session: str, shortcuts: Sequence[Shortcut]) -> str:
    """What the person made of our proposals, in words."""
    wanted = [
        (
            shortcut.name,
            {"description": ("s", shortcut.description), "preferred_trigger": ("s", shortcut.chord.portal)},
        )
        for shortcut in shortcuts
    ]
    results = await _asked(bus, "BindShortcuts", "oa(sa{sv})sa{sv}", (session, wanted, ""), {})
    _, bound = results.get("shortcuts", ("a(sa{sv})", []))
    keys = [f"{name}: {facts['trigger_description'][1]}" for name, facts in bound if "trigger_description" in facts]
    return ", ".join(keys) or "the desktop's settings say which keys they are"


async def _asked(bus: Bus, method: str, signature: str, body: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """One request of the portal's: a call, and the signal that brings its result."""
    token = f"antiphon_{secrets.token_hex(4)}"
    options = {**options, "handle_token": ("s", token)}
    async with bus.signals(REQUEST) as responses:  # before the call: a quick portal answers at once
        (handle,) = await bus.call(PORTAL, SHORTCUTS, method, (signature, (*body, options)))
        try:
            async with asyncio.timeout(CONSENT_S):
                while (signal := await responses.get()).path != handle:
                    pass
        except TimeoutError:
            raise ConfigError(
                "the desktop asked for your consent to the hotkeys, and nobody answered",
                "Start antiphon dictate anew, and look for its window.",
            ) from None
    code, results = signal.body
    if code != GRANTED:
        raise ConfigError(
            "the desktop did not give us the hotkeys",
            "Agree when it asks, or bind a key of your desktop to: antiphon dictate toggle",
        )
    return results
