"""What of talking and dictating works on this machine, and what to install so that more does.

It looks, and changes nothing; the microphone is opened only by `listened`. It does not know how its findings are shown.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.desktop.devices import Device, chosen, installed, sources
from antiphon.desktop.dictation.control import ask, socket_path
from antiphon.desktop.dictation.hotkeys import evdev, portal
from antiphon.desktop.dictation.injection import Desktop, desktop, ladder, missing
from antiphon.desktop.overlay import python_with_tk
from antiphon.desktop.packages import install
from antiphon.errors import AntiphonError, ConfigError

if TYPE_CHECKING:
    from antiphon.desktop.card import Ears

LISTEN_S: Seconds = 2.0
PROBE_S: Seconds = 3.0
DEAF_DBFS = -90.0  # less is no room, but a microphone that is muted


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    is_well: bool
    text: str
    advice: str = ""
    """What to do so that it is well, or better."""


class Facts(Struct, frozen=True):
    """What the desktop is, as far as typing and keys go."""

    place: Desktop
    name: str
    """As the desktop calls itself, such as "GNOME"; empty where it does not."""
    may_type: bool
    """Whether the compositor lets programs press keys; true on X11."""
    portal_version: int
    readable_keyboards: int
    may_show: bool = True
    """Whether the overlay has Tk and an X server, be it Xwayland."""
    cancels_echo: bool = True
    """Whether there is a sound server that takes our echo out of the microphone."""


def surveyed() -> list[Finding]:
    """Everything about this desktop. Blocks for up to some seconds, for programs that hang."""
    facts = _facts()
    return [*judged(facts), *_sound(), *_running()]


def judged(facts: Facts) -> list[Finding]:
    """What these facts mean for whoever wants to dictate. Pure."""
    kind = {"x11": "X11", "wayland": "Wayland", "none": "no screen"}[facts.place.kind]
    named = f"{facts.name} on {kind}" if facts.name else kind
    advice = "Start this in your desktop's session." if facts.place.kind == "none" else ""
    return [
        Finding("desktop", not advice, named, advice), _typing(facts), _keys(facts), _overlay(facts), _echo(facts)
    ]  # fmt: skip


def devices_found(devices: Sequence[Device]) -> list[Finding]:
    """Each microphone and speaker, and which are taken if nobody chooses. Pure."""
    findings = []
    for kind in ("microphone", "speaker"):
        try:
            taken = chosen(devices, kind, None)
        except ConfigError as error:
            findings.append(Finding(kind, False, error.message, error.hint))
            continue
        for device in devices:
            if device.kind == kind:
                notes = [f"{device.rate_hz} Hz", *(["what a speaker plays"] if device.is_monitor else [])]
                if device is taken:
                    notes.append("taken if nobody chooses")
                number = "" if device.served_as else f"{device.index}: "
                findings.append(Finding(kind, True, f"{number}{device.name} ({', '.join(notes)})"))
    return findings


def listened(ears: Ears, seconds: Seconds = LISTEN_S) -> Finding:
    """What an open microphone brings in this time. Blocks for it."""
    from antiphon.desktop.intake import Intake

    intake = Intake(ears.ring, ears.rate_hz, ears.rate_hz)
    loudest = -120.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)
        if intake.take().size:
            loudest = max(loudest, intake.level_dbfs)
    counters = ears.counters
    text = (
        f"{counters.blocks} blocks at {ears.rate_hz} Hz, up to {loudest:.0f} dBFS; {counters.overruns} overruns, "
        f"{intake.lost} frames lost, {intake.repaired} samples repaired; "
        f"a block costs {counters.cost_us(50):.0f} us of processor time, {counters.cost_us(99):.0f} at p99"
    )
    advice = ""
    if not counters.blocks:
        advice = "It brings nothing: choose another with --microphone, or look at your sound settings."
    elif loudest < DEAF_DBFS:
        advice = "It is silent: it may be muted, or its level may be at zero."
    elif counters.overruns:
        advice = "Sound was lost before it came to us: the machine is too busy."
    return Finding("listening", not advice, text, advice)


def _facts() -> Facts:
    place = desktop()
    readable = [path for path in evdev.keyboards() if os.access(path, os.R_OK)]
    return Facts(
        place, os.environ.get("XDG_CURRENT_DESKTOP", ""), _may_type(place), asyncio.run(portal.version()),
        len(readable), python_with_tk() is not None and bool(os.environ.get("DISPLAY")), bool(sources()),
    )  # fmt: skip


def _may_type(place: Desktop) -> bool:
    """Ask wtype to type nothing: it fails where the compositor has no virtual keyboards, as GNOME's has none."""
    if place.kind != "wayland" or "wtype" not in place.programs:
        return place.kind == "x11"
    try:
        return not subprocess.run(["wtype", ""], capture_output=True, timeout=PROBE_S).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def _typing(facts: Facts) -> Finding:
    place = facts.place
    advice = install(missing(place))
    if place.kind == "wayland" and "wtype" in place.programs and not facts.may_type:
        if "ydotool" not in place.programs:
            return Finding(
                "typing", False, "this compositor lets no program press keys; texts are left in the clipboard",
                f"{install(['ydotool'])}, and start its service: systemctl --user enable --now ydotool",
            )  # fmt: skip
        return Finding("typing", True, "wayland-paste by ydotool, copy", advice)
    ways = ladder(place, "x")
    is_well = ladder(place, "a text of\nmany lines") != ("copy",)
    text = ", ".join(ways) if is_well else "nothing here can type"
    return Finding("typing", is_well, text, advice or ("" if is_well else "Start it in your desktop."))


def _keys(facts: Facts) -> Finding:
    bind = "Bind a key of your desktop to: antiphon dictate toggle"
    if facts.place.kind == "x11":
        return Finding("hotkeys", True, "by the X server")
    if facts.portal_version:
        return Finding("hotkeys", True, f"by the desktop's portal, version {facts.portal_version}")
    if facts.readable_keyboards:
        return Finding(
            "hotkeys", True, f"{facts.readable_keyboards} keyboards can be read with --hotkeys evdev", f"Or: {bind}."
        )
    return Finding("hotkeys", False, "nobody here watches keys for programs", f"{bind}.")


def _overlay(facts: Facts) -> Finding:
    if facts.may_show:
        return Finding("overlay", True, "antiphon dictate --overlay shows what is heard")
    if facts.place.kind == "none":
        return Finding("overlay", False, "there is no screen to show it on")
    wanted = ["python3-tk"] if facts.place.kind != "wayland" else ["python3-tk", "xwayland"]
    return Finding("overlay", False, "there is no Tk here, or no X server to show it", install(wanted))


def _echo(facts: Facts) -> Finding:
    if facts.cancels_echo:
        return Finding("echo", True, "antiphon talk --duplex cancel takes it out, by the sound server")
    advice = f"{install(['pulseaudio-utils'])} if this is PulseAudio or PipeWire; else use headphones."
    return Finding("echo", False, "no sound server answers that could cancel it", advice)


def _sound() -> list[Finding]:
    try:
        return devices_found(installed())
    except ConfigError as error:
        return [Finding("sound", False, error.message, error.hint)]


def _running() -> list[Finding]:
    """What a dictation that runs has counted."""
    try:
        return [Finding("dictation", True, f"runs now: {ask('counters', socket_path())}")]
    except AntiphonError:
        return []
