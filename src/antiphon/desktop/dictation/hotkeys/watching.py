"""Which way the hotkeys of this desktop go, and the watch itself.

It does not know what the keys are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from antiphon.desktop.dictation.hotkeys import evdev, portal, x11
from antiphon.desktop.dictation.hotkeys.chord import Shortcut, Stroke

Way = Literal["x11", "portal", "evdev"]
Kind = Literal["x11", "wayland", "none"]

USUAL: Mapping[Kind, Way | None] = {"x11": "x11", "wayland": "portal", "none": None}


def usual(kind: Kind) -> Way | None:
    """The way that a desktop of this kind has for it; None if it has none. The kernel's is never taken by itself."""
    return USUAL[kind]


async def watch(
    way: Way, shortcuts: Sequence[Shortcut], tell: Callable[[Stroke], None], told: Callable[[str], None]
) -> None:
    """Tell of each stroke until cancelled; `told` gets, once, which keys they are. Raises `ConfigError`."""
    named = ", ".join(f"{shortcut.name}: {shortcut.chord}" for shortcut in shortcuts)
    match way:
        case "x11":
            await x11.watch(shortcuts, tell, lambda: told(named))
        case "evdev":
            await evdev.watch(shortcuts, tell, lambda: told(named))
        case "portal":
            await portal.watch(shortcuts, tell, told)
