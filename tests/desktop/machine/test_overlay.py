"""The overlay on a real screen: it shows the words, and what is typed goes where it went before."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from virtual import OVERLAY, output, overlays, until
from Xlib import X, display

from antiphon.desktop.overlay import opened

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]


async def happens(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(until, condition, what)


def test_it_shows_the_words_and_what_is_typed_goes_to_the_field(field: Path) -> None:
    async def story() -> None:
        focused = output("xdotool", "getwindowfocus")
        async with opened() as overlay:
            for stable, tail in (("What time", "is"), ("What time is it", ""), ("日本語 und Grüße", "😀")):
                overlay.show(stable, tail)
                await happens(lambda: overlays() == [f"{stable} {tail}".strip()], "the words")  # noqa: B023 - waited for
                assert output("xdotool", "getwindowfocus") == focused
            output("xdotool", "type", "into the field")
            await happens(lambda: field.read_text("utf-8") == "into the field", "the typed text")
            overlay.show("", "")
            await happens(lambda: not overlays(), "the overlay's end")

    asyncio.run(story())


def test_a_click_does_not_give_it_the_focus(machine: Path) -> None:
    """The window that has it is no toolkit's: those move the focus by themselves where no window manager does."""
    server = display.Display()
    screen = server.screen()
    window = screen.root.create_window(0, 0, 90, 90, 0, screen.root_depth, event_mask=X.KeyPressMask)
    window.map()
    server.sync()
    window.set_input_focus(X.RevertToParent, X.CurrentTime)
    server.sync()

    async def story() -> None:
        async with opened() as overlay:
            overlay.show("here", "")
            await happens(lambda: overlays() == ["here"], "the words")
            number = output("xdotool", "search", "--onlyvisible", "--class", OVERLAY).strip()
            output("xdotool", "mousemove", "--window", number, "20", "20", "click", "1", "key", "a", "b", "c")
            assert server.get_input_focus().focus == window
            keys: list[int] = []
            while len(keys) < 3:
                event = await asyncio.to_thread(server.next_event)
                keys += [event.detail] if event.type == X.KeyPress else []

    asyncio.run(story())
    server.close()


def test_one_that_hangs_holds_nobody_up(machine: Path) -> None:
    async def story() -> None:
        async with asyncio.timeout(60):
            async with opened() as overlay:
                overlay.show("here", "")
                await happens(lambda: overlays() == ["here"], "the words")
                os.kill(overlay._process.pid, signal.SIGSTOP)
                for number in range(10_000):
                    overlay.show(f"{number} " * 10, "")

    asyncio.run(story())
    until(lambda: not overlays(), "the overlay's end")


def test_without_a_screen_it_shows_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")

    async def story() -> None:
        async with asyncio.timeout(60), opened() as overlay:
            await overlay._process.wait()
            for _ in range(10):
                overlay.show("nobody", "sees it")

    asyncio.run(story())
