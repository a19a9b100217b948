"""A window with a text field that writes what is in it into the file it is given. Runs on the system's own Python."""

import pathlib
import sys
import tkinter

path = pathlib.Path(sys.argv[1])
window = tkinter.Tk(className="Field")
field = tkinter.Text(window)
field.pack()
field.focus_force()


def save() -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(field.get("1.0", "end-1c"), encoding="utf-8")
    fresh.replace(path)
    window.after(50, save)


save()
window.mainloop()
