"""Which keys are meant, and what the kernel's bytes tell of them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from antiphon.desktop.dictation.hotkeys.chord import Shortcut, Stroke, chord
from antiphon.desktop.dictation.hotkeys.evdev import EV_KEY, EVENT, Chords, watch
from antiphon.desktop.dictation.preferences import Keys
from antiphon.errors import ConfigError

DICTATE = Shortcut("dictate", chord("ctrl+space"), "Dictate")
CANCEL = Shortcut("cancel", chord("f9"), "Throw away")
CTRL, SHIFT, SPACE, F9 = 29, 42, 57, 67


def keys(*strokes: tuple[int, int]) -> bytes:
    """Of codes and values, each followed by what ends a report."""
    return b"".join(EVENT.pack(0, 0, EV_KEY, code, value) + EVENT.pack(0, 0, 0, 0, 0) for code, value in strokes)


def test_what_people_write() -> None:
    assert str(chord(" Win + Control+F12 ")) == "ctrl+super+f12"
    assert chord("alt+shift+enter").portal == "ALT+SHIFT+Return"
    assert (chord("f10").key.kernel, chord("f11").key.kernel, chord("p").key.kernel) == (68, 87, 25)
    with pytest.raises(ConfigError, match=r"(?s)no key: there is none called 'spce'.*Did you mean 'space'"):
        chord("ctrl+spce")
    with pytest.raises(ConfigError, match="'hyper' is not held with others"):
        chord("hyper+a")


def test_one_key_is_for_one_thing() -> None:
    assert [shortcut.name for shortcut in Keys(raw="").shortcuts()] == ["dictate", "cancel"]
    with pytest.raises(ConfigError, match="two things"):
        Keys(dictate="f9", raw="F9").shortcuts()


def test_a_chord_is_its_key_with_exactly_these_modifiers() -> None:
    chords = Chords([DICTATE, CANCEL])
    assert chords.feed(keys((SPACE, 1), (SPACE, 0))) == []
    pressed, released = Stroke("dictate", is_down=True), Stroke("dictate", is_down=False)
    assert chords.feed(keys((CTRL, 1), (SPACE, 1), (SPACE, 2), (SPACE, 2))) == [pressed], "it repeats while it is held"
    assert chords.feed(keys((CTRL, 0))) == [], "the finger leaves the modifier first"
    assert chords.feed(keys((SPACE, 0))) == [released]
    assert chords.feed(keys((CTRL, 1), (SHIFT, 1), (SPACE, 1), (SPACE, 0))) == []


def test_bytes_that_come_in_parts_and_a_keyboard_that_goes() -> None:
    chords = Chords([CANCEL])
    data = keys((F9, 1))
    assert chords.feed(data[:7]) == []
    assert chords.feed(data[7:]) == [Stroke("cancel", is_down=True)]
    assert chords.release() == [Stroke("cancel", is_down=False)]
    assert chords.release() == []


@pytest.mark.real
def test_keyboards_are_read_until_all_are_gone(tmp_path: Path) -> None:
    """A pipe stands for the kernel's file: what it gives are the same bytes."""
    device = tmp_path / "keyboard"
    os.mkfifo(device)
    strokes: list[Stroke] = []

    async def story() -> None:
        def press() -> None:
            with device.open("wb", buffering=0) as pipe:
                pipe.write(keys((F9, 1), (F9, 0)))

        writing: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        with pytest.raises(ConfigError, match="all keyboards are gone"):
            await watch(
                [CANCEL], strokes.append, lambda: writing.append(loop.create_task(asyncio.to_thread(press))), [device]
            )
        await writing[0]

    asyncio.run(story())
    assert strokes == [Stroke("cancel", is_down=True), Stroke("cancel", is_down=False)]
    with pytest.raises(ConfigError, match=r"(?s)no keyboard can be read.*aG input"):
        asyncio.run(watch([CANCEL], strokes.append, lambda: None, [tmp_path / "none"]))
