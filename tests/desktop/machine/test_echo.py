"""The speaker's sound comes back to the microphone, as in a room: what the sound server's canceller leaves of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from virtual import antiphon, output, question, started, succeeds, until

from antiphon.desktop.card import Request
from antiphon.desktop.echo import MODULE, EchoCanceller
from antiphon.errors import ConfigError

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def room(machine: Path) -> Iterator[Path]:
    """What the speaker plays is heard by the microphone, 40 ms later."""
    loaded = output("pactl", "load-module", "module-loopback", "source=mouth.monitor", "sink=room", "latency_msec=40")
    yield machine
    output("pactl", "unload-module", loaded.strip())


def test_the_speaker_is_taken_out_of_the_microphone(room: Path) -> None:
    speech = question(room, "what is the weather like in the town where you live, and what is the time there")
    canceller = EchoCanceller(Request("microphone", "mouth"))
    devices = canceller.loaded()
    paths = {name: room / f"{name}.raw" for name in (devices.microphone, "microphone")}
    try:
        for _ in range(2):  # it learns from the first
            with started("parec", "-d", "microphone", log=paths["microphone"]), \
                 started("parec", "-d", str(devices.microphone), log=paths[devices.microphone]):  # fmt: skip
                output("paplay", "-d", str(devices.speaker), str(speech))
    finally:
        canceller.unload()
    bare, cancelled = (level_db(paths[name]) for name in ("microphone", devices.microphone))
    assert bare > -40, "the room brings the speaker's sound to the microphone"
    assert cancelled < bare - 15
    assert MODULE not in output("pactl", "list", "short", "modules")


def level_db(path: Path) -> float:
    data = path.read_bytes()
    samples = np.frombuffer(data[: len(data) // 2 * 2], np.int16).astype(np.float64) / 32768
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


def test_what_a_killed_program_left_behind_is_put_away(room: Path) -> None:
    names = ("source_name=antiphon_microphone_999999", "sink_name=antiphon_speaker_999999")
    assert succeeds("pactl", "load-module", MODULE, "source_master=microphone", "sink_master=mouth", *names)
    canceller = EchoCanceller(Request("microphone", "mouth"))
    canceller.loaded()
    assert "999999" not in output("pactl", "list", "short", "modules")
    canceller.unload()


def test_without_a_sound_server_it_says_what_to_do(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine))
    with pytest.raises(ConfigError, match=r"pactl.*is not here\n.*--duplex half"):
        EchoCanceller(Request()).loaded()


def test_it_is_there_for_as_long_as_somebody_talks(room: Path) -> None:
    log = room / "cancel.log"
    talk = antiphon("talk", "--microphone", "microphone", "--speaker", "mouth", "--duplex", "cancel")
    with started(*talk, log=log):
        until(lambda: MODULE in output("pactl", "list", "short", "modules"), "the canceller")
    until(lambda: MODULE not in output("pactl", "list", "short", "modules"), "the canceller's end")
