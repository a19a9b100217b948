"""What the tests on a virtual desktop share: a sound card, a screen and a text field that exist only in memory, and
ways to wait, to speak and to start our programs.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from parts import SYSTEM_PYTHON, missing

NULL_SINKS = ("mouth", "room")
MICROPHONE = ("module-remap-source", "source_name=microphone", "master=room.monitor")
OVERLAY = "^Antiphon$"  # its window's class
PATIENCE_S = 40.0  # with a machine whose cores may be taken away for seconds


def until(happens: Callable[[], bool], what: str = "it") -> None:
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.05)


def question(folder: Path, words: str) -> Path:
    """A recording of somebody who asks this in a quiet room. "What time is it" is what the recogniser is surest of."""
    from antiphon.audio.wav import read_wav, wav_from_mono
    from antiphon.cli.demo import _spoken

    pcm = 0.5 * read_wav(wav_from_mono(asyncio.run(_spoken(words)), 24_000)).pcm
    sound = np.concatenate([np.zeros(12_000), pcm, np.zeros(24_000)])
    sound += np.random.default_rng(1).normal(0, 10 ** (-50 / 20), sound.size)
    path = folder / "question.wav"
    path.write_bytes(wav_from_mono((np.clip(sound, -1, 1) * 32767).astype(np.int16), 24_000))
    return path


def antiphon(*words: str) -> list[str]:
    return [sys.executable, "-m", "antiphon", *words]


def succeeds(*command: str) -> bool:
    return not subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode


def output(*command: str) -> str:
    """What a program writes; its status does not matter."""
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stdout.decode()


def overlays() -> list[str]:
    """The title of each overlay that can be seen: its words."""
    windows = output("xdotool", "search", "--onlyvisible", "--class", OVERLAY).split()
    return [output("xdotool", "getwindowname", window).strip() for window in windows]


def photograph(name: str) -> None:
    """The screen as it is, in build/desktop: for the documents' pictures."""
    from Xlib import X, display  # a tier that has no desktop loads this file, too

    server = display.Display()
    root = server.screen().root
    size = root.get_geometry()
    image = root.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
    server.close()
    frame = av.VideoFrame.from_ndarray(np.frombuffer(image.data, np.uint8).reshape(size.height, size.width, 4), "bgra")
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = size.width, size.height, "rgb24", Fraction(1)
    folder = Path("build/desktop")
    folder.mkdir(parents=True, exist_ok=True)
    packets = codec.encode(frame.reformat(format="rgb24"))
    (folder / f"{name}.png").write_bytes(b"".join(bytes(packet) for packet in packets))


@contextmanager
def started(*command: str, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs while the block does; what it writes is in `log`."""
    out = log.open("wb") if log is not None else None
    process = subprocess.Popen(
        command, stdout=out or subprocess.DEVNULL, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
        if out is not None:
            out.close()


@contextmanager
def screen() -> Iterator[str]:
    """The number of a screen that nobody else has."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24"]
    with (
        subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server,
        os.fdopen(reading) as number,
    ):
        os.close(writing)
        yield number.readline().strip()
        server.terminate()


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a running sound server and screen, which everything started by the tests uses."""
    if missing():
        pytest.fail(f"{', '.join(missing())} are not installed: make desktop-test-deps")
    folder = tmp_path_factory.mktemp("machine")
    folder.chmod(0o700)
    sinks = [word for name in NULL_SINKS for word in ("-L", f"module-null-sink sink_name={name}")]
    remap = ("-L", " ".join(MICROPHONE))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name in ("XDG_RUNTIME_DIR", "HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            patch.setenv(name, str(folder))
        patch.delenv("WAYLAND_DISPLAY", raising=False)
        patch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        stack.enter_context(
            started("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes",
                    "-L", "module-native-protocol-unix", *sinks, *remap)
        )  # fmt: skip
        patch.setenv("DISPLAY", f":{stack.enter_context(screen())}")
        until(lambda: succeeds("pactl", "info"), "the sound server's start")
        until(lambda: succeeds("xdotool", "getmouselocation"), "the screen's start")
        yield folder


@pytest.fixture
def field(machine: Path) -> Iterator[Path]:
    """What stands in the text field of the window that has the focus."""
    path = machine / "field.txt"
    path.unlink(missing_ok=True)
    with started(SYSTEM_PYTHON, str(Path(__file__).parent / "field.py"), str(path)):
        until(path.exists, "the window")
        time.sleep(0.5)  # the window is mapped and takes the focus: nothing says so without a window manager
        yield path


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A session bus that nobody else is on."""
    address = f"unix:path={tmp_path / 'bus'}"
    command = ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={address}", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()  # it prints its address once it listens
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield
        daemon.terminate()
