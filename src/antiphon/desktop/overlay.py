"""The preview of what is being said, in a small window that never takes the focus.

The window is a process of its own: whatever it or the screen does, nobody here waits for it. It does not know what the
words are for.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from antiphon.audio.units import Seconds
from antiphon.desktop.packages import install
from antiphon.errors import ConfigError

WINDOW = Path(__file__).with_name("overlay_window.py")
SYSTEM_PYTHON = "/usr/bin/python3"  # has Tk by a package of the system's, where ours has none
MOST_WAITING_BYTES = 4096  # of what a window that hangs has not read: it is told no more until it does
END_S: Seconds = 1.0
PROBE_S: Seconds = 10.0


class Overlay:
    """For as long as `opened` lasts."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def show(self, stable: str, tail: str) -> None:
        """What is certain and what may change; nothing at all hides the window. Never waits, never raises."""
        pipe = self._process.stdin
        if pipe is None or pipe.is_closing() or pipe.transport.get_write_buffer_size() > MOST_WAITING_BYTES:
            return
        pipe.write(json.dumps({"stable": stable, "tail": tail}).encode() + b"\n")


@asynccontextmanager
async def opened() -> AsyncIterator[Overlay]:
    """A window that is hidden. Raises `ConfigError` where no Python has Tk.

    One that cannot be shown, for want of a screen, is one that shows nothing.
    """
    python = await asyncio.to_thread(python_with_tk)
    if python is None:
        raise ConfigError(
            "the overlay needs Tk, and no Python here has it", f"{install(['python3-tk'])}. Or do without --overlay."
        )
    process = await asyncio.create_subprocess_exec(
        python, str(WINDOW), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Overlay(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def python_with_tk() -> str | None:
    """A Python that can show the window; None if none has Tk. Blocks for some 100 ms."""
    if importlib.util.find_spec("_tkinter") is not None:
        return sys.executable
    probe = [SYSTEM_PYTHON, "-c", "import tkinter"]
    try:
        failed = subprocess.run(probe, capture_output=True, timeout=PROBE_S).returncode
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if failed else SYSTEM_PYTHON
