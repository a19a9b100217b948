"""Both programs on a sound card and a screen that exist only in memory: real speech in, text in a real window out."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from parts import SYSTEM_PYTHON
from virtual import MICROPHONE, antiphon, overlays, photograph, question, started, succeeds, until

from antiphon.desktop.dictation import x11_keys
from antiphon.desktop.dictation.control import ask, socket_path
from antiphon.desktop.dictation.injection import Done, Injector, desktop, run

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

LONG = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. "


@pytest.mark.parametrize(
    "text",
    ["plain words", "Ünïcödé, ça va?", "日本語のテスト", "😀 🎉", "one\ntwo\n", (LONG * 70)[:4000]],
    ids=["ascii", "accents", "cjk", "emoji", "lines", "4000"],
)
def test_a_text_arrives_whole_and_the_clipboard_is_as_it_was(field: Path, text: str) -> None:
    injector = Injector(desktop())

    async def story() -> tuple[str, bytes]:
        await run("xclip", "-i", "-selection", "clipboard", feed="what was there", reads=False)
        done = await injector.type(text)
        _, clipboard = await run("xclip", "-o", "-selection", "clipboard")
        return done.outcome, clipboard

    outcome, clipboard = asyncio.run(story())
    until(lambda: len(field.read_text("utf-8")) >= len(text))
    assert field.read_text("utf-8") == text
    assert outcome in ("typed", "pasted")
    assert clipboard == b"what was there"


def test_an_image_in_the_clipboard_survives(field: Path) -> None:
    image = b"\x89PNG\r\n\x1a\n" + os.urandom(2000)

    injector = Injector(desktop())

    async def story() -> bytes:
        await run("xclip", "-i", "-selection", "clipboard", "-t", "image/png", feed=image, reads=False)
        await injector.type("é" * 50)
        _, clipboard = await run("xclip", "-o", "-selection", "clipboard", "-t", "image/png")
        return clipboard

    assert asyncio.run(story()) == image
    until(lambda: field.read_text("utf-8") == "é" * 50)


@pytest.mark.parametrize("text", ["short words", "é" * 50], ids=["typed", "pasted"])
def test_a_window_that_closes_meanwhile_leaves_the_text_in_the_clipboard(machine: Path, text: str) -> None:
    path = machine / "other.txt"
    path.unlink(missing_ok=True)
    injector = Injector(desktop())

    async def story() -> tuple[Done, bytes]:
        done = await injector.type(text, press_enter=True)
        _, clipboard = await run("xclip", "-o", "-selection", "clipboard")
        return done, clipboard

    with started(SYSTEM_PYTHON, str(Path(__file__).parent / "closing_field.py"), str(path)):
        until(path.exists, "the windows")
        time.sleep(0.5)  # likewise
        done, clipboard = asyncio.run(story())
        time.sleep(0.3)  # for what the other window might yet be given
        assert path.read_text("utf-8") == "", "another window got some of it"
    assert done.outcome == "copied"
    assert done.note.startswith("The window closed while it was typed into. The text is in the clipboard")
    assert clipboard.decode() == text


def test_a_window_that_was_left_gets_nothing(field: Path) -> None:
    assert x11_keys.typed("no", x11_keys.focused() + 1) == "left"
    assert x11_keys.pressed("ctrl+v", x11_keys.focused() + 1) == "left"
    assert x11_keys.typed('Yes, "here": {~}', x11_keys.focused()) == "done"
    until(lambda: field.read_text("utf-8") == 'Yes, "here": {~}', "the letters")


def test_a_german_keyboard_types_as_well_and_one_without_the_letters_says_so(field: Path) -> None:
    try:
        subprocess.run(["setxkbmap", "de"], check=True)
        assert x11_keys.typed("Zyklus; (x)", x11_keys.focused()) == "done"
        until(lambda: field.read_text("utf-8") == "Zyklus; (x)", "the letters")
        assert x11_keys.typed("{", x11_keys.focused()) == "unknown", "it is on a third level"
        subprocess.run(["setxkbmap", "ru"], check=True)
        assert x11_keys.typed("abc", x11_keys.focused()) == "unknown"
    finally:
        subprocess.run(["setxkbmap", "us"], check=True)


def test_dictation_from_the_microphone_into_a_window(machine: Path, field: Path) -> None:
    """By the control socket, as a key that the desktop itself watches does it; what is heard is seen meanwhile."""
    speech = question(machine, "what time is it")
    program = antiphon("dictate", "--microphone", "microphone", "--assistant", "--hotkeys", "none", "--overlay")
    with started(*program):
        until(lambda: succeeds(*antiphon("dictate", "status")), "the program's start")
        steer("start")
        until(lambda: overlays() == ["●"], "the overlay")
        subprocess.run(["paplay", "-d", "room", speech], check=True)
        until(lambda: overlays() == ["what time is it"], "the words")
        photograph("overlay")
        steer("stop")
        until(lambda: field.read_text("utf-8") == "What time is it", "the text")
        until(lambda: not overlays(), "the overlay's end")
    listed = subprocess.run(antiphon("dictate", "history", "time"), check=True, capture_output=True, text=True)
    assert "What time is it" in listed.stdout


def test_a_microphone_that_is_unplugged_in_mid_sentence(machine: Path, field: Path) -> None:
    """The sound server gives us its default instead, and what is said goes on."""
    speech = question(machine, "what time is it")
    subprocess.run(["pactl", "set-default-source", "room.monitor"], check=True)
    program = antiphon("dictate", "--microphone", "microphone", "--assistant", "--hotkeys", "none")
    with started(*program), ExitStack() as stack:
        until(lambda: succeeds(*antiphon("dictate", "status")), "the program's start")
        steer("start")
        assert succeeds("pactl", "unload-module", MICROPHONE[0])
        stack.callback(succeeds, "pactl", "load-module", *MICROPHONE)
        subprocess.run(["paplay", "-d", "room", speech], check=True)
        steer("stop")
        until(lambda: field.read_text("utf-8") == "What time is it", "the text")


def test_a_held_key_dictates_and_another_leaves_the_text_raw(machine: Path, field: Path) -> None:
    speech = question(machine, "what time is it")
    log = machine / "dictate.log"
    with started(*antiphon("dictate", "--microphone", "microphone", "--assistant"), log=log):
        until(lambda: "hotkeys: dictate: ctrl+alt+space" in log.read_text(), "the hotkeys' grab")
        for keys, text in (
            (("ctrl", "alt", "space"), "What time is it"),
            (("ctrl", "alt", "shift", "space"), "what time is it"),
        ):
            before = field.read_text("utf-8")
            subprocess.run(["xdotool", "keydown", *" keydown ".join(keys).split()], check=True)
            subprocess.run(["paplay", "-d", "room", speech], check=True)
            subprocess.run(["xdotool", "keyup", *" keyup ".join(reversed(keys)).split()], check=True)
            until(lambda: field.read_text("utf-8") == before + text, text)  # noqa: B023 - done before the next turn


def test_a_spoken_question_is_answered_aloud(machine: Path) -> None:
    speech = question(machine, "what time is it")
    log, heard = machine / "talk.log", machine / "heard.raw"
    with (
        started(*antiphon("talk", "--microphone", "microphone", "--speaker", "mouth"), log=log),
        started("parec", "-d", "mouth.monitor", "--rate=24000", "--channels=1", log=heard),
    ):
        until(lambda: "tts:" in log.read_text(), "the server's start")
        time.sleep(2.0)  # the devices open after the server is ready, and nothing is printed of it
        subprocess.run(["paplay", "-d", "room", speech], check=True)
        until(lambda: "\nantiphon " in log.read_text(), "the answer")
        time.sleep(2.0)  # it is said in less
    samples = np.frombuffer(heard.read_bytes()[: heard.stat().st_size // 2 * 2], np.int16)
    assert np.abs(samples).max() > 1000, "nothing came out of the speaker"


def test_the_doctor_knows_this_desktop(machine: Path) -> None:
    command = antiphon("doctor", "--listen", "--microphone", "microphone")
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "typing: x11-keys, x11-paste, xdotool, copy" in told
    assert "hotkeys: by the X server" in told
    assert "microphone: Remapped" in told
    assert "0 overruns, 0 frames lost" in told
    assert "It is silent" in told, "nobody speaks in this room"


def test_a_server_that_goes_away_in_mid_sentence_is_found_again(machine: Path) -> None:
    log = machine / "away.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    serve = antiphon("serve", "--port", port, "--stt", "fake", "--llm", "fake", "--tts", "fake")
    talk = antiphon(
        "talk", "--server", f"ws://127.0.0.1:{port}/v1/realtime", "--microphone", "microphone", "--no-speaker"
    )
    ready = (sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}))")
    speech = question(machine, "what time is it")
    with ExitStack() as stack:
        server = stack.enter_context(started(*serve))
        until(lambda: succeeds(*ready), "the server's start")
        stack.enter_context(started(*talk, log=log))
        until(lambda: heard_in(log, speech), "an answer")
        speaker = stack.enter_context(started("paplay", "-d", "room", str(speech)))
        server.kill()  # in mid-sentence, and without a word
        speaker.wait()
        until(lambda: "the connection is gone" in log.read_text(), "the loss")
        stack.callback(stack.enter_context(started(*serve)).kill)  # it would wait for those who are connected
        until(lambda: "connected again: the conversation goes on" in log.read_text(), "the connection")
        answers = log.read_text().count("\nantiphon ")
        until(lambda: heard_in(log, speech, answers), "another answer")


def steer(command: str) -> None:
    ask(command, socket_path())


def heard_in(log: Path, speech: Path, answers: int = 0) -> bool:
    """Whether there are more answers: said again and again, for the program opens its devices when it likes."""
    subprocess.run(["paplay", "-d", "room", speech], check=True)
    return log.read_text().count("\nantiphon ") > answers
