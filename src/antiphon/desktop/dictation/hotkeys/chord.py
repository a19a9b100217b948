"""Which keys a person means by "ctrl+alt+space", in the words of everybody who can be asked to watch them.

Pure. A key has three names: ours, X11's (which the portal uses as well), and the kernel's number. The number is that of
a place on the keyboard and not of what is printed there, so letters are to be trusted on a US layout only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from antiphon.errors import ConfigError, did_you_mean

Modifier = Literal["ctrl", "alt", "shift", "super"]

MODIFIERS: Mapping[str, Modifier] = {
    "ctrl": "ctrl", "control": "ctrl", "alt": "alt", "shift": "shift",
    "super": "super", "meta": "super", "win": "super",
}  # fmt: skip


class Key(Struct, frozen=True):
    """One key."""

    name: str
    x11: str
    """Of its symbol."""
    kernel: int
    """Its code in linux/input-event-codes.h."""


def _keys() -> dict[str, Key]:
    named = [
        Key("space", "space", 57), Key("tab", "Tab", 15), Key("enter", "Return", 28), Key("escape", "Escape", 1),
        Key("backspace", "BackSpace", 14), Key("insert", "Insert", 110), Key("delete", "Delete", 111),
        Key("home", "Home", 102), Key("end", "End", 107), Key("pageup", "Prior", 104), Key("pagedown", "Next", 109),
        Key("left", "Left", 105), Key("right", "Right", 106), Key("up", "Up", 103), Key("down", "Down", 108),
        Key("pause", "Pause", 119), Key("scrolllock", "Scroll_Lock", 70), Key("print", "Print", 99),
        Key("menu", "Menu", 127), Key("capslock", "Caps_Lock", 58), Key("grave", "grave", 41),
        Key("rightctrl", "Control_R", 97), Key("rightalt", "Alt_R", 100), Key("rightshift", "Shift_R", 54),
        Key("rightsuper", "Super_R", 126),
    ]  # fmt: skip
    rows = (("qwertyuiop", 16), ("asdfghjkl", 30), ("zxcvbnm", 44), ("1234567890", 2))
    plain = [Key(letter, letter, first + place) for row, first in rows for place, letter in enumerate(row)]
    codes = [*range(59, 69), 87, 88, *range(183, 195)]  # F1 to F10 are in a row, F11 and F12 elsewhere, then F13 to F24
    functions = [Key(f"f{number}", f"F{number}", code) for number, code in enumerate(codes, 1)]
    return {key.name: key for key in (*named, *plain, *functions)}


KEYS: Mapping[str, Key] = _keys()


class Chord(Struct, frozen=True):
    """A key, and what is held with it."""

    key: Key
    modifiers: frozenset[Modifier] = frozenset()

    def __str__(self) -> str:
        held = [name for name in ("ctrl", "alt", "shift", "super") if name in self.modifiers]
        return "+".join((*held, self.key.name))

    @property
    def portal(self) -> str:
        """As the desktop's portal wants it."""
        words = {"ctrl": "CTRL", "alt": "ALT", "shift": "SHIFT", "super": "LOGO"}
        held = [word for name, word in words.items() if name in self.modifiers]
        return "+".join((*held, self.key.x11))


class Shortcut(Struct, frozen=True):
    """A chord, and what it is for."""

    name: str
    chord: Chord
    description: str
    """For the person, where the desktop asks them."""


class Stroke(Struct, frozen=True):
    """A shortcut's key went down or up. The repetitions of a key that is held are none."""

    name: str
    is_down: bool


def chord(text: str) -> Chord:
    """What "ctrl+alt+space" or "f9" means. Raises `ConfigError` with what can be said."""
    *held, last = [word.strip().casefold() for word in text.split("+")]
    for word in held:
        if word not in MODIFIERS:
            raise ConfigError(f"{text!r} is no key: {word!r} is not held with others", did_you_mean(word, MODIFIERS))
    if last not in KEYS:
        raise ConfigError(f"{text!r} is no key: there is none called {last!r}", did_you_mean(last, KEYS))
    return Chord(KEYS[last], frozenset(MODIFIERS[word] for word in held))
