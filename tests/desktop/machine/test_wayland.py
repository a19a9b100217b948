"""A Wayland compositor without a screen: what is typed and pasted there arrives, and the clipboard is as it was."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from parts import missing
from virtual import overlays, started, succeeds, until

from antiphon.desktop.dictation.injection import Injector, desktop, run
from antiphon.desktop.overlay import opened
from antiphon.desktop.survey import surveyed

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

NOBODY = 65534


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a program in a terminal, which has the focus, is given. Sway does not run as the superuser."""
    if missing():
        pytest.fail(f"{', '.join(missing())} are not installed: make desktop-test-deps")
    with tempfile.TemporaryDirectory(prefix="antiphon-") as name, ExitStack() as stack:
        folder = Path(name)
        as_nobody: tuple[str, ...] = ()
        if os.getuid() == 0:
            as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
            os.chown(folder, NOBODY, NOBODY)
        path, config = folder / "typed.txt", folder / "sway.config"
        writing = f"echo $DISPLAY > {folder}/display; xhost +local:; stty raw -echo; exec cat > {path}"
        config.write_text(f"xwayland force\nexec foot sh -c '{writing}'\n")
        for variable, value in {
            "XDG_RUNTIME_DIR": name, "HOME": name, "LC_ALL": "C.UTF-8", "WLR_BACKENDS": "headless",
            "WLR_LIBINPUT_NO_DEVICES": "1", "WLR_RENDERER": "pixman",
        }.items():  # fmt: skip
            monkeypatch.setenv(variable, value)
        for variable in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
            monkeypatch.delenv(variable, raising=False)
        stack.enter_context(started(*as_nobody, "sway", "-c", str(config)))
        until(lambda: any(folder.glob("wayland-*")), "the compositor's start")
        socket = next(path for path in folder.glob("wayland-*") if path.suffix != ".lock")
        monkeypatch.setenv("WAYLAND_DISPLAY", socket.name)
        until(path.exists, "the terminal's start")
        monkeypatch.setenv("SWAYSOCK", str(next(folder.glob("sway-ipc*"))))
        until(lambda: succeeds("swaymsg", '[app_id="foot"]', "focus"), "the terminal's window")
        # A seat has a keyboard for as long as somebody has one: without this, each wtype would bring one and type on it
        # before the terminal knows of it. Nothing says when it does.
        stack.enter_context(started("wtype", "-s", "100000"))
        time.sleep(0.5)
        yield path


@pytest.mark.parametrize("text", ["plain words", "Ünïcödé 日本語 😀", "x" * 1000], ids=["typed", "pasted", "long"])
def test_a_text_arrives_whole(typed: Path, text: str) -> None:
    injector = Injector(desktop())

    async def story() -> tuple[str, bytes]:
        await run("wl-copy", feed="what was there", reads=False)
        done = await injector.type(text)
        _, clipboard = await run("wl-paste", "-n")
        return done.outcome, clipboard

    outcome, clipboard = asyncio.run(story())
    until(lambda: text.encode() in typed.read_bytes(), "the text")
    assert outcome in ("typed", "pasted")
    assert clipboard == b"what was there"


def test_the_overlay_is_seen_and_the_terminal_keeps_the_focus(typed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", (typed.parent / "display").read_text().strip())

    async def story() -> None:
        before = await asyncio.to_thread(picture)
        async with asyncio.timeout(60), opened() as overlay:
            overlay.show("what is heard", "so far")
            await asyncio.to_thread(until, lambda: overlays() == ["what is heard so far"], "the words")
            await asyncio.to_thread(until, lambda: picture() != before, "the window on the screen")
            await run("wtype", "plain words")
            await asyncio.to_thread(until, lambda: b"plain words" in typed.read_bytes(), "the typed text")

    asyncio.run(story())


def picture() -> bytes:
    """Of the screen, where the overlay is: a place that the terminal leaves empty."""
    return subprocess.run(["grim", "-t", "ppm", "-g", "300,600 200x60", "-"], check=True, capture_output=True).stdout


def test_the_doctor_sees_that_programs_may_type_here(typed: Path) -> None:
    assert os.environ["WAYLAND_DISPLAY"]
    findings = {finding.what: finding for finding in surveyed()}
    assert findings["desktop"].text.endswith("Wayland")
    assert findings["typing"].text == "wtype, wayland-paste, copy"
    assert not findings["hotkeys"].is_well, "sway has no portal of its own, and there is no bus"
