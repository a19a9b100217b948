"""A small window above all others with the words that were heard so far: a program of its own, which any Python runs
that has Tk, with none of our packages.

It reads lines of JSON, {"stable": "words", "tail": "that may change"}, shows the newest, hides if both are empty, and
ends with its input. No window manager has a say in it, and it asks for no key: it cannot take the focus. On Wayland it
is a window of Xwayland's, which every compositor shows as X11 would. It does not know what the words are for.
"""

from __future__ import annotations

import json
import os
import sys
import tkinter
from tkinter import font

WIDTH_SHARE, MOST_WIDTH_PX = 0.6, 760
LINES = 2
BOTTOM_SHARE = 0.1  # of the screen's height that stays free below it
BACKGROUND, STABLE, TAIL = "#16181d", "#f4f5f7", "#9aa3b2"
OPAQUE = 0.93
READ_BYTES = 65_536


class Window:
    """One window, hidden until there is something to say."""

    def __init__(self) -> None:
        self._root = tkinter.Tk(className="Antiphon")
        self._root.withdraw()
        self._root.overrideredirect(True)
        self._root.attributes("-topmost", True)
        self._root.configure(background=BACKGROUND)
        letters = font.nametofont("TkDefaultFont").copy()
        letters.configure(size=14)
        self._words = tkinter.Text(
            self._root, height=LINES, wrap="word", font=letters, background=BACKGROUND, foreground=STABLE,
            borderwidth=0, highlightthickness=0, padx=18, pady=12, takefocus=0, cursor="arrow",
        )  # fmt: skip
        self._words.bindtags(())  # a click does nothing, least of all take the focus
        self._words.tag_configure("tail", foreground=TAIL)
        self._words.pack(fill="both", expand=True)
        self._begun = b""
        self._root.createfilehandler(sys.stdin, tkinter.READABLE, self._read)

    def run(self) -> None:
        """Until the input ends."""
        self._root.mainloop()

    def _read(self, *_: object) -> None:
        data = os.read(sys.stdin.fileno(), READ_BYTES)
        if not data:
            self._root.destroy()
            return
        *lines, self._begun = (self._begun + data).split(b"\n")
        if lines:
            said = json.loads(lines[-1])
            self._show(said["stable"], said["tail"])

    def _show(self, stable: str, tail: str) -> None:
        text = f"{stable} {tail}".strip()
        self._root.title(text)
        if not text:
            self._root.withdraw()
            return
        self._words.delete("1.0", "end")
        self._words.insert("end", stable)
        self._words.insert("end", f" {tail}" if stable else tail, "tail")
        self._words.see("end")
        if self._root.state() == "withdrawn":
            self._place()
            self._root.deiconify()

    def _place(self) -> None:
        """Below the middle of the screen: out of the way of most text fields."""
        across, down = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
        self._root.update_idletasks()
        width, height = min(MOST_WIDTH_PX, round(across * WIDTH_SHARE)), self._words.winfo_reqheight()
        left, top = (across - width) // 2, round(down * (1 - BOTTOM_SHARE)) - height
        self._root.geometry(f"{width}x{height}+{left}+{top}")
        self._root.attributes("-alpha", OPAQUE)  # needs a compositor, and does nothing without one


if __name__ == "__main__":
    try:
        Window().run()
    except tkinter.TclError as error:  # no screen, or one that went away
        sys.exit(f"no window: {error}")
