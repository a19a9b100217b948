"""Hotkeys from the kernel: every key of every keyboard is read, and all but the chords are thrown away.

Works on any desktop, and takes the right to read all that anybody types on this machine: it is never chosen by itself.
The package evdev does more and has to be compiled; what is needed is one structure of 24 bytes. It does not know what
the chords are for.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from antiphon.desktop.dictation.hotkeys.chord import Modifier, Shortcut, Stroke
from antiphon.errors import ConfigError

Tell = Callable[[Stroke], None]

KEYBOARDS = Path("/dev/input/by-path")
EVENT = struct.Struct("@llHHi")  # struct input_event: seconds, microseconds, type, code, value
READ_EVENTS = 64
EV_KEY = 1
UP, DOWN = 0, 1  # and 2 for a repetition
MODIFIER_CODES: dict[int, Modifier] = {
    29: "ctrl", 97: "ctrl", 56: "alt", 100: "alt", 42: "shift", 54: "shift", 125: "super", 126: "super",
}  # fmt: skip


class Chords:
    """What the strokes of one keyboard mean. Pure; only what the chords need is remembered."""

    def __init__(self, shortcuts: Sequence[Shortcut]) -> None:
        self._shortcuts = shortcuts
        self._held: set[int] = set()
        """Codes of the modifiers that are down."""
        self._down: dict[int, Shortcut] = {}
        self._rest = b""

    def feed(self, data: bytes) -> list[Stroke]:
        """What the kernel's bytes tell of our chords; a part of an event waits for the rest of it."""
        data = self._rest + data
        whole = len(data) // EVENT.size * EVENT.size
        self._rest = data[whole:]
        strokes = [
            self._key(code, value)
            for _, _, kind, code, value in EVENT.iter_unpack(data[:whole])
            if kind == EV_KEY and value in (UP, DOWN)
        ]
        return [stroke for stroke in strokes if stroke is not None]

    def release(self) -> list[Stroke]:
        """The keyboard is gone: what was held on it is not any more."""
        gone = [Stroke(shortcut.name, is_down=False) for shortcut in self._down.values()]
        self._down.clear()
        self._held.clear()
        return gone

    def _key(self, code: int, value: int) -> Stroke | None:
        if value == UP:
            self._held.discard(code)
            shortcut = self._down.pop(code, None)
            return None if shortcut is None else Stroke(shortcut.name, is_down=False)
        modifiers = {MODIFIER_CODES[held] for held in self._held}
        if code in MODIFIER_CODES:
            self._held.add(code)
        for shortcut in self._shortcuts:
            if shortcut.chord.key.kernel == code and shortcut.chord.modifiers == modifiers:
                self._down[code] = shortcut
                return Stroke(shortcut.name, is_down=True)
        return None


async def watch(
    shortcuts: Sequence[Shortcut], tell: Tell, began: Callable[[], None], devices: Iterable[Path] | None = None
) -> None:
    """Tell of each stroke until cancelled; `began` is called once the keys are read.

    Raises `ConfigError` if no keyboard can be read, or all of them are gone.
    """
    opened = await asyncio.to_thread(_opened, devices)
    began()
    try:
        async with asyncio.TaskGroup() as group:
            for keyboard in opened:
                group.create_task(_read(keyboard, Chords(shortcuts), tell))
    finally:
        for keyboard in opened:
            os.close(keyboard)
    raise ConfigError("all keyboards are gone", "Plug one in, and start antiphon dictate anew.")


async def _read(keyboard: int, chords: Chords, tell: Tell) -> None:
    """Until this keyboard is gone."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(keyboard, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            try:
                data = os.read(keyboard, READ_EVENTS * EVENT.size)
            except BlockingIOError:
                continue
            except OSError:  # ENODEV: it was unplugged
                return
            if not data:
                return
            for stroke in chords.feed(data):
                tell(stroke)
    finally:
        loop.remove_reader(keyboard)
        for stroke in chords.release():
            tell(stroke)


def keyboards() -> list[Path]:
    """The keyboards of this machine, whether they can be read or not."""
    return sorted(KEYBOARDS.glob("*-kbd")) if KEYBOARDS.is_dir() else []


def _opened(devices: Iterable[Path] | None) -> list[int]:
    found = keyboards() if devices is None else list(devices)
    if not found:
        raise ConfigError("the kernel shows no keyboard here", "Leave --evdev out: the desktop's own hotkeys may work.")
    opened: list[int] = []
    for path in found:
        try:
            opened.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            refusal = error
    if not opened:
        raise ConfigError(
            f"no keyboard can be read: {refusal}",
            "sudo usermod -aG input $USER, then log in anew. Whatever you run can then read all that is typed here; "
            "without --evdev, the desktop's own hotkeys need no such right.",
        )
    return opened
