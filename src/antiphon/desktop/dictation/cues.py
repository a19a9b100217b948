"""The two short sounds by which somebody hears that a recording begins and that it ends.

They are soft, so that the microphone takes them for nothing. It does not know what is recorded.
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from antiphon.audio.units import Pcm
from antiphon.desktop.devices import load_portaudio
from antiphon.errors import ConfigError

log = logging.getLogger("antiphon.desktop")

RATE_HZ = 48_000
NOTE_MS, FADE_MS = 70, 15
PEAK = 0.06  # -24 dBFS
LOW_HZ, HIGH_HZ = 523.25, 783.99  # c'' and g''

Cue = Literal["begin", "end"]


def tones(cue: Cue) -> Pcm:
    """Two notes at 48 kHz: upwards at the beginning, downwards at the end; without a click on either side."""
    notes = (LOW_HZ, HIGH_HZ) if cue == "begin" else (HIGH_HZ, LOW_HZ)
    time_s = np.arange(NOTE_MS * RATE_HZ // 1000) / RATE_HZ
    fade = np.minimum(1, np.minimum(time_s, time_s[::-1]) / (FADE_MS / 1000))
    return np.concatenate([PEAK * fade * np.sin(2 * np.pi * hz * time_s) for hz in notes]).astype(np.float32)


def play(cue: Cue) -> None:
    """Have it heard from the system's speaker; blocks for its length. Where there is none, nothing happens."""
    try:
        portaudio = load_portaudio()
        portaudio.play(tones(cue), RATE_HZ, blocking=True)
    except ConfigError as error:
        log.debug("no cue: %s", error)
    except Exception as error:  # noqa: BLE001 - of a foreign library, about a sound that nobody depends on
        log.debug("no cue: %s", error)
