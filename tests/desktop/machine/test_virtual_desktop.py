"""Both programs on a sound card and a screen that exist only in memory: real speech in, text in a real window out."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio.wav import read_wav, wav_from_mono
from antiphon.cli.demo import _spoken
from antiphon.desktop.dictation.injection import Injector, desktop, run

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]
NEEDED = ("Xvfb", "xdotool", "xclip", "pulseaudio", "paplay", "parec")
SCREEN = ":93"
NULL_SINKS = ("mouth", "room")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a running sound server and screen, which everything started by the tests uses."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} are not installed: sudo make desktop-test-deps")
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o700)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_RUNTIME_DIR", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(folder))
        patch.setenv("DISPLAY", SCREEN)
        patch.delenv("WAYLAND_DISPLAY", raising=False)
        sinks = [word for name in NULL_SINKS for word in ("-L", f"module-null-sink sink_name={name}")]
        remap = ("-L", "module-remap-source source_name=microphone master=room.monitor")
        commands = (
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes",
             "-L", "module-native-protocol-unix", *sinks, *remap],
            ["Xvfb", SCREEN, "-screen", "0", "800x600x24"],
        )  # fmt: skip
        processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in commands]
        until(lambda: not subprocess.run(["pactl", "info"], capture_output=True).returncode)
        until(lambda: not subprocess.run(["xdotool", "getmouselocation"], capture_output=True).returncode)
        yield folder
        for process in processes:
            process.terminate()
            process.wait()


@pytest.fixture
def field(machine: Path) -> Iterator[Path]:
    """What stands in the text field of the window that has the focus."""
    path = machine / "field.txt"
    path.unlink(missing_ok=True)
    process = subprocess.Popen(["/usr/bin/python3", str(Path(__file__).parent / "field.py"), str(path)])
    until(path.exists)
    time.sleep(0.5)  # the window is mapped and takes the focus: nothing says so without a window manager
    yield path
    process.terminate()
    process.wait()


def until(happens: Callable[[], bool], patience_s: float = 20.0) -> None:
    end = time.monotonic() + patience_s
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def question(folder: Path, words: str) -> Path:
    """A recording of somebody who asks this in a quiet room."""
    pcm = 0.5 * read_wav(wav_from_mono(asyncio.run(_spoken(words)), 24_000)).pcm
    sound = np.concatenate([np.zeros(12_000), pcm, np.zeros(24_000)])
    sound += np.random.default_rng(1).normal(0, 10 ** (-50 / 20), sound.size)
    path = folder / "question.wav"
    path.write_bytes(wav_from_mono((np.clip(sound, -1, 1) * 32767).astype(np.int16), 24_000))
    return path


def antiphon(*words: str) -> list[str]:
    return [sys.executable, "-m", "antiphon", *words]


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


def test_dictation_from_the_microphone_into_a_window(machine: Path, field: Path) -> None:
    speech = question(machine, "what is twelve times seven")
    with (machine / "dictate.log").open("w") as log:
        program = subprocess.Popen(antiphon("dictate", "--microphone", "microphone", "--assistant"), stdout=log)
        try:
            until(lambda: not subprocess.run(antiphon("dictate", "status"), capture_output=True).returncode, 40)
            subprocess.run(antiphon("dictate", "start"), check=True, capture_output=True)
            subprocess.run(["paplay", "-d", "room", speech], check=True)
            subprocess.run(antiphon("dictate", "stop"), check=True, capture_output=True)
            until(lambda: field.read_text("utf-8") == "What is 12 times seven")
        finally:
            program.terminate()
            program.wait()
    listed = subprocess.run(antiphon("dictate", "history", "twelve"), check=True, capture_output=True, text=True)
    assert "What is 12 times seven" in listed.stdout


def test_a_spoken_question_is_answered_aloud(machine: Path) -> None:
    speech = question(machine, "what is twelve times seven")
    log = machine / "talk.log"
    heard = machine / "heard.raw"
    with log.open("w") as out, heard.open("wb") as sound:
        program = subprocess.Popen(
            antiphon("talk", "--microphone", "microphone", "--speaker", "mouth"), stdout=out, stdin=subprocess.DEVNULL
        )
        recorder = subprocess.Popen(["parec", "-d", "mouth.monitor", "--rate=24000", "--channels=1"], stdout=sound)
        try:
            until(lambda: "tts:" in log.read_text(), 40)
            time.sleep(2.0)  # the devices open after the server is ready, and nothing is printed of it
            subprocess.run(["paplay", "-d", "room", speech], check=True)
            until(lambda: "84" in log.read_text())
            time.sleep(2.0)  # it is said in less
        finally:
            for process in (program, recorder):
                process.terminate()
                process.wait()
    samples = np.frombuffer(heard.read_bytes()[: heard.stat().st_size // 2 * 2], np.int16)
    assert np.abs(samples).max() > 1000, "nothing came out of the speaker"
