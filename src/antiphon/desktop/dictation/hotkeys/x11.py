"""Hotkeys on X11: the X server itself is asked for these chords, and hands over no other key.

A thread waits for the server, because its library does so by blocking. It does not know what the chords are for.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

from antiphon.desktop.dictation.hotkeys.chord import Chord, Shortcut, Stroke
from antiphon.errors import ConfigError, NotInstalled

Tell = Callable[[Stroke], None]


async def watch(shortcuts: Sequence[Shortcut], tell: Tell, began: Callable[[], None]) -> None:
    """Tell of each stroke until cancelled; `began` is called once the keys are ours.

    Raises `ConfigError` if a chord is taken or no key of this keyboard, and if the X server is gone.
    """
    grabs = await asyncio.to_thread(_Grabs, shortcuts)
    loop = asyncio.get_running_loop()
    wake, waker = os.pipe()
    os.set_blocking(waker, False)

    def hand_over(stroke: Stroke) -> None:
        loop.call_soon_threadsafe(tell, stroke)

    began()
    waiting = loop.run_in_executor(None, grabs.wait, wake, hand_over)
    try:
        await asyncio.shield(waiting)
    finally:
        os.write(waker, b"x")
        await asyncio.gather(waiting, return_exceptions=True)
        os.close(wake)
        os.close(waker)


class _Grabs:
    """The chords that we hold at the server. For one thread at a time."""

    def __init__(self, shortcuts: Sequence[Shortcut]) -> None:
        try:
            from Xlib import display, error
        except ImportError:
            raise NotInstalled("python-xlib", "desktop") from None
        try:
            self._display: Any = display.Display()
        except (error.DisplayError, error.ConnectionClosedError, OSError) as failure:
            raise ConfigError(
                f"the X server cannot be asked for hotkeys: {failure}",
                "Set DISPLAY, or bind a key of your desktop to: antiphon dictate toggle",
            ) from failure
        self._root: Any = self._display.screen().root
        self._shortcuts = shortcuts
        self._chords: dict[tuple[int, int], Shortcut] = {}
        self._down: dict[int, Shortcut] = {}
        try:
            self._grab()
        except ConfigError:
            self._display.close()
            raise

    def wait(self, wake: int, tell: Tell) -> None:
        """Until something can be read from `wake`, or the X server is gone."""
        from Xlib import error

        try:
            while True:
                while self._display.pending_events():
                    self._take(self._display.next_event(), tell)
                ready, _, _ = select.select([self._display.fileno(), wake], [], [])
                if wake in ready:
                    return
        except (error.ConnectionClosedError, OSError) as failure:
            raise ConfigError(f"the X server is gone: {failure}", "Start antiphon dictate anew.") from failure
        finally:
            try:
                self._display.close()
            except (error.ConnectionClosedError, OSError):
                pass  # it was gone

    def _take(self, event: Any, tell: Tell) -> None:
        from Xlib import X

        match event.type:
            case X.MappingNotify:  # another layout: the same symbols may be on other keys now
                self._display.refresh_keyboard_mapping(event)
                self._root.ungrab_key(X.AnyKey, X.AnyModifier)
                self._grab()
            case X.KeyPress:
                shortcut = self._chords.get((event.detail, event.state & MODIFIER_BITS))
                if shortcut is not None and event.detail not in self._down:
                    self._down[event.detail] = shortcut
                    tell(Stroke(shortcut.name, is_down=True))
            case X.KeyRelease if event.detail in self._down and not self._is_held(event.detail):
                tell(Stroke(self._down.pop(event.detail).name, is_down=False))
            case _:
                pass

    def _is_held(self, keycode: int) -> bool:
        """A key that repeats is released and pressed again in every event but the last; the server knows better."""
        keymap = self._display.query_keymap()
        return bool(keymap[keycode // 8] & 1 << keycode % 8)

    def _grab(self) -> None:
        from Xlib import XK, X, error

        self._chords = {}
        for shortcut in self._shortcuts:
            keycode = self._display.keysym_to_keycode(XK.string_to_keysym(shortcut.chord.key.x11))
            if not keycode:
                raise ConfigError(
                    f"this keyboard has no key {shortcut.chord.key.name!r}", "Choose another key, such as f9."
                )
            bits = _bits(shortcut.chord)
            self._chords[keycode, bits] = shortcut
            refused = error.CatchError(error.BadAccess)
            for locks in _subsets((X.LockMask, X.Mod2Mask)):  # with and without Caps Lock and Num Lock
                self._root.grab_key(
                    keycode, bits | sum(locks), False, X.GrabModeAsync, X.GrabModeAsync, onerror=refused
                )
            self._display.sync()
            if refused.get_error():
                raise ConfigError(
                    f"another program holds {shortcut.chord} already", "Choose another key, or end that program."
                )


MODIFIER_BITS = 0b1001101  # Shift, Control, Mod1 (Alt), Mod4 (Super): the same on every X server of today


def _bits(chord: Chord) -> int:
    bits = {"shift": 1, "ctrl": 4, "alt": 8, "super": 64}
    return sum(bits[name] for name in chord.modifiers)


def _subsets(values: Sequence[int]) -> Iterable[tuple[int, ...]]:
    return (chosen for size in range(len(values) + 1) for chosen in combinations(values, size))
