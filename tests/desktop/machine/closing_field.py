"""Two windows with text fields; the one that has the focus closes at its fifth letter, and then the other has it. What
the other is given is written into the file it is given. Runs on the system's own Python.
"""

import pathlib
import sys
import tkinter

path = pathlib.Path(sys.argv[1])
window = tkinter.Tk(className="Other")
other = tkinter.Text(window)
other.pack()
upper = tkinter.Toplevel(window)
field = tkinter.Text(upper)
field.pack()
field.focus_force()


def close_when_full(*_: object) -> None:
    if len(field.get("1.0", "end-1c")) >= 5:
        upper.destroy()
        other.focus_force()


def save() -> None:
    path.write_text(other.get("1.0", "end-1c"), encoding="utf-8")
    window.after(50, save)


field.bind("<KeyRelease>", close_when_full)
field.bind("<<Modified>>", close_when_full)
save()
window.mainloop()
