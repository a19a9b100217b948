"""What a desktop's facts mean for whoever wants to talk and dictate there."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from antiphon.desktop.devices import Device
from antiphon.desktop.dictation.injection import Desktop
from antiphon.desktop.packages import install
from antiphon.desktop.survey import Facts, Finding, devices_found, judged, listened
from antiphon.testing.microphone import MemoryMicrophone

X11 = Desktop("x11", frozenset({"xdotool", "xclip"}))
WAYLAND = Desktop("wayland", frozenset({"wtype", "wl-copy", "wl-paste"}))


def found(place: Desktop, **facts: object) -> dict[str, Finding]:
    known = {"name": "", "may_type": True, "portal_version": 0, "readable_keyboards": 0} | facts
    return {finding.what: finding for finding in judged(Facts(place, **known))}  # type: ignore[arg-type]


def test_a_desktop_with_everything() -> None:
    findings = found(X11, name="XFCE")
    assert findings["desktop"].text == "XFCE on X11"
    assert findings["typing"].text == "x11-keys, x11-paste, xdotool, copy"
    assert all(finding.is_well and not finding.advice for finding in findings.values())


def test_what_is_to_be_installed() -> None:
    findings = found(Desktop("x11", frozenset()))
    assert (findings["typing"].is_well, findings["typing"].advice) == (False, install(["xdotool", "xclip"]))
    findings = found(Desktop("wayland", frozenset({"wtype"})))
    assert findings["typing"].advice == install(["wl-clipboard"])


def test_each_distribution_has_its_command() -> None:
    def on(tool: str) -> str:
        return install(["xclip", "libportaudio2", "python3-tk"], lambda name: name if name == tool else None)

    assert on("apt") == "sudo apt install libportaudio2 python3-tk xclip"
    assert on("dnf") == "sudo dnf install portaudio python3-tkinter xclip"
    assert on("pacman") == "sudo pacman -S portaudio tk xclip"
    assert on("zypper").startswith("sudo zypper install ")
    assert on("none of them") == "Install: libportaudio2 python3-tk xclip"
    assert install([]) == ""


def test_what_is_shown_and_how_echo_goes() -> None:
    findings = found(WAYLAND, may_show=False, cancels_echo=False)
    assert "xwayland" in findings["overlay"].advice
    assert "headphones" in findings["echo"].advice
    assert "--overlay" in found(X11)["overlay"].text
    assert found(Desktop("none", frozenset()), may_show=False)["overlay"].advice == "", "nothing to install helps"


def test_gnome_on_wayland_has_another_way_to_type() -> None:
    findings = found(WAYLAND, name="GNOME", may_type=False, portal_version=1)
    assert "ydotool" in findings["typing"].advice
    assert findings["hotkeys"].text == "by the desktop's portal, version 1"
    with_ydotool = Desktop("wayland", WAYLAND.programs | {"ydotool"})
    assert found(with_ydotool, may_type=False)["typing"].is_well


def test_nobody_watches_keys() -> None:
    assert "antiphon dictate toggle" in found(WAYLAND)["hotkeys"].advice
    assert "--hotkeys evdev" in found(WAYLAND, readable_keyboards=2)["hotkeys"].text
    assert "in your desktop's session" in found(Desktop("none", frozenset()))["desktop"].advice


def test_which_devices_are_taken() -> None:
    monitor = Device("Monitor", "microphone", 3, 48_000, 2, is_default=True, is_monitor=True)
    headset = Device("Headset", "microphone", 4, 16_000, 1)
    texts = [finding.text for finding in devices_found([monitor, headset])]
    assert texts[0] == "3: Monitor (48000 Hz, what a speaker plays)"
    assert texts[1] == "4: Headset (16000 Hz, taken if nobody chooses)"
    assert texts[2] == "there is no speaker here"


@pytest.mark.real
def test_what_a_microphone_brings() -> None:
    def heard(level: float) -> Finding:
        microphone = MemoryMicrophone()
        speaking = threading.Timer(0.05, lambda: microphone.hear(np.full(1600, level, np.float32)))
        speaking.start()
        finding = listened(microphone, 0.2)
        speaking.join()
        return finding

    assert "up to -6 dBFS; 0 overruns" in heard(0.5).text
    assert "muted" in heard(0.0).advice
    assert "brings nothing" in listened(MemoryMicrophone(), 0.0).advice
