"""From strokes of keys to dictations that begin and end.

It does not know where the strokes come from.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.audio.units import Seconds
from antiphon.desktop.dictation.dictation import Dictation
from antiphon.desktop.dictation.hotkeys.chord import Stroke
from antiphon.desktop.dictation.modes import Key, Mode, Presses
from antiphon.desktop.dictation.passage import Wish


class Steering:
    """The keys of one person: one for cleaned texts, one for raw ones, one that throws away."""

    def __init__(self, dictation: Dictation, mode: Mode, clock: Callable[[], Seconds]) -> None:
        self._dictation = dictation
        self._clock = clock
        is_continuous = mode == "continuous"
        self._wishes = {"dictate": Wish(continuous=is_continuous), "raw": Wish(raw=True, continuous=is_continuous)}
        self._keys = {name: Presses(mode) for name in self._wishes}

    def take(self, stroke: Stroke) -> None:
        """Act on what a key did."""
        if stroke.name == "cancel":
            if stroke.is_down:
                self._dictation.cancel()
            return
        key = self._keys[stroke.name]
        if key.state is Key.LOCKED and self._dictation.state != "recording":
            key.reset()  # the recording was ended by something else
        now = self._clock()
        match key.press(now) if stroke.is_down else key.release(now):
            case "start":
                self._dictation.start(self._wishes[stroke.name])
            case "stop":
                self._dictation.stop()
            case "cancel":
                self._dictation.cancel()
            case None:
                pass
