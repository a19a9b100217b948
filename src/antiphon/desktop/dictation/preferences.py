"""How one person dictates: keys, words, replacements and snippets, and what differs from window to window.

Read from a TOML file; what it cannot be is a `ConfigError` that names the key. It does not know who uses it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from antiphon.desktop.dictation.hotkeys.chord import Shortcut, chord
from antiphon.desktop.dictation.modes import Mode
from antiphon.desktop.dictation.text import Writing
from antiphon.errors import ConfigError


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """What differs in windows of one application."""

    window: str
    """A part of the window's class: "code", "terminal"."""
    code: bool = False
    clean: bool | None = None
    """Whether a model cleans the text up; null leaves it as it is otherwise."""
    press_enter: bool = False
    trailing_space: bool = False


class Keys(Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys do what; an empty one does nothing."""

    dictate: str = "ctrl+alt+space"
    raw: str = "ctrl+alt+shift+space"
    cancel: str = "ctrl+alt+escape"
    mode: Mode = "hold"

    def shortcuts(self) -> list[Shortcut]:
        """Raises `ConfigError` for what is no key, and for a key that is to do two things."""
        wanted = (
            ("dictate", self.dictate, "Dictate"),
            ("raw", self.raw, "Dictate, and leave the text as it was recognised"),
            ("cancel", self.cancel, "Throw away what is being dictated"),
        )
        found = [Shortcut(name, chord(text), description) for name, text, description in wanted if text]
        if len({shortcut.chord for shortcut in found}) < len(found):
            raise ConfigError("one key is to do two things", 'Give each of [keys] one of its own, or none: "".')
        return found


class Preferences(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    punctuation: bool = True
    fillers: bool = True
    numbers: bool = True
    capitals: bool = True
    replacements: dict[str, str] = {}
    snippets: dict[str, str] = {}
    profiles: tuple[Profile, ...] = ()
    keys: Keys = Keys()
    sounds: bool = False
    """Two soft notes when a recording begins, and two when it ends."""
    pause_players: bool = False
    """Music and films stand still while somebody dictates."""
    overlay: bool = False
    """What is heard is shown in a small window while it is said."""

    def profile(self, window_class: str) -> Profile:
        """The first that fits; one that changes nothing if none does."""
        name = window_class.casefold()
        return next((one for one in self.profiles if one.window.casefold() in name), Profile(""))

    def writing(self, profile: Profile) -> Writing:
        return Writing(
            punctuation=self.punctuation,
            fillers=self.fillers,
            numbers=self.numbers,
            capitals=self.capitals,
            code=profile.code,
            replacements=self.replacements,
            snippets=self.snippets,
        )


def load(path: Path) -> Preferences:
    """What the file says; the defaults if there is none."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Preferences)
    except FileNotFoundError:
        return Preferences()
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be used: {error}", "See docs/how-to/desktop.md for what may stand there."
        ) from error
