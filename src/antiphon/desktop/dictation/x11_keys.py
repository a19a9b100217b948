"""Keys pressed on X11: all of a text or none of it, and only while the window that they are meant for has the focus.

The X server serves nobody else meanwhile, which takes a millisecond or two: no window can close, and none can take the
focus, between two letters. Every function blocks, and is for a thread. It does not know what is typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

from msgspec import Struct

Struck = Literal["done", "left", "unknown"]
"""Whether it was done, was not because another window has the focus, or cannot be with this keyboard or server."""
NOBODY = 0
LATIN1_END = 0x100  # up to here a letter's number is that of its key symbol
MODIFIERS = {"ctrl": "Control_L", "shift": "Shift_L", "alt": "Alt_L"}


class Press(Struct, frozen=True):
    """A key, and those that are held with it, by the numbers that they have on this keyboard."""

    code: int
    held: tuple[int, ...] = ()


def focused() -> int:
    """The window that has the focus; `NOBODY` where the server does not say."""
    with _connected() as server:
        return NOBODY if server is None else _focus(server)


def is_there(window: int) -> bool:
    """Whether this window still exists. True where the server does not say."""
    from Xlib import error

    with _connected() as server:
        if server is None:
            return True
        try:
            server.create_resource_object("window", window).get_geometry()
        except error.XError:
            return False
        return True


def typed(text: str, window: int) -> Struck:
    """Type a text of Latin letters; "unknown" if one of them needs more than a key and Shift on this keyboard."""
    from Xlib import XK, X

    with _connected() as server:
        if server is None or any(ord(letter) >= LATIN1_END for letter in text):
            return "unknown"
        mask = server.screen().root.query_pointer().mask
        if mask & X.LockMask:
            return "unknown"
        group, shift = mask >> 13 & 3, server.keysym_to_keycode(XK.XK_Shift_L)
        presses = [_of_letter(server, ord(letter), group, shift) for letter in text]
        known = [press for press in presses if press is not None]
        return _struck(server, known, window) if len(known) == len(text) else "unknown"


def pressed(chord: str, window: int) -> Struck:
    """Press one chord, such as "ctrl+v" or "Return"."""
    from Xlib import XK

    with _connected() as server:
        if server is None:
            return "unknown"
        *modifiers, key = chord.split("+")
        names = [*(MODIFIERS[name] for name in modifiers), key]
        codes = [server.keysym_to_keycode(XK.string_to_keysym(name)) for name in names]
        return _struck(server, [Press(codes[-1], tuple(codes[:-1]))], window) if all(codes) else "unknown"


@contextmanager
def _connected() -> Iterator[Any]:
    """The server; None where there is none, or no library to ask it with."""
    try:
        from Xlib import display, error
    except ImportError:
        yield None
        return
    try:
        server = display.Display()
    except (error.DisplayError, error.ConnectionClosedError, OSError):
        yield None
        return
    try:
        yield server
    finally:
        server.close()


def _focus(server: Any) -> int:
    focus = server.get_input_focus().focus
    return int(getattr(focus, "id", focus))


def _of_letter(server: Any, symbol: int, group: int, shift: int) -> Press | None:
    """On the layout that is chosen now: a keyboard has two columns, without Shift and with it, for each."""
    for code, column in server.keysym_to_keycodes(symbol):
        if column // 2 == group:
            return Press(code, (shift,) if column % 2 else ())
    return None


def _struck(server: Any, presses: Sequence[Press], window: int) -> Struck:
    from Xlib import X
    from Xlib.ext import xtest

    def move(kind: int, codes: Sequence[int]) -> None:
        for code in codes:
            xtest.fake_input(server, kind, code)

    server.grab_server()
    try:
        if _focus(server) != window:
            return "left"
        fingers = _held_modifiers(server)  # of the hotkey, perhaps: it is let go of for as long as this takes
        move(X.KeyRelease, fingers)
        for press in presses:
            move(X.KeyPress, (*press.held, press.code))
            move(X.KeyRelease, (press.code, *press.held))
        move(X.KeyPress, fingers)
    finally:
        server.ungrab_server()
        server.sync()
    return "done"


def _held_modifiers(server: Any) -> list[int]:
    down = server.query_keymap()
    codes = {code for code in chain.from_iterable(server.get_modifier_mapping()) if code}
    return sorted(code for code in codes if down[code // 8] & 1 << code % 8)
