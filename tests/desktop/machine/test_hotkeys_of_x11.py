"""The X server hands over our chords, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import subprocess
from pathlib import Path

import pytest

from antiphon.desktop.dictation.hotkeys.chord import Shortcut, Stroke, chord
from antiphon.desktop.dictation.hotkeys.x11 import watch
from antiphon.errors import ConfigError

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

DICTATE = Shortcut("dictate", chord("ctrl+alt+space"), "Dictate")
CANCEL = Shortcut("cancel", chord("f9"), "Throw away")


async def xdotool(*words: str) -> None:
    await asyncio.to_thread(subprocess.run, ["xdotool", *words], check=True)


def test_strokes_come_whole_repetitions_do_not(machine: Path) -> None:
    strokes: asyncio.Queue[Stroke] = asyncio.Queue()

    async def story() -> None:
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            watching = group.create_task(watch([DICTATE, CANCEL], strokes.put_nowait, began.set))
            await began.wait()
            await xdotool("key", "space", "key", "ctrl+shift+alt+space")
            await xdotool("keydown", "ctrl", "keydown", "alt", "keydown", "space")
            assert await strokes.get() == Stroke("dictate", is_down=True)
            await asyncio.sleep(1.2)  # the server repeats a held key after 0.66 s, 25 times a second
            await xdotool("keyup", "ctrl", "keyup", "space", "keyup", "alt")
            assert await strokes.get() == Stroke("dictate", is_down=False)
            await xdotool("key", "Num_Lock", "key", "F9", "key", "Num_Lock")
            assert [(await strokes.get()).is_down for _ in range(2)] == [True, False]
            watching.cancel()
        assert strokes.empty()

    asyncio.run(story())


def test_a_chord_that_is_taken(machine: Path) -> None:
    async def story() -> None:
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            watching = group.create_task(watch([CANCEL], lambda _: None, began.set))
            await began.wait()
            with pytest.raises(ConfigError, match="another program holds f9 already"):
                await watch([CANCEL], lambda _: None, lambda: None)
            watching.cancel()

    asyncio.run(story())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_screen_at_all(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library leaves the sockets open with which it found nobody; so does the program, which then ends."""
    monkeypatch.setenv("DISPLAY", ":250")
    with pytest.raises(ConfigError, match="the X server cannot be asked"):
        asyncio.run(watch([CANCEL], lambda _: None, lambda: None))
    gc.collect()


def test_another_layout_moves_the_keys(machine: Path) -> None:
    """On a German keyboard, y is where z is on others: the letter counts, not the place."""
    strokes: asyncio.Queue[Stroke] = asyncio.Queue()
    shortcut = Shortcut("dictate", chord("ctrl+y"), "Dictate")

    async def story() -> None:
        began = asyncio.Event()
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            watching = group.create_task(watch([shortcut], strokes.put_nowait, began.set))
            await began.wait()
            await asyncio.to_thread(subprocess.run, ["setxkbmap", "de"], check=True)
            while strokes.empty():
                await xdotool("key", "ctrl+y")
                await asyncio.sleep(0.1)
            watching.cancel()

    try:
        asyncio.run(story())
    finally:
        subprocess.run(["setxkbmap", "us"], check=True)
