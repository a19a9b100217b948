"""Text into whatever window has the focus: the first way that this desktop has, and the clipboard if none works.

Which ways there are, and in which order, is pure (`ladder`); each way is a program of the desktop's own, run in a
process. It never says that something was typed of which it knows that it was not. On X11 nothing that was meant for one
window goes to another: what one that closes or is left does not get is kept in the clipboard. It does not know where
the text came from.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from antiphon.audio.units import Seconds
from antiphon.desktop.dictation import x11_keys
from antiphon.desktop.dictation.hotkeys.chord import KEYS

Way = Literal["x11-keys", "xdotool", "x11-paste", "wtype", "wayland-paste", "copy"]
Outcome = Literal["typed", "pasted", "copied", "failed", "nothing"]

TYPED_LETTERS = 40  # more is pasted: typing takes a millisecond or more a letter, and a window may lose some
RESTORE_S: Seconds = 0.5  # after which a window has taken what it was to paste
RUN_S: Seconds = 5.0
SETTLE_S: Seconds = 0.1  # after which a window that closes at what it was typed is gone
CHECK_S: Seconds = 0.02
CHECKS = 25  # half a second until the clipboard has what was written to it
MODIFIER_CODES = {"ctrl": 29, "shift": 42}
KERNEL_CODES = {key.x11: key.kernel for key in KEYS.values()}
TERMINALS = (
    "xterm", "urxvt", "gnome-terminal", "konsole", "kitty", "alacritty", "foot", "tilix", "terminator", "st-256color",
    "xfce4-terminal", "org.gnome.terminal", "org.gnome.console", "org.wezfurlong.wezterm", "ghostty",
)  # fmt: skip
TERMINAL_PASTE, USUAL_PASTE = "ctrl+shift+v", "ctrl+v"
XTERM_PASTE = "shift+Insert"  # what xterm and urxvt know; with both selections set it works in nearly all windows


LEFT = "The window that it was for lost the focus. "
CLOSED = "The window closed while it was typed into. "


class Desktop(Struct, frozen=True):
    """What there is to type with."""

    kind: Literal["x11", "wayland", "none"]
    programs: frozenset[str]


class Done(Struct, frozen=True):
    """What became of a text."""

    outcome: Outcome
    way: Way | Literal["none"]
    note: str = ""
    """What the person should know, such as that they have to paste it themselves."""


def desktop(environment: Mapping[str, str] | None = None) -> Desktop:
    """The desktop of this process."""
    known = os.environ if environment is None else environment
    kind: Literal["x11", "wayland", "none"] = "none"
    if known.get("WAYLAND_DISPLAY"):
        kind = "wayland"
    elif known.get("DISPLAY"):
        kind = "x11"
    names = ("xdotool", "xclip", "wtype", "ydotool", "wl-copy", "wl-paste", "notify-send")
    return Desktop(kind, frozenset(name for name in names if shutil.which(name)))


def ladder(place: Desktop, text: str) -> tuple[Way, ...]:
    """The ways to try, in order. Only short ASCII is typed: xdotool was seen to lose emoji and to write ü for Ü, a line
    break presses Enter, and long texts take long.
    """
    has = place.programs.__contains__
    is_short = len(text) <= TYPED_LETTERS and text.isprintable() and text.isascii()
    rungs: list[Way] = []
    if place.kind == "x11":
        rungs += ["x11-keys"] if is_short else []
        rungs += ["x11-paste"] if has("xclip") else []
        rungs += ["xdotool"] if has("xdotool") else []
    elif place.kind == "wayland":
        may_paste = has("wl-copy") and has("wl-paste") and (has("wtype") or has("ydotool"))
        rungs += ["wayland-paste"] if may_paste else []
        if has("wtype"):
            rungs.insert(0 if is_short else len(rungs), "wtype")
    return (*rungs, "copy")


def missing(place: Desktop) -> list[str]:
    """The packages that bring every rung, by the names that they have in every distribution."""
    wanted = {"x11": ("xdotool", "xclip"), "wayland": ("wtype", "wl-copy"), "none": ()}[place.kind]
    package = {"wl-copy": "wl-clipboard"}
    return [package.get(name, name) for name in wanted if name not in place.programs]


def paste_chord(window_class: str) -> str:
    """The keys that paste in a window of this class. Shift+Insert does where it is unknown: both selections are set."""
    name = window_class.casefold()
    if name in ("xterm", "urxvt", "uxterm", "st-256color", ""):
        return XTERM_PASTE
    return TERMINAL_PASTE if name in TERMINALS else USUAL_PASTE


class Injector:
    """Types one text after the other; each `type` waits for the one before."""

    def __init__(self, place: Desktop) -> None:
        self._place = place
        self._turn = asyncio.Lock()

    async def type(self, text: str, *, press_enter: bool = False) -> Done:
        """Put the text where the cursor is. Cancelling may leave a part of it there."""
        async with self._turn:
            done = Done("failed", "copy", self._advice())
            window = await self._focused()
            for way in ladder(self._place, text):
                tried = await self._try(way, text, window)
                if tried is not None:
                    done = tried
                    break
            if done.note and "notify-send" in self._place.programs:
                await run("notify-send", "-a", "Antiphon", done.note)
            if press_enter and done.outcome in ("typed", "pasted"):
                await self._press("Return", window)
            return done

    async def window_class(self) -> str:
        """Of the window that has the focus, such as "firefox"; empty where nobody says."""
        if self._place.kind != "x11" or "xdotool" not in self._place.programs:
            return ""
        code, answer = await run("xdotool", "getactivewindow", "getwindowclassname")
        if code:
            code, answer = await run("xdotool", "getwindowfocus", "getwindowclassname")
        return "" if code else answer.decode("utf-8", "replace").strip()

    async def _focused(self) -> int:
        """The window that the text is for; `NOBODY` where nobody says, as on Wayland."""
        return await asyncio.to_thread(x11_keys.focused) if self._place.kind == "x11" else x11_keys.NOBODY

    async def _try(self, way: Way, text: str, window: int) -> Done | None:
        """None if this way did not work, and the next is to be tried."""
        match way:
            case "x11-keys":
                return await self._type_keys(text, window)
            case "xdotool":
                code, _ = await run("xdotool", "type", "--clearmodifiers", "--delay", "2", "--file", "-", feed=text)
                return None if code else Done("typed", way)
            case "wtype":
                code, _ = await run("wtype", "-d", "2", "-", feed=text)
                return None if code else Done("typed", way)
            case "x11-paste" | "wayland-paste":
                return await self._paste(way, text, window)
            case "copy":
                return await self._keep(text, "")

    async def _type_keys(self, text: str, window: int) -> Done | None:
        match await asyncio.to_thread(x11_keys.typed, text, window):
            case "unknown":
                return None
            case "left":
                return await self._keep(text, LEFT)
            case "done":
                await asyncio.sleep(SETTLE_S)
                if await asyncio.to_thread(x11_keys.is_there, window):
                    return Done("typed", "x11-keys")
                return await self._keep(text, CLOSED)

    async def _keep(self, text: str, reason: str) -> Done:
        """In the clipboard, for the person to paste."""
        if await self._copy(text):
            return Done("copied", "copy", f"{reason}The text is in the clipboard: paste it where you want it.")
        return Done("failed", "copy", f"{reason or 'Nothing here can type or copy. '}{self._advice()}")

    def _advice(self) -> str:
        names = missing(self._place)
        return f"Install: {' '.join(names)}." if names else "The text is in: antiphon dictate history."

    async def _press(self, chord: str, window: int) -> x11_keys.Struck:
        if self._place.kind == "x11":
            return await asyncio.to_thread(x11_keys.pressed, chord, window)
        *modifiers, key = chord.split("+")
        flags = [flag for name in modifiers for flag in ("-M", name)]
        code, _ = await run("wtype", *flags, "-k", key)
        if code:  # no virtual keyboards here, as on GNOME: below the desktop there is another way
            codes = [MODIFIER_CODES[name] for name in modifiers] + [KERNEL_CODES[key]]
            events = [f"{number}:1" for number in codes] + [f"{number}:0" for number in reversed(codes)]
            code, _ = await run("ydotool", "key", *events)
        return "unknown" if code else "done"

    async def _paste(self, way: Way, text: str, window: int) -> Done | None:
        """By way of the clipboard, which is as it was afterwards if the window took the text."""
        before = await self._clipboard()
        if not await self._copy(text):
            return None
        chord = paste_chord(await self.window_class()) if self._place.kind == "x11" else XTERM_PASTE
        match await self._press(chord, window):
            case "unknown":
                return None
            case "left":
                return await self._keep(text, LEFT)
            case "done":
                await asyncio.sleep(RESTORE_S)
        if self._place.kind == "x11" and not await asyncio.to_thread(x11_keys.is_there, window):
            return await self._keep(text, CLOSED)
        if before is not None and await self._pasted() == text.encode():  # unless somebody copied something else since
            kind, data = before
            await self._give(data, kind)
        return Done("pasted", way)

    async def _copy(self, text: str) -> bool:
        """Into both selections; true only once the clipboard gives it back."""
        if not await self._give(text.encode(), None):
            return False
        for _ in range(CHECKS):
            if await self._pasted() == text.encode():
                return True
            await asyncio.sleep(CHECK_S)
        return False

    async def _give(self, data: bytes, kind: str | None) -> bool:
        """Offer these bytes as this type (None: as text) in the clipboard; text also in the primary selection."""
        if self._place.kind == "x11" and "xclip" in self._place.programs:
            target = ("-t", kind) if kind else ()
            selections = ("clipboard",) if kind else ("primary", "clipboard")
            codes = [
                (await run("xclip", "-i", "-selection", name, *target, feed=data, reads=False))[0]
                for name in selections
            ]
        elif self._place.kind == "wayland" and "wl-copy" in self._place.programs:
            target = ("-t", kind) if kind else ()
            flags: Sequence[tuple[str, ...]] = (target,) if kind else (("-p",), ())
            codes = [(await run("wl-copy", *more, feed=data, reads=False))[0] for more in flags]
        else:
            return False
        return not any(codes)

    async def _clipboard(self) -> tuple[str | None, bytes] | None:
        """What is in it, an image too, and of which type; None for nothing, or for what cannot be kept."""
        x11 = self._place.kind == "x11"
        listing = ("xclip", "-o", "-selection", "clipboard", "-t", "TARGETS") if x11 else ("wl-paste", "-l")
        code, answer = await run(*listing)
        kinds = answer.decode("utf-8", "replace").split() if not code else []
        images = [kind for kind in kinds if kind.startswith("image/")]
        if "UTF8_STRING" in kinds or any(kind.startswith("text/plain") for kind in kinds):
            code, data = await run(*(("xclip", "-o", "-selection", "clipboard") if x11 else ("wl-paste", "-n")))
            return None if code else (None, data)
        for kind in images:
            reading: tuple[str, ...] = (
                ("xclip", "-o", "-selection", "clipboard", "-t", kind) if x11 else ("wl-paste", "-t", kind)
            )
            code, data = await run(*reading)
            if not code:
                return kind, data
        return None

    async def _pasted(self) -> bytes:
        x11 = self._place.kind == "x11"
        command = ("xclip", "-o", "-selection", "clipboard") if x11 else ("wl-paste", "-n")
        code, data = await run(*command)
        return b"" if code else data


async def run(*command: str, feed: str | bytes | None = None, reads: bool = True) -> tuple[int, bytes]:
    """A program's status and what it wrote; 127 if it is not there, 124 if it took too long.

    With `reads` false it may leave a child behind that keeps its output open, as clipboards do.
    """
    data = feed.encode() if isinstance(feed, str) else feed
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if data is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if reads else asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return 127, b""
    try:
        async with asyncio.timeout(RUN_S):
            answer, _ = await process.communicate(data)
    except TimeoutError:
        process.kill()
        await process.wait()
        return 124, b""
    return process.returncode or 0, answer or b""
