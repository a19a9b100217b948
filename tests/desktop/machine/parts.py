"""What the virtual desktop is made of, and Debian's packages of what is missing.

Run with --install by `make desktop-test-deps`. It does not know the tests.
"""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from packages import apt_install, succeeds

PROGRAMS: Mapping[str, str] = {
    "Xvfb": "xvfb", "xdotool": "xdotool", "xclip": "xclip", "setxkbmap": "x11-xkb-utils", "dbus-daemon": "dbus",
    "pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils", "wtype": "wtype", "wl-copy": "wl-clipboard",
    "sway": "sway", "foot": "foot", "Xwayland": "xwayland", "grim": "grim",
    "xhost": "x11-xserver-utils",
}  # fmt: skip
"""By the program that is looked for."""
SYSTEM_PYTHON = "/usr/bin/python3"  # which has Tk by a package of the system's
BRIDGE = "libasound_module_pcm_pulse.so"  # PortAudio's way to the sound server


def missing() -> list[str]:
    """Debian's packages of what is not here."""
    wanted = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if ctypes.util.find_library("portaudio") is None:
        wanted.append("libportaudio2")
    if not any(Path("/usr").glob(f"lib*/**/{BRIDGE}")):
        wanted.append("libasound2-plugins")
    tk = [SYSTEM_PYTHON, "-c", "import tkinter"]
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run(tk, check=False, capture_output=True).returncode:
        wanted.append("python3-tk")
    return wanted


def install() -> None:
    """Make sure that all is here. Ends the program with what to do if it cannot."""
    wanted = missing()
    if wanted:
        print(f"== installing the virtual desktop: {' '.join(wanted)}", flush=True)
        succeeds(apt_install(*wanted))
        wanted = missing()
    if wanted:
        sys.exit(
            f"The virtual desktop lacks {', '.join(wanted)} (Debian's names), and they could not be installed. "
            f"On Debian and Ubuntu: sudo apt install {' '.join(wanted)}. Elsewhere, install what brings them."
        )


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        sys.exit("usage: parts.py --install")
    install()
