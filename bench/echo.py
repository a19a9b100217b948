"""How much of its own voice Antiphon hears with `--duplex cancel`, and what becomes of a person who speaks meanwhile.

On a sound card that exists only in memory: what the speaker plays comes back to the microphone 12 dB softer and some
tens of ms later, as in a small room without reverberation. A real room is harder.

    python bench/echo.py [FILE]     # half a minute; needs PulseAudio's programs. FILE: 16 kHz WAV of the far voice
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from antiphon.audio.pcm import float_from_int16
from antiphon.audio.resample import resampled
from antiphon.audio.units import HEARING_RATE, WIRE_RATE, Pcm
from antiphon.audio.wav import read_wav, wav_from_mono
from antiphon.desktop.card import Request
from antiphon.desktop.echo import EchoCanceller
from antiphon.engines.api import SttRequest
from antiphon.engines.stt.pocketsphinx import PocketSphinx
from common import machine, speech
from dictation import started

FAR = (
    "The weather tomorrow will be mild, with a little rain in the morning, and sun from noon on. In the evening the "
    "wind turns to the north, and it becomes colder. Take a coat with you if you go out, and an umbrella."
)
NEAR = "what time is it"
NEAR_AT_S = 7.0  # after the far voice began: the canceller has learned by then
SETTLED_S = 4.0
ECHO_DB, ECHO_MS = -12.0, 40
CARD = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes",
        "-L", "module-native-protocol-unix", "-L", "module-null-sink sink_name=room",
        "-L", "module-null-sink sink_name=mouth",
        "-L", "module-remap-source source_name=microphone master=room.monitor",
        "-L", f"module-loopback source=mouth.monitor sink=room latency_msec={ECHO_MS}"]  # fmt: skip


def played(sound: Pcm, folder: Path, name: str, device: str) -> subprocess.Popen[bytes]:
    path = folder / f"{name}.wav"
    path.write_bytes(wav_from_mono((np.clip(sound, -1, 1) * 32767).astype(np.int16), HEARING_RATE))
    return subprocess.Popen(["paplay", "-d", device, str(path)])


def recorded(folder: Path, name: str) -> Pcm:
    data = (folder / f"{name}.raw").read_bytes()
    return float_from_int16(np.frombuffer(data[: len(data) // 2 * 2], np.int16))


def level_db(sound: Pcm) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-12))


def heard(folder: Path, canceller: EchoCanceller, far: Pcm, near: Pcm | None) -> dict[str, Pcm]:
    """What the microphone brings with and without the canceller while the far voice speaks, and the near one if any."""
    devices = canceller.loaded()
    with ExitStack() as stack:
        for name, source in (("bare", "microphone"), ("cancelled", devices.microphone)):
            out = stack.enter_context((folder / f"{name}.raw").open("wb"))
            command = ["parec", "-d", str(source), f"--rate={HEARING_RATE}", "--channels=1"]
            recording = stack.enter_context(subprocess.Popen(command, stdout=out))
            stack.callback(recording.terminate)
        time.sleep(0.5)
        voice = played(far, folder, "far", str(devices.speaker))
        if near is not None:
            time.sleep(NEAR_AT_S)
            played(near, folder, "near", "room").wait()
        voice.wait()
        time.sleep(0.5)
    canceller.unload()
    return {name: recorded(folder, name) for name in ("bare", "cancelled")}


async def words(sounds: list[Pcm]) -> list[str]:
    recogniser, request = PocketSphinx(), SttRequest(purpose="conversation")
    try:
        await recogniser.warm()
        return [result.text for sound in sounds async for result in recogniser.transcribe(sound, request)]
    finally:
        await recogniser.close()


def main() -> None:
    print(machine())
    far, near = (resampled(float_from_int16(pcm), WIRE_RATE, HEARING_RATE) for pcm in asyncio.run(speech((FAR, NEAR))))
    if sys.argv[1:]:
        far = read_wav(Path(sys.argv[1]).read_bytes()).pcm
    far, near = 0.7 * far / np.abs(far).max(), 0.5 * near / np.abs(near).max()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for variable in ("XDG_RUNTIME_DIR", "HOME"):
            os.environ[variable] = name
        stack.enter_context(started(*CARD))
        time.sleep(2)
        subprocess.run(["pactl", "set-source-volume", "mouth.monitor", f"{ECHO_DB}dB"], check=True)
        canceller = EchoCanceller(Request("microphone", "mouth"))
        alone = heard(folder, canceller, far, None)
        settled = slice(round((0.5 + SETTLED_S) * HEARING_RATE), round(far.size - 0.5 * HEARING_RATE))
        levels = {way: level_db(sound[settled]) for way, sound in alone.items()}
        print(f"our own voice after {SETTLED_S:.0f} s, in the microphone {levels['bare']:.0f} dBFS, cancelled "
              f"{levels['cancelled']:.0f}: {levels['bare'] - levels['cancelled']:.0f} dB less")  # fmt: skip
        both = heard(folder, canceller, far, near)
        said = slice(round((NEAR_AT_S + 0.2) * HEARING_RATE), round((NEAR_AT_S + 1.2) * HEARING_RATE) + near.size)
        kept = level_db(both["cancelled"][said]) - level_db(both["bare"][said])
        print(f"while somebody speaks as well, {kept:+.0f} dB")
        texts = asyncio.run(words([sound[said] for sound in both.values()]))
        for way, text in zip(both, texts, strict=True):
            print(f"somebody asks {NEAR!r} meanwhile; recognised, {way}: {text!r}")


if __name__ == "__main__":
    main()
