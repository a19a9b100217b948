"""What the speaker plays, taken out of what the microphone brings: the echo canceller of the desktop's sound server.

PulseAudio and PipeWire both have WebRTC's; it is put between the two devices for as long as it is wanted, as a
microphone and a speaker of its own. Every method blocks, and is for a thread. It does not know what is said.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from msgspec.structs import replace

from antiphon.audio.units import Seconds
from antiphon.desktop.card import Request
from antiphon.desktop.devices import chosen, served, sources
from antiphon.desktop.packages import install
from antiphon.errors import ConfigError

MODULE = "module-echo-cancel"
PREFIX = "antiphon_microphone_"  # before the number of the process that wants it
# As it comes, it also takes 23 dB off somebody who speaks while we do: its noise suppression does (bench/echo.py).
ARGUMENTS = "noise_suppression=0 analog_gain_control=0 digital_gain_control=0 extended_filter=1"
ANSWER_S: Seconds = 5.0
HINT = "Use --duplex half, or headphones and --duplex full. antiphon doctor says more."


class EchoCanceller:
    """Between the devices of one `Request`."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._number: str | None = None
        """Of the sound server's module, while there is one."""

    def loaded(self) -> Request:
        """The devices without the echo. Raises `ConfigError` if the sound server has no canceller."""
        names = replace(self._request, microphone=f"{PREFIX}{os.getpid()}", speaker=f"antiphon_speaker_{os.getpid()}")
        if self._number is not None:
            return names
        if shutil.which("pactl") is None:
            raise ConfigError(
                "echo is cancelled by PulseAudio or PipeWire, and pactl, which steers both, is not here",
                f"{install(['pulseaudio-utils'])}. {HINT}",
            )
        _unload_leftovers()
        devices = served(sources(), 0)
        microphone = chosen(devices, "microphone", self._request.microphone)
        speaker = chosen(devices, "speaker", self._request.speaker)
        answer = _pactl(
            "load-module", MODULE, "aec_method=webrtc", f'aec_args="{ARGUMENTS}"', "use_volume_sharing=no",
            f"source_master={microphone.served_as}", f"sink_master={speaker.served_as}",
            f"source_name={names.microphone}", f"sink_name={names.speaker}",
        )  # fmt: skip
        if answer is None:
            raise ConfigError("the sound server has no echo canceller for these devices", HINT)
        self._number = answer.strip()
        return names

    def unload(self) -> None:
        """As it was before. Nothing happens where nothing was loaded."""
        if self._number is not None:
            _pactl("unload-module", self._number)
        self._number = None


def _unload_leftovers() -> None:
    """Of programs of ours that could not clean up behind themselves."""
    for line in (_pactl("list", "short", "modules") or "").splitlines():
        number, *rest = line.split()
        owner = next((word.partition(PREFIX)[2] for word in rest if PREFIX in word), "")
        if MODULE in rest and owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            _pactl("unload-module", number)


def _pactl(*words: str) -> str | None:
    """What it answers; None if it refuses."""
    try:
        done = subprocess.run(["pactl", *words], capture_output=True, timeout=ANSWER_S, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout
