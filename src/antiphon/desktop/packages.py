"""How programs are installed on this machine: the words for whoever has to do it.

It knows the package tools of the distributions that most people have, and where their names for a package differ. It
installs nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping

TOOLS: Mapping[str, str] = {
    "apt": "sudo apt install", "dnf": "sudo dnf install", "pacman": "sudo pacman -S", "zypper": "sudo zypper install",
    "apk": "sudo apk add",
}  # fmt: skip
"""By the program that is looked for."""
NAMES: Mapping[str, Mapping[str, str]] = {
    "libportaudio2": {"dnf": "portaudio", "pacman": "portaudio", "apk": "portaudio"},
    "python3-tk": {
        "dnf": "python3-tkinter",
        "pacman": "tk",
        "apk": "python3-tkinter",
        "xbps-install": "python3-tkinter",
    },
    "pulseaudio-utils": {"pacman": "libpulse"},
    "libnotify-bin": {"dnf": "libnotify", "pacman": "libnotify", "zypper": "libnotify-tools", "apk": "libnotify"},
}
"""Where they are not Debian's, which a package is called by here."""


def install(packages: Iterable[str], which: Callable[[str], str | None] = shutil.which) -> str:
    """The command for these packages (Debian's names); the bare names where no tool is known. Empty for none."""
    wanted = sorted(packages)
    if not wanted:
        return ""
    tool = next((tool for tool in TOOLS if which(tool)), None)
    if tool is None:
        return f"Install: {' '.join(wanted)}"
    return f"{TOOLS[tool]} {' '.join(NAMES.get(name, {}).get(tool, name) for name in wanted)}"
